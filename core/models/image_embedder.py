"""Images to the vectors of one configuration."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from PIL import Image

from core.imaging import transform
from core.models import networks, registry
from core.models.extractor import Extractor


class Embedder(Protocol):
    """Pixels to vectors.

    size, resample : as for ``core.imaging.transform.resize``; batch_size : the most images at a time.
    """

    size: int
    resample: str
    batch_size: int

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """(n, size, size, 3) uint8 to (n, dimensions) float32."""


class ModelEmbedder:
    """The pooled activations of a layer."""

    def __init__(self, network: Extractor, layer: str, pooling: str):
        self.size, self.resample = network.model.input_size, network.model.resample
        self.batch_size = network.batch_size
        self._network, self._key = network, (layer, pooling)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return self._network(pixels)[self._key]


def load(model: str, weights_: str, layer: str, pooling: str) -> ModelEmbedder:
    """The embedder of a configuration, which loads the model.

    Raises
    ------
    UnknownNameError, WeightsError : there is no such model, layer or pooling here, or its weights are not available.
    """
    definition = registry.get_model(model)
    network = networks.load(definition, weights_)
    return ModelEmbedder(Extractor(definition, network, [layer], [pooling]), layer, pooling)


def embed(embedder: Embedder, images: Sequence[Image.Image]) -> np.ndarray:
    """(n, dimensions) float32: the vectors of decoded images."""
    parts = []
    for start in range(0, len(images), embedder.batch_size):
        part = images[start : start + embedder.batch_size]
        parts.append(
            embedder(np.stack([transform.resize(image, embedder.size, embedder.resample) for image in part]))
        )
    return np.concatenate(parts)
