"""What looks wrong in a collection: near-duplicates, outliers, labels that the neighbors contradict."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from core.errors import CollectionError
from core.progress import Progress, Silent
from core.search.collection.collection import Collection
from core.search.collection.view import View

NEIGHBORS = 10
_BLOCK = 256
_SAMPLE = 200
# Of a nearly endless chain of duplicates, so many neighbors are looked at per image.
_MOST_DUPLICATES = 50


@dataclass(frozen=True)
class Finding:
    """An image, as the catalog knows it, with the number that made it stand out.

    value : a distance, or for labels the share of neighbors that have another one; suggestion : the neighbors' label.
    """

    id: int
    hash: str | None
    path: str
    label: str | None
    metadata: dict[str, Any]
    value: float
    suggestion: str | None = None


def near_duplicates(collection: Collection, threshold: float, progress: Progress) -> list[list[Finding]]:
    """Groups of images that are connected by distances of at most a threshold, the closest groups first.

    Images of the same content count, with distance 0. The value of each is its distance to the nearest other one of the group.

    Raises
    ------
    CollectionError : the threshold is negative or not a number.
    """
    if not threshold >= 0:
        raise CollectionError(f"The threshold is {threshold:g}; distances are 0 or more.")
    import scipy.sparse
    import scipy.sparse.csgraph

    view, rows = _vectors(collection)
    pairs: list[np.ndarray] = []
    nearest = np.full(view.state.rows, np.inf)
    for queries, found, distances in _neighbors(view, rows, _MOST_DUPLICATES, progress):
        place, column = np.nonzero(distances <= threshold)
        close = np.stack([queries[place], found[place, column]])
        np.minimum.at(nearest, close[0], distances[place, column])
        np.minimum.at(nearest, close[1], distances[place, column])
        pairs.append(close)
    joined = np.concatenate(pairs, axis=1) if pairs else np.empty((2, 0), np.int64)
    graph = scipy.sparse.coo_matrix(
        (np.ones(joined.shape[1], bool), tuple(joined)), shape=(view.state.rows,) * 2
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
    """The median distance of an image to its nearest other one, of some images; 1.0 where that is none."""
    view, rows = _vectors(collection)
    sample = rows[:: max(1, len(rows) // _SAMPLE)]
    found = [distances[:, 0] for _, _, distances in _neighbors(view, sample, 1, Silent(), rows)]
    return float(np.median(np.concatenate(found))) or 1.0 if found else 1.0


def outliers(collection: Collection, most: int, progress: Progress) -> list[Finding]:
    """The images with the largest mean distance to their 10 nearest neighbors, the farthest first."""
    view, rows = _vectors(collection)
    means = [
        (row, mean)
        for queries, _, distances in _neighbors(view, rows, NEIGHBORS, progress)
        for row, mean in zip(queries.tolist(), distances.mean(axis=1).tolist(), strict=True)
    ]
    means.sort(key=lambda pair: -pair[1])
    return _first_of_rows(collection, [row for row, _ in means[:most]], [mean for _, mean in means[:most]])


def label_errors(collection: Collection, most: int, progress: Progress) -> list[Finding]:
    """The labelled images most of whose 10 nearest labelled neighbors have another label, the clearest first.

    Raises
    ------
    CollectionError : fewer than two labels.
    """
    labels = collection.labels_by_row()
    if len(set(labels.values())) < 2:
        raise CollectionError("Likely label errors need images with at least two labels.")
    view, _ = _vectors(collection)
    rows = np.array(sorted(labels), np.int64)
    found_errors: list[tuple[int, float, str]] = []
    for queries, found, _ in _neighbors(view, rows, NEIGHBORS, progress, rows):
        for row, neighbors in zip(queries.tolist(), found.tolist(), strict=True):
            votes: dict[str, int] = {}
            for neighbor in neighbors:
                votes[labels[neighbor]] = votes.get(labels[neighbor], 0) + 1
            if not votes:
                continue
            # The first of equals is the nearer one.
            suggestion = max(votes, key=lambda label: votes[label])
            other = 1 - votes.get(labels[row], 0) / len(neighbors)
            if suggestion != labels[row] and other > 0.5:
                found_errors.append((row, other, suggestion))
    found_errors.sort(key=lambda error: -error[1])
    chosen = found_errors[:most]
    images = collection.first_of_rows([row for row, *_ in chosen])
    return [_finding(images[row], value, suggestion) for row, value, suggestion in chosen if row in images]


def _vectors(collection: Collection) -> tuple[View, np.ndarray]:
    view = collection.snapshot()
    return view, np.setdiff1d(np.arange(view.state.rows), view.holes)


def _neighbors(view: View, rows: np.ndarray, k: int, progress: Progress, allowed: np.ndarray | None = None):
    """Blocks of rows (n,), their nearest other rows (n, k) and distances (n, k), with k at most what there is."""
    progress.stage("neighbors", len(rows))
    k = min(k, len(rows) - 1)
    if k < 1:
        return
    for start in range(0, len(rows), _BLOCK):
        queries = rows[start : start + _BLOCK]
        found, distances = view.nearest(view.stored[queries], k + 1, allowed)
        # The row itself goes to the end, or the farthest where it was not found.
        order = np.argsort(found == queries[:, None], axis=1, kind="stable")[:, :k]
        yield queries, np.take_along_axis(found, order, 1), np.take_along_axis(distances, order, 1)
        progress.step(len(queries))


def _first_of_rows(collection: Collection, rows: Sequence[int], values: Sequence[float]) -> list[Finding]:
    images = collection.first_of_rows(rows)
    return [_finding(images[row], value) for row, value in zip(rows, values, strict=True) if row in images]


def _finding(image: sa.Row, value: float, suggestion: str | None = None) -> Finding:
    return Finding(image.id, image.hash, image.path, image.label, image.metadata, value, suggestion)
