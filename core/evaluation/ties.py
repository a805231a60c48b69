"""Neighbors at equal distances: which of them comes first is chance, so measures are expectations over all orders.

The closed forms are those of McSherry and Najork (2008), Computing information retrieval performance measures efficiently in the
presence of tied scores, ECIR 30.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

# From this share of queries on for which a tie decides who is among the first k, distances do not separate the images.
SATURATED = 0.2


@dataclass(frozen=True)
class Ties:
    """Groups of equally distant neighbors, by the place in the list: every array is (n_queries, top).

    first : place of the first of the group, from 0; size : how many images are in it, those beyond the end of the list
    among them; good : how many of these share the query's label; unknown : (n_queries,) bool, where it is not known how many of the last
    group are beyond the end of the list, and they count as none.
    """

    first: np.ndarray
    size: np.ndarray
    good: np.ndarray
    unknown: np.ndarray

    @cached_property
    def chance(self) -> np.ndarray:
        """How likely the neighbor at each place is to share the query's label, in a random order of each group."""
        return np.asarray(self.good / self.size)

    def rows(self, rows: np.ndarray) -> "Ties":
        """Those of some queries."""
        return Ties(self.first[rows], self.size[rows], self.good[rows], self.unknown[rows])

    def shared(self, values: np.ndarray) -> np.ndarray:
        """Values of places (n_queries, top), those of each group divided evenly among its images."""
        flat = (self.first + np.arange(len(self.first))[:, None] * self.first.shape[1]).ravel()
        sums = np.bincount(flat, np.broadcast_to(values, self.first.shape).ravel(), minlength=flat.size)
        return np.asarray(sums[flat].reshape(self.first.shape) / self.size)

    def undecided(self, k: int) -> float:
        """Share of the queries for which chance decides who is among the first k."""
        return float((self.first[:, k - 1] + self.size[:, k - 1] > k).mean())

    def saturated(self, k: int) -> bool:
        """Whether so many queries are undecided that the distances do not separate the images."""
        return self.undecided(k) >= SATURATED

    def n_unknown(self, k: int) -> int:
        """For how many queries the measures at k depend on images of which it is not known how many there are."""
        return int((self.unknown & (self.first[:, -1] < k)).sum())


def find(
    distances: np.ndarray | None, same: np.ndarray, beyond: np.ndarray | None, own: np.ndarray
) -> Ties | None:
    """The ties of one experiment; None where no two neighbors are equally far, or distances are not known.

    Parameters
    ----------
    distances, same : (n_queries, top) of the neighbors, nearest first, and whether labels agree.
    beyond : (n_queries, n_classes) how many images of each class are as far as the last neighbor but beyond the end of the list;
        below zero where that is not known; None where it is not known for any.
    own : (n_queries,) class number of each query.
    """
    if distances is None:
        return None
    n, top = distances.shape
    starts = np.ones((n, top), bool)
    starts[:, 1:] = distances[:, 1:] != distances[:, :-1]
    if starts.all() and (beyond is None or not beyond.any()):
        return None
    first = np.maximum.accumulate(np.where(starts, np.arange(top), 0), axis=1)
    flat = (first + np.arange(n)[:, None] * top).ravel()
    size = np.bincount(flat, minlength=n * top)
    good = np.bincount(flat, same.ravel(), minlength=n * top).astype(np.int64)
    if beyond is None:
        unknown = ~starts[:, -1]
    else:
        last = first[:, -1] + np.arange(n) * top
        unknown = beyond[:, 0] < 0
        size[last] += np.where(unknown, 0, beyond.sum(axis=1))
        good[last] += np.where(unknown, 0, beyond[np.arange(n), own])
    return Ties(first, size[flat].reshape(n, top), good[flat].reshape(n, top), unknown)


def behind_the_end(distances: np.ndarray, last: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """How many images are at the distance of the last neighbor, by class.

    Parameters
    ----------
    distances : (n_queries, n_others) of all images that are not in the list, not finite for those that do not count.
    last : (n_queries,) distance of the last neighbor; codes : (n_others,) class number of each image.

    Returns
    -------
    beyond : (n_queries, n_classes) int32.
    """
    counts = np.zeros((len(last), int(codes.max()) + 1), np.int32)
    rows, columns = np.nonzero(distances == last[:, None])
    np.add.at(counts, (rows, codes[columns]), 1)
    return counts
