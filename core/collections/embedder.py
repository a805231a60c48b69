"""The model of a collection: images to vectors."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from PIL import Image

from core.collections.state import About
from core.errors import CollectionError
from core.imaging import transform
from core.models import registry, weights
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


def check(about: About) -> None:
    """Check that the model of a collection is here, with the weights that made its vectors.

    Raises
    ------
    UnknownNameError, WeightsError : there is no such model here, or its weights are not available.
    CollectionError : its weights are not those that made the collection's vectors.
    """
    here = weights.provenance(registry.get_model(about.model), about.weights).fingerprint
    if about.weights_fingerprint and here and here != about.weights_fingerprint:
        raise CollectionError(
            f"The vectors of the collection {about.name!r} were computed with other weights of {about.model} than are here now; "
            "restore those weights or create a new collection."
        )


def weights_slug(about: About) -> str:
    """The name of a collection's weights in experiments, without the path of a file."""
    if about.weights in (weights.IMAGENET, weights.UNTRAINED):
        return about.weights
    return f"file-{about.weights_fingerprint[:8]}"


def load(about: About) -> ModelEmbedder:
    """The embedder of a collection, which loads the model; raises as :func:`check`."""
    check(about)
    model = registry.get_model(about.model)
    graph, _ = weights.load(model, about.weights)
    return ModelEmbedder(Extractor(model, graph, [about.layer], [about.pooling]), about.layer, about.pooling)


def embed(embedder: Embedder, images: Sequence[Image.Image]) -> np.ndarray:
    """(n, dimensions) float32: the vectors of decoded images."""
    parts = []
    for start in range(0, len(images), embedder.batch_size):
        part = images[start : start + embedder.batch_size]
        parts.append(
            embedder(np.stack([transform.resize(image, embedder.size, embedder.resample) for image in part]))
        )
    return np.concatenate(parts)
