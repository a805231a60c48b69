"""How well changed pictures are recognized among unchanged ones.

Every picture is changed and searched for in the gallery of all unchanged pictures: whether its own original comes
first (same-image recall@1), and how many of the nearest others share its label (precision@k).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.evaluation import scoring, ties, uncertainty
from core.evaluation.rankings import Neighbors
from core.exact_index import TIED

K = 10
# As for the grid: lists of 20 still hold ten neighbors when a quarter of the pictures is left out for the intervals.
TOP = 20


@dataclass(frozen=True)
class Recognition:
    """How well pictures are recognized under one change, as shares from 0 to 1.

    n : pictures searched for; recall : same-image recall@1; precision : of labels at :data:`K`, or at as many as
    there are, with the ends of its 95% interval.
    """

    n: int
    recall: float
    precision: float
    precision_low: float
    precision_high: float

    @property
    def recall_interval(self) -> tuple[float, float]:
        """The 95% interval of the recall, for other pictures in this gallery."""
        return uncertainty.share_interval(self.recall, self.n)


def recognized(distances: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Whether each query's own original is the nearest: (n_queries,) 1 or 0, of m that are as near 1 / m.

    Parameters
    ----------
    distances : (n_queries, n_gallery) to the unchanged pictures; own : (n_queries,) the column of each query's original.
    """
    to_own = distances[np.arange(len(own)), own][:, None]
    margin = TIED * np.maximum(1.0, np.abs(to_own))
    nearer = (distances < to_own - margin).any(axis=1)
    alike = (np.abs(distances - to_own) <= margin).sum(axis=1)
    return np.where(nearer, 0.0, 1.0 / alike)


def recognition(found: np.ndarray, others: Neighbors, labels: Sequence[str]) -> Recognition:
    """The recognition under one change of all pictures of a gallery.

    Parameters
    ----------
    found : (n,) of :func:`recognized`; others : the nearest others of each; labels : (n,) of the gallery.
    """
    codes = scoring.class_codes(labels)
    same = scoring.same_label(others.queries, others.ids, labels)
    tied = ties.find(others.distances, same, others.beyond, codes[others.queries])
    k = min(K, same.shape[1])
    precision = float(scoring.precision_at_k(same if tied is None else tied.chance, k).mean())
    contributed = uncertainty.contributions(
        others.queries,
        others.ids[None],
        same[None],
        codes,
        np.full(k, 1.0 / k),
        ties={} if tied is None else {0: tied},
    )
    low, high = uncertainty.interval(np.array(precision), contributed[0], codes, highest=1.0)
    return Recognition(len(found), float(found.mean()), precision, float(low), float(high))
