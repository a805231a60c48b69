"""Images to pooled vectors: one forward pass per batch gives every requested layer."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import ImageError, UnknownNameError
from core.imaging import decode, transform
from core.imaging.transform import Reduction
from core.models import registry
from core.models.runtime import Network, Operations
from core.settings import settings
from core.threads import in_threads

POOLINGS = {
    "avg": "The mean over all positions of each channel: what is in the image, wherever it is. The usual choice.",
    "max": "The strongest position of each channel: what is somewhere in the image, however small.",
    "gem": "Between mean and maximum (generalized mean with p = 3): strong positions count more.",
    "flatten": "Every position of every channel: what is where. Long vectors, and a shifted object is another vector.",
}

_GEM_P = 3.0
_GEM_FLOOR = 1e-6


@dataclass(frozen=True)
class Batch:
    """Images ready for a forward pass.

    Parameters
    ----------
    places : (n,) indexes into the list of files.
    pixels : (n, size, size, 3) uint8.
    failures : index and reason for each file of the batch that can't be decoded.
    """

    places: np.ndarray
    pixels: np.ndarray
    failures: list[tuple[int, str]]


class Extractor:
    """Pooled activations of some layers of a model.

    Parameters
    ----------
    model : the model's definition.
    network : its network with weights, as ``core.models.networks.load`` gives it.
    layers : names of layers, computed in one pass.
    poolings : of :data:`POOLINGS`.
    batch_size : images in one forward pass. The network is compiled for this size; a smaller batch is padded.
    side_by_side : as for :meth:`core.models.runtime.Network.compile`.

    Raises
    ------
    UnknownNameError : no such layer or pooling.
    """

    def __init__(
        self,
        model: registry.Model,
        network: Network,
        layers: Sequence[str],
        poolings: Sequence[str] = ("avg",),
        batch_size: int = settings.BATCH_SIZE,
        side_by_side: int = 1,
    ):
        for layer in layers:
            model.layer(layer)
        for pooling in poolings:
            check_pooling(pooling)
        self.model = model
        self.layers = tuple(layers)
        self.poolings = tuple(poolings)
        self.batch_size = batch_size
        self._run = network.compile(
            self.layers,
            lambda ops, x: [pool(ops, x, pooling) for pooling in self.poolings],
            batch_size,
            side_by_side,
        )

    def __call__(self, pixels: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
        """Vectors of a batch.

        Parameters
        ----------
        pixels : (n, size, size, 3) uint8 with n at most ``batch_size``.

        Returns
        -------
        vectors : (n, dimensions) float32 by (layer, pooling).
        """
        keys = itertools.product(self.layers, self.poolings)
        return dict(zip(keys, self._run(pixels), strict=True))

    def warm_up(self) -> None:
        """Run once on zeros: the first run optimizes the graph and takes many times as long as later ones."""
        size = self.model.input_size
        self(np.zeros((1, size, size, 3), np.uint8))

    def dimensions(self, layer: str, pooling: str) -> int:
        """Length of the vectors of a layer under a pooling."""
        return dimensions(self.model.layer(layer).shape, pooling)

    def batches(self, files: Sequence[Path]) -> Iterator[Batch]:
        """Batches of files at the model's input size, as :func:`read_batches` reads them."""
        return read_batches(files, self.model.input_size, self.model.resample, self.batch_size)


def check_pooling(pooling: str) -> None:
    """Raises UnknownNameError if there is no such pooling."""
    if pooling not in POOLINGS:
        raise UnknownNameError("pooling", pooling, POOLINGS)


def dimensions(shape: tuple[int, int, int], pooling: str) -> int:
    """Length of the vector of an activation (height, width, channels) under a pooling."""
    return int(np.prod(shape)) if pooling == "flatten" else shape[-1]


def read_batches(files: Sequence[Path], size: int, resample: str, batch_size: int) -> Iterator[Batch]:
    """Decode and resize files in threads while the caller works on the previous batch.

    ``Batch.failures`` lists the files that can't be decoded.

    Parameters
    ----------
    size, resample : as for :func:`core.imaging.transform.resize`.
    """
    # At most two batches wait, so memory does not grow with the number of files.
    results = in_threads(
        lambda path: _read(path, size, resample), files, settings.DECODE_THREADS, 2 * batch_size
    )
    start = 0
    while batch := list(itertools.islice(results, batch_size)):
        good = [(start + i, r) for i, r in enumerate(batch) if isinstance(r, np.ndarray)]
        yield Batch(
            places=np.array([place for place, _ in good], np.int64),
            pixels=np.stack([r for _, r in good]) if good else np.empty((0, size, size, 3), np.uint8),
            failures=[(start + i, str(r)) for i, r in enumerate(batch) if isinstance(r, ImageError)],
        )
        start += len(batch)


def _read(path: Path, size: int, resample: str) -> np.ndarray | ImageError:
    try:
        return transform.resize(decode.read(path, Reduction(size, resample)), size, resample)
    except ImageError as error:
        return error


def pool(ops: Operations, activation: Any, pooling: str) -> Any:
    """(batch, height, width, channels) to (batch, dimensions), of :data:`POOLINGS`.

    ``gem`` is ``mean(max(x, 1e-6)**3) ** (1/3)``: Radenović, Tolias and Chum, 2018, with their usual p.
    """
    if pooling == "avg":
        return ops.mean(activation)
    if pooling == "max":
        return ops.largest(activation)
    if pooling == "gem":
        powers = ops.power(ops.at_least(activation, _GEM_FLOOR), _GEM_P)
        return ops.power(ops.mean(powers), 1.0 / _GEM_P)
    return ops.flatten(activation)
