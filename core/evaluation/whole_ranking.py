"""Measures of the whole ranking of all images: average precision, and the reciprocal rank of the first good one.

Neighbors at equal distances come in a random order: values are expectations over all orders, and what an image contributes is shared among those of its
group.
"""

import numpy as np

from core.evaluation import measured, scoring
from core.evaluation import ties as ties_
from core.evaluation.measured import Measured
from core.evaluation.ties import Ties
from core.evaluation.uncertainty import LEFT_OUT

MOST_IMAGES = 5000
"""Of larger datasets the whole rankings are not measured: they have as many places as there are pairs of images."""
MAP, MRR = "map", "mrr"

# Rankings have about this many places at a time, so that intermediate arrays stay small.
_PLACES = 1_000_000
# Good images behind so many others are first with a probability of LEFT_OUT to this power.
_GOOD = 10


class WholeRankings:
    """Measures of one experiment, from the distances of some queries at a time.

    Parameters
    ----------
    codes : (n,) class number of each image. All images are queries, and the gallery of each are all others.
    n_classes : how many classes there are.
    """

    def __init__(self, codes: np.ndarray, n_classes: int):
        self._codes, self._n_classes = codes, n_classes
        n = len(codes)
        self._relevant = np.bincount(codes)[codes] - 1
        # Of images at equal distances none is nearer. A fixed random order favors no class.
        self._order = np.random.default_rng(0).permutation(n)
        self._values = {name: np.zeros(n) for name in (MAP, MRR)}
        self._as_query = {name: np.zeros(n) for name in (MAP, MRR)}
        self._as_neighbor = {name: np.zeros((n_classes, n)) for name in (MAP, MRR)}

    def add(self, rows: np.ndarray, distances: np.ndarray) -> None:
        """Take in queries: their places (n_rows,), and distances (n_rows, n) to all images, whatever to themselves."""
        height = max(1, _PLACES // len(self._codes))
        for start in range(0, len(rows), height):
            self._add(rows[start : start + height], distances[start : start + height])

    def result(self) -> dict[str, Measured]:
        """The measures by name, when all queries have been added."""
        return {
            name: measured.assemble(
                values, self._as_query[name], self._as_neighbor[name], self._codes, self._n_classes
            )
            for name, values in self._values.items()
        }

    def _add(self, rows: np.ndarray, distances: np.ndarray) -> None:
        # Compared as they are stored.
        distances = distances.astype(np.float32)
        distances[np.arange(len(rows)), rows] = np.inf
        places = self._order[np.argsort(distances[:, self._order], axis=1, kind="stable")][:, :-1]
        near = np.take_along_axis(distances, places, axis=1)
        own = self._codes[rows]
        same, relevant = self._codes[places] == own[:, None], self._relevant[rows]
        tied = ties_.find(near, same, np.zeros((len(rows), self._n_classes), np.int64), own)
        chance = same if tied is None else tied.chance
        precision = scoring.average_precision_at_k(chance, same.shape[1], relevant, tied)
        reciprocal, effect = _expected_reciprocal(same, relevant, tied)
        self._values[MAP][rows] = self._as_query[MAP][rows] = precision
        self._values[MRR][rows], self._as_query[MRR][rows] = reciprocal_rank(chance, tied), reciprocal
        for name, effects in ((MAP, _precision_effects(same, relevant, tied)), (MRR, effect)):
            by_item = np.empty((len(rows), len(self._codes)))
            by_item[np.arange(len(rows)), rows] = 0.0
            np.put_along_axis(by_item, places, effects, axis=1)
            for code in np.unique(own):
                self._as_neighbor[name][code] += by_item[own == code].sum(axis=0)


def reciprocal_rank(same: np.ndarray, ties: Ties | None = None) -> np.ndarray:
    """One divided by the rank of the first good neighbor: (n_queries,), 0..1, 0 where there is none.

    Parameters
    ----------
    same : (n_queries, n_neighbors) whether each shares the query's label, or the chance of that; ties : the groups of equally distant
        neighbors. The expectation over their orders is that of McSherry and Najork (2008).
    """
    n = same.shape[1]
    hazard = np.asarray(same, np.float64)
    if ties is not None:
        # As likely to be good, where none before it in its group is.
        left = ties.size - (np.arange(n) - ties.first)
        hazard = np.minimum(1.0, ties.good / np.maximum(left, 1))
    none_before = np.ones(hazard.shape)
    none_before[:, 1:] = np.cumprod(1.0 - hazard, axis=1)[:, :-1]
    return np.asarray((hazard * none_before) @ (1.0 / np.arange(1, n + 1)))


def _precision_effects(same: np.ndarray, relevant: np.ndarray, ties: Ties | None) -> np.ndarray:
    """How much less the average precision is without the image at each place: (n_queries, n_places), in the order given.

    Leaving out one picture at a time is enough for it: every good neighbor has a part in it (Efron and Stein, 1981, The jackknife estimate of variance,
    Annals of Statistics 9(3)).
    """
    n = same.shape[1]
    rank = np.arange(1, n + 1)
    good = np.cumsum(same, axis=1)
    share = 1.0 / np.maximum(relevant, 1)[:, None]
    gained = same * good / rank
    # A place nearer, where one before it is gone.
    nearer = same / np.maximum(rank - 1, 1)
    without_bad = _behind(nearer * good - gained) * share
    fewer = 1.0 / np.maximum(relevant - 1, 1)[:, None]
    without_good = (np.cumsum(gained, axis=1) - gained + _behind(nearer * (good - 1))) * fewer
    without_good -= gained.sum(axis=1, keepdims=True) * share
    # Without its only good one a query can't be asked.
    without_good[relevant < 2] = 0.0
    return -_shared(same, without_good, without_bad, ties)


def _expected_reciprocal(
    same: np.ndarray, relevant: np.ndarray, ties: Ties | None
) -> tuple[np.ndarray, np.ndarray]:
    """The reciprocal rank where each image is left out with the chance LEFT_OUT, and what each image adds to it, in the order given.

    Returns
    -------
    expected : (n_queries,); effects : (n_queries, n_places) with an image less without it, times the chance to be kept.
    """
    kept = 1.0 - LEFT_OUT
    number = np.arange(_GOOD)
    there = number < relevant[:, None]
    goods = np.nonzero(same)[1]
    starts = np.cumsum(relevant) - relevant
    # Places of the first good ones, and how many bad ones are before each.
    place = (
        goods[np.minimum(starts[:, None] + number, len(goods) - 1)]
        if len(goods)
        else np.zeros(there.shape, int)
    )
    bad = np.where(there, place - number, 0)
    first = there * LEFT_OUT**number
    alone = first * _reciprocal(bad)
    later = _behind(kept * alone) / LEFT_OUT
    of_good = alone - later
    # Of those before it one is kept for certain, less one that is left out for certain.
    closer = (
        kept
        * first
        * np.where(
            bad > 0, _reciprocal_beside_one(np.maximum(bad - 1, 0)) - _reciprocal(np.maximum(bad - 1, 0)), 0.0
        )
    )
    from_here = np.concatenate([_behind(closer) + closer, np.zeros((len(same), 1))], axis=1)
    of_bad = np.take_along_axis(from_here, np.minimum(np.cumsum(same, axis=1), _GOOD), axis=1)
    good_effects = np.zeros(same.shape)
    rows, columns = np.nonzero(there)
    good_effects[rows, place[rows, columns]] = of_good[rows, columns]
    # As much as with all images can be reached where some are left out.
    attained = 1.0 / (1.0 - LEFT_OUT ** np.maximum(relevant, 1))
    effects = _shared(same, good_effects, of_bad, ties)
    return (kept * alone).sum(axis=1) * attained, kept * effects * attained[:, None]


def _reciprocal(n: np.ndarray) -> np.ndarray:
    """The mean of 1 / (1 + X), where X of n images are kept."""
    kept = 1.0 - LEFT_OUT
    return np.asarray((1.0 - LEFT_OUT ** (n + 1.0)) / ((n + 1.0) * kept))


def _reciprocal_beside_one(n: np.ndarray) -> np.ndarray:
    """The mean of 1 / (2 + X), where X of n images are kept."""
    kept = 1.0 - LEFT_OUT
    both = (1.0 - LEFT_OUT ** (n + 2.0) - (n + 2.0) * kept * LEFT_OUT ** (n + 1.0)) / (
        (n + 1.0) * (n + 2.0) * kept**2
    )
    return np.asarray(_reciprocal(n) - both)


def _behind(values: np.ndarray) -> np.ndarray:
    """At each place the sum of all behind it: (n_rows, n)."""
    return np.asarray(values.sum(axis=1, keepdims=True) - np.cumsum(values, axis=1))


def _shared(same: np.ndarray, of_good: np.ndarray, of_bad: np.ndarray, ties: Ties | None) -> np.ndarray:
    """Effects of images: those of a group are at each of its places as often."""
    if ties is not None:
        of_good, of_bad = ties.shared(of_good), ties.shared(of_bad)
    return np.where(same, of_good, of_bad)
