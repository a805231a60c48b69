"""Whether a choice carries over: how alike two datasets rank the same configurations."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from core.evaluation import uncertainty

# Enough for the width of an interval to within a tenth; comparing all pairs of some hundred configurations takes a second with more.
_RESAMPLES = 200
_MOST = 1.0 - 1e-9


@dataclass(frozen=True)
class Correlation:
    """A rank correlation from -1 to 1 with its 95% interval."""

    value: float
    low: float
    high: float


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation along the last axis: (...), of values (..., n); ties share their mean rank.

    Spearman (1904), The proof and measurement of association between two things, Am. J. Psychol. 15. 0 where all values are equal.
    """
    first, second = _ranks(a), _ranks(b)
    first = first - first.mean(axis=-1, keepdims=True)
    second = second - second.mean(axis=-1, keepdims=True)
    return _ratio((first * second).sum(-1), (first**2).sum(-1) * (second**2).sum(-1))


def kendall(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Kendall's tau-b along the last axis: (...), of values (..., n).

    Of two configurations that differ on both datasets, ``(1 + tau) / 2`` is how often both prefer the same one. Kendall (1945), The treatment of ties in
    ranking problems, Biometrika 33. 0 where all values are equal.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    later = np.triu_indices(a.shape[-1], 1)
    both, first, second = (np.zeros(a.shape[:-1]) for _ in range(3))
    # One at a time: the pairs of all would not fit into memory.
    for place in np.ndindex(both.shape):
        order_a, order_b = (np.sign(one[place][later[0]] - one[place][later[1]]) for one in (a, b))
        both[place], first[place], second[place] = order_a @ order_b, order_a @ order_a, order_b @ order_b
    return _ratio(both, first * second)


def correlate(
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
    means_a: np.ndarray,
    contributed_a: np.ndarray,
    means_b: np.ndarray,
    contributed_b: np.ndarray,
    seed: int = 0,
) -> Correlation:
    """A rank correlation of the mean scores of the same configurations on two datasets.

    The interval is for other sets of as many pictures of the same classes. Its width is the spread of the correlation, on the scale of Fisher's z, when the
    means vary as far as their errors let them: the contributions of pictures get random signs, the same for all configurations. With more pictures
    the correlation would be higher, since errors only make rankings less alike.

    Parameters
    ----------
    statistic : :func:`spearman` or :func:`kendall`.
    means_a, means_b : (n_configurations,); contributed_a, contributed_b : (n_configurations, n_items) of
        :func:`core.evaluation.uncertainty.contributions`, of two datasets.

    Raises
    ------
    ValueError : fewer than three configurations, or other numbers of them.
    """
    if means_a.shape != means_b.shape or means_a.ndim != 1 or len(means_a) < 3:
        raise ValueError(
            f"Expected the same three configurations or more, got {means_a.shape} and {means_b.shape}."
        )
    rng = np.random.default_rng(seed)
    moved = []
    for means, contributed in ((means_a, contributed_a), (means_b, contributed_b)):
        signs = rng.integers(0, 2, (_RESAMPLES, contributed.shape[1]), np.int8)
        moved.append(means + (2 * signs - 1).astype(np.float32) @ contributed.T.astype(np.float32))
    value = float(statistic(means_a, means_b))
    z = np.arctanh(np.clip(value, -_MOST, _MOST))
    again = np.arctanh(np.clip(statistic(*moved), -_MOST, _MOST))
    reach = NormalDist().inv_cdf(0.5 + uncertainty.LEVEL / 2.0) * float(again.std(ddof=1))
    low, high = np.tanh([z - reach, z + reach])
    return Correlation(value, float(low), float(high))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 along the last axis, those of equal values their mean."""
    values = np.asarray(values, np.float64)
    flat = values.reshape(-1, values.shape[-1])
    ranks = np.empty(flat.shape)
    for row, line in enumerate(flat):
        _, inverse, counts = np.unique(line, return_inverse=True, return_counts=True)
        ranks[row] = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks.reshape(values.shape)


def _ratio(shared: np.ndarray, squares: np.ndarray) -> np.ndarray:
    ratio = np.divide(shared, np.sqrt(squares), out=np.zeros(np.shape(shared)), where=squares > 0)
    return np.asarray(ratio)
