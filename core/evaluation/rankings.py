"""Result lists compared: what they share, which images are found too often, which classes are confused.

``ids`` of one experiment are (n_queries, n_neighbors), nearest first, without repetitions.
"""

from dataclasses import dataclass

import numpy as np

RBO_P = 0.9


@dataclass(frozen=True)
class Neighbors:
    """Result lists of one experiment, each query left out of its own.

    queries : (n,) ids; ids : (n, top) ids, nearest first; distances : (n, top) float32, None where
    they are not known; beyond : (n, n_classes) how many images of each class, numbered as by
    :func:`core.evaluation.scoring.class_codes`, are as far as the last neighbor but not in the list, -1 where that is not known, None
    where it is not known for any query.
    """

    queries: np.ndarray
    ids: np.ndarray
    distances: np.ndarray | None
    beyond: np.ndarray | None = None


def shared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many images two result lists have in common: (n_queries,) int; ``a``, ``b`` (n_queries, k)."""
    return np.asarray((a[:, :, None] == b[:, None, :]).sum(axis=(1, 2)))


def rank_biased_overlap(a: np.ndarray, b: np.ndarray, p: float = RBO_P) -> np.ndarray:
    """Similarity of ranked lists where the first places count most: 0 (nothing shared) to 1 (the same list).

    The extrapolated RBO_EXT of Webber, Moffat and Zobel (2010, A similarity measure for indefinite
    rankings, ACM TOIS 28(4), equation 32 for lists of one length k):
    ``X_k / k * p**k + (1 - p) / p * sum_{d=1..k} X_d / d * p**d``, where ``X_d`` is the number of
    images that the first d places of both lists share. It takes the agreement at k to go on beyond.

    Parameters
    ----------
    a, b : (n_queries, k) ids, no ties, no repetitions within a list.
    p : how likely a reader goes on from each place to the next, 0 < p < 1; at 0.9 the first ten
        places hold 86% of the weight.

    Returns
    -------
    overlap : (n_queries,) float64.

    Raises
    ------
    ValueError : different shapes, empty lists, or p out of range.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.ndim != 2 or not a.shape[1]:
        raise ValueError(f"Expected two sets of lists of one length, got shapes {a.shape} and {b.shape}.")
    if not 0.0 < p < 1.0:
        raise ValueError(f"p is {p}; it must lie between 0 and 1.")
    k = a.shape[1]
    equal = a[:, :, None] == b[:, None, :]
    depth = np.arange(1, k + 1)
    # A pair of places (i, j) that hold the same image counts from depth max(i, j) on.
    deeper = np.maximum(depth[:, None], depth)
    found = np.stack([(equal & (deeper == d)).sum(axis=(1, 2)) for d in depth], axis=1)
    agreement = np.cumsum(found, axis=1) / depth
    return np.asarray(agreement[:, -1] * p**k + (1.0 - p) / p * (agreement * p**depth).sum(axis=1))


def k_occurrence(ids: np.ndarray, n_items: int) -> np.ndarray:
    """In how many result lists each image occurs.

    Parameters
    ----------
    ids : (n_experiments, n_queries, k); below zero counts as no image.

    Returns
    -------
    counts : (n_experiments, n_items) int; each row adds up to n_queries * k for full lists.
    """
    ids = np.asarray(ids)
    n = len(ids)
    # Slot 0 of each experiment takes the places without an image.
    flat = (ids.astype(np.int64) + 1) + np.arange(n)[:, None, None] * (n_items + 1)
    counts = np.bincount(flat.ravel(), minlength=n * (n_items + 1))
    return counts.reshape(n, n_items + 1)[:, 1:]


def skewness(counts: np.ndarray) -> np.ndarray:
    """Third standardized moment of each row: ``mean((x - mean)**3) / std**3``; 0 for a row that does not vary.

    Of k-occurrences it is the usual measure of hubness: near 0 all images are found about equally
    often, far above 0 a few hubs occur in very many lists (Radovanović, Nanopoulos and Ivanović, 2010,
    JMLR 11).
    """
    counts = np.asarray(counts, np.float64)
    centered = counts - counts.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centered**2).mean(axis=-1))
    third = (centered**3).mean(axis=-1)
    return np.asarray(np.divide(third, spread**3, out=np.zeros_like(third), where=spread > 1e-12))


def confusion(
    queries: np.ndarray, ids: np.ndarray, codes: np.ndarray, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which classes occur among the neighbors of which.

    Parameters
    ----------
    queries : (n_queries,) ids; ids : (n_queries, k) of their neighbors; codes : class number by id.

    Returns
    -------
    shares : (n_classes, n_classes); row i is how the neighbors of queries of class i divide among the
        classes: each row adds up to 1, that of a class without queries is 0.
    n_queries : (n_classes,) queries of each class.
    """
    of = np.repeat(codes[queries], ids.shape[1])
    pairs = np.bincount(of * n_classes + codes[ids].ravel(), minlength=n_classes**2)
    counts = pairs.reshape(n_classes, n_classes)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    return shares, np.bincount(codes[queries], minlength=n_classes)


def class_means(values: np.ndarray, codes: np.ndarray, n_classes: int) -> np.ndarray:
    """Mean of the queries' values in each class, for each experiment.

    Parameters
    ----------
    values : (n_experiments, n_queries); codes : (n_queries,) class number of each query.

    Returns
    -------
    means : (n_experiments, n_classes); not a number for a class without queries.
    """
    members = np.zeros((len(codes), n_classes))
    members[np.arange(len(codes)), codes] = 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(values @ members / members.sum(axis=0))


def disagreement(values: np.ndarray) -> np.ndarray:
    """How much experiments differ on each query: (n_queries,) standard deviation of (n_experiments, n_queries)."""
    return np.asarray(np.std(np.asarray(values, np.float64), axis=0))
