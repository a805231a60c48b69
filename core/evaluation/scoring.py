"""How good neighbors are, when being good means sharing the query's label.

Everything starts from ``same``, a boolean matrix (n_queries, n_neighbors): whether the i-th nearest
neighbor of a query, the query itself left out, has the query's label. Where neighbors are equally far,
``same`` is the chance of that in a random order of these (:mod:`core.evaluation.ties`), and every measure is an expectation.
"""

from collections.abc import Sequence

import numpy as np

from core.evaluation.ties import Ties


def class_codes(labels: Sequence[str]) -> np.ndarray:
    """A number from 0 for each label: (n,) int."""
    return np.unique(np.asarray(labels), return_inverse=True)[1]


def same_label(queries: np.ndarray, neighbors: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Whether each neighbor shares its query's label.

    Parameters
    ----------
    queries : (n_queries,) ids.
    neighbors : (..., n_queries, n_neighbors) ids, below zero beyond the end of a shorter list.
    labels : label by id.

    Returns
    -------
    same : (..., n_queries, n_neighbors) bool; False beyond the end of a list.
    """
    codes = class_codes(labels)
    return np.asarray((codes[neighbors] == codes[queries][:, None]) & (neighbors >= 0))


def gains(k: int) -> np.ndarray:
    """What a good neighbor at each rank adds to the :func:`score` of its query: (k,), all together 100."""
    return 100.0 * (k - np.arange(k)) / (k * (k + 1) / 2)


def unit(k: int, tied: bool) -> float:
    """What all scores are multiples of; expectations over ties are, to its hundredth."""
    return float(gains(k)[-1]) / (100.0 if tied else 1.0)


def score(same: np.ndarray, k: int) -> np.ndarray:
    """Weighted precision at k, 0..100: an early neighbor counts for more than a late one.

    ``100 * sum(w_i * same_i) / sum(w_i)`` with ``w_i = (k - i) / k`` for ``i = 0..k-1``; the measure
    of the published ConvNet Playground.

    Returns
    -------
    scores : (n_queries,) float64.

    Examples
    --------
    >>> score(np.array([[True, False]]), k=2).round(1).tolist()
    [66.7]
    """
    weights = (k - np.arange(k)) / k
    return np.asarray(100.0 * (_first(same, k) @ weights) / weights.sum())


def attainable_score(n_relevant: np.ndarray, k: int) -> np.ndarray:
    """The highest :func:`score` that each query can have, 0..100: below 100 where fewer than k other images share its label.

    Parameters
    ----------
    n_relevant : (n_queries,) how many other images share each query's label (:func:`count_relevant`).

    Examples
    --------
    >>> attainable_score(np.array([0, 1, 2, 9]), k=2).round(1).tolist()
    [0.0, 66.7, 100.0, 100.0]
    """
    n_relevant = np.asarray(n_relevant)
    # Exactly 100, without rounding errors: callers test whether it is less.
    return np.where(n_relevant >= k, 100.0, score(np.arange(k) < n_relevant[:, None], k))


def precision_at_k(same: np.ndarray, k: int) -> np.ndarray:
    """Share of the first k neighbors that are good: (n_queries,), 0..1."""
    return np.asarray(_first(same, k).mean(axis=1))


def recall_at_k(same: np.ndarray, k: int, n_relevant: np.ndarray) -> np.ndarray:
    """Share of all good images that are among the first k neighbors: (n_queries,), 0..1.

    Parameters
    ----------
    n_relevant : (n_queries,) how many other images share each query's label (:func:`count_relevant`).
        A query with none has recall 0.
    """
    return np.asarray(_first(same, k).sum(axis=1) / np.maximum(n_relevant, 1))


def ndcg_at_k(same: np.ndarray, k: int, n_relevant: np.ndarray) -> np.ndarray:
    """Normalized discounted cumulative gain of the first k neighbors: (n_queries,), 0..1.

    ``sum(same_i / log2(i + 2))`` for ``i = 0..k-1``, divided by what it is when all good images come first; a query with nothing to find has 0.
    Järvelin and Kekäläinen (2002), Cumulated gain-based evaluation of IR techniques, ACM TOIS 20(4).
    """
    return np.asarray(_first(same, k) @ discounts(k) / ideal_gain(n_relevant, k))


def discounts(k: int) -> np.ndarray:
    """What a good neighbor at each rank adds to the cumulative gain: (k,)."""
    return np.asarray(1.0 / np.log2(np.arange(k) + 2.0))


def ideal_gain(n_relevant: np.ndarray, k: int) -> np.ndarray:
    """The cumulative gain where all good images come first: (n_queries,), 1 where there are none."""
    ideal = np.concatenate([[0.0], np.cumsum(discounts(k))])[np.minimum(n_relevant, k)]
    return np.where(ideal > 0.0, ideal, 1.0)


def average_precision_at_k(
    same: np.ndarray, k: int, n_relevant: np.ndarray, ties: Ties | None = None
) -> np.ndarray:
    """Mean of the precision at each good neighbor among the first k: (n_queries,), 0..1.

    ``sum(precision@i * same_i) / min(k, n_relevant)``, so that 1 is within reach whatever k; a query
    with nothing to find has 0. The truncated average precision of Manning, Raghavan and Schütze,
    Introduction to Information Retrieval (2008), chapter 8.

    Parameters
    ----------
    ties : the groups of equally distant neighbors. What one place holds depends on the others of its group, so their chances
        alone do not give the expectation.
    """
    same, rank = _first(same, k), np.arange(1, k + 1)
    before = np.cumsum(same, axis=1) - same
    if ties is not None:
        first, size, good = (part[:, :k] for part in (ties.first, ties.size, ties.good))
        # All good ones of the groups before, and so many of its own group as one of its good ones has before it on average.
        others = np.maximum(good - 1, 0) / np.maximum(size - 1, 1)
        before = np.take_along_axis(before, first, axis=1) + (rank - 1 - first) * others
    gained = same * (before + 1.0) / rank
    return np.asarray(gained.sum(axis=1) / np.maximum(np.minimum(n_relevant, k), 1))


def count_relevant(queries: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """For each query, how many of the queries other than itself share its label: (n_queries,) int."""
    chosen = np.asarray(labels)[queries]
    _, codes, counts = np.unique(chosen, return_inverse=True, return_counts=True)
    return counts[codes] - 1


def per_class(values: np.ndarray, labels: Sequence[str]) -> dict[str, float]:
    """Mean of the queries' values in each class, by label; ``labels`` is one per query."""
    names = np.asarray(labels)
    return {str(name): float(values[names == name].mean()) for name in np.unique(names)}


def share_farther(distance: float, quantiles: np.ndarray) -> float:
    """Share of all pairs that are farther apart than ``distance``, 0..1.

    Parameters
    ----------
    quantiles : (n_quantiles,) of the distances of all pairs, evenly spaced from 0 to 1, ascending;
        between two of them the distances are taken to lie evenly.

    Examples
    --------
    >>> share_farther(1.5, np.array([0.0, 1.0, 2.0]))
    0.25
    """
    # Of equal quantiles the last one counts: pairs at the very distance are not farther.
    values, from_end = np.unique(np.asarray(quantiles, np.float64)[::-1], return_index=True)
    levels = 1.0 - from_end / max(1, len(quantiles) - 1)
    return float(1.0 - np.interp(distance, values, levels, left=0.0, right=1.0))


def _first(same: np.ndarray, k: int) -> np.ndarray:
    if not 1 <= k <= same.shape[1]:
        raise ValueError(f"k is {k}; there are {same.shape[1]} neighbors.")
    return same[:, :k]
