"""FAISS: an index file in the collection's folder, built from the first rows of the vector file. Later rows are compared one by one."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sqlalchemy as sa

from core import disk
from core.collections import catalog
from core.collections.catalog import Catalog
from core.collections.index import exact_search, faiss_file, faiss_scan, filtered_search, proven_search
from core.collections.index.faiss_file import Ann
from core.collections.index.index_engine import DamagedIndexError, Engine, Step
from core.collections.index.index_record import IndexFile
from core.collections.snapshot import Snapshot, Where, rows_of
from core.collections.state import About, State
from core.collections.vector_file import VectorFile
from core.metrics import Metric, get_metric

# If a filter leaves so few rows, all of them are compared: no slower than an index, and exact.
_FEW = 20_000
# A smaller index is rebuilt whenever rows are added: it takes less than a second.
_SMALL_BYTES = 64_000_000
# For a larger one, later rows are searched without it until they are this share of all rows; while more are being added,
# until they are so many and this share.
_LATE_SHARE, _LATE_ROWS_WHILE_ADDING, _LATE_SHARE_WHILE_ADDING = 0.05, 50_000, 0.25
# An index is trained again when there are so many times more rows than it was trained on.
_OUTGROWN = 4


class FaissEngine(Engine):
    """Index files of FAISS."""

    name = "faiss"
    description = "a file in the collection's folder; answers fastest on one machine"
    kinds = faiss_file.KINDS
    candidates = ("flat", "hnsw", "ivf", "ivfpq")

    @classmethod
    def is_local(cls, about: About) -> bool:
        return True

    @classmethod
    def check(cls, about: About, kind: str, metric: Metric) -> None:
        faiss_file.check(kind, about.dimensions, metric)

    def build(
        self,
        vectors: VectorFile,
        rows: int,
        metric: Metric,
        kind: str,
        step: Step = lambda n: None,
        old_rows: np.ndarray | None = None,
        described: Catalog | None = None,
    ) -> IndexFile:
        return faiss_file.build(self.folder, vectors, rows, metric, kind, step)

    def copy(self, source: Engine, state: State) -> IndexFile | None:
        # An index that the other one has not changed since it was copied from here is here already.
        known = state.index_file
        if known and not (self.folder / known.file).exists():
            disk.link(source.folder / known.file, self.folder / known.file)
        return known

    def grow(self, state: State, adding: bool, step: Step = lambda n: None) -> IndexFile | None:
        old, metric = state.index_file, get_metric(state.metric)
        if not self._is_due(state, adding):
            return None
        vectors = state.vectors(self.folder, self.about)
        wanted = faiss_file.factory(state.kind, state.rows, self.about.dimensions, metric)
        if (
            old is not None
            and _family(old.factory) == _family(wanted)
            and state.rows < _OUTGROWN * old.trained_rows
        ):
            with (
                catalog.storage_errors(),
                suppress(DamagedIndexError, FileNotFoundError),
            ):
                return faiss_file.extend(self.folder, old, vectors, state.rows, metric, step)
        return self.build(vectors, state.rows, metric, state.kind, step)

    def open(
        self, state: State, vectors: VectorFile, tombstones: np.ndarray, old: Snapshot | None = None
    ) -> Snapshot:
        known = state.index_file
        if known is None:
            return Snapshot(state, vectors, tombstones)
        if isinstance(old, FaissSnapshot) and (old.index.known, old.state.metric) == (known, state.metric):
            index = old.index
        else:
            index = Ann(self.folder, known, state.metric)
        return FaissSnapshot(state, vectors, tombstones, index)

    def size(self, connection: sa.Connection, state: State) -> tuple[int, int]:
        return (state.index_file.size, state.index_file.rows) if state.index_file else (0, 0)

    def verify(self, connection: sa.Connection, state: State) -> Iterator[str]:
        known = state.index_file
        if known is None:
            return
        try:
            faiss_file.inspect(self.folder / known.file, known, whole=True)
            Ann(self.folder, known, state.metric)
        except DamagedIndexError as error:
            yield f"{error} `playground collection optimize` builds a new one from the stored vectors."
        if known.rows > state.rows:
            yield f"The index has {known.rows:,} rows, the catalog {state.rows:,}."

    def sweep(self, state: State) -> None:
        for path in self.folder.glob("index-*.faiss"):
            if state.index_file is None or path.name != state.index_file.file:
                # A reader has it open or mapped, or reads the catalog again.
                path.unlink(missing_ok=True)

    def _is_due(self, state: State, adding: bool) -> bool:
        late = state.rows - (state.index_file.rows if state.index_file else 0)
        if late == 0:
            return False
        if adding:
            return late >= max(_LATE_ROWS_WHILE_ADDING, _LATE_SHARE_WHILE_ADDING * state.rows)
        small = state.rows * self.about.dimensions * 4 <= _SMALL_BYTES
        return small or state.index_file is None or late > _LATE_SHARE * state.rows


ENGINE = FaissEngine


@dataclass(frozen=True, eq=False)
class FaissSnapshot(Snapshot):
    """The index, and the rows added since it was built."""

    index: Ann

    def _nearest(
        self, queries: np.ndarray, k: int, allowed: np.ndarray | Where | None, effort: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        allowed = rows_of(allowed)
        if allowed is not None and len(allowed) <= _FEW:
            return exact_search.exact(self.stored, queries, k, self.metric, allowed)
        k = min(k, self.state.rows - len(self.tombstones) if allowed is None else len(allowed))
        if k == 0:
            return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        rows, distances = self._indexed(queries, k, allowed, effort)
        if len(self._loose_rows):
            late, far = self._exact(queries, k, allowed)
            rows, distances = np.concatenate([rows, late], 1), np.concatenate([distances, far], 1)
            order = np.argsort(np.where(rows < 0, np.inf, distances), axis=1, kind="stable")[:, :k]
            rows, distances = np.take_along_axis(rows, order, 1), np.take_along_axis(distances, order, 1)
        if (rows < 0).any():
            # An approximate index did not reach enough rows.
            short = (rows < 0).any(axis=1)
            rows[short], distances[short] = exact_search.exact(
                self.stored, queries[short], k, self.metric, self.rows if allowed is None else allowed
            )
        return rows, distances

    def _indexed(
        self, queries: np.ndarray, k: int, allowed: np.ndarray | None, effort: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        known = self.index.known
        if allowed is None:
            mask = self._mask
        else:
            mask = np.zeros(known.rows, bool)
            mask[allowed[allowed < known.rows]] = True
        if known.factory == faiss_scan.FACTORY:
            return proven_search.nearest(self.index, self.stored, queries, k, mask)
        if mask is not None:
            return filtered_search.nearest(self.index, self.stored, queries, k, mask, effort)
        if not known.compressed:
            return self.index.search(queries, k, None, effort)
        rows, _ = self.index.search(queries, min(k * faiss_file.RERANK, known.rows), None, effort)
        return exact_search.rerank(self.stored, queries, rows, k, self.metric)

    @cached_property
    def _mask(self) -> np.ndarray | None:
        skipped = self.tombstones[self.tombstones < self.index.known.rows]
        if not len(skipped):
            return None
        mask = np.ones(self.index.known.rows, bool)
        mask[skipped] = False
        return mask

    @cached_property
    def _loose_rows(self) -> np.ndarray:
        return np.setdiff1d(np.arange(self.index.known.rows, self.state.rows), self.tombstones)


def _family(factory: str) -> str:
    """A factory string without the number of its groups, which follows the number of rows."""
    return ",".join("IVF" if part.startswith("IVF") else part for part in factory.split(","))
