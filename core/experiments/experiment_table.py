"""All experiments of a dataset at one k, ready to be compared by one measure; read and computed once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np

from core.cache import Shared
from core.errors import GridError
from core.evaluation import comparison, decision, rankings, scoring, uncertainty
from core.evaluation import ties as ties_
from core.evaluation.decision import Decision
from core.evaluation.measured import Measured
from core.evaluation.measures import MEASURES, SCORE, Measure, Results
from core.evaluation.rankings import Neighbors
from core.evaluation.ties import Ties
from core.evaluation.uncertainty import Difference
from core.experiments.machine_costs import Measured as MachineCosts
from core.experiments.store import Configuration, DatasetGrid, Key, LayerRun, Summary
from core.models.weights import UNTRAINED

COSTS = ("time", "parameters", "size")
# Only the images that all experiments have are compared. An experiment with fewer than this share of them is left out.
_ENOUGH = 0.5

_tables, _stacks, _lists = Shared(12), Shared(4), Shared(64)


@dataclass(frozen=True)
class ExperimentTable:
    """Experiments side by side: row i of every array belongs to ``experiments[i]``.

    measure : by which they are compared; gallery : (m,) ids of the images that all experiments have; queries : (n,) those that the values are of, all or
    half of them; chosen_on : (experiments,) mean values of the other half, by which the best is chosen, None where it is all; ids, same : (experiments, n, top)
    the whole result lists, -1 beyond the end of shorter ones;
    scores : (experiments, n) values of the measure, 0..100; stored : by the measures that are stored, those of each experiment or None; costs : by name of
    :data:`COSTS`, (experiments,): milliseconds per image, parameters up to the layer, bytes per vector, not a number where unknown.
    notices : a sentence for each thing that is left out.
    """

    k: int
    measure: Measure
    experiments: tuple[Summary, ...]
    gallery: np.ndarray
    queries: np.ndarray
    chosen_on: np.ndarray | None
    ids: np.ndarray
    same: np.ndarray
    ties: Mapping[int, Ties]
    scores: np.ndarray
    stored: Mapping[str, Sequence[Measured | None]] = field(repr=False)
    costs: Mapping[str, np.ndarray]
    labels: tuple[str, ...]
    notices: tuple[str, ...]

    @property
    def known_costs(self) -> list[str]:
        """The costs that some experiment has."""
        return [kind for kind in COSTS if np.isfinite(self.costs[kind]).any()]

    @cached_property
    def means(self) -> np.ndarray:
        """(experiments,) mean value of the measure."""
        return np.asarray(self.scores.mean(axis=1))

    @cached_property
    def best(self) -> int:
        """Place of the highest mean, on the half to choose on where there is one; of equals the smallest vector."""
        quality = self.means if self.chosen_on is None else self.chosen_on
        return int(comparison.best_first(quality, self.costs["size"])[0])

    @cached_property
    def order(self) -> np.ndarray:
        """Places of the experiments, best first."""
        return comparison.best_first(self.means, self.costs["size"])

    @cached_property
    def _codes(self) -> np.ndarray:
        return scoring.class_codes(self.labels)

    @cached_property
    def contributed(self) -> np.ndarray:
        """(experiments, images) what each image adds to the error of each mean, as :func:`core.evaluation.uncertainty.contributions` has it."""
        if not self.measure.stored:
            return self.measure.contributions(self._results, self.k)
        return np.array([100.0 * one.contributed for one in self._measured])

    @cached_property
    def intervals(self) -> tuple[np.ndarray, np.ndarray]:
        """(experiments,) low and high end of the 95% interval of the mean."""
        return uncertainty.interval(self.means, self.contributed, self._codes, highest=100.0)

    @cached_property
    def certainty(self) -> uncertainty.BestOfMany:
        """How certain it is that the best is the best."""
        return uncertainty.compare_with_best(self.scores, self.contributed, self.best, self.unit)

    def decide(self, within: np.ndarray, cost: np.ndarray) -> Decision | None:
        """The decision among those within some limits, as :func:`core.evaluation.decision.decide`."""
        quality = self.means if self.chosen_on is None else self.chosen_on
        return decision.decide(quality, self.scores, self.contributed, cost, within, self.unit)

    def front_probability(self, kind: str) -> np.ndarray:
        """(experiments,) how often each is on the Pareto front of the measure and one of the costs."""
        return uncertainty.front_probability(self.means, self.contributed, self.costs[kind])

    def difference(self, a: int, b: int) -> Difference:
        """How much higher the mean of one experiment is than that of another."""
        between = self.contributed[a] - self.contributed[b]
        return uncertainty.difference(self.scores[a], self.scores[b], between, self._codes, self.unit)

    @cached_property
    def quality(self) -> Mapping[str, np.ndarray]:
        """(experiments,) mean value of every measure that some experiment has, 0..100, by its name; not a number where it was not measured."""
        found = {}
        for name, one in MEASURES.items():
            if not one.stored:
                found[name] = one.values(self._results, self.k).mean(axis=1)
            elif any(self.stored[name]):
                means = [
                    np.nan if m is None else 100.0 * m.values[self.queries].mean(dtype=np.float64)
                    for m in self.stored[name]
                ]
                found[name] = np.array(means)
        return found

    def class_interval(self, place: int, label: str) -> tuple[float, float]:
        """Low and high end of the 95% interval of an experiment's mean over one class, which has queries."""
        asked = np.array([self.labels[query] == label for query in self.queries])
        mean = np.array([self.scores[place, asked].mean()])
        if self.measure.stored:
            code = self._codes[self.queries[asked][0]]
            # Squared and added up they are the variance of the mean.
            found = np.array([[100.0 * self._measured[place].class_errors[code]]])
        else:
            found = self.measure.contributions(self._results.of(place), self.k, asked)
        low, high = uncertainty.interval(mean, found, self._codes, highest=100.0)
        return float(low[0]), float(high[0])

    @property
    def _measured(self) -> list[Measured]:
        """What is stored of each experiment, where the measure is."""
        found = [one for one in self.stored[self.measure.name] if one is not None]
        assert len(found) == len(self.experiments)
        return found

    @property
    def unit(self) -> float:
        """What all values are multiples of, or as good as."""
        return self.measure.unit(self.k, tied=bool(self.ties))

    @cached_property
    def _results(self) -> Results:
        return Results(self.queries, self.ids, self.same, self._codes, self._relevant, self.ties)

    @cached_property
    def average_precision(self) -> np.ndarray:
        """(experiments,) mean average precision at k, 0..1."""
        found = comparison.average_precision(self.same, self.k, self._relevant, self.ties)
        return np.asarray(found.mean(axis=1))

    @cached_property
    def saturated(self) -> frozenset[int]:
        """Places of the experiments whose distances do not separate the images."""
        return frozenset(place for place, tied in self.ties.items() if tied.saturated(self.k))

    @cached_property
    def tied(self) -> np.ndarray:
        """(experiments,) share of the queries for which a tie decides which images are among the first k."""
        shares = np.zeros(len(self.experiments))
        for place, tied in self.ties.items():
            shares[place] = tied.undecided(self.k)
        return shares

    @cached_property
    def n_unknown_ties(self) -> int:
        """How many experiments have scores that depend on ties that are not stored."""
        return sum(tied.n_unknown(self.k) > 0 for tied in self.ties.values())

    @cached_property
    def attainable(self) -> float:
        """The highest mean that an experiment can have: below 100 where classes are smaller than k + 1, or for recall where they are larger."""
        return self.measure.attainable(self._relevant, self.k)

    @cached_property
    def _relevant(self) -> np.ndarray:
        relevant = scoring.count_relevant(self.gallery, self.labels)
        return relevant[np.isin(self.gallery, self.queries)]

    @cached_property
    def hubness(self) -> np.ndarray:
        """(experiments,) skewness of how often each image is among the neighbors of others."""
        counts = rankings.k_occurrence(self.ids[:, :, : self.k], len(self.labels))
        return rankings.skewness(counts[:, self.gallery])

    def place(self, configuration: Configuration) -> int | None:
        """The row of a configuration; None when it is not among those compared."""
        return self._places.get(configuration)

    @cached_property
    def _places(self) -> dict[Configuration, int]:
        return {one.configuration: place for place, one in enumerate(self.experiments)}


def load(
    grid: DatasetGrid,
    k: int,
    untrained: bool,
    halves: bool = False,
    measured: MachineCosts | None = None,
    by: str = SCORE,
) -> ExperimentTable | None:
    """The experiments of a dataset with lists of at least k; None when none can be read, or none has the measure.

    Parameters
    ----------
    untrained : with the untrained controls. A dataset that has nothing else shows them anyway.
    halves : choose the best on one half of the images, and compare on the other half. Measures that are stored can't be divided.
    measured : times of another machine than that of the experiments.
    by : the name of the measure.
    """
    trained = any(weights != UNTRAINED for _, weights in grid.runs)
    untrained = untrained or not trained
    halves = halves and not MEASURES[by].stored
    times = "" if measured is None else repr(measured.ms_per_image)
    key = (grid.key, k, untrained, halves, times, by)
    return _tables.get(key, lambda: _compare(grid, k, untrained, halves, measured, MEASURES[by]))


def known_measures(grid: DatasetGrid, untrained: bool) -> list[str]:
    """The measures that some experiment has."""
    runs = [run for key, run in grid.runs.items() if untrained or key[1] != UNTRAINED] or [
        *grid.runs.values()
    ]
    stored = set()
    for run in runs:
        try:
            stored |= set(run.measure_names)
        except GridError:
            # Its experiments are compared by all else.
            continue
    return [name for name, one in MEASURES.items() if not one.stored or name in stored]


def _compare(
    grid: DatasetGrid, k: int, untrained: bool, halves: bool, measured: MachineCosts | None, measure: Measure
) -> ExperimentTable | None:
    stacked = _stacks.get((grid.key, untrained), lambda: _stacked(grid, untrained))
    if stacked is None:
        return None
    summaries, lists, all_ties, stored, notices = stacked
    enough = np.flatnonzero(lists.lengths >= k)
    if len(enough) < len(summaries):
        short = len(summaries) - len(enough)
        notices = (
            *notices,
            f"{short} experiments hold fewer than {k} neighbors and are left out; a smaller k shows them.",
        )
    if measure.stored:
        there = np.array([stored[measure.name][place] is not None for place in enough], bool)
        if not there.all():
            notices = (*notices, _unmeasured(grid, measure, int((~there).sum())))
        enough = enough[there]
    if not len(enough) or not len(lists.queries):
        return None
    summaries = tuple(summaries[place] for place in enough)
    kept = {name: [some[place] for place in enough] for name, some in stored.items()}
    ids = lists.ids[enough]
    labels, codes = grid.dataset.labels, scoring.class_codes(grid.dataset.labels)
    same = scoring.same_label(lists.queries, ids, labels)
    ties = {place: all_ties[old] for place, old in enumerate(enough.tolist()) if old in all_ties}
    if measure.stored:
        rows = [one.values[lists.queries] for one in kept[measure.name] if one is not None]
        scores = 100.0 * np.array(rows, np.float64)
    else:
        relevant = scoring.count_relevant(lists.queries, labels)
        scores = measure.values(Results(lists.queries, ids, same, codes, relevant, ties), k)
    queries, chosen_on = lists.queries, None
    if halves and len(queries) > 1:
        first = uncertainty.halves(codes[queries])
        chosen_on = scores[:, first].mean(axis=1)
        queries, ids, same, scores = queries[~first], ids[:, ~first], same[:, ~first], scores[:, ~first]
        ties = {place: tied.rows(~first) for place, tied in ties.items()}
    layers = [grid.run(one).about.layer(one.layer) for one in summaries]
    table = ExperimentTable(
        k=k,
        measure=measure,
        experiments=summaries,
        gallery=lists.queries,
        queries=queries,
        chosen_on=chosen_on,
        ids=ids,
        same=same,
        ties=ties,
        scores=scores,
        stored=kept,
        costs={
            "time": _times(summaries, layers, measured),
            # Of vectors that were computed elsewhere they are not known.
            "parameters": np.array([float(one.parameters) or np.nan for one in layers]),
            "size": np.array([float(comparison.BYTES_PER_NUMBER * one.dimensions) for one in summaries]),
        },
        labels=tuple(labels),
        notices=notices,
    )
    for array in (ids, same, table.scores, *table.costs.values()):
        array.flags.writeable = False
    return table


def _unmeasured(grid: DatasetGrid, measure: Measure, n: int) -> str:
    return (
        f"{n} experiments have no {measure.label} and are left out; "
        f"playground grid measures --dataset {grid.dataset.name} computes it where the weights are on this machine."
    )


def _times(
    summaries: Sequence[Summary], layers: Sequence[LayerRun], measured: MachineCosts | None
) -> np.ndarray:
    """(experiments,) milliseconds per image, not a number where they were not measured."""
    found: list[float | None] = [one.ms_per_image for one in layers]
    if measured is not None:
        found = [measured.ms_per_image.get(one.model, {}).get(one.layer) for one in summaries]
    return np.array([np.nan if ms is None else ms for ms in found])


def _stacked(
    grid: DatasetGrid, untrained: bool
) -> (
    tuple[
        tuple[Summary, ...],
        comparison.Lists,
        dict[int, Ties],
        dict[str, list[Measured | None]],
        tuple[str, ...],
    ]
    | None
):
    """The result lists of all experiments, whatever k, the ties in them, what is stored of each, and a sentence for each thing that is missing."""
    read, notices = [], []
    stored: dict[tuple[str, str], dict[str, Mapping[Key, Measured]]] = {}
    for run in grid.runs:
        if untrained or run[1] != UNTRAINED:
            found, stored[run], failed = _lists.get((grid.key, run), partial(_read, grid, run))
            read += found
            notices += failed
    if not read:
        return None
    most = max(len(found.queries) for _, found, _ in read)
    notices += dict.fromkeys(
        f"{one.model}.{one.weights}/{one.layer} has only {len(found.queries)} of {most} images and is not compared."
        for one, found, _ in read
        if len(found.queries) < _ENOUGH * most
    )
    read = [one for one in read if len(one[1].queries) >= _ENOUGH * most]
    lists = comparison.stack([found for _, found, _ in read])
    ties = {
        place: tied.rows(comparison.rows_of(found.queries, lists.queries))
        for place, (_, found, tied) in enumerate(read)
        if tied is not None
    }
    missing = max(len(found.queries) for _, found, _ in read) - len(lists.queries)
    if missing:
        notices.append(
            f"{missing} images are missing from some experiments; only the other {len(lists.queries)} are compared."
        )
    summaries = tuple(summary for summary, *_ in read)
    measures = {
        name: [
            stored[one.model, one.weights].get(name, {}).get((one.layer, one.pooling, one.metric))
            for one in summaries
        ]
        for name, measure in MEASURES.items()
        if measure.stored
    }
    return summaries, lists, ties, measures, tuple(notices)


def _read(
    grid: DatasetGrid, run: tuple[str, str]
) -> tuple[list[tuple[Summary, Neighbors, Ties | None]], dict[str, Mapping[Key, Measured]], list[str]]:
    """The result lists of a model with their ties, its stored measures by name, and a sentence for each thing that can't be read."""
    stored, found, failed, labels = grid.runs[run], [], [], grid.dataset.labels
    codes = scoring.class_codes(labels)
    for one in stored.summaries:
        try:
            lists = stored.neighbors(one.layer, one.pooling, one.metric)
        except GridError as error:
            failed.append(str(error))
        else:
            same = codes[lists.ids] == codes[lists.queries][:, None]
            tied = ties_.find(lists.distances, same, lists.beyond, codes[lists.queries])
            # Distances take as much memory as all the rest, and nothing else here needs them.
            found.append((one, Neighbors(lists.queries, lists.ids, None), tied))
    measures: dict[str, Mapping[Key, Measured]] = {}
    for name, measure in MEASURES.items():
        if measure.stored:
            try:
                measures[name] = grid.measures(*run, name)
            except GridError as error:
                failed.append(str(error))
    return found, measures, failed
