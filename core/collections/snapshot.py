"""Search in one state of a collection's vectors, without rows that have a tombstone."""

import errno
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import sqlalchemy as sa

from core.collections import catalog
from core.collections.filters import Filter
from core.collections.index import exact_search
from core.collections.state import State
from core.collections.vector_file import VectorFile
from core.errors import CollectionError
from core.exact_index import Index, prepared
from core.metrics import Metric, get_metric

_LOOSE_BYTES = 300_000_000


@dataclass(frozen=True, eq=False)
class Where:
    """Which rows a search may return: those of stored images that meet all conditions, in a transaction of the catalog.

    filter : conditions, none for all rows.
    """

    connection: sa.Connection
    filter: Filter = field(default_factory=Filter)

    @property
    def expressions(self) -> tuple[sa.ColumnElement[bool], ...]:
        """The conditions as SQL."""
        return self.filter.expressions

    @cached_property
    def matching(self) -> np.ndarray:
        """The rows (n,) int64 of the vector file, ascending."""
        return catalog.matching_rows(self.connection, self.expressions)

    @property
    def found(self) -> np.ndarray | None:
        """The rows, if they were asked for."""
        return self.__dict__.get("matching")

    def few(self, most: int) -> np.ndarray | None:
        """The rows, or None if there are more than so many."""
        if self.found is None:
            rows = catalog.matching_rows(self.connection, self.expressions, most + 1)
            if len(rows) > most:
                return None
            self.__dict__["matching"] = rows
        return self.matching if len(self.matching) <= most else None


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Rows 0 to ``state.rows`` of the vectors, without those that have a tombstone.

    This one has no index and compares every vector; each index engine has a subclass.

    Raises
    ------
    FileNotFoundError : a writer replaced the file of vectors in the meantime.
    CollectionError : the file is too short.
    """

    state: State
    vectors: VectorFile
    tombstones: np.ndarray

    def __post_init__(self) -> None:
        if self.state.rows and self.vectors.rows() < self.state.rows:
            if not self.vectors.path.exists():
                raise FileNotFoundError(errno.ENOENT, "No such file", str(self.vectors.path))
            self.vectors.require(self.state.rows)

    def nearest(
        self,
        queries: np.ndarray,
        k: int,
        allowed: np.ndarray | Where | None = None,
        effort: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest vectors of each query.

        Parameters
        ----------
        queries : (n_queries, dimensions) numbers.
        k : the number of neighbors.
        allowed : (n,) rows to search, ascending, or conditions; default: all.
        effort : of the index, where it has one: ``nprobe`` or ``efSearch``; default: that of the tuned index.

        Returns
        -------
        rows : (n_queries, m) int64, nearest first, with m the smaller of k and the number of rows.
        distances : (n_queries, m) float32, as ``core.metrics`` defines them.

        Raises
        ------
        CollectionError : queries of another length than the vectors.
        """
        if queries.ndim != 2 or queries.shape[1] != self.vectors.dimensions:
            raise CollectionError(
                f"The query has {queries.shape[-1]} numbers, the collection's vectors have {self.vectors.dimensions}."
            )
        return self._nearest(prepared(queries, self.metric), k, allowed, effort)

    def _nearest(
        self, queries: np.ndarray, k: int, allowed: np.ndarray | Where | None, effort: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        return self._exact(queries, k, rows_of(allowed))

    def _exact(
        self, queries: np.ndarray, k: int, allowed: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest of the allowed rows that no index holds, by comparing all of them."""
        if allowed is None and self._loose is not None:
            places, distances = self._loose.search(queries, k)
            return self._loose_rows[places], distances
        rows = self._loose_rows if allowed is None else np.intersect1d(self._loose_rows, allowed)
        return exact_search.exact(self.stored, queries, k, self.metric, rows)

    @cached_property
    def _loose_rows(self) -> np.ndarray:
        """The rows that no index holds."""
        return self.rows

    @cached_property
    def _loose(self) -> Index | None:
        """An exact index of them, if it is small enough for memory."""
        size = len(self._loose_rows)
        if not 0 < size * self.vectors.dimensions * 4 <= _LOOSE_BYTES:
            return None
        return Index(self.stored[self._loose_rows], self.state.metric)

    @property
    def metric(self) -> Metric:
        """The distance."""
        return get_metric(self.state.metric)

    @cached_property
    def stored(self) -> np.ndarray:
        """The vectors (rows, dimensions), read from the disk when they are used."""
        return self.vectors.map(self.state.rows)

    @property
    def rows(self) -> np.ndarray:
        """Rows (n,) int64 that have no tombstone, ascending."""
        return np.setdiff1d(np.arange(self.state.rows), self.tombstones)


def rows_of(allowed: np.ndarray | Where | None) -> np.ndarray | None:
    """Allowed rows, None for all."""
    if not isinstance(allowed, Where):
        return allowed
    return allowed.matching if allowed.expressions else None
