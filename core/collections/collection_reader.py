"""Reading a collection: search, the stored images, and counts. Nothing here changes what a user keeps."""

import itertools
import logging
import threading
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import sqlalchemy as sa
from PIL import Image

from core import lock
from core.collections import (
    add_preview,
    catalog,
    embedder,
    filters,
    identity,
    lifecycle,
    schema,
    tombstones,
    uploads,
    verify,
)
from core.collections.add_preview import Preview
from core.collections.catalog import Catalog
from core.collections.identity import Place
from core.collections.index import engines, exact_search
from core.collections.index.index_engine import DamagedIndexError, Engine, ReplacedIndexError
from core.collections.schema import Row
from core.collections.search_memory import Images, Memory
from core.collections.snapshot import Snapshot, Where
from core.collections.state import About, State
from core.collections.writer import Writer
from core.data import image_sources, object_store
from core.errors import CollectionError, UserError
from core.exact_index import prepared
from core.imaging import servable_files
from core.metrics import get_metric
from core.models import image_embedder
from core.models.image_embedder import Embedder
from core.progress import Progress, Silent
from core.settings import settings

# How often files are opened that a writer may have replaced since the catalog was read.
_ATTEMPTS = 4
# A damaged index is rebuilt while a search waits if its vectors are no larger than this.
_REPAIRED_BYTES = 256_000_000
_log = logging.getLogger(__name__)

_Found = TypeVar("_Found")
Loader = Callable[[About], Embedder]


@dataclass(frozen=True)
class Hit:
    """A search result with its id in the catalog; ``also`` are the paths of other images with the same content."""

    id: int
    hash: str | None
    path: str
    distance: float
    label: str | None
    metadata: dict[str, Any]
    row: int
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Info:
    """Counts and sizes of a collection.

    images : stored; contents : different contents among them, which is the number of vectors in use; removed_paths : removed images known
    by path only; tombstones : rows of the vectors that no stored image uses; vector_bytes, index_bytes, catalog_bytes : on disk, 0 for
    a catalog in PostgreSQL; index_rows : rows in the index (the others are searched without it).
    """

    images: int
    contents: int
    failures: int
    removed: int
    removed_paths: int
    tombstones: int
    labels: dict[str, int]
    vector_bytes: int
    index_bytes: int
    catalog_bytes: int
    index_rows: int
    factory: str
    sources: tuple[str, ...]


class Reader:
    """The part of :class:`core.collections.Collection` that reads. Several threads may use it."""

    def __init__(self, folder: Path, about: About, catalog_: Catalog, load: Loader):
        self.folder, self.about = folder, about
        self._catalog, self._load = catalog_, load
        self._embedder: Embedder | None = None
        self._guard, self._loading = threading.Lock(), threading.Lock()
        self._snapshot: Snapshot | None = None
        self._memory: Memory | None = None
        self._read: dict[str, Any] = {}
        self._fields: filters.Fields | None = None
        self._place = Place.of(folder)

    @classmethod
    def open(cls, name: str, folder: Path | None = None, load: Loader = embedder.load) -> Self:
        """Open a collection; nothing large is read.

        Parameters
        ----------
        load : returns the embedder; called when a vector is first needed.

        Raises
        ------
        UnknownNameError : there is no collection of that name.
        CollectionError : it can't be read, or a newer version of the project wrote it.
        ForeignCatalogError : its folder is a copy, and its catalog in PostgreSQL belongs to the original.
        """
        folder = folder or settings.COLLECTIONS_DIR
        lifecycle.require(name, folder)
        about = identity.read(folder / name)
        opened = lifecycle.open_catalog(folder / name, about)
        if about.catalog == "postgresql":
            try:
                about = identity.claim(folder / name, about, opened)
            except BaseException:
                opened.close()
                raise
        reader = cls(folder / name, about, opened, load)
        reader._deliver()
        return reader

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close files and connections."""
        self._catalog.close()
        self._snapshot = self._memory = None
        self._read.clear()

    @property
    def uploads(self) -> Path:
        """The folder of uploaded images, which are named by their hashes and must not be trusted."""
        return uploads.folder_of(self.folder)

    def file(self, path: str) -> Path:
        """The file of a stored image by its path in the catalog, if it may be shown.

        Raises
        ------
        CollectionError : it came from a URL, is outside of the allowed folder, or is gone.
        """
        if image_sources.is_url(path):
            raise CollectionError("This image came from a URL and is not kept here.")
        if object_store.is_object(path):
            raise CollectionError("This image is in an object store and is not kept here.")
        located = servable_files.located(path, self.folder)
        if not (servable_files.is_upload(path) or located.is_absolute()):
            raise CollectionError("This image was stored under a name that is not the path of a file.")
        if not servable_files.allowed(located) and not servable_files.uploaded(located):
            raise CollectionError("This image is outside of the folder that the settings allow.")
        if not servable_files.present(located):
            raise CollectionError("The file of this image is gone; it was there when it was added.")
        return located

    def full_path(self, path: str) -> str:
        """A path in the catalog as an absolute path, also of an uploaded file; a URL unchanged."""
        return str(self.uploads.parent / path) if servable_files.is_upload(path) else path

    def has_file(self, path: str) -> bool:
        """Whether :meth:`file` returns one."""
        try:
            return bool(self.file(path))
        except CollectionError:
            return False

    @contextmanager
    def frozen(self) -> Iterator[tuple[sa.Connection, State]]:
        """One state of the catalog, whatever is written during the block."""
        with self._catalog.reading() as connection:
            yield connection, State.read(connection)

    @property
    def state(self) -> State:
        """The current state."""
        return self._unchanged("state", lambda: self._catalog.read(State.read))

    def engine(self, state: State) -> Engine:
        """The index engine of a state."""
        return engines.get(state.engine)(self.folder, self.about, self._catalog)

    @property
    def source_paths(self) -> tuple[str, ...]:
        """The remembered sources: absolute paths, patterns and URLs."""
        return self._unchanged(
            "sources",
            lambda: tuple(source["path"] for source in self._catalog.read(catalog.get_fact, "sources") or []),
        )

    def search(
        self, images: Sequence[Image.Image], k: int = 10, where: Sequence[str] = ()
    ) -> list[list[Hit]]:
        """The stored images nearest to each of some images, which may be in the collection or not.

        Parameters
        ----------
        images : decoded, RGB.
        k, where : see :meth:`search_vectors`.

        Raises
        ------
        CollectionError : as :meth:`search_vectors`.
        WeightsError : the weights of the model are not available.
        """
        return self.search_vectors(image_embedder.embed(self.embedder, images), k, where)

    def search_vectors(self, queries: np.ndarray, k: int = 10, where: Sequence[str] = ()) -> list[list[Hit]]:
        """The stored images nearest to each of some vectors.

        Parameters
        ----------
        queries : (n_queries, dimensions) numbers.
        k : the number of hits; fewer are returned if there are fewer images.
        where : conditions such as ``label=cat`` or ``price<20``, all of which must hold; see :mod:`filters`.

        Returns
        -------
        hits : per query a list of at most k, nearest first.

        Raises
        ------
        ConditionError : a condition is not valid; UnknownFieldError : it names a field that no image has.
        CollectionError : the queries are not valid, or the storage can't be read.
        """
        if k < 1:
            raise CollectionError(f"k is {k}; it must be at least 1.")
        queries = np.atleast_2d(np.asarray(queries, np.float32))
        if not np.isfinite(queries).all():
            raise CollectionError("The query has numbers that are not finite.")
        return self._searching(lambda: self._search_vectors(queries, k, where))

    def _search_vectors(self, queries: np.ndarray, k: int, where: Sequence[str]) -> list[list[Hit]]:
        conditions, changes, memory = tuple(where), self._catalog.changes(), self._memory
        found = None
        if memory is not None and memory.changes == changes:
            found = memory.nearest(queries, k, conditions)
            if found is not None and (images := memory.images(found[0], conditions)) is not None:
                return _hits(*found, images)
        with self._reading() as (connection, snapshot):
            if memory is None or (memory.snapshot, memory.changes) != (snapshot, changes):
                memory, found = Memory(snapshot, changes), None
                self._memory = memory
            allowed = Where(connection, self._filter(connection, snapshot.state, where))
            if found is None:
                found = snapshot.nearest(queries, k, allowed)
            images = memory.images(found[0], conditions)
            if images is None:
                wanted = np.unique(found[0]).tolist()
                images = catalog.first_and_paths_of_rows(connection, wanted, allowed.expressions)
                memory.keep(conditions, allowed, images)
        return _hits(*found, images)

    def nearest_to(self, image_id: int, k: int) -> list[Hit]:
        """The images nearest to a stored one, without those of the same content.

        Raises
        ------
        CollectionError : there is no such image, it was removed or can't be read, or the storage can't be read.
        """
        return self._searching(lambda: self._nearest_to(image_id, k))

    def _nearest_to(self, image_id: int, k: int) -> list[Hit]:
        with self._reading() as (connection, snapshot):
            image = catalog.by_id(connection, image_id)
            if image is None:
                raise CollectionError("The collection has no image of that number any more.")
            if image.state != schema.INDEXED:
                why = "was removed" if image.state == schema.REMOVED else "can't be read"
                raise CollectionError(f"This image {why}, so it has no neighbors.")
            return _beside(connection, snapshot, snapshot.stored[[image.faiss_id]], {image.faiss_id}, k)

    def nearest_to_mean(self, image_ids: Sequence[int], k: int) -> list[Hit]:
        """The images nearest to the mean vector of some stored ones, without these and those of the same content.

        Images that were removed meanwhile are left out of the mean. Under the cosine distance it is the mean of the vectors at length one.

        Raises
        ------
        CollectionError : none of them is there any more, or the storage can't be read.
        """
        return self._searching(lambda: self._nearest_to_mean(image_ids, k))

    def _nearest_to_mean(self, image_ids: Sequence[int], k: int) -> list[Hit]:
        with self._reading() as (connection, snapshot):
            own = {
                image.faiss_id
                for image in catalog.find(connection, schema.images.c.id, image_ids)
                if image.state == schema.INDEXED
            }
            if not own:
                raise CollectionError("The collection has none of these images any more.")
            vectors = prepared(snapshot.stored[sorted(own)], get_metric(snapshot.state.metric))
            return _beside(connection, snapshot, vectors.mean(axis=0, keepdims=True), own, k)

    def notes(self, where: Sequence[str]) -> tuple[str, ...]:
        """Notes on images that conditions can't compare, such as images without a number; raises as :meth:`search_vectors`."""
        if not where:
            return ()
        with self.frozen() as (connection, state):
            return self._filter(connection, state, where).notes

    def snapshot(self) -> Snapshot:
        """The current vectors, to search many times without reading the catalog."""

        def current() -> Snapshot:
            with self._reading() as (_, snapshot):
                return snapshot

        return self._unchanged("snapshot", current)

    def info(self) -> Info:
        """Counts and sizes."""
        with self.frozen() as (connection, state):
            count = catalog.counts(connection)
            labels = catalog.label_counts(connection)
            path_only = catalog.count_path_only(connection)
            unused = len(tombstones.rows(connection))
            known = catalog.get_fact(connection, "sources") or []
            index_bytes, index_rows = self.engine(state).size(connection, state)
        file = self.folder / lifecycle.CATALOG_FILE
        return Info(
            images=count[schema.INDEXED],
            contents=state.rows - unused,
            failures=count[schema.FAILED],
            removed=count[schema.REMOVED],
            removed_paths=path_only,
            tombstones=unused,
            labels=labels,
            vector_bytes=state.rows * state.vectors(self.folder, self.about).row_bytes,
            index_bytes=index_bytes,
            catalog_bytes=file.stat().st_size if file.exists() else 0,
            index_rows=index_rows,
            factory=state.index.factory if state.index else "",
            sources=tuple(source["path"] for source in known),
        )

    def images(self, state: str = schema.INDEXED, most: int | None = None, start: int = 0) -> Iterator[Row]:
        """The images of a state (``"indexed"`` or ``"failed"``) as rows of the catalog, from the ``start``-th on."""
        with self._catalog.reading(single=most is not None and most <= schema.CHUNK) as connection:
            yield from catalog.in_state(connection, state, most, start)

    def removed(self, most: int | None = None, start: int = 0) -> Iterator[Row]:
        """The removed images that can be restored, by path, from the ``start``-th on."""
        with self._catalog.reading() as connection:
            yield from catalog.removed(connection, restorable=True, most=most, start=start)

    def removed_paths(self, most: int | None = None) -> list[str]:
        """The paths of removed images that can't be restored.

        They were purged, or removed by an earlier version. Adding their source with ``restore_removed`` adds them again.
        """
        with self._catalog.reading() as connection:
            return [row.path for row in catalog.removed(connection, restorable=False, most=most)]

    def image(self, image_id: int) -> Row | None:
        """An image by its id in the catalog."""
        return self._catalog.read(catalog.by_id, image_id)

    def of_rows(self, rows: Sequence[int]) -> dict[int, list[Row]]:
        """The images of some rows of the vectors, by row."""
        return self._catalog.read(catalog.of_rows, rows)

    def first_of_rows(self, rows: Sequence[int]) -> dict[int, Row]:
        """The oldest image of each of some rows of the vectors, by row."""
        return self._catalog.read(catalog.first_of_rows, rows)

    def shared_rows(self) -> list[int]:
        """The rows of the vectors that several images of the same content share."""
        return self._catalog.read(catalog.shared_rows)

    def labels_by_row(self) -> dict[int, dict[str, int]]:
        """The labels of each labeled row, with the id of the oldest image that has it; images of the same content may have several."""
        return self._catalog.read(catalog.labels_by_row)

    def sample(self, most: int) -> tuple[int, int, list[Row], np.ndarray]:
        """A random sample of the images, one of each content; the same for the same state.

        Returns
        -------
        version : of the state.
        total : the number of different contents.
        images : at most ``most`` rows of the catalog.
        vectors : (n_images, dimensions), theirs.
        """
        with self._reading() as (connection, snapshot):
            rows = snapshot.rows
            chosen = rows[exact_search.sample_rows(len(rows), most)]
            images = catalog.first_of_rows(connection, chosen.tolist())
            ordered = [images[row] for row in chosen.tolist()]
            return snapshot.state.version, len(rows), ordered, snapshot.stored[chosen]

    @contextmanager
    def pages(self, size: int) -> Iterator[tuple[int, Iterator[tuple[list[Row], np.ndarray]]]]:
        """The number of images, and all of them in pages of ``size`` with their vectors (n, dimensions)."""
        with self._reading() as (connection, snapshot):
            total = catalog.counts(connection)[schema.INDEXED]
            images = catalog.in_state(connection)
            pages = iter(lambda: list(itertools.islice(images, size)), [])
            yield total, ((page, snapshot.stored[[image.faiss_id for image in page]]) for page in pages)

    def verify(
        self, name: Callable[[Row], str] = lambda image: image.path, progress: Progress | None = None
    ) -> list[str]:
        """Everything that is wrong with it, one message each; reads every byte, and checks that the file of every image exists.

        Parameters
        ----------
        name : returns the name shown for an image whose file is missing.
        progress : receives the vectors and the files of images that were checked.
        """
        for _ in range(_ATTEMPTS):
            with self.frozen() as (connection, state):
                try:
                    return list(
                        verify.problems(connection, self.engine(state), state, name, progress or Silent())
                    )
                except FileNotFoundError as error:
                    # A writer may have replaced it in the meantime.
                    missing = Path(error.filename).name
        return [
            f"The file {missing} is missing; `playground collection optimize` builds a new index if it is one."
        ]

    def preview(
        self,
        paths: Sequence[str],
        progress: Progress | None = None,
        *,
        path_column: str | None = None,
        label_level: int | None = None,
    ) -> Preview:
        """What :meth:`Collection.add` would store, with the labels; stores nothing and loads no model.

        Parameters
        ----------
        paths, path_column, label_level : as of :meth:`Collection.add`.
        progress : receives the files that were found.

        Raises
        ------
        CollectionError : a source does not exist or can't be read.
        """
        sources = image_sources.parse_all(paths, path_column, label_level)
        return add_preview.of_sources(
            self._catalog.read(catalog.get_fact, "sources") or [], sources, progress or Silent()
        )

    @property
    def embedder(self) -> Embedder:
        """The embedder, which loads the model at first use."""
        with self._loading:
            if self._embedder is None:
                self._embedder = self._load(self.about)
            return self._embedder

    def _unchanged(self, what: str, read: Callable[[], _Found]) -> _Found:
        """What was read of the catalog, kept while nobody changes it."""
        changes = self._catalog.changes()
        known: tuple[Hashable, _Found] | None = self._read.get(what)
        if known is None or known[0] != changes:
            known = self._read[what] = changes, read()
        return known[1]

    @staticmethod
    def _searching(search: Callable[[], _Found]) -> _Found:
        """What a search finds, also if a writer replaces the index meanwhile."""
        try:
            return search()
        except ReplacedIndexError:
            return search()

    @contextmanager
    def _reading(self) -> Iterator[tuple[sa.Connection, Snapshot]]:
        """One state of catalog and vectors, whatever a writer does in the meantime."""
        for attempt in range(_ATTEMPTS):
            with self._catalog.reading() as connection:
                try:
                    snapshot = self._current(connection)
                except (FileNotFoundError, DamagedIndexError) as error:
                    # A writer may have replaced a file after the catalog was read.
                    failure = error
                else:
                    yield connection, snapshot
                    return
            if isinstance(failure, DamagedIndexError) or attempt == _ATTEMPTS - 2:
                self._repair(failure)
        raise CollectionError(
            f"A file of the collection {self.about.name!r} is missing; restore its folder from a copy."
        )

    def _filter(
        self, connection: sa.Connection, state: State, where: Sequence[str], of: str = schema.INDEXED
    ) -> filters.Filter:
        """Conditions on the images of one kind; the fields of a state are read once."""
        if not where:
            return filters.Filter()
        with self._guard:
            known = self._fields
            if known is None or (known.version, known.state) != (state.version, of):
                known = self._fields = filters.Fields(state.version, of)
        return filters.compile_(connection, where, known)

    def _current(self, connection: sa.Connection) -> Snapshot:
        state = State.read(connection)
        with self._guard:
            old = self._snapshot
            if old is not None and old.state.version == state.version:
                return old
            vectors, unused = state.vectors(self.folder, self.about), tombstones.rows(connection)
            self._snapshot = self.engine(state).open(state, vectors, unused, old)
            return self._snapshot

    @contextmanager
    def _maintaining(self) -> Iterator[Writer]:
        """The right to change files that hold nothing of the user's own, which read-only servers have too."""
        # Before the lock, which would create a missing folder, and again when no other process can be writing.
        identity.check(self.folder, self._place, self.about, self._catalog)
        with lock.writing(self.folder):
            identity.check(self.folder, self._place, self.about, self._catalog)
            try:
                yield Writer(self.folder, self.about, self._catalog)
            finally:
                self._catalog.settle()

    def _deliver(self) -> None:
        """Let the index engine follow commits that it has not followed; if that is not possible now, a later change does it."""
        with self.frozen() as (connection, state):
            behind = self.engine(state).is_behind(connection)
        if behind:
            try:
                with self._maintaining():
                    pass
            except UserError as error:
                _log.warning(
                    "The index of the collection %r is behind its catalog. %s", self.about.name, error
                )

    def _repair(self, failure: Exception) -> None:
        """Rebuild an index that is damaged or missing; if that is not possible now, search without it."""
        _log.warning("The index of the collection %r is damaged: %s", self.about.name, failure)
        try:
            with self._maintaining() as writer:
                if writer.state.rows * self.about.dimensions * 4 > _REPAIRED_BYTES:
                    raise CollectionError("It is large; `playground collection optimize` builds a new one.")
                writer.rebuild()
            _log.warning("A new index was built from the stored vectors.")
        except UserError as error:
            _log.warning("Searches compare every vector until there is a new index. %s", error)
            with self.frozen() as (connection, state), self._guard:
                vectors = state.vectors(self.folder, self.about)
                if vectors.rows() >= state.rows:
                    self._snapshot = Snapshot(state, vectors, tombstones.rows(connection))


def _beside(
    connection: sa.Connection, snapshot: Snapshot, query: np.ndarray, own: Collection[int], k: int
) -> list[Hit]:
    """The images nearest to a vector (1, dimensions), without those of its own rows."""
    rows, distances = snapshot.nearest(query, k + len(own), Where(connection))
    near = [
        (row, distance)
        for row, distance in zip(rows[0].tolist(), distances[0].tolist(), strict=True)
        if row not in own
    ][:k]
    images = catalog.first_and_paths_of_rows(connection, [row for row, _ in near])
    return [_hit(*images[row], distance) for row, distance in near]


def _hits(rows: np.ndarray, distances: np.ndarray, images: Images) -> list[list[Hit]]:
    """The hits of each query, from rows and distances (n_queries, k)."""
    return [
        [_hit(*images[row], distance) for row, distance in zip(*pair, strict=True)]
        for pair in zip(rows.tolist(), distances.tolist(), strict=True)
    ]


def _hit(first: Row, paths: list[str], distance: float) -> Hit:
    return Hit(
        id=first.id,
        hash=first.hash,
        path=first.path,
        distance=distance,
        label=first.label,
        # The row is kept for other searches.
        metadata=dict(first.metadata),
        row=first.faiss_id,
        also=tuple(paths[1:]),
    )
