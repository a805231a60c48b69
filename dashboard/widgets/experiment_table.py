"""All experiments of a dataset at one k, ready to be compared; read and computed once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import streamlit as st

from core.errors import GridError
from core.evaluation import comparison, decision, rankings, scoring, uncertainty
from core.evaluation import ties as ties_
from core.evaluation.decision import Decision
from core.evaluation.rankings import Neighbors
from core.evaluation.ties import Ties
from core.evaluation.uncertainty import Difference
from core.experiments.machine_costs import Measured
from core.experiments.store import Configuration, DatasetGrid, LayerRun, Summary
from dashboard import url

COSTS = ("time", "parameters", "size")
# Only the images that all experiments have are compared. An experiment with fewer than this share of them is left out.
_ENOUGH = 0.5


@dataclass(frozen=True)
class ExperimentTable:
    """Experiments side by side: row i of every array belongs to ``experiments[i]``.

    gallery : (m,) ids of the images that all experiments have; queries : (n,) those that the scores are of, all or half of
    them; chosen_on : (experiments,) mean scores of the other half, by which the best is chosen, None where it is all; ids, same : (experiments, n, top) the whole
    result lists, -1 behind the end of shorter ones;
    scores : (experiments, n) 0..100; costs : by name of :data:`COSTS`, (experiments,): milliseconds
    per image, parameters up to the layer, bytes per vector, not a number where unknown.
    notices : a sentence for each thing that is left out.
    """

    k: int
    experiments: tuple[Summary, ...]
    gallery: np.ndarray
    queries: np.ndarray
    chosen_on: np.ndarray | None
    ids: np.ndarray
    same: np.ndarray
    ties: Mapping[int, Ties]
    scores: np.ndarray
    costs: Mapping[str, np.ndarray]
    labels: tuple[str, ...]
    notices: tuple[str, ...]

    @property
    def known_costs(self) -> list[str]:
        """The costs that some experiment has."""
        return [kind for kind in COSTS if np.isfinite(self.costs[kind]).any()]

    @cached_property
    def means(self) -> np.ndarray:
        """(experiments,) mean score."""
        return self.scores.mean(axis=1)

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
        return uncertainty.contributions(
            self.queries, self.ids, self.same, self._codes, scoring.gains(self.k), ties=self.ties
        )

    @cached_property
    def intervals(self) -> tuple[np.ndarray, np.ndarray]:
        """(experiments,) low and high end of the 95% interval of the mean."""
        return uncertainty.interval(self.means, self.contributed, self._codes, highest=100.0)

    @cached_property
    def certainty(self) -> uncertainty.BestOfMany:
        """How certain it is that the best is the best."""
        unit = scoring.unit(self.k, tied=bool(self.ties))
        return uncertainty.compare_with_best(self.scores, self.contributed, self.best, unit)

    def decide(self, within: np.ndarray, cost: np.ndarray) -> Decision | None:
        """The decision among those within some limits, as :func:`core.evaluation.decision.decide`."""
        quality = self.means if self.chosen_on is None else self.chosen_on
        unit = scoring.unit(self.k, tied=bool(self.ties))
        return decision.decide(quality, self.scores, self.contributed, cost, within, unit)

    def front_probability(self, kind: str) -> np.ndarray:
        """(experiments,) how often each is on the Pareto front of score and one of the costs."""
        return uncertainty.front_probability(self.means, self.contributed, self.costs[kind])

    def difference(self, a: int, b: int) -> Difference:
        """How much higher one experiment scores than another."""
        between = self.contributed[a] - self.contributed[b]
        unit = scoring.unit(self.k, tied=bool(self.ties))
        return uncertainty.difference(self.scores[a], self.scores[b], between, self._codes, unit)

    @cached_property
    def precision_1(self) -> np.ndarray:
        """(experiments,) share of queries whose nearest neighbor is good."""
        return comparison.scores(self.same, 1, self.ties).mean(axis=1) / 100.0

    @cached_property
    def recall(self) -> np.ndarray:
        """(experiments,) mean share of all images of the query's class that are among the first k, 0..1."""
        found = comparison.of_each(
            lambda same: scoring.recall_at_k(same, self.k, self._relevant), self.same, self.ties
        )
        return found.mean(axis=1)

    @cached_property
    def ndcg(self) -> np.ndarray:
        """(experiments,) mean normalized discounted cumulative gain at k, 0..1."""
        found = comparison.of_each(
            lambda same: scoring.ndcg_at_k(same, self.k, self._relevant), self.same, self.ties
        )
        return found.mean(axis=1)

    def class_interval(self, place: int, label: str) -> tuple[float, float]:
        """Low and high end of the 95% interval of an experiment's mean over one class, which has queries."""
        asked = np.array([self.labels[query] == label for query in self.queries])
        ties = {0: self.ties[place]} if place in self.ties else {}
        ids, same = self.ids[place : place + 1], self.same[place : place + 1]
        gains = scoring.gains(self.k)
        found = uncertainty.contributions(self.queries, ids, same, self._codes, gains, asked=asked, ties=ties)
        mean = self.scores[place, asked].mean()
        low, high = uncertainty.interval(np.array([mean]), found, self._codes, highest=100.0)
        return float(low[0]), float(high[0])

    @cached_property
    def average_precision(self) -> np.ndarray:
        """(experiments,) mean average precision at k, 0..1."""
        return comparison.average_precision(self.same, self.k, self._relevant, self.ties).mean(axis=1)

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
        """The highest mean score that an experiment can have: below 100 where classes are smaller than k + 1."""
        return float(scoring.attainable_score(self._relevant, self.k).mean())

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
    grid: DatasetGrid, k: int, untrained: bool, halves: bool = False, measured: Measured | None = None
) -> ExperimentTable | None:
    """The experiments of a dataset with lists of at least k; None when none can be read.

    Parameters
    ----------
    untrained : with the untrained controls. A dataset that has nothing else shows them anyway.
    halves : choose the best on one half of the images, and score the other half.
    measured : times of another machine than that of the experiments.
    """
    trained = any(weights != url.UNTRAINED for _, weights in grid.runs)
    times = "" if measured is None else repr(measured.ms_per_image)
    return _compare(grid.key, k, untrained or not trained, halves, times, grid, measured)


@st.cache_resource(show_spinner=False, max_entries=8)
def _compare(
    key: str,
    k: int,
    untrained: bool,
    halves: bool,
    times: str,
    _grid: DatasetGrid,
    _measured: Measured | None,
) -> ExperimentTable | None:
    stacked = _stacked(key, untrained, _grid)
    if stacked is None:
        return None
    summaries, lists, all_ties, notices = stacked
    enough = np.flatnonzero(lists.lengths >= k)
    if not len(enough) or not len(lists.queries):
        return None
    if len(enough) < len(summaries):
        short = len(summaries) - len(enough)
        notices = (
            *notices,
            f"{short} experiments hold fewer than {k} neighbors and are left out; a smaller k shows them.",
        )
    summaries = tuple(summaries[place] for place in enough)
    ids = lists.ids[enough]
    labels = _grid.dataset.labels
    same = scoring.same_label(lists.queries, ids, labels)
    ties = {place: all_ties[old] for place, old in enumerate(enough.tolist()) if old in all_ties}
    scores = comparison.scores(same, k, ties)
    queries, chosen_on = lists.queries, None
    if halves and len(queries) > 1:
        first = uncertainty.halves(scoring.class_codes(labels)[queries])
        chosen_on = scores[:, first].mean(axis=1)
        queries, ids, same, scores = queries[~first], ids[:, ~first], same[:, ~first], scores[:, ~first]
        ties = {place: tied.rows(~first) for place, tied in ties.items()}
    layers = [_grid.run(one).about.layer(one.layer) for one in summaries]
    table = ExperimentTable(
        k=k,
        experiments=summaries,
        gallery=lists.queries,
        queries=queries,
        chosen_on=chosen_on,
        ids=ids,
        same=same,
        ties=ties,
        scores=scores,
        costs={
            "time": _times(summaries, layers, _measured),
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


def _times(summaries: Sequence[Summary], layers: Sequence[LayerRun], measured: Measured | None) -> np.ndarray:
    """(experiments,) milliseconds per image, not a number where they were not measured."""
    found: list[float | None] = [one.ms_per_image for one in layers]
    if measured is not None:
        found = [measured.ms_per_image.get(one.model, {}).get(one.layer) for one in summaries]
    return np.array([np.nan if ms is None else ms for ms in found])


@st.cache_resource(show_spinner=False, max_entries=4)
def _stacked(
    key: str, untrained: bool, _grid: DatasetGrid
) -> tuple[tuple[Summary, ...], comparison.Lists, dict[int, Ties], tuple[str, ...]] | None:
    """The result lists of all experiments, whatever k, the ties in them, and a sentence for each thing that is missing."""
    read, notices = [], []
    for run in _grid.runs:
        if untrained or run[1] != url.UNTRAINED:
            found, failed = _read(key, run, _grid)
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
    return tuple(summary for summary, *_ in read), lists, ties, tuple(notices)


@st.cache_resource(show_spinner=False, max_entries=64)
def _read(
    key: str, run: tuple[str, str], _grid: DatasetGrid
) -> tuple[list[tuple[Summary, Neighbors, Ties | None]], list[str]]:
    """The result lists of a model with their ties, and a sentence for each experiment that can't be read."""
    stored, found, failed, labels = _grid.runs[run], [], [], _grid.dataset.labels
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
    return found, failed
