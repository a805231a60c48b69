"""A search with an image: what the page Your picture and the REST API share."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from core.data.source import Capability, Neighbor, Source
from core.errors import ConditionError, UserError
from core.imaging import transform
from core.imaging.transform import Box
from core.progress import Silent


@dataclass(frozen=True)
class Vote:
    """How many of the nearest images have a label."""

    label: str
    count: int


@dataclass(frozen=True)
class Answer:
    """The images of a source nearest to a query, nearest first.

    vector : (dimensions,) float32 of the query; features_ms, search_ms : how long each took, without loading a model at its first use;
    notes : sentences about the images that the conditions can't compare.
    """

    neighbors: tuple[Neighbor, ...]
    vector: np.ndarray
    votes: tuple[Vote, ...]
    features_ms: float
    search_ms: float
    notes: tuple[str, ...] = ()


def search(
    source: Source, image: Image.Image, k: int, box: Box | None = None, where: Sequence[str] = ()
) -> Answer:
    """Search a source with an image, or with a region of it.

    Raises
    ------
    ConditionError : a condition can't be used.
    UserError : the region, ``k`` or the configuration can't be used.
    """
    if k < 1:
        raise UserError(f"k is {k}; it must be at least 1.")
    check(source, where)
    if box is not None:
        image = transform.crop(image, box)
    source.prepare(Silent())
    started = time.perf_counter()
    vector = source.embed(image)
    embedded = time.perf_counter()
    neighbors, notes = source.nearest(vector, k, where)
    ended = time.perf_counter()
    votes = vote([one.item.label for one in neighbors if one.item.label is not None])
    features_ms, search_ms = (embedded - started) * 1000, (ended - embedded) * 1000
    return Answer(tuple(neighbors), vector, votes, features_ms, search_ms, notes)


def check(source: Source, where: Sequence[str]) -> None:
    """See that a source takes conditions, where there are some; raises ConditionError."""
    if where and Capability.CONDITIONS not in source.capabilities:
        raise ConditionError(
            "Only collections can be searched with conditions; name one, or leave out where."
        )


def vote(labels: Sequence[str]) -> tuple[Vote, ...]:
    """How many of the nearest have each label, most first; ties in the order of the nearest."""
    return tuple(Vote(label, count) for label, count in Counter(labels).most_common())
