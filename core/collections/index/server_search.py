"""Search in an index that a server has: it returns candidates, which are compared again with the stored vectors.

So distances and their order are the same with every engine, whatever a server rounds.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from core.collections.index import exact_search
from core.collections.index.index_engine import Engine
from core.collections.index.index_record import ServerIndex
from core.collections.snapshot import Snapshot, Where, rows_of
from core.exact_index import prepared
from core.metrics import Metric

# If a filter leaves so few rows, all of them are compared here: no slower than the server, and exact.
FEW = 20_000
# Candidates beyond k, since a server may compare rounded vectors.
_SPARE = 10
# How many candidates are asked for at most, to find those among them that are in a list of allowed rows.
_DEEPEST = 5_000
# So many times the neighbors that would be enough if the allowed rows were spread evenly.
_MARGIN = 2
_TUNING_QUERIES = 100
REBUILD = "`playground collection optimize` builds a new one from the stored vectors."


def differences(found: np.ndarray, used: np.ndarray) -> Iterator[str]:
    """A message for the rows that an index lacks, and for those that it has besides the rows in use."""
    if missing := len(np.setdiff1d(used, found)):
        yield f"The index lacks {missing:,} vectors. {REBUILD}"
    if extra := len(np.setdiff1d(found, used)):
        yield f"The index has {extra:,} vectors that no image uses. {REBUILD}"


def tuned_effort(
    efforts: Sequence[int],
    stored: np.ndarray,
    used: np.ndarray,
    metric: Metric,
    search: Callable[[np.ndarray, int, int], list[np.ndarray]],
) -> int:
    """The least effort that reaches the recall goal for a sample of the rows in use.

    Parameters
    ----------
    search : takes prepared queries, k and an effort, and returns the rows for each query.
    """
    queries = used[exact_search.sample_rows(len(used), _TUNING_QUERIES)]
    asked, k = prepared(stored[queries], metric), min(10, len(used) - 1)
    exact, _ = exact_search.exact(stored, asked, k + 1, metric, used)
    truth = exact_search.without_self(exact, queries, k)

    def recall_at(effort: int) -> float:
        found = search(asked, k + 1, effort)
        others = (rows[rows != query][:k] for query, rows in zip(queries, found, strict=True))
        return exact_search.recall(others, truth)

    return exact_search.least_effort(efforts, recall_at)


@dataclass(frozen=True, eq=False)
class ServerSnapshot(Snapshot):
    """An index of a server."""

    index: ServerIndex
    engine: Engine

    @contextmanager
    def connection(self, where: Where | None) -> Iterator[sa.Connection]:
        """The transaction of the conditions, or one to read the catalog."""
        if where is not None:
            yield where.connection
            return
        with self.engine.catalog.reading() as connection:
            yield connection

    @abstractmethod
    def candidates(self, queries: np.ndarray, k: int, where: Where | None, effort: int) -> list[np.ndarray]:
        """For each query the rows of about k nearest vectors in use that meet all conditions; fewer if the index does not find more.

        Parameters
        ----------
        queries : prepared for the metric.
        where : default: no condition.

        Raises
        ------
        ReplacedIndexError : a writer has replaced the index.
        CollectionError : the server can't be reached.
        """

    def _nearest(
        self, queries: np.ndarray, k: int, allowed: np.ndarray | Where | None, effort: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        effort = effort or self.index.effort
        where = allowed if isinstance(allowed, Where) else None
        rows = allowed if isinstance(allowed, np.ndarray) else None
        if where is not None and where.expressions:
            rows = where.few(max(FEW, k))
        if rows is not None and len(rows) <= FEW:
            return exact_search.exact(self.stored, queries, k, self.metric, rows)
        if rows is not None:
            found, wanted = self._among(queries, k, rows, effort), min(k, len(rows))
        else:
            found = self.candidates(queries, k + _SPARE, where, effort)
            conditional = where is not None and where.expressions
            # More than k rows meet the conditions.
            wanted = k if conditional else min(k, self.state.rows - len(self.tombstones))
        best_rows = np.full((len(queries), wanted), -1, np.int64)
        best = np.full((len(queries), wanted), np.inf, np.float32)
        for place, candidates in enumerate(found):
            if len(candidates) < wanted:
                # The index did not reach enough rows.
                every = rows_of(allowed)
                candidates = self.rows if every is None else every
            query = queries[place : place + 1]
            best_rows[place], best[place] = exact_search.exact(
                self.stored, query, wanted, self.metric, candidates
            )
        return best_rows, best

    def _among(self, queries: np.ndarray, k: int, allowed: np.ndarray, effort: int) -> list[np.ndarray]:
        """Candidates among many allowed rows; none where too few of the nearest are allowed."""
        depth = math.ceil(_MARGIN * (k + _SPARE) * self.state.rows / len(allowed))
        if depth > _DEEPEST:
            return [np.empty(0, np.int64)] * len(queries)
        found = self.candidates(queries, depth, None, effort)
        mask = np.zeros(self.state.rows, bool)
        mask[allowed] = True
        return [rows[mask[rows]] for rows in found]
