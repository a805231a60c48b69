"""One state of a collection's vectors, searched: index, rows added since it was made, and rows that count no more."""

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

# Where a filter leaves so few rows, all of them are looked at: no slower than an index, and exact.
_FEW = 20_000
_LATE_BYTES = 300_000_000


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Rows 0 to ``state.rows`` of the vectors, without those that have a tombstone.

    index : of the first rows; None where there is none, or none that can be read.
    """

    state: State
    vectors: VectorFile
    tombstones: np.ndarray
    index: ann_index.Ann | None

    @classmethod
    def open(cls, folder: Path, state: State, vectors: VectorFile, tombstones: np.ndarray) -> "Snapshot":
        """Raises DamagedIndexError, or FileNotFoundError when a writer has replaced a file meanwhile."""
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
        k : how many.
        allowed : (n,) rows that may be found, ascending; all when not given.
        effort : see :meth:`ann.Ann.search`.

        Returns
        -------
        rows : (n_queries, m) int64, nearest first, with m the smaller of k and what there is.
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
        there = self.state.rows - len(self.tombstones) if allowed is None else len(allowed)
        k = min(k, there)
        if k == 0:
            return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        rows, distances = self._indexed(queries, k, allowed, effort)
        if len(self._late_rows):
            rows, distances = self._with_late(queries, rows, distances, k, allowed)
        if (rows < 0).any():
            # An approximate index did not reach as many as there are.
            short = (rows < 0).any(axis=1)
            rows[short], distances[short] = ann_index.exact(
                self.stored, queries[short], k, metric, self._rows(allowed)
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
        """The best of what the index found and of the rows that came after it."""
        if allowed is None and self._late is not None:
            places, found = self._late.search(queries, k)
            late = self._late_rows[places]
        else:
            there = self._late_rows
            there = there if allowed is None else there[np.isin(there, allowed)]
            metric = get_metric(self.state.metric)
            late, found = ann_index.exact(self.stored, queries, k, metric, there)
        rows, distances = np.concatenate([rows, late], 1), np.concatenate([distances, found], 1)
        order = np.argsort(np.where(rows < 0, np.inf, distances), axis=1, kind="stable")[:, :k]
        return np.take_along_axis(rows, order, 1), np.take_along_axis(distances, order, 1)

    @cached_property
    def stored(self) -> np.ndarray:
        """(rows, dimensions), read from the disk as they are used."""
        return self.vectors.map(self.state.rows)

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
        """Rows that came after the index."""
        start = self.index.known.rows if self.index else 0
        return np.setdiff1d(np.arange(start, self.state.rows), self.tombstones)

    @cached_property
    def _late(self) -> Index | None:
        """An exact index of them, where it fits into memory with ease."""
        if len(self._late_rows) * self.vectors.dimensions * 4 > _LATE_BYTES:
            return None
        return Index(self.stored[self._late_rows], self.state.metric)

    def _rows(self, allowed: np.ndarray | None) -> np.ndarray:
        return np.setdiff1d(np.arange(self.state.rows), self.tombstones) if allowed is None else allowed
