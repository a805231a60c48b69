"""Distances between vectors; smaller is closer.

For vectors ``x`` and ``y``, as SciPy's ``scipy.spatial.distance`` defines them:

- cosine: ``1 - x.y / (|x| |y|)``; a vector of zeros has distance 1 to every vector
- euclidean: ``sqrt(sum((x - y)**2))``
- manhattan: ``sum(|x - y|)``
- chebyshev: ``max(|x - y|)``
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from core.errors import UnknownNameError


@dataclass(frozen=True)
class Metric:
    """A distance, with the name of its counterpart in FAISS.

    FAISS has no cosine: it is the inner product of vectors scaled to length one (``normalized``).
    """

    name: str
    explanation: str
    faiss_metric: str
    normalized: bool = False


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "cosine",
            "The angle between two vectors: how alike their patterns are, however strong. The usual choice.",
            "METRIC_INNER_PRODUCT",
            normalized=True,
        ),
        Metric(
            "euclidean",
            "The straight line between two vectors: pattern and strength both count, large differences most.",
            "METRIC_L2",
        ),
        Metric(
            "manhattan",
            "The differences of all numbers added up: many small ones count as much as a few large ones.",
            "METRIC_L1",
        ),
        Metric(
            "chebyshev",
            "The single largest difference: one number decides, which makes it the most easily misled.",
            "METRIC_Linf",
        ),
    )
}


def get_metric(name: str) -> Metric:
    """A metric by its name; raises :class:`UnknownNameError` with the valid ones."""
    if name not in METRICS:
        raise UnknownNameError("metric", name, METRICS)
    return METRICS[name]


def pairwise(metric: str, X: np.ndarray, Y: np.ndarray | None = None) -> np.ndarray:
    """Distances between all rows of two matrices.

    Parameters
    ----------
    X : (n_samples_X, n_features) finite numbers.
    Y : (n_samples_Y, n_features) finite numbers; ``X`` itself when not given.

    Returns
    -------
    distances : (n_samples_X, n_samples_Y) float64.

    Raises
    ------
    ValueError : not matrices, different numbers of features, or numbers that are not finite.

    Examples
    --------
    >>> pairwise("manhattan", [[0, 0], [1, 2]]).tolist()
    [[0.0, 3.0], [3.0, 0.0]]
    """
    X = _matrix(X)
    Y = X if Y is None else _matrix(Y)
    if X.shape[1] != Y.shape[1]:
        raise ValueError(f"X has {X.shape[1]} features, Y has {Y.shape[1]}.")
    distances = PairwiseDistances([metric], len(X), len(Y))
    distances.add(X, Y)
    return distances.result(metric)


class PairwiseDistances:
    """Distances under several metrics, accumulated over blocks of features.

    Vectors of millions of numbers need never be in memory as a whole: hand over the same columns
    of both sides, block after block, then take the results.

    Parameters
    ----------
    metrics : names of metrics.
    n_samples_X, n_samples_Y : rows of the two sides.
    """

    def __init__(self, metrics: Sequence[str], n_samples_X: int, n_samples_Y: int):
        self.metrics = [get_metric(name).name for name in metrics]
        shape = (n_samples_X, n_samples_Y)
        self._dot = np.zeros(shape)
        self._square_X = np.zeros(n_samples_X)
        self._square_Y = np.zeros(n_samples_Y)
        self._manhattan = np.zeros(shape)
        self._chebyshev = np.zeros(shape)

    def add(self, X: np.ndarray, Y: np.ndarray) -> None:
        """Take in a block: (n_samples_X, n_block) and (n_samples_Y, n_block) numbers; the same object
        for both when the sides are the same."""
        # float64, since |x|^2 + |y|^2 - 2 x.y loses the small distances in float32.
        same = Y is X
        X = np.asarray(X, np.float64)
        Y = X if same else np.asarray(Y, np.float64)
        parts = {
            self._add_dots: {"cosine", "euclidean"},
            self._add_manhattan: {"manhattan"},
            self._add_chebyshev: {"chebyshev"},
        }
        # The work is done in C, which lets the threads run at the same time.
        with ThreadPoolExecutor(len(parts)) as pool:
            for task in [
                pool.submit(part, X, Y) for part, names in parts.items() if names & set(self.metrics)
            ]:
                task.result()

    def _add_dots(self, X: np.ndarray, Y: np.ndarray) -> None:
        self._dot += X @ Y.T
        self._square_X += np.einsum("ij,ij->i", X, X)
        self._square_Y += np.einsum("ij,ij->i", Y, Y)

    def _add_manhattan(self, X: np.ndarray, Y: np.ndarray) -> None:
        self._manhattan += _scipy("cityblock", X, Y)

    def _add_chebyshev(self, X: np.ndarray, Y: np.ndarray) -> None:
        np.maximum(self._chebyshev, _scipy("chebyshev", X, Y), out=self._chebyshev)

    @property
    def dots(self) -> np.ndarray:
        """(n_samples_X, n_samples_Y) float64 dot products over all blocks so far, where cosine or euclidean is among the metrics."""
        return self._dot

    def result(self, metric: str) -> np.ndarray:
        """(n_samples_X, n_samples_Y) float64 distances under one of the metrics, over all blocks so far."""
        if metric == "cosine":
            lengths = np.sqrt(self._square_X[:, None] * self._square_Y)
            with np.errstate(invalid="ignore", divide="ignore"):
                similarity = np.where(lengths > 0, self._dot / lengths, 0.0)
            return 1.0 - np.clip(similarity, -1.0, 1.0)
        if metric == "euclidean":
            squares = self._square_X[:, None] + self._square_Y - 2.0 * self._dot
            return np.sqrt(np.maximum(squares, 0.0))
        if metric == "manhattan":
            return self._manhattan.copy()
        return self._chebyshev.copy()


def _scipy(name: str, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import cdist, pdist, squareform

    # Each pair only once where both sides are the same.
    return np.asarray(squareform(pdist(X, name), checks=False) if Y is X else cdist(X, Y, name))


def _matrix(X: np.ndarray) -> np.ndarray:
    X = np.asarray(X)
    if X.ndim != 2 or not np.issubdtype(X.dtype, np.number):
        raise ValueError(f"Expected a matrix of numbers, got shape {X.shape} of {X.dtype}.")
    if not np.isfinite(X).all():
        raise ValueError("The vectors hold numbers that are not finite.")
    return X
