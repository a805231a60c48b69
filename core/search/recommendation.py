"""Which configuration to take, with what it costs to search under it. Every page, command and route that names one uses this."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core import planning
from core.cache import Shared
from core.evaluation import decision
from core.experiments import experiment_table
from core.experiments.experiment_table import ExperimentTable
from core.experiments.store import Configuration, DatasetGrid, Summary
from core.metrics import get_metric
from core.models.weights import UNTRAINED
from core.planning import Index

IMAGES = 10_000
"""How many images are to be searched, where nobody says."""
K = 10

_of_datasets = Shared(64)


@dataclass(frozen=True)
class Costs:
    """What every configuration costs with so many images.

    ms : (experiments,) of one query: the network, up to the layer, and the search in the index; not a number where it was not measured.
    indexes : the index that a collection of so many images gets; index_bytes : (experiments,) its size.
    """

    ms: np.ndarray
    indexes: tuple[Index, ...]
    index_bytes: np.ndarray

    @property
    def whole(self) -> np.ndarray:
        """(experiments,) time of a query times size of the index, by which configurations are ordered; the size alone where no time is known."""
        return self.index_bytes * self.ms if np.isfinite(self.ms).any() else self.index_bytes


@dataclass(frozen=True)
class Recommendation:
    """The configuration to take, and the one with the highest mean, which may be the same.

    taken_mean, best_mean : their mean scores, over the datasets; alike : how many can't be told from the best, itself among them.
    """

    taken: Configuration
    best: Configuration
    taken_mean: float
    best_mean: float
    alike: int


def costs(table: ExperimentTable, images: int = IMAGES) -> Costs:
    """What the experiments of a table cost with so many images."""
    indexes = tuple(
        planning.default_index(images, one.dimensions, get_metric(one.metric)) for one in table.experiments
    )
    return Costs(
        table.costs["time"] + np.array([one.query_ms for one in indexes]),
        indexes,
        np.array([float(one.bytes) for one in indexes]),
    )


def separating(table: ExperimentTable) -> np.ndarray:
    """(experiments,) bool: those whose distances separate the images. No others are taken."""
    within = np.ones(len(table.experiments), bool)
    within[list(table.saturated)] = False
    return within


def of_dataset(grid: DatasetGrid) -> Summary | None:
    """The experiment to take of all that are trained: what Home recommends while nothing is limited. None where none can be compared.

    Parameters
    ----------
    grid : a whole dataset, as :meth:`core.experiments.store.Grid.load` reads it.
    """

    def find() -> Summary | None:
        trained = [one for one in grid.summaries if one.weights != UNTRAINED]
        by_configuration = {one.configuration: one for one in trained or grid.summaries}
        found = recommend([grid], list(by_configuration))
        return by_configuration[found.taken] if found else None

    return _of_datasets.get(grid.key, find)


def recommend(grids: Sequence[DatasetGrid], among: Sequence[Configuration]) -> Recommendation | None:
    """The configuration to take by the mean score at k = 10, or as many neighbors as lists hold; over several datasets, each with the same weight.

    Parameters
    ----------
    grids : at least one; among : the configurations to choose from. Those that are not in all of the datasets, or do not separate the images of one, are
        passed over; None where no other is left.
    """
    tables: list[ExperimentTable] = []
    untrained = any(one.weights == UNTRAINED for one in among)
    for grid in grids:
        k = min(K, *(run.about.top for run in grid.runs.values())) if grid.runs else K
        table = experiment_table.load(grid, k, untrained)
        if table is None:
            return None
        tables.append(table)
    places = [[table.place(one) for table in tables] for one in among]
    there = [
        place
        for place, rows in enumerate(places)
        if all(
            row is not None and row not in table.saturated for row, table in zip(rows, tables, strict=True)
        )
    ]
    if not there:
        return None
    rows = np.array([places[place] for place in there], np.intp).T
    n_queries = sum(len(table.queries) for table in tables)
    # The mean over all queries is that of the means of the datasets.
    values = np.concatenate(
        [
            table.scores[own] * (n_queries / len(tables) / len(table.queries))
            for table, own in zip(tables, rows, strict=True)
        ],
        axis=1,
    )
    contributed = np.concatenate(
        [table.contributed[own] / np.float32(len(tables)) for table, own in zip(tables, rows, strict=True)],
        axis=1,
    )
    means = values.mean(axis=1)
    cost = costs(tables[0]).whole[rows[0]]
    found = decision.decide(
        means, values, contributed, cost, np.ones(len(means), bool), min(table.unit for table in tables)
    )
    if found is None:
        return None
    return Recommendation(
        among[there[found.taken]],
        among[there[found.best]],
        float(means[found.taken]),
        float(means[found.best]),
        len(found.alike),
    )
