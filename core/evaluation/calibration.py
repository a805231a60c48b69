"""How often images at a distance share the query's label: a share that never grows with the distance, with its interval.

The share is an isotonic regression (Barlow et al., Statistical Inference under Order Restrictions, 1972), by pooling adjacent
violators. What is said of a query is found without it: neither its own neighbors count, nor the lists that it is in.
"""

from dataclasses import dataclass

import numpy as np

from core.evaluation.uncertainty import LEVEL, share_interval, students_quantile

# An interval looks at this many pairs or more: those of the same share, and the nearest beside them.
_FEWEST_PAIRS = 100


@dataclass(frozen=True)
class Pairs:
    """Queries with their neighbors: ids, distances, and whether labels agree; each (n_pairs,)."""

    queries: np.ndarray
    ids: np.ndarray
    distances: np.ndarray
    same: np.ndarray

    @classmethod
    def of_lists(
        cls, queries: np.ndarray, ids: np.ndarray, distances: np.ndarray, same: np.ndarray
    ) -> "Pairs":
        """Those of result lists: (n_queries,) ids, and (n_queries, top) of each other."""
        asked = np.repeat(queries, ids.shape[1])
        return cls(asked, ids.ravel(), distances.ravel(), same.ravel())

    def where(self, kept: np.ndarray | slice) -> "Pairs":
        """Some of them, chosen as NumPy chooses."""
        return Pairs(self.queries[kept], self.ids[kept], self.distances[kept], self.same[kept])

    def without(self, images: np.ndarray) -> "Pairs":
        """Those in which some images are neither query nor neighbor."""
        return self.where(~(np.isin(self.queries, images) | np.isin(self.ids, images)))


@dataclass(frozen=True)
class Share:
    """Of pairs at a distance, the share that agrees, with its 95% interval; all 0..1."""

    value: float
    low: float
    high: float


class Calibration:
    """The share of pairs that agree, by distance.

    Parameters
    ----------
    pairs : at least one.
    """

    def __init__(self, pairs: Pairs):
        order = np.argsort(pairs.distances, kind="stable")
        self._pairs = pairs.where(order)
        distances, starts = np.unique(self._pairs.distances, return_index=True)
        ends = np.append(starts[1:], len(order))
        good = np.add.reduceat(self._pairs.same.astype(np.float64), starts)
        blocks = _pooled(good, (ends - starts).astype(np.float64))
        first = np.concatenate([[0], np.cumsum([length for _, _, length in blocks])[:-1]]).astype(int)
        self._shares = np.array([total / weight for total, weight, _ in blocks])
        # Pairs of each block, and between two blocks the middle of the last and the first distance.
        self._starts = starts[first]
        self._ends = np.append(self._starts[1:], len(order))
        self._limits = (distances[first[1:] - 1] + distances[first[1:]]) / 2.0

    def shares(self, distances: np.ndarray) -> np.ndarray:
        """The share at each distance (n,)."""
        return np.asarray(self._shares[np.searchsorted(self._limits, distances)])

    def at(self, distance: float) -> Share:
        """The share at a distance, with its interval.

        Every image is in several pairs, as query and as neighbor. The variance counts all pairs that share an image as dependent (dyadic
        clusters; Aronow, Samii and Assenova, 2015, Political Analysis 23(4)); Wilson's interval then takes the number of independent pairs that have
        this variance.
        """
        block = int(np.searchsorted(self._limits, distance))
        start, end = int(self._starts[block]), int(self._ends[block])
        if (missing := _FEWEST_PAIRS - (end - start)) > 0:
            place = int(np.searchsorted(self._pairs.distances, distance))
            start = max(0, min(start, place - missing // 2 - 1))
            end = min(len(self._pairs.same), max(end, start + _FEWEST_PAIRS))
            start = max(0, min(start, end - _FEWEST_PAIRS))
        near = self._pairs.where(slice(start, end))
        return _wilson(float(self._shares[block]), near)


def _pooled(good: np.ndarray, weights: np.ndarray) -> list[tuple[float, float, int]]:
    """Sums, weights and numbers of values of the blocks of a regression that never grows."""
    blocks: list[tuple[float, float, int]] = []
    for total, weight in zip(good.tolist(), weights.tolist(), strict=True):
        length = 1
        while blocks and blocks[-1][0] * weight <= total * blocks[-1][1]:
            before = blocks.pop()
            total, weight, length = total + before[0], weight + before[1], length + before[2]
        blocks.append((total, weight, length))
    return blocks


def _wilson(share: float, pairs: Pairs) -> Share:
    n = len(pairs.same)
    own = float(pairs.same.mean())
    images, places = np.unique(np.concatenate([pairs.queries, pairs.ids]), return_inverse=True)
    residuals = pairs.same - own
    sums = np.bincount(places, np.concatenate([residuals, residuals]))
    # Each pair is in the sums of two images.
    variance = float((sums**2).sum() - (residuals**2).sum()) / n**2
    independent = float(n)
    if 0.0 < own < 1.0:
        independent = min(n, own * (1.0 - own) / max(variance, 1e-12))
    else:
        # Nothing varies: no more than the images that the pairs can be made of without sharing one.
        independent = min(n, len(images) / 2.0)
    z = students_quantile(0.5 + LEVEL / 2.0, max(1, round(independent) - 1))
    return Share(share, *share_interval(share, independent, z))
