"""Exact nearest neighbors with FAISS, under our metrics."""

import numpy as np

from core.metrics import get_metric


class Index:
    """Vectors that can be searched.

    Parameters
    ----------
    vectors : (n, dimensions) numbers; kept as float32, scaled to length one for cosine.
    metric : of ``core.metrics.METRICS``.
    """

    def __init__(self, vectors: np.ndarray, metric: str):
        import faiss

        self.metric = get_metric(metric)
        self.size, self.dimensions = vectors.shape
        self._index = faiss.IndexFlat(self.dimensions, getattr(faiss, self.metric.faiss_metric))
        self._index.add(self._prepared(vectors))

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest vectors of each query.

        Parameters
        ----------
        queries : (n_queries, dimensions) numbers.
        k : how many; at most as many as there are.

        Returns
        -------
        places : (n_queries, k) int64 rows of the vectors, nearest first.
        distances : (n_queries, k) float32, as ``core.metrics`` defines them.

        Raises
        ------
        ValueError : the queries have another length than the vectors.
        """
        if queries.ndim != 2 or queries.shape[1] != self.dimensions:
            raise ValueError(f"Queries of shape {queries.shape}; the vectors have {self.dimensions} numbers.")
        found, places = self._index.search(self._prepared(queries), min(k, self.size))
        if self.metric.normalized:
            found = np.clip(1.0 - found, 0.0, 2.0)
            # What float32 leaves between a vector and itself.
            found[found < 1e-6] = 0.0
        elif self.metric.name == "euclidean":
            # FAISS leaves the square root out.
            found = np.sqrt(np.maximum(found, 0.0))
        return places, found

    def _prepared(self, vectors: np.ndarray) -> np.ndarray:
        vectors = np.ascontiguousarray(vectors, np.float32)
        if not self.metric.normalized:
            return vectors
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(lengths > 0, lengths, 1.0)
