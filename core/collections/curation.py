"""Find near-duplicates, outliers and likely label errors in a collection."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.collections.collection import Collection
from core.collections.schema import Row
from core.collections.snapshot import Snapshot
from core.errors import CollectionError
from core.metrics import get_metric
from core.progress import Progress, Silent

NEIGHBORS = 10
_BLOCK = 256
_SAMPLE = 200
# The most neighbors per image that are searched for duplicates.
_MOST_DUPLICATES = 50


@dataclass(frozen=True)
class Finding:
    """An image with the reason why it may be wrong.

    value : a distance, or for labels the share of neighbors that have another one; suggestion : the label of the neighbors; same_content :
    whether images with the same content have several labels, in which case the suggestion is another one of these and value is 1.
    """

    id: int
    hash: str | None
    path: str
    label: str | None
    metadata: dict[str, Any]
    value: float
    suggestion: str | None = None
    same_content: bool = False


@dataclass(frozen=True)
class LabelErrors:
    """Likely label errors, and labels with only one image, which can't be judged."""

    found: list[Finding]
    too_small: list[str]


def near_duplicates(
    collection: Collection, threshold: float, progress: Progress | None = None
) -> list[list[Finding]]:
    """Groups of images connected by distances of at most a threshold, the closest groups first.

    Images with the same content have distance 0. The value of each image is its distance to the nearest other one of the group.

    Raises
    ------
    CollectionError : the threshold is negative or not a number.
    """
    if not threshold >= 0:
        raise CollectionError(f"The threshold is {threshold:g}; distances are 0 or more.")
    import scipy.sparse
    import scipy.sparse.csgraph

    snapshot, rows = _vectors(collection)
    pairs: list[np.ndarray] = []
    nearest = np.full(snapshot.state.rows, np.inf)
    for queries, found, distances in _neighbors(snapshot, rows, _MOST_DUPLICATES, progress):
        place, column = np.nonzero(distances <= threshold)
        close = np.stack([queries[place], found[place, column]])
        np.minimum.at(nearest, close[0], distances[place, column])
        np.minimum.at(nearest, close[1], distances[place, column])
        pairs.append(close)
    joined = np.concatenate(pairs, axis=1) if pairs else np.empty((2, 0), np.int64)
    graph = scipy.sparse.coo_matrix(
        (np.ones(joined.shape[1], bool), tuple(joined)), shape=(snapshot.state.rows,) * 2
    )
    _, component = scipy.sparse.csgraph.connected_components(graph, directed=False)
    sizes = np.bincount(component[rows], minlength=component.max(initial=0) + 1)
    grouped = set(rows[sizes[component[rows]] > 1].tolist()) | set(collection.shared_rows())
    groups: dict[int, list[Finding]] = {}
    for row, images in collection.of_rows(sorted(grouped)).items():
        value = 0.0 if len(images) > 1 else float(nearest[row])
        groups.setdefault(int(component[row]), []).extend(_finding(image, value) for image in images)
    ordered = [sorted(group, key=lambda finding: (finding.value, finding.path)) for group in groups.values()]
    return sorted(ordered, key=lambda group: (group[0].value, group[0].path))


def usual_distance(collection: Collection) -> float:
    """The median distance of an image to its nearest neighbor, estimated from a sample; 1.0 if it is zero or unknown."""
    snapshot, rows = _vectors(collection)
    sample = rows[:: max(1, len(rows) // _SAMPLE)]
    found = [distances[:, 0] for _, _, distances in _neighbors(snapshot, sample, 1, allowed=rows)]
    return float(np.median(np.concatenate(found))) or 1.0 if found else 1.0


def outliers(collection: Collection, most: int, progress: Progress | None = None) -> list[Finding]:
    """The images with the largest mean distance to their 10 nearest neighbors, the largest first."""
    snapshot, rows = _vectors(collection)
    means = [
        (row, mean)
        for queries, _, distances in _neighbors(snapshot, rows, NEIGHBORS, progress)
        for row, mean in zip(queries.tolist(), distances.mean(axis=1).tolist(), strict=True)
    ]
    means.sort(key=lambda pair: -pair[1])
    images = collection.first_of_rows([row for row, _ in means[:most]])
    return [_finding(images[row], mean) for row, mean in means[:most] if row in images]


def label_errors(collection: Collection, most: int, progress: Progress | None = None) -> LabelErrors:
    """Likely label errors, the clearest first.

    These are images with the same content and several labels, one of each label, and images most of whose nearest labeled neighbors have
    another label. An image of a class of n has at most n - 1 neighbors of its class, so at most that many of the 10 nearest vote.

    Raises
    ------
    CollectionError : fewer than two labels.
    """
    by_row = collection.labels_by_row()
    if len({label for several in by_row.values() for label in several}) < 2:
        raise CollectionError("Likely label errors need images with at least two labels.")
    conflicts = [several for several in by_row.values() if len(several) > 1]
    errors = [found for several in conflicts[:most] for found in _conflict(collection, several)]
    # Images with several labels do not vote.
    labels = {row: next(iter(several)) for row, several in by_row.items() if len(several) == 1}
    sizes = Counter(labels.values())
    snapshot, _ = _vectors(collection)
    rows = np.array(sorted(labels), np.int64)
    outvoted: list[tuple[int, float, str]] = []
    for queries, found, _ in _neighbors(snapshot, rows, NEIGHBORS, progress, rows):
        for row, neighbors in zip(queries.tolist(), found.tolist(), strict=True):
            votes = [labels[neighbor] for neighbor in neighbors[: sizes[labels[row]] - 1]]
            if not votes:
                continue
            # Of labels with the same number of votes, the nearest.
            [(suggestion, _)] = Counter(votes).most_common(1)
            other = 1 - votes.count(labels[row]) / len(votes)
            if suggestion != labels[row] and other > 0.5:
                outvoted.append((row, other, suggestion))
    outvoted.sort(key=lambda error: -error[1])
    chosen = outvoted[: max(0, most - len(errors))]
    images = collection.first_of_rows([row for row, *_ in chosen])
    errors += [_finding(images[row], value, suggestion) for row, value, suggestion in chosen if row in images]
    in_conflict = {label for several in conflicts for label in several}
    alone = sorted(label for label, size in sizes.items() if size == 1 and label not in in_conflict)
    return LabelErrors(errors[:most], alone)


def _conflict(collection: Collection, labels: dict[str, int]) -> Iterator[Finding]:
    """An image for each of the labels of the same content."""
    for label, image_id in labels.items():
        image = collection.image(image_id)
        if image is not None:
            other = next(one for one in labels if one != label)
            yield replace(_finding(image, 1.0, other), same_content=True)


def _vectors(collection: Collection) -> tuple[Snapshot, np.ndarray]:
    snapshot = collection.snapshot()
    return snapshot, snapshot.rows


def _neighbors(
    snapshot: Snapshot,
    rows: np.ndarray,
    k: int,
    progress: Progress | None = None,
    allowed: np.ndarray | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Blocks of rows (n,), their nearest other rows (n, k) and distances (n, k), with k at most the number of other rows.

    A vector of zeros has no angle to any other (see :mod:`core.metrics`), but two of them are equal: their distance is 0 here.
    """
    progress = progress or Silent()
    progress.stage("neighbors", len(rows))
    k = min(k, len(rows) - 1)
    if k < 1:
        return
    blank = _blank(snapshot, rows if allowed is None else allowed)
    for start in range(0, len(rows), _BLOCK):
        queries = rows[start : start + _BLOCK]
        found, distances = snapshot.nearest(snapshot.stored[queries], k + 1, allowed)
        # The row itself moves to the end, or the farthest one if it was not found.
        order = np.argsort(found == queries[:, None], axis=1, kind="stable")[:, :k]
        found, distances = np.take_along_axis(found, order, 1), np.take_along_axis(distances, order, 1)
        for place in np.flatnonzero(np.isin(queries, blank)):
            equal = blank[: k + 1][blank[: k + 1] != queries[place]][:k]
            others = found[place][~np.isin(found[place], equal)]
            found[place] = np.concatenate([equal, others])[:k]
            distances[place, : len(equal)], distances[place, len(equal) :] = 0.0, 1.0
        yield queries, found, distances
        progress.step(len(queries))


def _blank(snapshot: Snapshot, rows: np.ndarray) -> np.ndarray:
    """Those of some rows whose vectors are zeros, under a metric that gives these a distance from each other."""
    if not get_metric(snapshot.state.metric).normalized:
        return np.empty(0, np.int64)
    parts = [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
    return np.concatenate(
        [np.empty(0, np.int64), *(part[~snapshot.stored[part].any(axis=1)] for part in parts)]
    )


def _finding(image: Row, value: float, suggestion: str | None = None) -> Finding:
    return Finding(image.id, image.hash, image.path, image.label, image.metadata, value, suggestion)
