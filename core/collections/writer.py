"""Everything that changes a collection. One writer at a time; what it has committed is there whatever happens next.

The order makes it so: vectors go to the disk first, behind the rows that count, then one transaction of the catalog says that they count
and what they are. A new file of vectors or of an index gets a new name and the same transaction names it; the file before it is removed after.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from core import disk
from core.collections import ann_index, catalog, list_rows, schema, tombstones, verify
from core.collections.catalog import Catalog, Image
from core.collections.image_lists import Row as ListRow
from core.collections.schema import Row
from core.collections.state import About, State
from core.collections.vector_file import VectorFile
from core.errors import CollectionError
from core.imaging import servable_files
from core.metrics import get_metric

# An index of less than this is made anew whenever rows came: it takes less than a second.
_SMALL_BYTES = 64_000_000
# Above, rows that came later are searched beside it until they are this share of all, and while adding goes on
# until they are so many and this share.
_LATE_SHARE, _LATE_ROWS_MEANWHILE, _LATE_SHARE_MEANWHILE = 0.05, 50_000, 0.25
# What an index learnt of its rows is too little when they have become so many times more.
_OUTGROWN = 4


@dataclass(frozen=True)
class New:
    """An image to be stored, with its vector (dimensions,) unless its content is known or it could not be read."""

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


class Writer:
    """The right to change a collection, for as long as its folder's lock is held."""

    def __init__(self, folder: Path, about: About, catalog_: Catalog):
        self.folder, self.about, self._catalog = folder, about, catalog_
        with self._catalog.reading() as connection:
            self.state = State.from_json(catalog.get_fact(connection, "state"))
        self.sweep()

    @property
    def vectors(self) -> VectorFile:
        """The file of vectors."""
        return self._vectors(self.state)

    def known(self, hashes: Sequence[str]) -> set[str]:
        """Which of some contents have a vector already, those of removed images among them."""
        with self._catalog.reading() as connection:
            return set(catalog.rows_of_hashes(connection, hashes))

    def at(self, paths: Sequence[str]) -> dict[str, Row]:
        """What the catalog knows of some paths."""
        with self._catalog.reading() as connection:
            return {row.path: row for row in catalog.find(connection, schema.images.c.path, paths)}

    def below(self, folder: str) -> list[str]:
        """The paths of all images in a folder but those that were removed."""
        with self._catalog.reading() as connection:
            return catalog.paths_below(connection, folder)

    def named_uploads(self, names: Sequence[str]) -> set[str]:
        """Which of some names of uploaded files the catalog names, by the hash of any image or by the path of a readable one."""
        paths = [f"{servable_files.UPLOADS}/{name}" for name in names]
        with self._catalog.reading() as connection:
            hashes = {row.hash for row in catalog.find(connection, schema.images.c.hash, names)}
            by_path = {
                row.path.rpartition("/")[2]
                for row in catalog.find(connection, schema.images.c.path, paths)
                if row.state != schema.FAILED
            }
        return hashes | by_path

    def put(self, images: Sequence[New]) -> None:
        """Store images, all or none; one of a path that is known replaces it.

        Raises
        ------
        CollectionError : the disk or the catalog refuses; nothing of this was stored.
        DiskError : the disk is nearly full; the same.
        """
        # The last of a path counts.
        images = list({image.path: image for image in images}.values())
        hashes = sorted({image.hash for image in images if image.hash and image.reason is None})
        with catalog.storage_errors():
            with self._catalog.reading() as connection:
                rows = catalog.rows_of_hashes(connection, hashes)
                reused = sorted(set(rows.values()))
                old = catalog.find(connection, schema.images.c.path, [image.path for image in images])
                replaced = [row.faiss_id for row in old]
            start, vectors, stored = self.state.rows, [], []
            for image in images:
                row = rows.get(image.hash) if image.hash else None
                if image.reason is None and row is None:
                    assert image.vector is not None
                    row = start + len(vectors)
                    vectors.append(image.vector)
                    if image.hash:
                        rows[image.hash] = row
                stored.append(_row(image, row if image.reason is None else None))
            stop = start + len(vectors)
            self.vectors.require(start)
            disk.require(self.folder, len(vectors) * self.vectors.row_bytes)
            checksum = self.vectors.write(start, np.stack(vectors)) if vectors else 0
            with self._catalog.writing() as connection:
                catalog.put(connection, stored)
                # The vector of a removed image may serve again.
                tombstones.remove(connection, reused)
                tombstones.add(connection, replaced)
                if vectors:
                    connection.execute(
                        sa.insert(schema.segments).values(start=start, stop=stop, crc32=checksum)
                    )
                state = self._next(connection, rows=stop)
        self.state = state

    def remember_sources(
        self, sources: Sequence[dict[str, Any]], rows: Mapping[int, Iterable[ListRow]] | None = None
    ) -> None:
        """Replace the remembered sources, and with them the rows of lists by the number of their source, all or none."""
        with self._catalog.writing() as connection:
            for number, read in (rows or {}).items():
                list_rows.replace(connection, number, read)
            catalog.set_fact(connection, "sources", list(sources))

    def forget_source(self, sources: Sequence[dict[str, Any]], number: int) -> None:
        """Replace the remembered sources by those without one of them."""
        with self._catalog.writing() as connection:
            list_rows.forget(connection, number)
            catalog.set_fact(connection, "sources", list(sources))

    def last_source(self) -> int:
        """The highest number of a source that an image came with, remembered or not."""
        with self._catalog.reading() as connection:
            return connection.scalar(sa.select(sa.func.max(schema.images.c.source))) or 0

    def rows_of_list(self, source: int) -> Iterator[Row]:
        """The rows of a list, see :func:`list_rows.page`; no transaction is open while they are worked on."""
        last = None
        while True:
            with self._catalog.reading() as connection:
                rows = list_rows.page(connection, source, last)
            yield from rows
            if not rows:
                return
            last = rows[-1].number

    def rows_without_path(self, source: int) -> int:
        """How many rows of a list name no image."""
        with self._catalog.reading() as connection:
            return list_rows.without_path(connection, source)

    def rows_of_images(self, paths: Sequence[str]) -> dict[str, list[Row]]:
        """The rows of all lists that name some images, by path."""
        with self._catalog.reading() as connection:
            return list_rows.of_paths(connection, paths)

    def conflicts(
        self, lists: Mapping[int, str], favored: int | None, most: int
    ) -> tuple[int, list[list_rows.Conflict]]:
        """How many images are in conflict, and some of the conflicts; see :func:`list_rows.conflicts`."""
        with self._catalog.reading() as connection:
            return list_rows.conflicts(connection, lists, favored, most)

    def mark_seen(self, paths: Sequence[str], run: int) -> None:
        """Note that a run of :func:`ingest.update` has found images unchanged."""
        with self._catalog.writing() as connection:
            catalog.mark_seen(connection, paths, run)

    def unseen(self, sources: Sequence[int], run: int) -> list[str]:
        """Some of the images that came with these sources and that the run has not found."""
        with self._catalog.reading() as connection:
            return catalog.unseen(connection, sources, run)

    def forget(self, paths: Sequence[str]) -> None:
        """Forget images as if they had never been there, all or none."""
        with self._catalog.writing() as connection:
            rows = list(catalog.find(connection, schema.images.c.path, paths))
            catalog.remove_paths(connection, [row.path for row in rows])
            tombstones.add(connection, [row.faiss_id for row in rows])
            state = self._next(connection)
        self.state = state

    def remove(self, paths: Sequence[str]) -> None:
        """Take images out, all or none, and remember what they were, so that they stay out until somebody brings them back.

        Of what could not be read and came with no source nothing is remembered.
        """
        with self._catalog.writing() as connection:
            rows = list(catalog.find(connection, schema.images.c.path, paths))
            nothing = [row.path for row in rows if row.state == schema.FAILED and row.source is None]
            catalog.remove_paths(connection, nothing)
            catalog.mark_removed(connection, [row.id for row in rows])
            tombstones.add(connection, [row.faiss_id for row in rows])
            state = self._next(connection)
        self.state = state

    def restore(self, paths: Sequence[str]) -> int:
        """Bring back those removed images whose vectors are still stored, all or none; how many it were."""
        with self._catalog.writing() as connection:
            rows = [
                row
                for row in catalog.find(connection, schema.images.c.path, paths)
                if row.state == schema.REMOVED
            ]
            away = {row.hash for row in rows if row.faiss_id is None and row.hash is not None}
            by_hash = catalog.rows_of_hashes(connection, sorted(away))
            found = {
                row.id: row.faiss_id if row.faiss_id is not None else by_hash[row.hash]
                for row in rows
                if row.faiss_id is not None or row.hash in by_hash
            }
            catalog.mark_stored(connection, found)
            tombstones.remove(connection, found.values())
            state = self._next(connection)
        self.state = state
        return len(found)

    def keep_path_only(self, paths: Sequence[str]) -> None:
        """Forget of removed images all but that they were removed."""
        with self._catalog.writing() as connection:
            rows = catalog.find(connection, schema.images.c.path, paths)
            catalog.keep_path_only(connection, [row.id for row in rows if row.state == schema.REMOVED])
            state = self._next(connection)
        self.state = state

    def set_reasons(self, reasons: Mapping[str, str]) -> None:
        """Note by path why removed images could not be brought back."""
        with self._catalog.writing() as connection:
            catalog.set_reasons(connection, reasons)
            state = self._next(connection)
        self.state = state

    def remember(self, name: str, value: Any) -> None:
        """Replace a fact that is not the state."""
        with self._catalog.writing() as connection:
            catalog.set_fact(connection, name, value)

    def recall(self, name: str) -> Any:
        """A fact, or None."""
        with self._catalog.reading() as connection:
            return catalog.get_fact(connection, name)

    def index(self, meanwhile: bool = False, step: Callable[[int], None] = lambda n: None) -> None:
        """Bring the index up to the rows where it is time to; ``meanwhile`` when more are about to come.

        Raises
        ------
        CollectionError : it can't be made; the one before stays.
        """
        state, old = self.state, self.state.index
        if not self._is_due(meanwhile):
            return
        metric = get_metric(state.metric)
        wanted = ann_index.factory(state.kind, state.rows, self.about.dimensions, metric)
        same = old is not None and _family(old.factory) == _family(wanted)
        with catalog.storage_errors():
            if old is not None and same and state.rows < _OUTGROWN * old.trained_rows:
                try:
                    new = ann_index.extend(self.folder, old, self.vectors, state.rows, metric, step)
                except (ann_index.DamagedIndexError, FileNotFoundError):
                    new = ann_index.build(self.folder, self.vectors, state.rows, metric, state.kind, step)
            else:
                new = ann_index.build(self.folder, self.vectors, state.rows, metric, state.kind, step)
        self._replace(index=new)

    def retarget(self, kind: str | None, metric: str | None) -> None:
        """Wish for another kind of index or another metric; the index that there is goes, :meth:`rebuild` makes the new one.

        Raises
        ------
        CollectionError : such an index can't be had.
        """
        kind, metric = kind or self.state.kind, metric or self.state.metric
        ann_index.check(kind, self.about.dimensions, get_metric(metric))
        self._replace(index=None, kind=kind, metric=metric)

    def rebuild(self, step: Callable[[int], None] = lambda n: None) -> None:
        """Make the index anew from the stored vectors; raises as :meth:`index`."""
        state = self.state
        if not state.rows:
            return
        self.vectors.require(state.rows)
        with catalog.storage_errors():
            new = ann_index.build(
                self.folder, self.vectors, state.rows, get_metric(state.metric), state.kind, step
            )
        self._replace(index=new)

    def compact(self, step: Callable[[int], None] = lambda n: None) -> bool:
        """Write vectors and index again without the rows that have a tombstone; False if there are none. Raises as :meth:`index`."""
        with self._catalog.reading() as connection:
            dropped = tombstones.rows(connection)
            if not len(dropped):
                return False
            # New checksums would take damaged vectors for good ones.
            for problem in verify.vector_problems(connection, self.vectors, self.state, dropped):
                raise CollectionError(problem)
        old, metric = self.state, get_metric(self.state.metric)
        new = replace(old, generation=old.generation + 1, rows=old.rows - len(dropped))
        target = self._vectors(new)
        with catalog.storage_errors():
            target.path.unlink(missing_ok=True)
            segments = list(_copy(self.vectors, target, old.rows, dropped)) if new.rows else []
            index = None
            if new.rows:
                index = ann_index.build(self.folder, target, new.rows, metric, new.kind, step)
            self._settle()
            with self._catalog.writing() as connection:
                tombstones.compact(connection, dropped)
                connection.execute(sa.delete(schema.segments))
                if segments:
                    connection.execute(sa.insert(schema.segments), segments)
                state = self._next(connection, generation=new.generation, rows=new.rows, index=index)
        self.state = state
        self.sweep()
        return True

    def sweep(self) -> None:
        """Remove files that the catalog does not name: those before the last change, and those of a change that did not end."""
        keep = {self.state.vector_file, self.state.index.file if self.state.index else ""}
        for pattern in ("index-*.faiss", "vectors-*.bin"):
            for path in self.folder.glob(pattern):
                if path.name not in keep:
                    # Who reads it has it open or mapped, and asks the catalog again otherwise.
                    path.unlink(missing_ok=True)

    def _is_due(self, meanwhile: bool) -> bool:
        state = self.state
        late = state.rows - (state.index.rows if state.index else 0)
        if late == 0:
            return False
        if meanwhile:
            return late >= max(_LATE_ROWS_MEANWHILE, _LATE_SHARE_MEANWHILE * state.rows)
        small = state.rows * self.about.dimensions * 4 <= _SMALL_BYTES
        return small or state.index is None or late > _LATE_SHARE * state.rows

    def _replace(self, **changes: Any) -> None:
        self._settle()
        with self._catalog.writing() as connection:
            state = self._next(connection, **changes)
        self.state = state
        self.sweep()

    def _settle(self) -> None:
        with catalog.storage_errors():
            disk.sync_folder(self.folder)

    def _next(self, connection: sa.Connection, **changes: Any) -> State:
        state = replace(self.state, version=self.state.version + 1, **changes)
        catalog.set_fact(connection, "state", state.to_json())
        return state

    def _vectors(self, state: State) -> VectorFile:
        return VectorFile(self.folder / state.vector_file, self.about.dimensions, self.about.dtype)


def _row(image: New, faiss_id: int | None) -> Image:
    state = schema.INDEXED if image.reason is None else schema.FAILED
    return Image(
        image.path,
        image.hash,
        image.size,
        image.mtime_ns,
        image.label,
        image.metadata,
        faiss_id,
        state,
        image.reason,
        image.source,
        image.seen,
        image.folder_label,
    )


def _family(factory: str) -> str:
    """A factory string without the number of its groups, which follows the number of rows."""
    return ",".join("IVF" if part.startswith("IVF") else part for part in factory.split(","))


def _copy(source: VectorFile, target: VectorFile, rows: int, dropped: np.ndarray) -> Iterator[dict[str, int]]:
    """Copy all rows but those; yields the segments of the new file."""
    start = 0
    for first, block in source.chunks(0, rows):
        kept = np.delete(block, dropped[(dropped >= first) & (dropped < first + len(block))] - first, axis=0)
        if len(kept):
            yield {"start": start, "stop": start + len(kept), "crc32": target.write(start, kept)}
            start += len(kept)
