"""The k nearest neighbors as a classifier: each votes for its class (Cover and Hart, 1967, Nearest neighbor pattern classification)."""

import numpy as np

from core.evaluation import uncertainty
from core.evaluation.ties import Ties
from core.evaluation.uncertainty import LEFT_OUT

_LAST_PLACES = 5
# The variance of a margin of votes is at least this: a vote is a whole number.
_LEAST_VARIANCE = 0.05


def correct(
    labels: np.ndarray, own: np.ndarray, k: int, n_classes: int, ties: Ties | None = None
) -> np.ndarray:
    """How likely each query is to get its own class, where one of those with the most votes is drawn: (n_queries,), 0..1.

    Parameters
    ----------
    labels : (n_queries, top) class number of each neighbor, nearest first, below zero beyond the end of a list; own : (n_queries,) that of the query.
    ties : the groups of equally distant neighbors. Of a group that is only partly among the first k, each has the same part of a vote; those
        beyond the end of the list have none.
    """
    counts = _counts(labels, _parts(labels, k, ties), n_classes)
    most = counts.max(axis=1)
    winning = counts >= most[:, None] - 1e-9
    return np.asarray(winning[np.arange(len(own)), own] / winning.sum(axis=1) * (most > 0))


def contributions(
    queries: np.ndarray,
    ids: np.ndarray,
    codes: np.ndarray,
    k: int,
    asked: np.ndarray,
    ties: Ties | None = None,
) -> np.ndarray:
    """What each picture adds to the error of the mean, as :func:`core.evaluation.uncertainty.contributions` has it for sums over places: (n_items,) float32.

    Where pictures are left out, the margin of votes between the own class and its strongest rival is taken to be normal.

    Parameters
    ----------
    queries : (n_queries,) ids; ids : (n_queries, top) of the neighbors, below zero beyond the end of a list; codes : (n_items,) class number by id;
        asked : (n_queries,) bool, the queries that the mean is over; ties : the groups of equally distant neighbors.
    """
    ids, own = ids[asked], codes[queries[asked]]
    tied = None if ties is None else ties.rows(asked)
    labels = np.where(ids < 0, -1, codes[ids])
    top = ids.shape[1]
    value, change = uncertainty.thinned((1.0,) * k, top)
    inside, behind = value[:top], value[top:].sum()
    same = labels == own[:, None]
    others = _counts(labels, np.where(same, 0.0, inside), int(codes.max()) + 1)
    others[np.arange(len(own)), own] = -1.0
    margin = same.astype(np.float64) - (labels == others.argmax(axis=1)[:, None])
    expected = margin if tied is None else tied.shared(margin)
    # Lists that hold the whole gallery have nothing behind their end.
    last = expected[:, -_LAST_PLACES:].mean(axis=1) * (top < len(codes) - 1)
    moved = expected @ change[:, :top].T + last[:, None] * change[:, top:].sum(axis=1)
    if tied is not None:
        alone = np.diagonal(change)
        moved = tied.shared(moved - expected * alone) + margin * tied.shared(alone)
    mean = expected @ inside + behind * last
    deviation = np.sqrt(np.maximum(np.square(expected) @ (inside * (1.0 - inside)), _LEAST_VARIANCE))
    there = _normal((mean[:, None] + LEFT_OUT * moved) / deviation[:, None])
    gone = _normal((mean[:, None] - (1.0 - LEFT_OUT) * moved) / deviation[:, None])
    as_query, queried = np.zeros(len(codes), np.float32), np.zeros(len(codes), bool)
    as_query[queries[asked]], queried[queries[asked]] = _normal(mean / deviation), True
    # Slot 0 takes the places beyond the end of a list.
    slots = np.add(ids, 1, dtype=np.intp).ravel()
    added = np.bincount(slots, ((1.0 - LEFT_OUT) * (there - gone)).ravel(), minlength=len(codes) + 1)[1:]
    return uncertainty.combined(as_query, added.astype(np.float32), codes, queried)


def _parts(labels: np.ndarray, k: int, ties: Ties | None) -> np.ndarray:
    """The part of a vote that each place has: (n_queries, top)."""
    if ties is None:
        return np.broadcast_to((np.arange(labels.shape[1]) < k).astype(np.float64), labels.shape)
    return np.asarray(np.clip((k - ties.first) / ties.size, 0.0, 1.0))


def _counts(labels: np.ndarray, votes: np.ndarray, n_classes: int) -> np.ndarray:
    """Votes for each class: (n_queries, n_classes)."""
    # Slot 0 takes the places beyond the end of a list.
    slots = labels + 1 + np.arange(len(labels))[:, None] * (n_classes + 1)
    counts = np.bincount(slots.ravel(), votes.ravel(), minlength=len(labels) * (n_classes + 1))
    return np.asarray(counts.reshape(len(labels), n_classes + 1)[:, 1:])


def _normal(x: np.ndarray) -> np.ndarray:
    """The distribution function of a normal variable to 0.0003 (Page, 1977, Applied Statistics 26(1)); importing SciPy takes longer than all else here."""
    return np.asarray(0.5 * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x * x * x))))
