"""Exact nearest neighbors with FAISS, under our metrics."""

import numpy as np

from core.metrics import Metric, get_metric

# What float32 leaves between a vector and itself; distances that differ by less are the same.
TIED = 1e-6


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
        self._index.add(prepared(vectors, self.metric))

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
        found, places = self._index.search(prepared(queries, self.metric), min(k, self.size))
        return places, as_distances(found, self.metric)

    def mean(self, places: np.ndarray) -> np.ndarray:
        """(dimensions,) float32: the mean of some of the vectors, at length one under the cosine distance; places : (n,) their rows."""
        return np.asarray(
            np.mean([self._index.reconstruct(int(place)) for place in places], axis=0), np.float32
        )


def prepared(vectors: np.ndarray, metric: Metric) -> np.ndarray:
    """Vectors (n, dimensions) as FAISS wants them for a metric: float32, scaled to length one for cosine."""
    vectors = np.ascontiguousarray(as_float32(vectors))
    if not metric.normalized:
        return vectors
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)


def as_float32(vectors: np.ndarray) -> np.ndarray:
    """The same numbers (...) as float32; those in float16 must be finite.

    NumPy and FAISS turn float16 into float32 one number at a time, in software: five times what these steps over whole
    arrays take, and most of the time of comparing again what a compressed index found.
    """
    if vectors.dtype != np.float16:
        return vectors.astype(np.float32, copy=False)
    # Exponent and mantissa move to the places that float32 has for them. The sign came along into four bits and stays in the first.
    bits = vectors.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= ~0x70000000
    numbers = bits.view(np.float32)
    # The exponents count from 15 in the one format and from 127 in the other.
    numbers *= np.float32(2.0**112)
    return numbers


def as_distances(found: np.ndarray, metric: Metric) -> np.ndarray:
    """What FAISS found between prepared vectors, as the distances that ``core.metrics`` defines."""
    if metric.normalized:
        distances = np.clip(1.0 - found, 0.0, 2.0)
        distances[distances < TIED] = 0.0
        return distances
    # FAISS leaves the square root out.
    return np.sqrt(np.maximum(found, 0.0)) if metric.name == "euclidean" else found
