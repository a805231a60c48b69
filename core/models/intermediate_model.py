"""Intermediate models: a network cut at any of its layers, not only at the eight of the grid."""

from collections.abc import Sequence

import numpy as np

from core.models import registry
from core.models.runtime import Network


class IntermediateModel:
    """Activations of some layers, in one forward pass.

    Parameters
    ----------
    network : of the model, as ``core.models.networks.load`` gives it.
    layers : as ``core.models.architecture`` names them.
    batch_size : images in one pass; a smaller batch is padded.

    Raises
    ------
    UnknownNameError, UserError : as :meth:`core.models.runtime.Network.compile`.
    """

    def __init__(self, model: registry.Model, network: Network, layers: Sequence[str], batch_size: int):
        self._size = model.input_size
        self._run = network.compile(layers, lambda ops, x: [ops.same(x)], batch_size)

    def __call__(self, pixels: np.ndarray) -> list[np.ndarray]:
        """Images (n, size, size, 3) uint8 to (n, height, width, channels) float32 for each layer in order."""
        return self._run(pixels)

    def warm_up(self) -> None:
        """Run once on zeros: the first run optimizes the graph and takes many times as long as later ones."""
        self(np.zeros((1, self._size, self._size, 3), np.uint8))
