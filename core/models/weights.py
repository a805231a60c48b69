"""Where the weights of a model come from, and loading them.

Weights are named by ``"imagenet"``, ``"untrained"`` or the path of a file that Keras has saved.
"""

import hashlib
import importlib.metadata
import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.errors import WeightsError
from core.models import file_hash, weights_file
from core.models.definition import Model, WeightsFile
from core.progress import Progress, Silent

if TYPE_CHECKING:
    import keras

IMAGENET = "imagenet"
UNTRAINED = "untrained"
SEED = 0

_building = threading.RLock()  # the random state belongs to the process


@dataclass(frozen=True)
class Provenance:
    """Where weights come from.

    Parameters
    ----------
    kind : ``"imagenet"`` | ``"untrained"`` | ``"file"``.
    slug : short, fit for a file name: ``"imagenet"``, ``"untrained"`` or ``"file-"`` and the first eight hex digits of
        the file's SHA-256.
    source : a sentence.
    fingerprint : the SHA-256 of the weights' file, or of what makes untrained weights what they are. Empty for
        ImageNet weights that Keras has yet to download.
    """

    kind: str
    slug: str
    source: str
    fingerprint: str


def provenance(model: Model, weights: str | os.PathLike[str]) -> Provenance:
    """Where these weights come from, without building the model.

    Raises
    ------
    UnknownNameError : ``weights`` is neither ``"imagenet"``, ``"untrained"`` nor a file's name.
    WeightsError : the model has no ImageNet weights or the package with them is not installed, or the file is missing or
        of another kind.
    """
    if weights == UNTRAINED:
        keras_major = importlib.metadata.version("keras").partition(".")[0]
        recipe = f"untrained:{model.name}:seed{SEED}:keras{keras_major}"
        fingerprint = hashlib.sha256(recipe.encode()).hexdigest()
        return Provenance(UNTRAINED, UNTRAINED, f"Untrained: random weights from seed {SEED}.", fingerprint)
    if weights == IMAGENET:
        file = imagenet_file(model)
        if file.path is None:
            raise WeightsError(file.about)
        fingerprint = file_hash.sha256(file.path) if file.here else ""
        return Provenance(IMAGENET, IMAGENET, file.source, fingerprint)
    path = weights_file.check(weights)
    fingerprint = file_hash.sha256(path)
    return Provenance("file", f"file-{fingerprint[:8]}", f"The file {path.name}.", fingerprint)


def imagenet_file(model: Model) -> WeightsFile:
    """The file of a model's ImageNet weights, which need not be on this machine."""
    if model.weights is None:
        about = (
            f"There are no ImageNet weights of {model.title}; choose untrained weights or a file of your own."
        )
        return WeightsFile("none", "", about, None)
    return model.weights.file(model)


def availability(model: Model) -> tuple[bool, str]:
    """Whether the ImageNet weights are on this machine, and a sentence about it."""
    file = imagenet_file(model)
    return file.here, file.about


def load(
    model: Model, weights: str | os.PathLike[str], progress: Progress | None = None
) -> tuple["keras.Model", Provenance]:
    """The graph of a model with weights in it.

    Parameters
    ----------
    weights : ``"imagenet"``, ``"untrained"`` or the path of a ``.weights.h5``, ``.keras`` or Keras 2 ``.h5`` file.
    progress : gets a sentence before a download and its steps.

    Returns
    -------
    The graph, which takes preprocessed images (``Model.preprocessing``), and where its weights come from.

    Raises
    ------
    UnknownNameError, WeightsError : as :func:`provenance`; and WeightsError where weights can't be downloaded or read, or
        don't fit the model.
    """
    origin = provenance(model, weights)
    with _building:
        if origin.kind == UNTRAINED:
            return _load_untrained(model), origin
        if origin.kind == "file" or model.weights is None:
            return weights_file.load(model, weights_file.check(weights)), origin
        graph = model.weights.load(model, progress or Silent())
        # A file that was downloaded has a fingerprint now.
        return graph, provenance(model, weights)


def _load_untrained(model: Model) -> "keras.Model":
    import keras

    with _random_state_kept():
        keras.utils.set_random_seed(SEED)
        return model.build_graph()


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Leave the random generators of Python and NumPy as they were."""
    states = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
