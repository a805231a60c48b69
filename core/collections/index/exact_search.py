"""Exact neighbors among stored vectors, and how many of them another search found."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from core.exact_index import as_distances, as_float32, prepared
from core.metrics import Metric
from core.wish import RECALL_GOAL

# Below so many vectors, an exact index is fast enough.
EXACT_BELOW = 50_000
# If no effort reaches it, so much less than the highest recall is enough.
_RECALL_SPARED = 0.01
# Blocks of this size stay in the processor's cache: four times as fast as 64 MB.
_BLOCK_BYTES = 4_000_000


def exact(
    vectors: np.ndarray, queries: np.ndarray, k: int, metric: Metric, rows: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and distances (n_queries, at most k) of the nearest among some rows of stored vectors (n, dimensions), or all.

    Parameters
    ----------
    queries : prepared for the metric.
    """
    import faiss

    best_rows = np.empty((len(queries), 0), np.int64)
    best = np.empty((len(queries), 0), np.float32)
    sign = -1.0 if metric.normalized else 1.0
    total = len(vectors) if rows is None else len(rows)
    height = max(1, _BLOCK_BYTES // (4 * vectors.shape[1]))
    for start in range(0, total, height):
        stop = min(start + height, total)
        part = np.arange(start, stop) if rows is None else rows[start:stop]
        block = prepared(vectors[start:stop] if rows is None else vectors[part], metric)
        found, places = faiss.knn(
            queries, block, min(k, len(part)), metric=getattr(faiss, metric.faiss_metric)
        )
        best_rows = np.concatenate([best_rows, part[places]], axis=1)
        best = np.concatenate([best, found], axis=1)
        order = np.argsort(sign * best, axis=1, kind="stable")[:, :k]
        best_rows, best = np.take_along_axis(best_rows, order, 1), np.take_along_axis(best, order, 1)
    return best_rows, as_distances(best, metric)


def rerank(
    vectors: np.ndarray, queries: np.ndarray, rows: np.ndarray, k: int, metric: Metric
) -> tuple[np.ndarray, np.ndarray]:
    """The k best of some rows (n_queries, m) per query by the stored vectors; -1 stays -1 with infinite distance.

    For cosine and euclidean, the metrics of compressed indexes. In NumPy, since for so few vectors calling FAISS takes longer.
    """
    best_rows = np.full((len(queries), k), -1, np.int64)
    best = np.full((len(queries), k), np.inf, np.float32)
    for place, query in enumerate(queries):
        candidates = rows[place][rows[place] >= 0]
        block = as_float32(vectors[candidates])
        if metric.normalized:
            lengths = np.sqrt(np.vecdot(block, block))
            distances = as_distances((block @ query) / np.where(lengths > 0, lengths, 1), metric)
        else:
            block -= query
            distances = np.sqrt(np.vecdot(block, block))
        order = np.lexsort((candidates, distances))[:k]
        best_rows[place, : len(order)], best[place, : len(order)] = candidates[order], distances[order]
    return best_rows, best


def recall(found: Iterable[np.ndarray], truth: np.ndarray) -> float:
    """The share of the true neighbors (n_queries, k) among the neighbors found (n_queries, any)."""
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, truth, strict=True)]))


def without_self(found: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """(n, k) of the neighbors (n, k + 1) of queries that are rows themselves, without those rows."""
    # A stable sort moves the query itself, if it was found, to the end.
    order = np.argsort(found == queries[:, None], axis=1, kind="stable")
    return np.take_along_axis(found, order, 1)[:, :k]


def sample_rows(rows: int, most: int) -> np.ndarray:
    """A random sample of at most so many rows, always the same, ascending."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def least_effort(efforts: Sequence[int], recall_at: Callable[[int], float]) -> int:
    """The first of ascending efforts that reaches the recall goal, or almost the highest recall."""
    recalls: list[float] = []
    for effort in efforts:
        recalls.append(recall_at(effort))
        if recalls[-1] >= RECALL_GOAL:
            return effort
    # Compression may hide neighbors from every effort.
    enough = max(recalls) - _RECALL_SPARED
    return next(effort for effort, found in zip(efforts, recalls, strict=True) if found >= enough)
