"""What the points of the chart are colored by: their class, the score of a search for them, a cluster, or one of their metadata."""

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import streamlit as st

from core import projection as projections_
from core.collections import filters
from core.data.source import Projection, Source
from core.errors import GridError, UserError
from core.experiments.query_scores import evaluate
from dashboard import url
from dashboard.frontend.scatter.scatter import Groups
from dashboard.url import Address
from dashboard.widgets import palette, pickers, sources

_FIELD = "of-"
_NAMES = {"class": "Color: class", "score": "Color: score as a query", "cluster": "Color: cluster"}
_NONE, _OTHERS = "not known", "others"
_MOST_GROUPS = 20
_STEPS = 5
_HELP = (
    "**Class** is the label. **Score as a query** is that of a search for the image, 0 to 100. **Cluster** is where points are dense in this "
    "chart (HDBSCAN). Of a collection there are its metadata too."
)


def choose(address: Address, source: Source) -> str:
    """Choose what colors the points; the value of the address."""
    offered = _offered(source)
    color = address.choice(url.COLOR, tuple(offered))
    pickers.select(
        "Color",
        list(offered),
        color,
        offered.__getitem__,
        lambda name: url.change({url.COLOR: name}),
        "color",
        _HELP,
        165,
        hidden=True,
    )
    return color


def of(color: str, source: Source, projection: Projection, layer: int, k: int) -> Groups | None:
    """The groups of the images, None for their classes.

    Parameters
    ----------
    layer : index of the one that is shown, which clusters are of.

    Raises
    ------
    UserError : the scores or metadata can't be read.
    """
    if color == "class":
        return None
    if color == "score":
        return _by_number(projection, "Score", _scores(source, projection, k), np.arange(0, 101, 20))
    if color == "cluster":
        key = (projection.path, projection.version, layer)
        return _by_cluster(projection, _cluster_codes(key, projection.coordinates[layer]))
    return _by_field(color.removeprefix(_FIELD), source, projection)


def _offered(source: Source) -> dict[str, str]:
    names = dict(_NAMES)
    if sources.experiments(source) is None:
        del names["score"]
    return names | {_FIELD + field: f"Color: {field}" for field in _fields(source.key, source)}


def _scores(source: Source, projection: Projection, k: int) -> np.ndarray:
    """(n_images,) the score of a search for each image, not a number where there is none."""
    several = sources.experiments(source)
    if several is None:
        raise GridError("A collection has no scores.")
    found = evaluate(several.grid, several.chosen.configuration, k)
    scores = np.full(len(projection.images), np.nan)
    scores[found.queries] = found.scores
    return scores


def _by_field(field: str, source: Source, projection: Projection) -> Groups:
    stored = _metadata(source.key, source)
    by_number: list[Any] = [None] * len(projection.images)
    for item, number in projection.by_id.items():
        by_number[number] = stored.get(item, {}).get(field)
    numbers = np.array([_number(one) for one in by_number], np.float64)
    known = np.isfinite(numbers)
    # A few words among numbers, such as n/a, are values that are not known.
    words = sum(one not in (None, "") for one in by_number) - known.sum()
    if known.sum() > words and len(np.unique(numbers[known])) > _MOST_GROUPS:
        return _by_number(
            projection, field, numbers, np.quantile(numbers[known], np.linspace(0, 1, _STEPS + 1))
        )
    return _by_name(projection, ["" if one is None else str(one) for one in by_number])


def _number(value: Any) -> float:
    """A value as a number, also where it is written as text; not a number where it is none."""
    if isinstance(value, str):
        value = filters.Value.of(value).number
    return float(value) if type(value) in (int, float) else math.nan


def _by_number(projection: Projection, name: str, numbers: np.ndarray, edges: np.ndarray) -> Groups:
    """Groups of ranges between edges, faint to strong."""
    edges = np.unique(edges)
    names = [f"{name} {low:,.4g} to {high:,.4g}" for low, high in itertools.pairwise(edges)]
    known = np.isfinite(numbers)
    codes = np.full(len(numbers), len(names))
    codes[known] = np.clip(np.searchsorted(edges, numbers[known], "right") - 1, 0, len(names) - 1)
    return _groups(projection, list(palette.ordered_styles(names).items()), codes, named=0)


def _by_name(projection: Projection, values: Sequence[str]) -> Groups:
    """A group for each of the most frequent values."""
    counts = Counter(value for value in values if value)
    names = sorted((value for value, _ in counts.most_common(_MOST_GROUPS)), key=_order)
    places = {name: place for place, name in enumerate(names)}
    styles = list(palette.class_styles(tuple(names)).items())
    if len(counts) > len(names):
        styles.append((_OTHERS, palette.no_group()))
    codes = [places.get(value, len(names)) if value else len(styles) for value in values]
    return _groups(projection, styles, np.array(codes), named=len(names))


def _order(name: str) -> tuple[bool, float, str]:
    """Numbers by their size, then all others by code point."""
    number = _number(name)
    return (True, 0.0, name) if math.isnan(number) else (False, number, name)


def _by_cluster(projection: Projection, found: np.ndarray) -> Groups:
    names = [f"cluster {place + 1}" for place in range(int(found.max()) + 1)]
    codes = np.full(len(projection.images), len(names))
    codes[projection.numbers[found >= 0]] = found[found >= 0]
    styles = list(palette.class_styles(tuple(names)).items())
    return _groups(projection, styles, codes, named=len(names), none="between clusters")


def _groups(
    projection: Projection,
    styles: Sequence[tuple[str, palette.ClassStyle]],
    codes: np.ndarray,
    named: int,
    none: str = _NONE,
) -> Groups:
    """Groups with a last one for points that are in none, where there are such."""
    if (codes[projection.numbers] == len(styles)).any():
        styles = [*styles, (none, palette.no_group())]
    return Groups(styles, codes, named)


def _fields(key: str, source: Source) -> list[str]:
    """The metadata that some image has."""
    try:
        return sorted({field for one in _metadata(key, source).values() for field in one})
    except UserError:
        return []


@st.cache_data(show_spinner=False, max_entries=16)
def _cluster_codes(key: tuple[str, str, int], _coordinates: np.ndarray) -> np.ndarray:
    return projections_.clusters(_coordinates)


@st.cache_resource(show_spinner=False, max_entries=4)
def _metadata(key: str, _source: Source) -> Mapping[int, Mapping[str, Any]]:
    return _source.metadata()
