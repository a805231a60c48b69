"""Approximate search among the allowed rows of an index: how far to search, and when to compare all of them instead.

FAISS skips rows that are not allowed. If these surround the query, the allowed rows that an index visits are there by chance, and most
true neighbors are missed. So more neighbors than needed are searched, allowed or not; if enough of them are allowed, they are the nearest
allowed ones. Otherwise every allowed row is compared.
"""

import math
from collections.abc import Iterator

import numpy as np

from core.collections.index import exact_search, faiss_file

# So many times the neighbors that would be enough if the allowed rows were spread evenly.
_MARGIN = 2
# The expectation is unreliable for fewer than these.
_LEAST = 10


def nearest(
    index: faiss_file.Ann,
    stored: np.ndarray,
    queries: np.ndarray,
    k: int,
    mask: np.ndarray,
    effort: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and distances (n_queries, k) among the allowed rows of the index, -1 if there are no more.

    Parameters
    ----------
    stored : (at least as many rows as the index, dimensions), the vectors.
    queries : prepared for the metric.
    mask : (rows,) bool, the allowed rows.
    effort : see :meth:`faiss_file.Ann.search`.
    """
    known, allowed = index.known, np.flatnonzero(mask)
    rows = np.full((len(queries), k), -1, np.int64)
    distances = np.full((len(queries), k), np.inf, np.float32)
    k = min(k, len(allowed))
    if not k:
        return rows, distances
    spare = faiss_file.RERANK if known.compressed else 1
    if index.efforts == [0]:
        # It compares every allowed row anyway.
        found, far = index.search(queries, min(k * spare, known.rows), mask)
        rows[:, :k], distances[:, :k] = _compared(index, stored, queries, found, far, k)
        return rows, distances
    left = np.arange(len(queries))
    for depth, deeper in _depths(index, k, len(allowed), effort or known.effort):
        found, far = index.search(queries[left], min(depth * spare, known.rows), None, deeper)
        valid = (found >= 0) & mask[found]
        enough = valid[:, :depth].sum(axis=1) >= k
        # A stable sort moves the allowed ones to the front, the nearest first.
        order = np.argsort(~valid[enough], axis=1, kind="stable")[:, : k * spare]
        found = np.where(valid, found, -1)
        found, far = (np.take_along_axis(part[enough], order, 1) for part in (found, far))
        done, left = left[enough], left[~enough]
        rows[done, :k], distances[done, :k] = _compared(index, stored, queries[done], found, far, k)
        if not len(left):
            return rows, distances
    rows[left, :k], distances[left, :k] = exact_search.exact(stored, queries[left], k, index.metric, allowed)
    return rows, distances


def _depths(index: faiss_file.Ann, k: int, allowed: int, effort: int) -> Iterator[tuple[int, int]]:
    """The numbers of neighbors to search for and their efforts, while that costs less than comparing all allowed rows."""
    depth = math.ceil(_MARGIN * max(k, _LEAST) * index.known.rows / allowed)
    for wanted in (depth, 8 * depth):
        wanted = min(wanted, index.known.rows)
        deeper = index.effort_at(wanted, k, effort)
        if index.compared(deeper) > allowed:
            return
        yield wanted, deeper
        if not index.is_graph:
            # Groups that were not visited may hold nearer ones: only graphs find neighbors that far down the list.
            return


def _compared(
    index: faiss_file.Ann,
    stored: np.ndarray,
    queries: np.ndarray,
    rows: np.ndarray,
    distances: np.ndarray,
    k: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The k best of the neighbors from the index; by the stored vectors if its own distances are approximate."""
    if index.known.compressed:
        return exact_search.rerank(stored, queries, rows, k, index.metric)
    return rows[:, :k], distances[:, :k]
