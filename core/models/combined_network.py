"""Several networks that run one after the other on the same image, as one network with one layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from core.imaging import transform
from core.models import architecture, extractor
from core.models.combined_weights import Part, joined
from core.models.definition import Model
from core.models.runtime import Finish, Network, Operations, Run


class CombinedNetwork:
    """The network of a combination.

    Its images have the input size of the largest network; the others get them scaled down from there.

    Parameters
    ----------
    networks : of the parts, in their order.
    """

    def __init__(self, model: Model, parts: Sequence[Part], networks: Sequence[Network]):
        self._model, self._parts, self._networks = model, tuple(parts), tuple(networks)
        self.runs_side_by_side = all(network.runs_side_by_side for network in networks)

    def compile(self, layers: Sequence[str], finish: Finish, batch_size: int, side_by_side: int = 1) -> Run:
        """As :meth:`core.models.runtime.Network.compile`."""
        for layer in layers:
            architecture.check_positions(self._model, layer, {one.name: 4 for one in self._model.layers})
        runs = [
            network.compile([part.layer], _pooling(part.pooling), batch_size, side_by_side)
            for part, network in zip(self._parts, self._networks, strict=True)
        ]
        means = [part.mean for part in self._parts]

        def run(pixels: np.ndarray) -> list[np.ndarray]:
            found = [
                compiled(_scaled(pixels, part.model))[0]
                for part, compiled in zip(self._parts, runs, strict=True)
            ]
            activation = joined(found, means).astype(np.float32)[:, None, None, :]
            return [np.asarray(one) for _ in layers for one in finish(_NumPyOperations(), activation)]

        return run


def _pooling(name: str) -> Finish:
    return lambda ops, activation: [extractor.pool(ops, activation, name)]


def _scaled(pixels: np.ndarray, model: Model) -> np.ndarray:
    """(n, size, size, 3) uint8 at the size of a model."""
    if pixels.shape[1] == model.input_size:
        return pixels
    # What a filter cuts off is cut off already.
    name, _ = transform.parse(model.resample)
    return np.stack([transform.resize(Image.fromarray(one), model.input_size, name) for one in pixels])


class _NumPyOperations(Operations):
    def mean(self, x: Any) -> Any:
        return x.mean(axis=(1, 2))

    def largest(self, x: Any) -> Any:
        return x.max(axis=(1, 2))

    def at_least(self, x: Any, floor: float) -> Any:
        return np.maximum(x, np.float32(floor))

    def power(self, x: Any, exponent: float) -> Any:
        return x ** np.float32(exponent)

    def flatten(self, x: Any) -> Any:
        return x.reshape(len(x), -1)

    def same(self, x: Any) -> Any:
        return x
