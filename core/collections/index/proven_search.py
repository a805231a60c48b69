"""Exact search in an index of rounded numbers: a scan finds candidates, the stored vectors give their distances, and a bound proves that no
other row is as near.

Rounding to float16 moves a number by at most 2^-11 of it, or 2^-25, and a sum of d products in float32 is off by at most d 2^-24 of the sum of
their sizes (Higham, Accuracy and Stability of Numerical Algorithms, 2002, chapter 3). So a row no farther than the k-th candidate appears in
the scan within a distance that is known. If the scan went farther than that, the row is among the candidates.
"""

from collections.abc import Iterator

import numpy as np

from core.collections.index import exact_search, faiss_file
from core.exact_index import TIED
from core.metrics import Metric

# On a GPU the query is rounded too.
_ROUNDING, _LEAST = 2.0**-11, 2.0**-25
_SUM = 2.0**-24
# More queries at a time are faster as a product of matrices, which reads the stored vectors once for all of them.
_MANY = 128
# Candidates beyond twice k in the first scan, and how many times as many in the next ones.
_SPARE, _FACTOR, _SCANS = 30, 8, 3


def nearest(
    index: faiss_file.Ann, stored: np.ndarray, queries: np.ndarray, k: int, mask: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and distances (n_queries, k) of the exact neighbors among the rows of the index, -1 if there are no more.

    Parameters
    ----------
    stored : (at least as many rows as the index, dimensions), the vectors.
    queries : prepared for the metric, which is cosine or euclidean.
    mask : (rows,) bool, the allowed rows; None for all.
    """
    total = index.known.rows if mask is None else int(np.count_nonzero(mask))
    rows = np.full((len(queries), k), -1, np.int64)
    distances = np.full((len(queries), k), np.inf, np.float32)
    if not (k := min(k, total)):
        return rows, distances
    left = np.arange(len(queries))
    if len(queries) < _MANY or index.has_gpu_for(len(queries), k, mask):
        for depth in _depths(k, total):
            found, far = index.search(queries[left], depth, mask)
            best, near = exact_search.rerank(stored, queries[left], found, k, index.metric)
            proven = far[:, -1] > farthest(near[:, -1], queries[left], index.metric)
            proven |= depth == total
            rows[left[proven], :k], distances[left[proven], :k] = best[proven], near[proven]
            left = left[~proven]
            if not len(left):
                return rows, distances
    allowed = np.arange(index.known.rows) if mask is None else np.flatnonzero(mask)
    best, _ = exact_search.exact(stored, queries[left], k, index.metric, allowed)
    # A product of matrices leaves few digits of small distances.
    rows[left, :k], distances[left, :k] = exact_search.rerank(stored, queries[left], best, k, index.metric)
    return rows, distances


def farthest(distances: np.ndarray, queries: np.ndarray, metric: Metric) -> np.ndarray:
    """Where a scan shows rows at some distances (n,) from queries (n, dimensions) at the most, (n,) float64."""
    dimensions = queries.shape[1]
    reached: np.ndarray = distances.astype(float)
    least, sums = _LEAST * dimensions**0.5, _SUM * dimensions
    if metric.normalized:
        # Vectors of length one.
        reached += 2 * (_ROUNDING + least + sums) + TIED
        return reached
    length = np.linalg.norm(queries.astype(float), axis=1)
    longest = length + reached * (1 + sums)
    shown = reached * (1 + sums) + _ROUNDING * (longest + length) + 2 * least
    # A GPU adds up the squares of both vectors and takes their product off.
    bound: np.ndarray = np.sqrt(shown**2 + 2 * sums * (longest**2 + length**2))
    return bound


def _depths(k: int, total: int) -> Iterator[int]:
    depth = 2 * k + _SPARE
    for _ in range(_SCANS):
        yield min(depth, total)
        if depth >= total:
            return
        depth *= _FACTOR
