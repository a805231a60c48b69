"""The measures by which configurations are compared, each with a value for every query from 0 to 100."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from core.evaluation import scoring, uncertainty, votes
from core.evaluation.linear_probe import PROBE
from core.evaluation.ties import Ties
from core.evaluation.whole_ranking import MAP, MRR

# Values of most measures are no multiples of anything; smaller differences than this count as none.
_FINE = 0.1


@dataclass(frozen=True)
class Results:
    """Result lists of some experiments over the same queries.

    queries : (n_queries,) ids; ids, same : (n_experiments, n_queries, top) the neighbors, below zero beyond the end of a list, and whether labels agree;
    codes : (n_items,) class number by id; relevant : (n_queries,) how many other images share each query's label; ties : of the experiments that have
    some, by place.
    """

    queries: np.ndarray
    ids: np.ndarray
    same: np.ndarray
    codes: np.ndarray
    relevant: np.ndarray
    ties: Mapping[int, Ties] = field(default_factory=dict)

    def of(self, place: int) -> "Results":
        """Those of one experiment."""
        ties = {0: self.ties[place]} if place in self.ties else {}
        some = slice(place, place + 1)
        return Results(self.queries, self.ids[some], self.same[some], self.codes, self.relevant, ties)


@dataclass(frozen=True)
class Measure:
    """A measure.

    name : in addresses and files; title : of the measure without k; label, noun : with k, in a table and in a sentence.
    gains : of sums over places, what a good neighbor at each of the first k places adds, (k,); scale : (n_queries,) a factor of each query's value.
    stored : it is computed with the experiments and not from their lists.
    """

    name: str
    title: str
    label: str
    noun: str
    gains: Callable[[int], np.ndarray] | None = None
    scale: Callable[[np.ndarray, int], np.ndarray] | None = None
    stored: bool = False

    def label_at(self, k: int) -> str:
        """The name of a column."""
        return self.label.format(k=k)

    def noun_at(self, k: int) -> str:
        """The measure in a sentence."""
        return self.noun.format(k=k)

    def unit(self, k: int, tied: bool) -> float:
        """What all values are multiples of, or as good as."""
        return scoring.unit(k, tied) if self.name == SCORE else _FINE

    @property
    def whole(self) -> float:
        """What values are divided by in files and tables of commands: scores go to 100, all others are shares."""
        return 1.0 if self.name == SCORE else 100.0

    def values(self, results: Results, k: int) -> np.ndarray:
        """The value of each query: (n_experiments, n_queries), 0..100; expectations where there are ties. Not for those that are stored."""
        if self.gains is None:
            return 100.0 * np.array([_votes(results.of(place), k) for place in range(len(results.ids))])
        gains = self.gains(k)
        found = results.same[..., : len(gains)] @ gains
        for place, tied in results.ties.items():
            found[place] = tied.chance[:, : len(gains)] @ gains
        return np.asarray(found if self.scale is None else found * self.scale(results.relevant, k))

    def contributions(self, results: Results, k: int, asked: np.ndarray | None = None) -> np.ndarray:
        """:func:`core.evaluation.uncertainty.contributions` of each experiment: (n_experiments, n_items). Not for those that are stored.

        Parameters
        ----------
        asked : (n_queries,) bool, the queries that the mean is over; all when not given.
        """
        queries, codes = results.queries, results.codes
        if self.gains is None:
            chosen = np.ones(len(queries), bool) if asked is None else asked
            return 100.0 * np.array(
                [
                    votes.contributions(queries, ids, codes, k, chosen, results.ties.get(place))
                    for place, ids in enumerate(results.ids)
                ]
            )
        scale = None if self.scale is None else self.scale(results.relevant, k)
        return uncertainty.contributions(
            queries, results.ids, results.same, codes, self.gains(k), scale, asked, results.ties
        )

    def attainable(self, relevant: np.ndarray, k: int) -> float:
        """The highest mean that there can be, 0..100: lower where classes are small, or for recall where they are large.

        Parameters
        ----------
        relevant : (n_queries,) how many other images share each query's label.
        """
        if self.gains is None:
            return 100.0
        sums = np.concatenate([[0.0], np.cumsum(self.gains(k))])
        highest = sums[np.minimum(relevant, len(sums) - 1)]
        return float((highest if self.scale is None else highest * self.scale(relevant, k)).mean())


SCORE, KNN = "score", "knn"

MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        one.name: one
        for one in (
            Measure(SCORE, "Score", "score@{k}", "mean score at k = {k}", scoring.gains),
            Measure(
                "precision", "Precision", "precision@{k}", "precision@{k}", lambda k: np.full(k, 100.0 / k)
            ),
            Measure(
                "recall",
                "Recall",
                "recall@{k}",
                "recall@{k}",
                lambda k: np.full(k, 100.0),
                lambda relevant, k: 1.0 / np.maximum(relevant, 1),
            ),
            Measure(
                "ndcg",
                "nDCG",
                "nDCG@{k}",
                "nDCG@{k}",
                lambda k: 100.0 * scoring.discounts(k),
                lambda relevant, k: 1.0 / scoring.ideal_gain(relevant, k),
            ),
            Measure(MAP, "mAP", "mAP", "mAP", stored=True),
            Measure(MRR, "MRR", "MRR", "MRR", stored=True),
            Measure("nearest", "1-NN accuracy", "precision@1", "1-NN accuracy", lambda k: np.full(1, 100.0)),
            Measure(KNN, "k-NN accuracy", "{k}-NN", "{k}-NN accuracy"),
            Measure(PROBE, "Linear probe", "linear probe", "accuracy of the linear probe", stored=True),
        )
    }
)


def _votes(results: Results, k: int) -> np.ndarray:
    """Whether the neighbors of one experiment name the class of each query: (n_queries,), 0..1."""
    ids, codes = results.ids[0], results.codes
    labels = np.where(ids < 0, -1, codes[ids])
    return votes.correct(labels, codes[results.queries], k, int(codes.max()) + 1, results.ties.get(0))
