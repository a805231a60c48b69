"""Approximate search among some of the rows of an index: how far to look, and when to compare all of them instead.

FAISS passes over the rows that don't count. Where they surround the query, what is left of the rows that an index visits lies there by chance
and most true neighbors are missed. So the index is asked for more neighbors than are needed, whether they count or not; where enough of them
count, these are the nearest that count. Otherwise every row that counts is compared.
"""

import math
from collections.abc import Iterator

import numpy as np

from core.collections import ann_index

# Neighbors are looked for until so many times those needed can be expected to count, were they spread evenly.
_MARGIN = 2
# The expectation says little about fewer than these.
_LEAST = 10


def nearest(
    index: ann_index.Ann,
    stored: np.ndarray,
    queries: np.ndarray,
    k: int,
    counts: np.ndarray,
    effort: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and distances (n_queries, k) among the rows of the index that count, -1 where there are no more.

    Parameters
    ----------
    stored : (at least as many rows as the index, dimensions), the vectors.
    queries : prepared for the metric.
    counts : (rows,) bool, which rows may be found.
    effort : see :meth:`ann.Ann.search`.
    """
    known, allowed = index.known, np.flatnonzero(counts)
    rows = np.full((len(queries), k), -1, np.int64)
    distances = np.full((len(queries), k), np.inf, np.float32)
    k = min(k, len(allowed))
    if not k:
        return rows, distances
    spare = ann_index.RERANK if known.compressed else 1
    if index.efforts == [0]:
        # It compares every row that counts anyway.
        found = index.search(queries, min(k * spare, known.rows), counts)
        rows[:, :k], distances[:, :k] = _compared(index, stored, queries, *found, k)
        return rows, distances
    left = np.arange(len(queries))
    for depth, deeper in _looks(index, k, len(allowed), effort or known.effort):
        found, far = index.search(queries[left], min(depth * spare, known.rows), None, deeper)
        count = (found >= 0) & counts[found]
        enough = count[:, :depth].sum(axis=1) >= k
        # A stable sort brings those that count to the front, the nearest first.
        order = np.argsort(~count[enough], axis=1, kind="stable")[:, : k * spare]
        found = np.where(count, found, -1)
        found, far = (np.take_along_axis(part[enough], order, 1) for part in (found, far))
        done, left = left[enough], left[~enough]
        rows[done, :k], distances[done, :k] = _compared(index, stored, queries[done], found, far, k)
        if not len(left):
            return rows, distances
    rows[left, :k], distances[left, :k] = ann_index.exact(stored, queries[left], k, index.metric, allowed)
    return rows, distances


def _looks(index: ann_index.Ann, k: int, allowed: int, effort: int) -> Iterator[tuple[int, int]]:
    """How many neighbors to ask for and with which effort, while that costs less than comparing all rows that count."""
    depth = math.ceil(_MARGIN * max(k, _LEAST) * index.known.rows / allowed)
    for wanted in (depth, 8 * depth):
        wanted = min(wanted, index.known.rows)
        deeper = index.effort_at(wanted, k, effort)
        if index.compared(deeper) > allowed:
            return
        yield wanted, deeper
        if not index.is_graph:
            # Groups that were not looked into may hold nearer ones: only graphs find what is that far down the list.
            return


def _compared(
    index: ann_index.Ann,
    stored: np.ndarray,
    queries: np.ndarray,
    rows: np.ndarray,
    distances: np.ndarray,
    k: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The k best of what the index found; by the stored vectors where its own distances are approximate."""
    if index.known.compressed:
        return ann_index.rerank(stored, queries, rows, k, index.metric)
    return rows[:, :k], distances[:, :k]
