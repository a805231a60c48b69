"""The scores of one configuration, query by query."""

from dataclasses import dataclass, field

import numpy as np

from core.cache import Shared, frozen
from core.errors import GridError
from core.evaluation import scoring, uncertainty
from core.evaluation import ties as ties_
from core.evaluation.calibration import Calibration, Pairs
from core.evaluation.measured import Measured
from core.evaluation.measures import MEASURES, SCORE, Measure, Results
from core.evaluation.ties import Ties
from core.experiments.store import Configuration, DatasetGrid, Summary

_evaluations = Shared(256)


@dataclass(frozen=True)
class Evaluation:
    """How good one configuration is, query by query.

    queries : (n,) ids; ids, distances, same : (n, top) the result lists and whether labels agree, distances None
    where they are not known; ties : the groups of equally distant neighbors, None where there are none;
    scores : (n,) 0..100, expectations where there are ties; mean, low, high : their mean with its 95% interval; attainable : (n,) the highest that each can be;
    codes : (n_items,) class number by id.
    """

    k: int
    queries: np.ndarray
    ids: np.ndarray
    distances: np.ndarray | None
    same: np.ndarray
    ties: Ties | None
    scores: np.ndarray
    mean: float
    low: float
    high: float
    attainable: np.ndarray
    codes: np.ndarray = field(repr=False)

    @property
    def saturated(self) -> bool:
        """Whether the distances do not separate the images."""
        return self.ties is not None and self.ties.saturated(self.k)

    @property
    def n_unknown_ties(self) -> int:
        """For how many queries it is not known how many images are as far as the last neighbor."""
        return 0 if self.ties is None else self.ties.n_unknown(self.k)

    def row(self, query: int) -> int | None:
        """The row of a query in the arrays; None when it was left out of the experiment."""
        place = int(np.searchsorted(self.queries, query))
        return place if place < len(self.queries) and self.queries[place] == query else None

    def standing(self, row: int) -> tuple[float, float]:
        """Shares of the other queries, 0..1, that score lower than this one, and that score the same."""
        others = max(1, len(self.scores) - 1)
        lower = int((self.scores < self.scores[row] - 1e-9).sum())
        higher = int((self.scores > self.scores[row] + 1e-9).sum())
        return lower / others, (len(self.scores) - 1 - lower - higher) / others

    def calibrations(self, row: int) -> tuple[Calibration, Calibration | None]:
        """How often images at a distance share the label of their query, over all queries but this one, and over those of its class.

        Returns
        -------
        all, own : the second is None where the class has no other query.

        Raises
        ------
        ValueError : no distances are known, or there is no other query.
        """
        if self.distances is None or len(self.queries) < 2:
            raise ValueError("No distances of other queries are known.")
        pairs = Pairs.of_lists(self.queries, self.ids, self.distances, self.same)
        others = pairs.without(self.queries[row : row + 1])
        own = others.where(self.codes[others.queries] == self.codes[self.queries[row]])
        return Calibration(others), Calibration(own) if len(own.same) else None


def evaluate(grid: DatasetGrid, configuration: Configuration | Summary, k: int) -> Evaluation:
    """The result lists of a configuration with their scores at k, or at the length of the lists if that is less.

    It is kept until the files of the grid change, and its arrays are read-only.

    Raises
    ------
    GridError : the experiment is missing or damaged.
    """
    place = (configuration.layer, configuration.pooling, configuration.metric)
    key = (grid.run(configuration).file("neighbors"), grid.dataset.fingerprint, place, k)
    return _evaluations.get(key, lambda: _evaluate(grid, configuration, k))


def _evaluate(grid: DatasetGrid, configuration: Configuration | Summary, k: int) -> Evaluation:
    lists, labels = grid.neighbors(configuration), grid.dataset.labels
    k = min(k, lists.ids.shape[1])
    same = scoring.same_label(lists.queries, lists.ids, labels)
    codes = scoring.class_codes(labels)
    ties = ties_.find(lists.distances, same, lists.beyond, codes[lists.queries])
    scores = scoring.score(same if ties is None else ties.chance, k)
    contributed = uncertainty.contributions(
        lists.queries, lists.ids[None], same[None], codes, scoring.gains(k), ties={0: ties} if ties else {}
    )[0]
    low, high = uncertainty.interval(scores.mean(), contributed, codes, highest=100.0)
    attainable = scoring.attainable_score(scoring.count_relevant(lists.queries, labels), k)
    return Evaluation(
        k=k,
        queries=lists.queries,
        ids=lists.ids,
        distances=lists.distances,
        same=frozen(same),
        ties=ties,
        scores=frozen(scores),
        mean=float(scores.mean()),
        low=float(low),
        high=float(high),
        attainable=frozen(attainable),
        codes=frozen(codes),
    )


@dataclass(frozen=True)
class Values:
    """A measure of one configuration, query by query.

    queries : (n,) ids; values : (n,) 0..100; results : the lists, which the values of most measures follow from; stored : the measure where they do not.
    """

    measure: Measure
    k: int
    queries: np.ndarray
    values: np.ndarray
    results: Results = field(repr=False)
    stored: Measured | None = field(repr=False)

    def contributed(self, asked: np.ndarray) -> np.ndarray:
        """(n_items,) what each image adds to the error of the mean over some queries (n,) bool; where the measure is stored, of all queries."""
        if self.stored is not None:
            return 100.0 * self.stored.contributed
        return np.asarray(self.measure.contributions(self.results, self.k, asked)[0])


def values(grid: DatasetGrid, configuration: Configuration | Summary, k: int, by: str = SCORE) -> Values:
    """A measure of a configuration at k, or at the length of its lists if that is less.

    Raises
    ------
    GridError : the experiment is missing or damaged, or it was not measured.
    """
    measure, found = MEASURES[by], evaluate(grid, configuration, k)
    labels = grid.dataset.labels
    relevant = scoring.count_relevant(found.queries, labels)
    ties = {0: found.ties} if found.ties else {}
    results = Results(found.queries, found.ids[None], found.same[None], found.codes, relevant, ties)
    if not measure.stored:
        return Values(measure, found.k, found.queries, measure.values(results, found.k)[0], results, None)
    of_model = grid.measures(configuration.model, configuration.weights, by)
    stored = of_model.get((configuration.layer, configuration.pooling, configuration.metric))
    if stored is None:
        raise GridError(
            f"{configuration.model}.{configuration.weights}/{configuration.layer} has no {measure.label}; "
            f"playground grid measures --dataset {grid.dataset.name} computes it where its weights are on this machine."
        )
    return Values(
        measure,
        found.k,
        found.queries,
        100.0 * stored.values[found.queries].astype(np.float64),
        results,
        stored,
    )


def difference(a: Values, b: Values) -> uncertainty.Difference:
    """How much better a is than b, over the queries that both have.

    Raises
    ------
    ValueError : the values are of other measures or at different k, or there is no common query.
    """
    if (a.measure, a.k) != (b.measure, b.k):
        raise ValueError(f"{a.measure.label_at(a.k)} and {b.measure.label_at(b.k)} can't be compared.")
    in_a, in_b = np.isin(a.queries, b.queries), np.isin(b.queries, a.queries)
    unit = a.measure.unit(a.k, tied=bool(a.results.ties or b.results.ties))
    contributed = a.contributed(in_a) - b.contributed(in_b)
    return uncertainty.difference(a.values[in_a], b.values[in_b], contributed, a.results.codes, unit)
