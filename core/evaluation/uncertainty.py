"""How far mean scores and their differences would move with other pictures of the same classes.

Every picture is a query and, for the other queries, a picture of the gallery. Scores of queries are
therefore not independent, and resampling queries alone finds intervals that are too short. Here
pictures are left out as both: the delete-d jackknife (Shao and Wu, 1989, Annals of Statistics 17(3))
with a quarter of the pictures left out, each class alike. Its leading term, what each picture alone
contributes, has a closed form for lists of neighbors, so that nothing is drawn (the infinitesimal
jackknife of subsampling; Wager, Hastie and Efron, 2014, JMLR 15).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import comb
from statistics import NormalDist
from types import MappingProxyType

import numpy as np

from core.evaluation.ties import Ties

# The share of pictures that is left out. A list of 20 then still holds ten neighbors in all but 0.4% of draws, 15 in 62%.
# Where it does not, the places behind its end are taken to be as good as its last ones are on average.
LEFT_OUT = 0.25
LEVEL = 0.95
MOST_RESAMPLES, FEWEST_RESAMPLES = 2000, 200
# One sign per image and resample is drawn: large datasets take fewer resamples, not more memory.
_SIGNS = 4_000_000
# Below so many queries with a difference, the exact test decides and not the interval.
FEW_DIFFERENCES = 30
_LAST_PLACES = 5
# Resampled means that differ by less are the same: rounding errors of float32.
_EQUAL = np.float32(1e-4)


def contributions(
    queries: np.ndarray,
    ids: np.ndarray,
    same: np.ndarray,
    codes: np.ndarray,
    gains: np.ndarray,
    scale: np.ndarray | None = None,
    asked: np.ndarray | None = None,
    ties: Mapping[int, Ties] = MappingProxyType({}),
) -> np.ndarray:
    """What each picture, as a query and as a neighbor of others, adds to the error of each experiment's mean.

    Squared and added up over pictures they are the variance of the mean; those of two experiments,
    subtracted, the variance of their difference.

    Parameters
    ----------
    queries : (n_queries,) ids; ids : (n_experiments, n_queries, top) of neighbors, nearest first, below
        zero beyond the end of a list; same : of that shape, whether labels agree.
    codes : (n_items,) class number by id.
    gains : (k,) what a good neighbor at each rank adds to the value of a query (:func:`core.evaluation.scoring.gains`).
    scale : (n_queries,) a factor of each query's value; 1 when not given.
    asked : (n_queries,) bool, the queries that the mean is over; all when not given.
    ties : of those experiments, by place, that have equally distant neighbors. Of images beyond the end of a list that are as far as
        its last, only the number is known, so what they contribute is taken to be the same within a class.

    Returns
    -------
    contributions : (n_experiments, n_items) float32; in each class they add up to 0.
    """
    n_experiments, n_queries, top = ids.shape
    n_items = len(codes)
    kept = np.float32(1.0 - LEFT_OUT)
    value, change = thinned(tuple(gains.tolist()), top)
    inside, behind = value[:top].astype(np.float32), np.float32(value[top:].sum())
    own_and_behind = change[:, :top].T.astype(np.float32)
    own = np.diagonal(own_and_behind)
    beyond = change[:, top:].sum(axis=1).astype(np.float32)
    # Lists that hold the whole gallery have nothing behind their end.
    whole = top >= n_items - 1
    factor = _attained(gains, value, np.bincount(codes)[codes[queries]] - 1)
    factor = (factor if scale is None else factor * scale).astype(np.float32)
    chosen = np.ones(n_queries, bool) if asked is None else asked

    as_query = np.zeros((n_experiments, n_items), np.float32)
    as_neighbor = np.zeros((n_experiments, n_items), np.float32)
    # One at a time, so that the arrays stay in the processor's cache.
    for one in range(n_experiments):
        tied = ties.get(one)
        chances = same[one] if tied is None else tied.chance
        last = np.float32(0.0 if whole else chances[:, -_LAST_PLACES:].mean())
        good = chances[chosen].astype(np.float32)
        as_query[one, queries[chosen]] = (good @ inside + behind * last) * factor[chosen]
        moved = good @ own_and_behind + last * beyond
        if tied is not None:
            # Each of a group is at each of its places as often. A good one counts itself, all move those behind them.
            tied = tied.rows(chosen)
            moved = tied.shared(moved - good * own) + same[one, chosen] * tied.shared(own)
        moved *= kept * factor[chosen, None]
        # Slot 0 takes the places beyond the end of a list.
        slots = np.add(ids[one, chosen], 1, dtype=np.intp)
        as_neighbor[one] = np.bincount(slots.ravel(), moved.ravel(), minlength=n_items + 1)[1:]

    queried = np.zeros(n_items, bool)
    queried[queries[chosen]] = True
    return combined(as_query, as_neighbor, codes, queried)


def combined(
    as_query: np.ndarray, as_neighbor: np.ndarray, codes: np.ndarray, asked: np.ndarray
) -> np.ndarray:
    """:func:`contributions` from what pictures add in their two parts.

    Parameters
    ----------
    as_query : (..., n_items) the value of each query, 0 for others; as_neighbor : of that shape, what each picture adds to the values of all queries.
    codes : (n_items,) class number by id; asked : (n_items,) bool, the queries that the mean is over.
    """
    strata = _strata(codes)
    found = _centered(as_query, strata, asked) + _centered(as_neighbor, strata, np.ones(len(codes), bool))
    return np.asarray(found / np.float32(asked.sum()))


@cache
def thinned(gains: tuple[float, ...], top: int) -> tuple[np.ndarray, np.ndarray]:
    """What the places of a list are worth when each picture is left out at random.

    Returns
    -------
    value : (places,) what a good neighbor at each place adds to the expected value of the query.
    change : (top, places) by how much the expected value grows, for a good neighbor at place ``p``, when the
        one at place ``i`` is there and not left out: it counts itself, and moves those behind it down.
    """
    k, kept = len(gains), 1.0 - LEFT_OUT
    places = top + 2 * k
    padded = np.concatenate([gains, np.zeros(places + 1)])

    def expected(before: int, more: int = 0) -> float:
        """The gain at a place with so many others before it, each of them kept or not, and ``more`` that are kept."""
        return sum(
            comb(before, r) * kept**r * LEFT_OUT ** (before - r) * float(padded[r + more])
            for r in range(min(before, k) + 1)
        )

    own = np.array([expected(p) for p in range(places)])
    behind = np.array([0.0, *(expected(p - 1, 1) - expected(p - 1) for p in range(1, places))])
    change = np.triu(np.broadcast_to(kept * behind, (top, places)), 1)
    change[np.arange(top), np.arange(top)] = own[:top]
    return kept * own, change


def _attained(gains: np.ndarray, value: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """How much more a query can reach with all pictures than when some are left out: 1 unless its class is small."""
    whole = np.concatenate([[0.0], np.cumsum(np.pad(gains, (0, len(value) - len(gains))))])
    thinned = np.concatenate([[0.0], np.cumsum(value)])
    ratio = np.divide(whole, thinned, out=np.ones_like(whole), where=thinned > 0)
    return np.asarray(ratio[np.minimum(relevant, len(value))])


def _strata(codes: np.ndarray) -> np.ndarray:
    """The classes; those of one picture together, since a single picture does not vary."""
    sizes = np.bincount(codes)
    return np.where(sizes[codes] > 1, codes, len(sizes))


def _centered(values: np.ndarray, strata: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Deviations from the mean of each stratum's members, scaled so that their squares are without bias; 0 for others."""
    order = np.flatnonzero(members)
    order = order[np.argsort(strata[order], kind="stable")]
    starts = np.flatnonzero(np.diff(strata[order], prepend=-1))
    sizes = np.diff(starts, append=len(order))
    mine = values[..., order]
    means = (np.add.reduceat(mine, starts, axis=-1, dtype=np.float64) / sizes).astype(values.dtype)
    factor = np.sqrt(sizes / np.maximum(sizes - 1.0, 1.0)).astype(values.dtype)
    found = np.zeros_like(values)
    found[..., order] = (mine - np.repeat(means, sizes, axis=-1)) * np.repeat(factor, sizes)
    return found


def standard_errors(contributed: np.ndarray) -> np.ndarray:
    """Of the means whose :func:`contributions` (..., n_items) these are."""
    return np.asarray(np.sqrt(np.square(contributed, dtype=np.float64).sum(axis=-1)))


def interval(
    means: np.ndarray, contributed: np.ndarray, codes: np.ndarray, highest: float = np.inf
) -> tuple[np.ndarray, np.ndarray]:
    """Student's 95% interval of means.

    Parameters
    ----------
    means : (...); contributed : (..., n_items) of :func:`contributions`; codes : (n_items,) class number by id.
    highest : that a mean can be, where the lowest is 0; no limits when not given.

    Returns
    -------
    low, high : of the shape of ``means``.
    """
    freedom = len(codes) - len(np.unique(_strata(codes)))
    reach = students_quantile(0.5 + LEVEL / 2.0, freedom) * standard_errors(contributed)
    lowest = 0.0 if np.isfinite(highest) else -np.inf
    return np.maximum(means - reach, lowest), np.minimum(means + reach, highest)


def share_interval(share: float, n: float, z: float | None = None) -> tuple[float, float]:
    """The 95% interval of a share of n independent cases, which stays within 0 and 1.

    Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22.

    Parameters
    ----------
    z : the quantile; that of a normal distribution when not given.

    Examples
    --------
    >>> [round(end, 3) for end in share_interval(1.0, 200)]
    [0.981, 1.0]
    """
    z2 = (NormalDist().inv_cdf(0.5 + LEVEL / 2.0) if z is None else z) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = (z2 * (share * (1 - share) / n + z2 / (4 * n**2))) ** 0.5 / (1 + z2 / n)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def students_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's distribution by its expansion around the normal one; to 0.01 from 5 degrees of freedom on.

    Abramowitz and Stegun (1964), 26.7.5.
    """
    # Importing SciPy's takes as long as a page may for everything.
    z = NormalDist().inv_cdf(probability)
    n = max(freedom, 1)
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


@dataclass(frozen=True)
class Difference:
    """Mean of ``a - b`` over the same queries, in the unit of the values.

    low, high : its 95% interval; differing : queries with a difference; p : of the exact sign-flip test, None
    where enough queries differ for the interval to decide.
    """

    mean: float
    low: float
    high: float
    differing: int
    p: float | None

    @property
    def certain(self) -> bool:
        """Whether the difference is more than chance explains, at 95%."""
        if self.p is not None:
            return self.p <= 1.0 - LEVEL
        return self.low > 0.0 or self.high < 0.0


def difference(
    a: np.ndarray, b: np.ndarray, contributed: np.ndarray, codes: np.ndarray, unit: float
) -> Difference:
    """The difference of two experiments over the same queries.

    Parameters
    ----------
    a, b : (n_queries,) values of the same queries; contributed : (n_items,) those of a less those of b.
    codes : (n_items,) class number by id; unit : all values are multiples of it.

    Raises
    ------
    ValueError : different or no queries.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise ValueError(f"Expected two rows of the same queries, got shapes {a.shape} and {b.shape}.")
    gaps = np.rint((a - b) / unit).astype(np.int64)
    differing = int(np.count_nonzero(gaps))
    mean = float((a - b).mean())
    low, high = interval(np.array(mean), contributed, codes)
    p = sign_flip_p(gaps) if differing < FEW_DIFFERENCES else None
    return Difference(mean, float(low), float(high), differing, p)


def sign_flip_p(gaps: np.ndarray) -> float:
    """Share of all ways to give differences a sign whose sum is at least as far from 0: an exact two-sided test.

    Fisher's randomization test of pairs (The Design of Experiments, 1935).

    Parameters
    ----------
    gaps : (n,) whole numbers.
    """
    sizes = np.abs(gaps[gaps != 0])
    # ways[s] : how many choices of signs give the positive part the sum s.
    ways = np.zeros(int(sizes.sum()) + 1)
    ways[0] = 1.0
    for size in sizes:
        ways[size:] = ways[size:] + ways[:-size]
    far = np.abs(2 * np.arange(len(ways)) - len(ways) + 1) >= abs(int(gaps.sum()))
    return float(ways[far].sum() / ways.sum())


@dataclass(frozen=True)
class BestOfMany:
    """How certain it is that one of many experiments is the best.

    alike : (n_experiments,) bool, those that can't be told apart from it, itself among them. All are compared at once:
    in 95 of 100 sets of pictures none that is as good is left out.
    probability : (n_experiments,) how often each is the best of all when the means vary as far as their errors let them.
    optimism : how much the mean of such a winner exceeds what it will have with other pictures, on average.
    """

    alike: np.ndarray
    probability: np.ndarray
    optimism: float


def compare_with_best(
    values: np.ndarray, contributed: np.ndarray, best: int, unit: float, seed: int = 0
) -> BestOfMany:
    """Compare all experiments with the best of them, at once.

    The max-T method (Westfall and Young, Resampling-Based Multiple Testing, 1993): how far the best would be above the
    others by chance follows from giving the contributions of pictures random signs, the same for all experiments.

    Parameters
    ----------
    values : (n_experiments, n_queries); contributed : (n_experiments, n_items) of :func:`contributions`.
    best : place of the best; unit : all values are multiples of it.
    """
    means = values.mean(axis=1)
    errors = standard_errors(contributed[best] - contributed)
    varies = errors > 1e-6
    moved = _moved(contributed, seed)

    ahead = means[best] - means
    alike = ahead <= unit / values.shape[1] / 2
    if varies.any():
        farthest = ((moved[:, [best]] - moved[:, varies]) / errors[varies].astype(np.float32)).max(axis=1)
        limit = float(np.quantile(farthest, LEVEL))
        alike[varies] |= ahead[varies] <= limit * errors[varies]
        # Where few queries differ the exact test has to agree, at the level of one comparison among all.
        level = 1.0 - NormalDist().cdf(limit)
        gaps = np.rint((values[best] - values) / unit).astype(np.int64)
        for place in np.flatnonzero(~alike & (np.count_nonzero(gaps, axis=1) < FEW_DIFFERENCES)):
            alike[place] = sign_flip_p(gaps[place]) / 2.0 > level

    reached = means.astype(np.float32) + moved
    # Experiments with the same results share a win.
    won = (reached >= reached.max(axis=1, keepdims=True) - _EQUAL).astype(np.float32)
    won /= won.sum(axis=1, keepdims=True)
    return BestOfMany(alike, won.mean(axis=0, dtype=np.float64), float((won * moved).sum(axis=1).mean()))


def _moved(contributed: np.ndarray, seed: int) -> np.ndarray:
    """How far means move when the contributions of images get random signs: (n_resamples, n_experiments)."""
    n_items = contributed.shape[1]
    signs = np.random.default_rng(seed).integers(0, 2, (n_resamples(n_items), n_items), np.int8)
    return np.asarray((2 * signs - 1).astype(np.float32) @ contributed.T)


def front_probability(
    means: np.ndarray, contributed: np.ndarray, cost: np.ndarray, seed: int = 0
) -> np.ndarray:
    """How often each experiment is on the Pareto front of quality and cost when the means vary as far as their errors let them.

    Parameters
    ----------
    means, cost : (n_experiments,); contributed : (n_experiments, n_items) of :func:`contributions`.

    Returns
    -------
    probability : (n_experiments,) 0..1; 0 where the cost is not finite. On the front, no other is as good and as cheap, and better in one of
        the two (:func:`core.evaluation.comparison.pareto_front`).
    """
    finite = np.flatnonzero(np.isfinite(cost))
    found = np.zeros(len(means))
    if not len(finite):
        return found
    places = finite[np.argsort(cost[finite], kind="stable")]
    _, starts, group = np.unique(cost[places], return_index=True, return_inverse=True)
    reached = means[places].astype(np.float32) + _moved(contributed[places], seed)
    # The best at each cost has to be better than all that is cheaper; equals share a place.
    best = np.maximum.reduceat(reached, starts, axis=1)
    cheaper = np.full(best.shape, -np.inf, np.float32)
    cheaper[:, 1:] = np.maximum.accumulate(best, axis=1)[:, :-1]
    on = (reached >= best[:, group] - _EQUAL) & (reached > cheaper[:, group] + _EQUAL)
    found[places] = on.mean(axis=0)
    return found


def n_resamples(n_items: int) -> int:
    """How many resamples to draw of so many images."""
    return max(FEWEST_RESAMPLES, min(MOST_RESAMPLES, _SIGNS // max(1, n_items)))


def halves(codes: np.ndarray, seed: int = 0) -> np.ndarray:
    """Half of each class, drawn at random: (n,) bool; ``codes`` (n,) is the class of each."""
    order = np.random.default_rng(seed).permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    chosen = np.zeros(len(codes), bool)
    chosen[order[::2]] = True
    return chosen
