"""Search in one state of a collection's vectors: the index, the rows added since it was built, and without rows that have a tombstone."""

import errno
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from core.collections import ann_index, filtered_search
from core.collections.state import State
from core.collections.vector_file import VectorFile
from core.errors import CollectionError
from core.exact_index import Index, prepared
from core.metrics import get_metric

# If a filter leaves so few rows, all of them are compared: no slower than an index, and exact.
_FEW = 20_000
_LATE_BYTES = 300_000_000


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Rows 0 to ``state.rows`` of the vectors, without those that have a tombstone.

    index : of the first rows; None if there is none, or it can't be read.
    """

    state: State
    vectors: VectorFile
    tombstones: np.ndarray
    index: ann_index.Ann | None

    @classmethod
    def open(cls, folder: Path, state: State, vectors: VectorFile, tombstones: np.ndarray) -> "Snapshot":
        """Raises DamagedIndexError, or FileNotFoundError if a writer replaced a file in the meantime."""
        if state.rows and vectors.rows() < state.rows:
            if not vectors.path.exists():
                raise FileNotFoundError(errno.ENOENT, "No such file", str(vectors.path))
            vectors.require(state.rows)
        index = ann_index.Ann(folder, state.index, state.metric) if state.index else None
        return cls(state, vectors, tombstones, index)

    def nearest(
        self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None, effort: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest vectors of each query.

        Parameters
        ----------
        queries : (n_queries, dimensions) numbers.
        k : the number of neighbors.
        allowed : (n,) rows to search, ascending; default: all.
        effort : see :meth:`ann_index.Ann.search`.

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
        metric = get_metric(self.state.metric)
        queries = prepared(queries, metric)
        if allowed is not None and (self.index is None or len(allowed) <= _FEW):
            return ann_index.exact(self.stored, queries, k, metric, allowed)
        k = min(k, self.state.rows - len(self.tombstones) if allowed is None else len(allowed))
        if k == 0:
            return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        rows, distances = self._indexed(queries, k, allowed, effort)
        if len(self._late_rows):
            rows, distances = self._with_late(queries, rows, distances, k, allowed)
        if (rows < 0).any():
            # An approximate index did not reach enough rows.
            short = (rows < 0).any(axis=1)
            rows[short], distances[short] = ann_index.exact(
                self.stored, queries[short], k, metric, self.rows if allowed is None else allowed
            )
        return rows, distances

    def _indexed(
        self, queries: np.ndarray, k: int, allowed: np.ndarray | None, effort: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.index is None:
            nothing = np.full((len(queries), k), -1, np.int64)
            return nothing, np.full((len(queries), k), np.inf, np.float32)
        known = self.index.known
        if allowed is None:
            mask = self._mask
        else:
            mask = np.zeros(known.rows, bool)
            mask[allowed[allowed < known.rows]] = True
        if mask is not None:
            return filtered_search.nearest(self.index, self.stored, queries, k, mask, effort)
        if not known.compressed:
            return self.index.search(queries, k, None, effort)
        rows, _ = self.index.search(queries, min(k * ann_index.RERANK, known.rows), None, effort)
        metric = get_metric(self.state.metric)
        return ann_index.rerank(self.stored, queries, rows, k, metric)

    def _with_late(
        self, queries: np.ndarray, rows: np.ndarray, distances: np.ndarray, k: int, allowed: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best of the neighbors from the index and of the rows added after it was built."""
        if allowed is None and self._late is not None:
            places, found = self._late.search(queries, k)
            late = self._late_rows[places]
        else:
            rows_after = self._late_rows
            if allowed is not None:
                rows_after = rows_after[np.isin(rows_after, allowed)]
            metric = get_metric(self.state.metric)
            late, found = ann_index.exact(self.stored, queries, k, metric, rows_after)
        rows, distances = np.concatenate([rows, late], 1), np.concatenate([distances, found], 1)
        order = np.argsort(np.where(rows < 0, np.inf, distances), axis=1, kind="stable")[:, :k]
        return np.take_along_axis(rows, order, 1), np.take_along_axis(distances, order, 1)

    @cached_property
    def stored(self) -> np.ndarray:
        """The vectors (rows, dimensions), read from the disk when they are used."""
        return self.vectors.map(self.state.rows)

    @property
    def rows(self) -> np.ndarray:
        """Rows (n,) int64 that have no tombstone, ascending."""
        return np.setdiff1d(np.arange(self.state.rows), self.tombstones)

    @cached_property
    def _mask(self) -> np.ndarray | None:
        assert self.index is not None
        skipped = self.tombstones[self.tombstones < self.index.known.rows]
        if not len(skipped):
            return None
        mask = np.ones(self.index.known.rows, bool)
        mask[skipped] = False
        return mask

    @cached_property
    def _late_rows(self) -> np.ndarray:
        """Rows added after the index was built."""
        start = self.index.known.rows if self.index else 0
        return np.setdiff1d(np.arange(start, self.state.rows), self.tombstones)

    @cached_property
    def _late(self) -> Index | None:
        """An exact index of them, if it is small enough for memory."""
        if len(self._late_rows) * self.vectors.dimensions * 4 > _LATE_BYTES:
            return None
        return Index(self.stored[self._late_rows], self.state.metric)
