"""Scanning an index of float16 numbers, which is half as large as one of float32 and several times as fast to scan, on all cores."""

from typing import Any

import numpy as np

from core.metrics import Metric
from core.threads import in_threads

FACTORY = "SQfp16"
LARGEST = float(np.finfo(np.float16).max)
"""The largest number that it can hold."""
# Smaller ones stay in the processor's cache, where float32 is as fast.
_LEAST_BYTES = 32_000_000
# Fewer rows are not worth a thread of their own.
_LEAST_ROWS = 10_000


def is_worth_it(rows: int, dimensions: int, metric: Metric) -> bool:
    """Whether exact search among so many vectors should scan float16 numbers; FAISS has none for manhattan and chebyshev."""
    return metric.name in ("cosine", "euclidean") and 4 * rows * dimensions >= _LEAST_BYTES


def search(index: Any, queries: np.ndarray, k: int, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The search of FAISS: distances and rows (n_queries, k). One of few queries uses all cores, each for a part of the rows.

    Parameters
    ----------
    mask : (rows,) bool, the allowed rows; None for all.
    """
    import faiss

    rows = int(index.ntotal)
    bits = None if mask is None else np.packbits(mask, bitorder="little")
    allowed = None if bits is None else faiss.IDSelectorBitmap(bits)
    # FAISS itself uses a core for each query.
    parts = max(1, min(faiss.omp_get_max_threads() // len(queries), rows // _LEAST_ROWS))
    bounds = np.linspace(0, rows, parts + 1).astype(int).tolist()

    def scan(part: int) -> tuple[np.ndarray, np.ndarray]:
        inside = faiss.IDSelectorRange(bounds[part], bounds[part + 1])
        both = inside if allowed is None else faiss.IDSelectorAnd(inside, allowed)
        found: tuple[np.ndarray, np.ndarray] = index.search(
            queries, k, params=faiss.SearchParameters(sel=both)
        )
        return found

    if parts == 1:
        parameters = None if allowed is None else faiss.SearchParameters(sel=allowed)
        distances, found = index.search(queries, k, params=parameters)
        return distances, found
    scanned = list(in_threads(scan, range(parts), parts, parts))
    distances, found = (np.concatenate(both, axis=1) for both in zip(*scanned, strict=True))
    sign = -1 if index.metric_type == faiss.METRIC_INNER_PRODUCT else 1
    order = np.argsort(np.where(found < 0, np.inf, sign * distances), axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(found, order, 1)
