"""Many experiments of one dataset side by side: scores, costs, and which differences are more than chance.

Scores are 0..100, one per query (:func:`core.evaluation.scoring.score`). A matrix of scores has
a row for each experiment and a column for each query, the same queries for all.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from types import MappingProxyType

import numpy as np

from core.evaluation import scoring
from core.evaluation.rankings import Neighbors
from core.evaluation.ties import Ties

BYTES_PER_NUMBER = 4  # float32


@dataclass(frozen=True)
class Lists:
    """Result lists of several experiments over the queries that all of them have.

    queries : (n_queries,) ids, ascending; ids : (n_experiments, n_queries, top) of the smallest integer
    type that holds them, nearest first, -1 beyond the end of a shorter list; lengths : (n_experiments,)
    of the lists.
    """

    queries: np.ndarray
    ids: np.ndarray
    lengths: np.ndarray


def stack(experiments: Sequence[Neighbors]) -> Lists:
    """Bring experiments to common queries and one array.

    Raises
    ------
    ValueError : no experiments.
    """
    if not experiments:
        raise ValueError("There is nothing to stack.")
    queries = experiments[0].queries
    for one in experiments[1:]:
        if not np.array_equal(one.queries, queries):
            queries = np.intersect1d(queries, one.queries)
    queries = np.sort(queries)
    lengths = np.array([one.ids.shape[1] for one in experiments])
    highest = max((int(one.ids.max()) for one in experiments if one.ids.size), default=0)
    kind = np.int16 if highest <= np.iinfo(np.int16).max else np.int32
    ids = np.full((len(experiments), len(queries), lengths.max()), -1, kind)
    for place, one in enumerate(experiments):
        ids[place, :, : lengths[place]] = one.ids[rows_of(one.queries, queries)]
    return Lists(queries, ids, lengths)


def rows_of(there: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The rows of some queries, all of which are there, in any order."""
    order = np.argsort(there, kind="stable")
    return np.asarray(order[np.searchsorted(there, wanted, sorter=order)])


def scores(same: np.ndarray, k: int, ties: Mapping[int, Ties] = MappingProxyType({})) -> np.ndarray:
    """:func:`core.evaluation.scoring.score` of every list: (n_experiments, n_queries), 0..100; ties as for the average precision."""
    found = scoring.score(same.reshape(-1, same.shape[-1]), k).reshape(same.shape[:2])
    for place, tied in ties.items():
        found[place] = scoring.score(tied.chance, k)
    return found


def of_each(
    measure: Callable[[np.ndarray], np.ndarray], same: np.ndarray, ties: Mapping[int, Ties]
) -> np.ndarray:
    """A measure that is a sum over places, of every list: (n_experiments, n_queries).

    Parameters
    ----------
    measure : (n_queries, top) of one experiment to (n_queries,); ties : of the experiments that have some, by place.
    """
    chances = (ties[place].chance if place in ties else one for place, one in enumerate(same))
    return np.array([measure(one) for one in chances])


def average_precision(
    same: np.ndarray, k: int, n_relevant: np.ndarray, ties: Mapping[int, Ties] = MappingProxyType({})
) -> np.ndarray:
    """:func:`core.evaluation.scoring.average_precision_at_k` of every list: (n_experiments, n_queries), 0..1.

    Parameters
    ----------
    n_relevant : (n_queries,) how many other images share each query's label; ties : of the experiments that have some, by place.
    """
    flat = same.reshape(-1, same.shape[-1])
    found = scoring.average_precision_at_k(flat, k, np.tile(n_relevant, len(same))).reshape(same.shape[:2])
    for place, tied in ties.items():
        found[place] = scoring.average_precision_at_k(tied.chance, k, n_relevant, tied)
    return found


def best_first(quality: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Places of experiments, the highest quality first; of equals the shortest vector. Every page that says "best" means this order."""
    return np.lexsort((size, -np.asarray(quality, np.float64)))


def pareto_front(quality: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Experiments that none other beats: no other is as good and as cheap, and better in one of the two.

    Parameters
    ----------
    quality : (n,) more is better; cost : (n,) less is better. One that is not finite is never on the front.

    Returns
    -------
    places : by ascending cost; all of equal ones.
    """
    quality, cost = np.asarray(quality, np.float64), np.asarray(cost, np.float64)
    finite = np.flatnonzero(np.isfinite(quality) & np.isfinite(cost))
    order = finite[np.lexsort((-quality[finite], cost[finite]))]
    front: list[int] = []
    for place in order:
        # Sorted by cost: it is beaten unless it is better than the last on the front, or its equal.
        equal = front and (quality[place], cost[place]) == (quality[front[-1]], cost[front[-1]])
        if not front or equal or quality[place] > quality[front[-1]]:
            front.append(place)
    return np.array(front, np.int64)


def cheapest_within(quality: np.ndarray, cost: np.ndarray, margin: float) -> tuple[int, int] | None:
    """The best experiment, and the cheapest among those at most ``margin`` below it.

    Ties go to the cheaper for the best, and to the better for the cheapest. Those whose quality or
    cost is not finite are passed over; None when all are.
    """
    quality, cost = np.asarray(quality, np.float64), np.asarray(cost, np.float64)
    finite = np.flatnonzero(np.isfinite(quality) & np.isfinite(cost))
    if not len(finite):
        return None
    best = min(finite, key=lambda i: (-quality[i], cost[i]))
    near = [i for i in finite if quality[i] >= quality[best] - margin]
    return int(best), int(min(near, key=lambda i: (cost[i], -quality[i])))


@dataclass(frozen=True)
class Variation:
    """Where the variation of values over a full factorial design comes from, as shares 0..1 of all of it.

    main : by factor, eta squared; pairs : by two factors, what they do together beyond both alone;
    rest : of three and more factors together. All shares add up to 1, but for values that do not
    vary: then all are 0. levels : of each factor, in the design.
    """

    main: Mapping[str, float]
    pairs: Mapping[tuple[str, str], float]
    rest: float
    levels: Mapping[str, tuple[Hashable, ...]]

    @property
    def interactions(self) -> float:
        """All that no factor does alone."""
        return sum(self.pairs.values()) + self.rest


def balanced_part(rows: Sequence[tuple[Hashable, ...]]) -> np.ndarray:
    """A large part of the experiments in which every combination of levels occurs: a full factorial design.

    The first factor's levels (the models) are kept or left out as a whole. For each of them its own
    levels of the other factors are thinned until all combinations exist; all levels of the first
    factor that have those join. The largest part so found wins.

    Parameters
    ----------
    rows : the level of each factor, by experiment; no two alike.

    Returns
    -------
    places : ascending; empty for no rows.
    """
    cells: dict[Hashable, set[tuple[Hashable, ...]]] = {}
    for first, *others in rows:
        cells.setdefault(first, set()).add(tuple(others))
    best: set[tuple[Hashable, ...]] = set()
    for own in cells.values():
        full = _thinned(own)
        part = {(first, *cell) for first, has in cells.items() if full <= has for cell in full}
        if len(part) > len(best):
            best = part
    return np.array([place for place, row in enumerate(rows) if tuple(row) in best], np.int64)


def _thinned(cells: set[tuple[Hashable, ...]]) -> set[tuple[Hashable, ...]]:
    """Leave out the level that fewest cells have, relative to a full design, until the design is full."""
    while True:
        levels = [set(column) for column in zip(*cells, strict=True)]
        size = int(np.prod([len(one) for one in levels]))
        if size == len(cells):
            return cells
        counts = [Counter(column) for column in zip(*cells, strict=True)]
        _, factor, level = min(
            (count[level] * len(levels[factor]), factor, str(level))
            for factor, count in enumerate(counts)
            if len(levels[factor]) > 1
            for level in count
        )
        cells = {cell for cell in cells if str(cell[factor]) != level}


def only_changing(rows: Sequence[tuple[Hashable, ...]], best: int) -> list[np.ndarray]:
    """For each factor, the experiments that differ from one in it alone.

    Parameters
    ----------
    rows : the level of each factor, by experiment, no two alike; best : place of that one.

    Returns
    -------
    places : ascending, for each factor.
    """
    differing = [[a != b for a, b in zip(row, rows[best], strict=True)] for row in rows]
    alone = [place for place, parts in enumerate(differing) if sum(parts) == 1]
    return [
        np.array([place for place in alone if differing[place][factor]], np.int64)
        for factor in range(len(rows[best]))
    ]


def variation(values: np.ndarray, factors: Mapping[str, Sequence[Hashable]]) -> Variation:
    """Shares of the variance that each factor explains alone, and each two beyond that.

    A factor's share is its eta squared, ``SS_factor / SS_total`` with ``SS_factor`` the sum over
    experiments of ``(mean of its level - grand mean)**2`` (analysis of variance; Fisher, 1925). In a
    full factorial design with one value per cell these sums add up.

    Parameters
    ----------
    values : (n,) one per cell; factors : the level of each cell, by the factor's name.

    Raises
    ------
    ValueError : the cells are not a full factorial design (:func:`balanced_part` finds one).
    """
    values = np.asarray(values, np.float64)
    columns = {name: list(column) for name, column in factors.items()}
    levels = {name: tuple(dict.fromkeys(column)) for name, column in columns.items()}
    cells = set(zip(*columns.values(), strict=True))
    if not len(values) or len(cells) != len(values) or len(set(product(*levels.values()))) != len(values):
        raise ValueError("The experiments are not a full factorial design.")
    grand = values.mean()
    total = float(((values - grand) ** 2).sum())

    def explained(*names: str) -> float:
        keys = list(zip(*(columns[name] for name in names), strict=True))
        codes = {key: code for code, key in enumerate(dict.fromkeys(keys))}
        at = np.array([codes[key] for key in keys])
        means = np.bincount(at, values) / np.bincount(at)
        return float(((means[at] - grand) ** 2).sum())

    if total <= 1e-12 * len(values):
        nothing = dict.fromkeys(combinations(columns, 2), 0.0)
        return Variation(dict.fromkeys(columns, 0.0), nothing, 0.0, levels)
    alone = {name: explained(name) for name in columns}
    both = {(a, b): max(0.0, explained(a, b) - alone[a] - alone[b]) for a, b in combinations(columns, 2)}
    rest = max(0.0, total - sum(alone.values()) - sum(both.values()))
    return Variation(
        {name: part / total for name, part in alone.items()},
        {pair: part / total for pair, part in both.items()},
        rest / total,
        levels,
    )
