"""Images to the vectors of a collection."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from PIL import Image

from core.collections.state import About
from core.errors import CollectionError
from core.imaging import decode
from core.models import registry, weights
from core.models.extractor import Extractor


class Embedder(Protocol):
    """Pixels to vectors.

    size, resample : as for ``core.imaging.decode.resize``; batch_size : the most images at a time.
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
    """See that the model of a collection is here with the weights that its vectors were made with.

    Raises
    ------
    UnknownNameError, WeightsError : there is no such model here, or its weights can't be had.
    CollectionError : its weights are others than those that the collection was made with.
    """
    found = weights.provenance(registry.get_model(about.model), about.weights).fingerprint
    if about.weights_fingerprint and found and found != about.weights_fingerprint:
        raise CollectionError(
            f"The collection {about.name!r} was made with other weights of {about.model} than are here now; "
            "bring those back or make a new collection."
        )


def weights_slug(about: About) -> str:
    """The weights of a collection as experiments name theirs, without the path of a file."""
    if about.weights in (weights.IMAGENET, weights.UNTRAINED):
        return about.weights
    return f"file-{about.weights_fingerprint[:8]}"


def load(about: About) -> ModelEmbedder:
    """The model of a collection, which loads TensorFlow; raises as :func:`check`."""
    check(about)
    model = registry.get_model(about.model)
    graph, _ = weights.load(model, about.weights)
    return ModelEmbedder(Extractor(model, graph, [about.layer], [about.pooling]), about.layer, about.pooling)


def embed(embedder: Embedder, pictures: Sequence[Image.Image]) -> np.ndarray:
    """(n, dimensions) float32: the vectors of decoded pictures."""
    parts = []
    for start in range(0, len(pictures), embedder.batch_size):
        part = pictures[start : start + embedder.batch_size]
        parts.append(embedder(np.stack([decode.resize(p, embedder.size, embedder.resample) for p in part])))
    return np.concatenate(parts)
