"""Intermediate models: a network cut at any of its layers, not only at the eight of the grid."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from core.errors import UnknownNameError, UserError
from core.models import architecture, registry, runtime

if TYPE_CHECKING:
    import keras


def output(graph: "keras.Model", model: registry.Model, layer: str) -> "keras.KerasTensor":
    """The output of a layer: (batch, height, width, channels).

    Parameters
    ----------
    layer : as ``core.models.architecture`` names it.

    Raises
    ------
    UnknownNameError : there is no such layer.
    UserError : it has no height and width.
    """
    layers = architecture.layers_by_name(graph)
    if layer not in layers:
        known = [one.name for one in model.layers]
        raise UnknownNameError(f"layer of {model.name}", layer, [*known, "or another layer of the network"])
    found = layers[layer].output
    if len(found.shape) != 4:
        raise UserError(f"{layer} of {model.title} has no height and width; choose a layer that has.")
    return found


class IntermediateModel:
    """Activations of some layers, in one forward pass.

    Parameters
    ----------
    graph : as ``core.models.weights.load`` gives it.
    layers : as ``core.models.architecture`` names them.
    batch_size : images in one pass; a smaller batch is padded.

    Raises
    ------
    UnknownNameError, UserError : as :func:`output`.
    """

    def __init__(self, model: registry.Model, graph: "keras.Model", layers: Sequence[str], batch_size: int):
        import keras
        import tensorflow as tf

        cut = keras.Model(graph.input, [output(graph, model, layer) for layer in layers])
        self._size = model.input_size
        # A layer that passes its input on would share the tensor of another without the identity.
        self._run = runtime.compile_batches(model, cut, lambda x: [tf.identity(x)], batch_size)

    def __call__(self, pixels: np.ndarray) -> list[np.ndarray]:
        """Images (n, size, size, 3) uint8 to (n, height, width, channels) float32 for each layer in order."""
        return self._run(pixels)

    def warm_up(self) -> None:
        """Run once on zeros: the first run optimizes the graph and takes many times as long as later ones."""
        self(np.zeros((1, self._size, self._size, 3), np.uint8))
