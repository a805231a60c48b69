"""Where the weights of a model come from, and loading them.

Weights are named by ``"imagenet"``, ``"untrained"`` or the path of a file that Keras has saved. A model that a user has added has one set of
weights, named by ``"onnx-"`` or ``"combined-"`` and eight hex digits; ``"imagenet"``, the usual choice, stands for them too.
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
from core.models.definition import OWN_KINDS, Model, OwnNetwork, WeightsFile
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
    kind : ``"imagenet"`` | ``"untrained"`` | ``"file"`` | ``"onnx"`` | ``"combined"``.
    slug : short, fit for a file name: ``"imagenet"``, ``"untrained"``, or ``"file-"``, ``"onnx-"`` or ``"combined-"`` and the first
        eight hex digits of the fingerprint.
    source : a sentence.
    others : fingerprints that stand for the same weights.
    fingerprint : the SHA-256 of the weights' file, or of what makes untrained weights what they are. Empty for
        ImageNet weights that Keras has yet to download.
    """

    kind: str
    slug: str
    source: str
    fingerprint: str
    others: tuple[str, ...] = ()

    def made(self, fingerprint: str) -> bool:
        """Whether vectors with this fingerprint may be of these weights: it stands for them, or one of both is not known."""
        return not (self.fingerprint and fingerprint) or fingerprint in (self.fingerprint, *self.others)


def trained(model: Model) -> str:
    """How the trained weights of a model are named, whether they are here or not."""
    return model.weights.slug if isinstance(model.weights, OwnNetwork) else IMAGENET


def names(model: Model) -> tuple[str, ...]:
    """The names of all weights that a model has without a file, trained ones first."""
    return (trained(model),) if model.build is None else (IMAGENET, UNTRAINED)


def has_name(weights: str) -> bool:
    """Whether weights are named by a word rather than by the path of a file."""
    return weights in (IMAGENET, UNTRAINED) or is_own(weights)


def is_own(weights: str) -> bool:
    """Whether weights belong to one model alone, which has no others: an ONNX file, or a combination."""
    return weights.partition("-")[0] in OWN_KINDS


def resolve(model: Model, weights: str) -> str:
    """The name of weights where ``"imagenet"`` stands for the trained ones."""
    return trained(model) if weights == IMAGENET else weights


def provenance(model: Model, weights: str | os.PathLike[str]) -> Provenance:
    """Where these weights come from, without building the model.

    Raises
    ------
    UnknownNameError : ``weights`` is neither ``"imagenet"``, ``"untrained"`` nor a file's name.
    WeightsError : the model has no ImageNet weights or the package with them is not installed, or the file is missing or
        of another kind.
    """
    if isinstance(model.weights, OwnNetwork):
        if weights not in (IMAGENET, model.weights.slug):
            raise WeightsError(
                f"{model.title} was added here and has its own weights, {model.weights.slug}; {str(weights)!r} can't be had."
            )
        model.weights.check(model)
        source = model.weights.file(model).source
        return Provenance(model.weights.kind, model.weights.slug, source, model.weights.fingerprint)
    if weights == UNTRAINED:
        keras_major = importlib.metadata.version("keras").partition(".")[0]
        recipe = f"untrained:{model.name}:seed{SEED}:keras{keras_major}"
        fingerprint = hashlib.sha256(recipe.encode()).hexdigest()
        return Provenance(UNTRAINED, UNTRAINED, f"Untrained: random weights from seed {SEED}.", fingerprint)
    if weights == IMAGENET:
        file = imagenet_file(model)
        if file.path is None:
            raise WeightsError(file.about)
        fingerprint, *others = (model.weights.fingerprints if model.weights and file.here else ()) or ("",)
        return Provenance(IMAGENET, IMAGENET, file.source, fingerprint, tuple(others))
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
        if model.build is None:
            # Says why there is no graph.
            model.build_graph()
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
