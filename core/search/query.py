"""A question and its answer: what the Live page, the REST API and the command line share."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from core.data.datasets import Dataset
from core.errors import ConditionError, UnknownFieldError, UserError
from core.experiments.store import Configuration, Summary
from core.imaging import decode
from core.imaging.decode_pool import Box
from core.search.engine import Engine, as_configuration

if TYPE_CHECKING:
    from core.collections import Collection, Hit


@dataclass(frozen=True)
class Vote:
    """How many of the nearest images have a label."""

    label: str
    count: int


@dataclass(frozen=True)
class Answer:
    """The nearest images of a dataset, nearest first.

    ids : (k,) ints; distances : (k,) float32; vector : (dimensions,) float32 of the query;
    features_ms and search_ms : how long each took. Loading a model at its first use counts in neither.
    """

    configuration: Configuration
    ids: np.ndarray
    distances: np.ndarray
    vector: np.ndarray
    votes: tuple[Vote, ...]
    features_ms: float
    search_ms: float


def answer(
    engine: Engine,
    dataset: Dataset,
    configuration: Configuration | Summary,
    image: Image.Image,
    k: int,
    box: Box | None = None,
) -> Answer:
    """Search a dataset with a picture, or with a region of it.

    Raises
    ------
    UserError : the region, ``k`` or the configuration can't be used; a sentence says why.
    """
    if k < 1:
        raise UserError(f"k is {k}; it must be at least 1.")
    if box is not None:
        image = decode.crop(image, box)
    index = engine.index(dataset, configuration)
    features = engine.embed(image, configuration)
    started = time.perf_counter()
    ids, distances = engine.nearest(index, features.vector, k)
    search_ms = (time.perf_counter() - started) * 1000
    return Answer(
        configuration=as_configuration(configuration),
        ids=ids,
        distances=distances,
        vector=features.vector,
        votes=vote([dataset.items[i].label for i in ids]),
        features_ms=features.milliseconds,
        search_ms=search_ms,
    )


@dataclass(frozen=True)
class CollectionAnswer:
    """The nearest images of a collection, nearest first.

    vector : (dimensions,) float32 of the query; features_ms and search_ms : how long each took. Loading a model at its
    first use counts in neither. notes : sentences about the images that the conditions can't compare.
    """

    hits: tuple["Hit", ...]
    vector: np.ndarray
    votes: tuple[Vote, ...]
    features_ms: float
    search_ms: float
    notes: tuple[str, ...] = ()


def answer_from_collection(
    collection: "Collection", image: Image.Image, k: int, box: Box | None = None, where: Sequence[str] = ()
) -> CollectionAnswer:
    """Search a collection with a picture, or with a region of it, for somebody who may not know the machine.

    Conditions on ``path`` are refused: by comparing, anybody could find out where the files of this machine lie.

    Raises
    ------
    ConditionError : a condition can't be used.
    UserError : the region, ``k`` or the collection's model can't be used; a sentence says why.
    """
    from core.collections import embedder, filters

    for condition in where:
        if filters.parse(condition).field == "path":
            raise ConditionError(
                f"The filter {condition!r} asks for a path, which only the command line may; use label or one of the metadata."
            )
    if box is not None:
        image = decode.crop(image, box)
    network = collection.embedder
    started = time.perf_counter()
    vector = embedder.embed(network, [image])[0]
    features_ms = (time.perf_counter() - started) * 1000
    started = time.perf_counter()
    try:
        hits = collection.search_vectors(vector, k, where)[0]
        notes = collection.notes(where)
    except UnknownFieldError as error:
        raise filters.unknown(error.field, [one for one in error.fields if one != "path"]) from None
    search_ms = (time.perf_counter() - started) * 1000
    votes = vote([hit.label for hit in hits if hit.label is not None])
    return CollectionAnswer(tuple(hits), vector, votes, features_ms, search_ms, notes)


def vote(labels: Sequence[str]) -> tuple[Vote, ...]:
    """How often each label stands among the nearest, most often first; ties by the nearer one."""
    return tuple(Vote(label, count) for label, count in Counter(labels).most_common())
