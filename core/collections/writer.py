"""Commits to a collection, by one writer at a time; what is committed is there whatever happens next.

Vectors are written first, after the valid rows. Then one transaction of the catalog makes them valid and stores the images. A new file
of vectors or of an index gets a new name, the same transaction names it, and the old file is removed after.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from core import disk
from core.collections import catalog, list_rows, schema, tombstones, verify
from core.collections.catalog import Catalog
from core.collections.index import engines
from core.collections.index.index_record import IndexRecord
from core.collections.schema import FAILED, INDEXED, REMOVED, Row
from core.collections.state import About, State
from core.collections.vector_file import VectorFile
from core.data.image_lists import Row as ListRow
from core.data.image_sources import Record
from core.errors import CollectionError
from core.imaging import servable_files
from core.metrics import get_metric


@dataclass(frozen=True)
class New:
    """An image to be stored, with its vector (dimensions,) unless its content is stored or it could not be read."""

    path: str
    hash: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    label: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    vector: np.ndarray | None = None
    reason: str | None = None
    source: int | None = None
    seen: int | None = None
    folder_label: str | None = None

    def values(self, row: int | None) -> dict[str, Any]:
        """The values of the catalog's columns, with the row of its vector."""
        values = {name: value for name, value in vars(self).items() if name != "vector"}
        failed = self.reason is not None
        return values | {"faiss_id": None if failed else row, "state": FAILED if failed else INDEXED}


class Writer:
    """The right to change a collection while the lock of its folder is held."""

    def __init__(self, folder: Path, about: About, catalog_: Catalog):
        self.folder, self.about, self.catalog = folder, about, catalog_
        self.state = self.catalog.read(State.read)
        self.engine = engines.get(self.state.engine)(folder, about, catalog_)
        self.sweep()
        self.engine.commit(self.state)

    @property
    def sources(self) -> list[Record]:
        """The remembered sources."""
        return self.catalog.read(catalog.get_fact, "sources") or []

    @property
    def vectors(self) -> VectorFile:
        """The file of vectors."""
        return self.state.vectors(self.folder, self.about)

    @property
    def identity(self) -> dict[str, Any]:
        """Which collection this is, in which state."""
        return {"uuid": self.about.uuid, "version": self.state.version}

    def known(self, hashes: Sequence[str]) -> set[str]:
        """Which of some hashes have a vector already, including those of removed images."""
        return set(self.catalog.read(catalog.rows_of_hashes, hashes))

    def at(self, paths: Sequence[str]) -> dict[str, Row]:
        """The rows of the catalog for some paths."""
        return {row.path: row for row in self.catalog.read(catalog.at_paths, paths)}

    def named_uploads(self, names: Sequence[str]) -> set[str]:
        """Which of some names of uploaded files the catalog uses: as the hash of any image, or in the path of a readable one."""
        paths = [f"{servable_files.UPLOADS}/{name}" for name in names]
        with self.catalog.reading() as connection:
            hashes = {row.hash for row in catalog.find(connection, schema.images.c.hash, names)}
            readable = [row for row in catalog.at_paths(connection, paths) if row.state != FAILED]
        return hashes | {row.path.rpartition("/")[2] for row in readable}

    def put(self, images: Sequence[New]) -> None:
        """Store images, all or none; an image replaces a stored one of the same path.

        Raises
        ------
        CollectionError : the disk or the catalog fails; nothing is stored.
        DiskError : the disk is nearly full; nothing is stored.
        """
        # The last of a path counts.
        images = list({image.path: image for image in images}.values())
        hashes = sorted({image.hash for image in images if image.hash and image.reason is None})
        with catalog.storage_errors():
            with self.catalog.reading() as connection:
                rows = catalog.rows_of_hashes(connection, hashes)
                reused = sorted(set(rows.values()))
                old = catalog.at_paths(connection, [image.path for image in images])
            start, stored = self.state.rows, []
            vectors: list[np.ndarray] = []
            for image in images:
                row = rows.get(image.hash) if image.hash else None
                if image.reason is None and row is None:
                    assert image.vector is not None
                    row = start + len(vectors)
                    vectors.append(image.vector)
                    if image.hash:
                        rows[image.hash] = row
                stored.append(image.values(row))
            stop = start + len(vectors)
            self.vectors.require(start)
            disk.require(self.folder, len(vectors) * self.vectors.row_bytes)
            checksum = self.vectors.write(start, np.stack(vectors)) if vectors else 0
            with self._change(rows=stop) as connection:
                catalog.put(connection, stored)
                # The vector of a removed image may be used again.
                self._use(connection, reused)
                self._stop_using(connection, [row.faiss_id for row in old])
                if vectors:
                    self.engine.put(connection, self.state, np.arange(start, stop), np.stack(vectors))
                    connection.execute(
                        sa.insert(schema.segments).values(start=start, stop=stop, crc32=checksum)
                    )
                changed = {row.faiss_id for row in old if row.faiss_id is not None} | set(reused)
                self.engine.change(connection, self.state, sorted(changed))

    def remember_sources(
        self, sources: Sequence[Record], rows: Mapping[int, Iterable[ListRow]] | None = None
    ) -> None:
        """Replace the remembered sources, and the rows of lists by the number of their source, all or none."""
        with self.catalog.writing() as connection:
            for number, read in (rows or {}).items():
                list_rows.replace(connection, number, read)
            catalog.set_fact(connection, "sources", list(sources))

    def forget_source(self, sources: Sequence[Record], number: int) -> None:
        """Remove a source by its number; ``sources`` are the others."""
        with self.catalog.writing() as connection:
            list_rows.forget(connection, number)
            catalog.set_fact(connection, "sources", list(sources))

    def rows_of_list(self, source: int) -> Iterator[Row]:
        """The rows of a list, see :func:`list_rows.page`; no transaction is open while they are used."""
        last = None
        while True:
            rows = self.catalog.read(list_rows.page, source, last)
            yield from rows
            if not rows:
                return
            last = rows[-1].number

    def forget(self, paths: Sequence[str]) -> None:
        """Delete images from the catalog, all or none."""
        with self._change() as connection:
            rows = catalog.at_paths(connection, paths)
            catalog.remove_paths(connection, [row.path for row in rows])
            self._stop_using(connection, [row.faiss_id for row in rows])

    def remove(self, paths: Sequence[str]) -> None:
        """Set images to removed, all or none, until they are restored.

        Files that could not be read and have no source are deleted from the catalog.
        """
        with self._change() as connection:
            rows = catalog.at_paths(connection, paths)
            unreadable = [row.path for row in rows if row.state == FAILED and row.source is None]
            catalog.remove_paths(connection, unreadable)
            catalog.mark_removed(connection, [row.id for row in rows])
            self._stop_using(connection, [row.faiss_id for row in rows])

    def restore(self, paths: Sequence[str]) -> int:
        """Restore those removed images whose vectors are still stored, all or none, and return how many."""
        with self._change() as connection:
            rows = [row for row in catalog.at_paths(connection, paths) if row.state == REMOVED]
            away = {row.hash for row in rows if row.faiss_id is None and row.hash is not None}
            by_hash = catalog.rows_of_hashes(connection, sorted(away))
            found = {
                row.id: row.faiss_id if row.faiss_id is not None else by_hash[row.hash]
                for row in rows
                if row.faiss_id is not None or row.hash in by_hash
            }
            catalog.mark_stored(connection, found)
            self._use(connection, found.values())
        return len(found)

    def keep_path_only(self, paths: Sequence[str]) -> None:
        """Clear all that is known of removed images but their paths."""
        with self._change() as connection:
            rows = catalog.at_paths(connection, paths)
            catalog.keep_path_only(connection, [row.id for row in rows if row.state == REMOVED])

    def set_reasons(self, reasons: Mapping[str, str]) -> None:
        """Record by path why removed images could not be restored."""
        with self._change() as connection:
            catalog.set_reasons(connection, reasons)

    def index(self, adding: bool = False, step: Callable[[int], None] = lambda n: None) -> None:
        """Add new rows to the index if it is time to; ``adding`` if more rows are about to be added.

        Raises
        ------
        CollectionError : it can't be built; the old one stays.
        """
        with catalog.storage_errors():
            new = self.engine.grow(self.state, adding, step)
        if new is not None:
            self._replace(index=new)

    def retarget(self, kind: str | None, metric: str | None) -> None:
        """Set another kind of index or another metric, and drop the index; :meth:`rebuild` builds the new one.

        Raises
        ------
        CollectionError : such an index is not possible.
        """
        kind, metric = kind or self.state.kind, metric or self.state.metric
        self.engine.check(self.about, kind, get_metric(metric))
        self._replace(index=None, kind=kind, metric=metric)

    def move(self, engine: str, kind: str | None, step: Callable[[int], None] = lambda n: None) -> None:
        """Build the index with another engine, and remove it from the one before when the new one is in use.

        Raises
        ------
        UnknownNameError : there is no such engine.
        CollectionError : it can't have such an index, or can't be reached; the old index stays.
        """
        if engine == self.state.engine:
            raise CollectionError(
                f"The collection uses the engine {engine} already; `playground collection optimize` builds its index again."
            )
        kind = kind or "auto"
        moved = engines.get(engine)(self.folder, self.about, self.catalog)
        metric = get_metric(self.state.metric)
        moved.check(self.about, kind, metric)
        self.vectors.require(self.state.rows)
        with catalog.storage_errors():
            built = moved.build(self.vectors, self.state.rows, metric, kind, step)
        old, before, self.engine = self.state, self.engine, moved
        self._replace(engine=engine, kind=kind, index=built)
        before.drop(old)

    def rebuild(self, step: Callable[[int], None] = lambda n: None) -> None:
        """Build the index again from the stored vectors; raises as :meth:`index`."""
        state = self.state
        if not state.rows:
            return
        self.vectors.require(state.rows)
        with catalog.storage_errors():
            new = self._built(self.vectors, state, step)
        self._replace(index=new)

    def compact(self, step: Callable[[int], None] = lambda n: None) -> bool:
        """Write vectors and index again without the rows that have a tombstone; False if there are none. Raises as :meth:`index`."""
        with self.catalog.reading() as connection:
            dropped = tombstones.rows(connection)
            if not len(dropped):
                return False
            # New checksums would hide damaged vectors.
            for problem in verify.vector_problems(connection, self.vectors, self.state, dropped):
                raise CollectionError(problem)
        old = self.state
        new = replace(old, generation=old.generation + 1, rows=old.rows - len(dropped))
        target = new.vectors(self.folder, self.about)
        with catalog.storage_errors():
            target.path.unlink(missing_ok=True)
            segments = list(_copy(self.vectors, target, old.rows, dropped)) if new.rows else []
            kept = np.setdiff1d(np.arange(old.rows), dropped)
            index = self._built(target, new, step, kept) if new.rows else None
            self._settle()
            with self._change(generation=new.generation, rows=new.rows, index=index) as connection:
                tombstones.compact(connection, dropped)
                # The new index has everything.
                connection.execute(sa.delete(schema.outbox))
                connection.execute(sa.delete(schema.segments))
                if segments:
                    connection.execute(sa.insert(schema.segments), segments)
        self.sweep()
        return True

    def take_over(self, other: "Writer") -> None:
        """Replace all that is stored by what another collection of the same configuration holds, in one commit.

        Files are shared by hard links. The fact ``published`` says of which collection and state.

        Raises
        ------
        CollectionError : the disk or the catalog fails; nothing is replaced.
        """
        state = replace(other.state, generation=self.state.generation + 1)
        vectors = state.vectors(self.folder, self.about)
        with catalog.storage_errors():
            other.vectors.require(state.rows)
            vectors.path.unlink(missing_ok=True)
            if state.rows:
                disk.link(other.vectors.path, vectors.path)
            engine = engines.get(state.engine)(self.folder, self.about, self.catalog)
            state = replace(state, index=engine.copy(other.engine, state))
            self._settle()
            changes = {name: value for name, value in vars(state).items() if name != "version"}
            with other.catalog.reading() as rows, self._change(**changes) as connection:
                self.catalog.replace(connection, rows)
                catalog.set_fact(connection, "published", other.identity)
        self.engine.sweep(self.state)
        self.engine = engine
        self.sweep()

    def sweep(self) -> None:
        """Remove files that the catalog does not name: those before the last change, and those of a change that did not finish."""
        for name in engines.names():
            # Another engine may have had the index when a process ended.
            if name == self.state.engine or engines.get(name).is_local(self.about):
                engines.get(name)(self.folder, self.about, self.catalog).sweep(self.state)
        for path in self.folder.glob("vectors-*.bin"):
            if path.name != self.state.vector_file:
                # A reader has it open or mapped, or reads the catalog again.
                path.unlink(missing_ok=True)

    def _built(
        self,
        vectors: VectorFile,
        state: State,
        step: Callable[[int], None],
        old_rows: np.ndarray | None = None,
    ) -> IndexRecord:
        return self.engine.build(vectors, state.rows, get_metric(state.metric), state.kind, step, old_rows)

    def _use(self, connection: sa.Connection, rows: Iterable[int]) -> None:
        """Follow a change after which images use some rows."""
        if again := tombstones.remove(connection, rows):
            self.engine.put(connection, self.state, np.array(again), self.vectors.map(self.state.rows)[again])

    def _stop_using(self, connection: sa.Connection, rows: Iterable[int | None]) -> None:
        """Follow a change after which images do not use some rows any more."""
        if unused := tombstones.add(connection, rows):
            self.engine.remove(connection, self.state, unused)

    def _replace(self, **changes: Any) -> None:
        """Use another index, which has everything that is stored, or none."""
        self._settle()
        with self._change(**changes) as connection:
            connection.execute(sa.delete(schema.outbox))
        self.sweep()

    def _settle(self) -> None:
        with catalog.storage_errors():
            disk.sync_folder(self.folder)

    @contextmanager
    def _change(self, **changes: Any) -> Iterator[sa.Connection]:
        """A transaction that commits a new state with what its block changes."""
        state = replace(self.state, version=self.state.version + 1, **changes)
        with self.catalog.writing() as connection:
            yield connection
            catalog.set_fact(connection, "state", state.to_json())
        self.state = state
        self.engine.commit(state)


def _copy(source: VectorFile, target: VectorFile, rows: int, dropped: np.ndarray) -> Iterator[dict[str, int]]:
    """Copy all rows but those; yields the segments of the new file."""
    start = 0
    for first, block in source.chunks(0, rows):
        kept = np.delete(block, dropped[(dropped >= first) & (dropped < first + len(block))] - first, axis=0)
        if len(kept):
            yield {"start": start, "stop": start + len(kept), "crc32": target.write(start, kept)}
            start += len(kept)
