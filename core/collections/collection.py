"""A collection: a user's images under one configuration, searchable and safe on disk."""

import itertools
import logging
import os
import re
import secrets
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import sqlalchemy as sa
from PIL import Image

from core import access, disk, lock
from core.collections import (
    add_preview,
    ann_index,
    catalog,
    embedder,
    filters,
    identity,
    ingest,
    removal,
    schema,
    tombstones,
    uploads,
    verify,
)
from core.collections import image_sources as sources
from core.collections.add_preview import Preview
from core.collections.catalog import Catalog
from core.collections.identity import Place
from core.collections.schema import Row
from core.collections.snapshot import Snapshot
from core.collections.state import DESCRIPTION, About, State, read_about, write_about
from core.collections.uploads import Upload
from core.collections.vector_file import DTYPES, VectorFile, fits
from core.collections.writer import New, Writer
from core.errors import (
    CatalogUnreachableError,
    CollectionError,
    ForeignCatalogError,
    UnknownNameError,
    UserError,
)
from core.imaging import servable_files
from core.metrics import get_metric
from core.progress import Progress, Silent
from core.settings import settings
from core.text import nfc

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_CATALOG_FILE = "catalog.sqlite"
# Folders of collections that are being made.
_NEW = ".new-"
# Looks at files that a writer may have replaced since the look into the catalog.
_ATTEMPTS = 4
# A damaged index is made anew while somebody waits for a search when its vectors are no larger than this.
_REPAIRED_BYTES = 256_000_000
_log = logging.getLogger(__name__)

Loader = Callable[[About], embedder.Embedder]


@dataclass(frozen=True)
class Hit:
    """A found image with its id in the catalog; ``also`` are the paths of others with the same content."""

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

    images : stored; contents : different ones among them, which is the number of vectors that count; removed_paths : of those
    removed, how many only the path is known of; tombstones : rows of the vectors that no stored image uses;
    vector_bytes, index_bytes, catalog_bytes : on disk, of the catalog only where it is a file; index_rows : of the rows, how many the index
    holds (the others are searched beside it).
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


class Collection:
    """A collection on disk; make one with :meth:`create` or :meth:`open`. Several threads may use it.

    Examples
    --------
    >>> with Collection.create("pets", model="efficientnet-lite0", layer="block6_output") as pets:  # doctest: +SKIP
    ...     pets.add(["~/Pictures/pets"])
    ...     hits = pets.search([Image.open("cat.jpg")], k=5, where=["label=cat"])[0]
    """

    def __init__(self, folder: Path, about: About, catalog_: Catalog, load: Loader):
        self.folder, self.about = folder, about
        self._catalog, self._load = catalog_, load
        self._embedder: embedder.Embedder | None = None
        self._guard, self._loading = threading.Lock(), threading.Lock()
        self._snapshot: Snapshot | None = None
        self._fields: filters.Fields | None = None
        self._place = Place.of(folder)

    @classmethod
    def create(
        cls,
        name: str,
        *,
        model: str | None = None,
        layer: str | None = None,
        pooling: str | None = None,
        weights: str = "imagenet",
        metric: str | None = None,
        index: str = "auto",
        dtype: str = "float16",
        folder: Path | None = None,
        load: Loader = embedder.load,
    ) -> Self:
        """Make an empty collection.

        Parameters
        ----------
        name : lower case letters, digits, ``-`` and ``_``.
        model, layer, pooling, weights, metric : the configuration, as on the command line. Without a model or layer the best one that
            fits the others is taken, see :func:`core.search.default_configuration.choose`; with both, pooling is ``"avg"`` and metric
            ``"cosine"`` unless given.
        index : of :data:`ann.KINDS`, or one of FAISS's factory strings.
        dtype : of the stored vectors, float16 or float32.
        folder : where collections lie; that of the settings when not given.
        load : see :meth:`open`.

        Raises
        ------
        CollectionError : the name is taken or can't be one, the index can't be had, or the disk or catalog refuses.
        UnknownNameError, WeightsError : there is no such model, layer, pooling or metric, or its weights can't be had; none was named and no
            model has weights here.
        AccessError : this process is a read-only server.
        """
        access.require_full("create a collection")
        from core.models import extractor, registry
        from core.models import weights as weights_
        from core.search import default_configuration, shared_engine

        folder = folder or settings.COLLECTIONS_DIR
        if model is None or layer is None:
            chosen = default_configuration.choose(
                shared_engine.engine(),
                model=model,
                weights=weights,
                layer=layer,
                pooling=pooling,
                metric=metric,
            )
            model, layer, pooling, metric = chosen.model, chosen.layer, chosen.pooling, chosen.metric
        pooling, metric = pooling or "avg", metric or "cosine"
        definition = registry.get_model(model)
        shape = definition.layer(layer).shape
        for kind, value, valid in (("pooling", pooling, extractor.POOLINGS), ("dtype", dtype, DTYPES)):
            if value not in valid:
                raise UnknownNameError(kind, value, valid)
        dimensions = extractor.dimensions(shape, pooling)
        ann_index.check(index, dimensions, get_metric(metric))
        if weights not in (weights_.IMAGENET, weights_.UNTRAINED):
            weights = sources.absolute(weights)
        about = About(
            name=name,
            uuid=uuid.uuid4().hex,
            catalog="postgresql" if settings.CATALOG_URL else "sqlite",
            model=model,
            weights=weights,
            weights_fingerprint=weights_.provenance(definition, weights).fingerprint,
            layer=layer,
            pooling=pooling,
            dimensions=dimensions,
            dtype=dtype,
        )
        with building(folder, about) as (_, made), made.writing() as connection:
            catalog.set_fact(connection, "state", State(1, 1, 0, metric, index, None).to_json())
        return cls.open(name, folder, load)

    @classmethod
    def open(cls, name: str, folder: Path | None = None, load: Loader = embedder.load) -> Self:
        """Open a collection; nothing large is read.

        Parameters
        ----------
        load : gives what makes vectors of images; called when that is first needed.

        Raises
        ------
        UnknownNameError : there is none of that name.
        CollectionError : it can't be read, or a newer version of the project made it.
        ForeignCatalogError : its folder is a copy, and its catalog in PostgreSQL is that of the original.
        """
        folder = folder or settings.COLLECTIONS_DIR
        valid = names(folder)
        if name not in valid:
            raise UnknownNameError("collection", name, valid)
        about = identity.read(folder / name)
        opened = _open_catalog(folder / name, about)
        if about.catalog == "postgresql":
            try:
                about = identity.claim(folder / name, about, opened)
            except BaseException:
                opened.close()
                raise
        return cls(folder / name, about, opened, load)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give files and connections back."""
        self._catalog.close()
        self._snapshot = None

    @property
    def uploads(self) -> Path:
        """Where pictures lie that strangers sent: their names are their hashes, their bytes are not to be trusted."""
        return uploads.folder_of(self.folder)

    def file(self, path: str) -> Path:
        """The file of a stored image, by the path that the catalog knows, where it may be shown.

        Raises
        ------
        CollectionError : it came from a URL, lies outside the folder that the settings allow, or is gone.
        """
        if sources.is_url(path):
            raise CollectionError("This picture came from a URL and is not kept here.")
        found = servable_files.located(path, self.folder)
        if not (servable_files.is_upload(path) or found.is_absolute()):
            raise CollectionError("This image was stored under a name that is not the path of a file.")
        if not servable_files.allowed(found) and not servable_files.uploaded(found):
            raise CollectionError("This picture lies outside the folder that the settings allow.")
        if not servable_files.present(found):
            raise CollectionError("The file of this picture is gone; it was there when it was added.")
        return found

    def full_path(self, path: str) -> str:
        """A path as the catalog has it, from the root also if the file was uploaded; URLs as they are."""
        return str(self.uploads.parent / path) if servable_files.is_upload(path) else path

    def has_file(self, path: str) -> bool:
        """Whether :meth:`file` has one."""
        try:
            return bool(self.file(path))
        except CollectionError:
            return False

    # Reading

    @contextmanager
    def frozen(self) -> Iterator[tuple[sa.Connection, State]]:
        """One state of the catalog, whatever is written while the block lasts."""
        with self._catalog.reading() as connection:
            yield connection, _state(connection)

    @property
    def state(self) -> State:
        """What it is now."""
        with self._catalog.reading() as connection:
            return _state(connection)

    @property
    def source_paths(self) -> tuple[str, ...]:
        """The remembered sources: absolute paths, patterns and URLs."""
        with self._catalog.reading() as connection:
            return tuple(entry["path"] for entry in catalog.get_fact(connection, "sources") or [])

    def search(
        self, pictures: Sequence[Image.Image], k: int = 10, where: Sequence[str] = ()
    ) -> list[list[Hit]]:
        """The stored images nearest to each of some pictures, which may be in the collection or not.

        Parameters
        ----------
        pictures : decoded, RGB.
        k, where : see :meth:`search_vectors`.

        Raises
        ------
        CollectionError : as :meth:`search_vectors`; WeightsError when the model can't be had.
        """
        return self.search_vectors(embedder.embed(self.embedder, pictures), k, where)

    def search_vectors(self, queries: np.ndarray, k: int = 10, where: Sequence[str] = ()) -> list[list[Hit]]:
        """The stored images nearest to each of some vectors.

        Parameters
        ----------
        queries : (n_queries, dimensions) numbers.
        k : how many; fewer come back when there are fewer.
        where : conditions such as ``label=cat`` or ``price<20``, all of which must hold; see :mod:`filters`.

        Returns
        -------
        hits : per query a list of at most k, nearest first.

        Raises
        ------
        ConditionError : a condition can't be used; UnknownFieldError : it names a field that no image has.
        CollectionError : the queries can't be used, or the storage can't be read.
        """
        if k < 1:
            raise CollectionError(f"k is {k}; it must be at least 1.")
        queries = np.atleast_2d(np.asarray(queries, np.float32))
        if not np.isfinite(queries).all():
            raise CollectionError("The query has numbers that are not finite.")
        with self._reading() as (connection, snapshot):
            conditions = self._filter(connection, snapshot.state, where).expressions
            allowed = catalog.matching_rows(connection, conditions) if conditions else None
            rows, distances = snapshot.nearest(queries, k, allowed)
            wanted = sorted(set(rows.ravel().tolist()))
            found = catalog.first_and_paths_of_rows(connection, wanted, conditions)
        return [
            [_hit(*found[row], distance) for row, distance in zip(*pair, strict=True)]
            for pair in zip(rows.tolist(), distances.tolist(), strict=True)
        ]

    def notes(self, where: Sequence[str]) -> tuple[str, ...]:
        """Sentences about the images that conditions can't compare, such as those that hold no number; raises as :meth:`search_vectors`."""
        with self._catalog.reading() as connection:
            return self._filter(connection, _state(connection), where).notes

    def snapshot(self) -> Snapshot:
        """The vectors as they are now, to search many times without asking the catalog."""
        with self._reading() as (_, snapshot):
            return snapshot

    def info(self) -> Info:
        """Counts and sizes, as the catalog has them."""
        with self._catalog.reading() as connection:
            state = _state(connection)
            count = catalog.counts(connection)
            labels = catalog.label_counts(connection)
            path_only = catalog.count_path_only(connection)
            unused = len(tombstones.rows(connection))
            known = catalog.get_fact(connection, "sources") or []
        file = self.folder / _CATALOG_FILE
        return Info(
            images=count[schema.INDEXED],
            contents=state.rows - unused,
            failures=count[schema.FAILED],
            removed=count[schema.REMOVED],
            removed_paths=path_only,
            tombstones=unused,
            labels=labels,
            vector_bytes=state.rows * self._vector_file(state).row_bytes,
            index_bytes=state.index.size if state.index else 0,
            catalog_bytes=file.stat().st_size if file.exists() else 0,
            index_rows=state.index.rows if state.index else 0,
            factory=state.index.factory if state.index else "",
            sources=tuple(entry["path"] for entry in known),
        )

    def images(self, state: str = schema.INDEXED, most: int | None = None, start: int = 0) -> Iterator[Row]:
        """The images of a state (``"indexed"`` or ``"failed"``) with all that the catalog knows of them, by row; from the ``start``-th on."""
        with self._catalog.reading() as connection:
            yield from catalog.in_state(connection, state=state, most=most, start=start)

    def removed(self, most: int | None = None, start: int = 0) -> Iterator[Row]:
        """The removed images that :meth:`restore` can bring back, by path; from the ``start``-th on."""
        with self._catalog.reading() as connection:
            yield from catalog.removed(connection, restorable=True, most=most, start=start)

    def removed_paths(self, most: int | None = None) -> list[str]:
        """The paths of removed images that can only be read again from where they came from.

        An earlier version removed them, or they were purged; adding their source again with ``restore_removed`` takes them in.
        """
        with self._catalog.reading() as connection:
            return [row.path for row in catalog.removed(connection, restorable=False, most=most)]

    def image(self, image_id: int) -> Row | None:
        """An image by its id in the catalog."""
        with self._catalog.reading() as connection:
            return next(iter(catalog.find(connection, schema.images.c.id, [image_id])), None)

    def of_rows(self, rows: Sequence[int]) -> dict[int, list[Row]]:
        """The images of some rows of the vectors, by row."""
        with self._catalog.reading() as connection:
            return catalog.of_rows(connection, rows)

    def first_of_rows(self, rows: Sequence[int]) -> dict[int, Row]:
        """The oldest image of each of some rows of the vectors, by row."""
        with self._catalog.reading() as connection:
            return catalog.first_of_rows(connection, rows)

    def shared_rows(self) -> list[int]:
        """The rows of the vectors that several images of the same content share."""
        with self._catalog.reading() as connection:
            return catalog.shared_rows(connection)

    def labels_by_row(self) -> dict[int, dict[str, int]]:
        """The labels of each row whose images have one, with the id of the oldest image that has it: images of the same content may have several."""
        with self._catalog.reading() as connection:
            return catalog.labels_by_row(connection)

    def nearest_to(self, image_id: int, k: int) -> list[Hit]:
        """The images nearest to a stored one, which is left out with those of the same content.

        Raises
        ------
        CollectionError : there is no such image, or the storage can't be read.
        """
        with self._reading() as (connection, snapshot):
            image = next(iter(catalog.find(connection, schema.images.c.id, [image_id])), None)
            if image is None or image.state != schema.INDEXED:
                raise CollectionError("The collection has no picture of that number any more.")
            rows, distances = snapshot.nearest(snapshot.stored[[image.faiss_id]], k + 1)
            near = [
                (row, distance)
                for row, distance in zip(rows[0].tolist(), distances[0].tolist(), strict=True)
                if row != image.faiss_id
            ][:k]
            found = catalog.first_and_paths_of_rows(connection, [row for row, _ in near])
        return [_hit(*found[row], distance) for row, distance in near]

    def sample(self, most: int) -> tuple[int, int, list[Row], np.ndarray]:
        """Some of the images, one of each content, at random but always the same of the same state.

        Returns
        -------
        version : of the state.
        total : how many different contents there are.
        images : at most ``most`` rows of the catalog.
        vectors : (n_images, dimensions) of theirs.
        """
        with self._reading() as (connection, snapshot):
            rows = np.setdiff1d(np.arange(snapshot.state.rows), snapshot.tombstones)
            chosen = rows[ann_index.sample_rows(len(rows), most)]
            images = catalog.first_of_rows(connection, chosen.tolist())
            return (
                snapshot.state.version,
                len(rows),
                [images[row] for row in chosen.tolist()],
                snapshot.stored[chosen],
            )

    @contextmanager
    def pages(self, size: int) -> Iterator[tuple[int, Iterator[tuple[list[Row], np.ndarray]]]]:
        """How many images there are, and all of them, some at a time, with their vectors (n, dimensions)."""
        with self._reading() as (connection, snapshot):
            total = catalog.counts(connection)[schema.INDEXED]
            images = catalog.in_state(connection)
            pages = iter(lambda: list(itertools.islice(images, size)), [])
            yield total, ((page, snapshot.stored[[image.faiss_id for image in page]]) for page in pages)

    def verify(self, named: Callable[[Any], str] = lambda image: image.path) -> list[str]:
        """What is wrong with it, a sentence each; reads every byte, and looks for the file of every picture.

        Parameters
        ----------
        named : how a picture whose file is missing is called, by its path and metadata in the catalog.
        """
        for _ in range(_ATTEMPTS):
            with self._catalog.reading() as connection:
                try:
                    state = _state(connection)
                    return list(verify.problems(connection, self.folder, self.about, state, named))
                except FileNotFoundError as error:
                    # A writer may have replaced it meanwhile.
                    missing = Path(error.filename).name
        return [f"The file {missing} is missing; `collection optimize` makes a new index where it is one."]

    @property
    def embedder(self) -> embedder.Embedder:
        """What makes its vectors; loads the model at the first use."""
        with self._loading:
            if self._embedder is None:
                self._embedder = self._load(self.about)
            return self._embedder

    # Writing

    def add(
        self,
        paths: Sequence[str],
        progress: Progress | None = None,
        *,
        path_column: str | None = None,
        labels_from: str | None = None,
        restore_removed: bool = False,
        label_level: int | None = None,
    ) -> ingest.Report:
        """Take in folders, patterns, files, lists or URLs (see :mod:`sources`), and remember them for :meth:`update`.

        Stored a few seconds at a time; stopped or killed, what was stored is there and the same call goes on.

        Parameters
        ----------
        path_column : the column of the lists that holds paths, remembered with them; see :func:`lists.read`.
        labels_from : a list, remembered or among the paths, whose labels win where lists disagree, this time.
        restore_removed : take in images that were removed, too; they are left out and counted otherwise.
        label_level : which level of the folders in a folder names the labels: 1 for those directly in it, 0 for no labels; remembered with
            the folder. Where it is not given it is that of the remembered folder around it, or is found from the structure.

        Raises
        ------
        CollectionError : a source is not there, another writer is at work, or the storage refuses.
        """
        found = [source for path in paths for source in sources.parse(path, path_column, label_level)]
        with self.writing() as writer:
            return ingest.add(
                writer, found, lambda: self.embedder, progress or Silent(), labels_from, restore_removed
            )

    def preview(
        self, paths: Sequence[str], *, path_column: str | None = None, label_level: int | None = None
    ) -> Preview:
        """What :meth:`add` would store, with the labels; nothing is stored and no model loaded.

        Raises
        ------
        CollectionError : a source is not there or can't be read.
        """
        found = [source for path in paths for source in sources.parse(path, path_column, label_level)]
        with self._catalog.reading() as connection:
            known = catalog.get_fact(connection, "sources") or []
        return add_preview.of_sources(known, found)

    def add_files(
        self,
        entries: Sequence[sources.Entry],
        progress: Progress | None = None,
        restore_removed: bool = False,
    ) -> ingest.Report:
        """Take in single files that belong to no source; raises as :meth:`add`."""
        with self.writing() as writer:
            return ingest.add_files(
                writer, entries, lambda: self.embedder, progress or Silent(), restore_removed
            )

    def add_uploads(
        self,
        sent: Sequence[Upload],
        progress: Progress | None = None,
        restore_removed: bool = False,
        *,
        label_level: int | None = None,
    ) -> ingest.Report:
        """Take in pictures and zip archives that strangers sent; their files are kept in :attr:`uploads`.

        What was sent before is there and read no more; what was removed is left out as in :meth:`add`. ``label_level`` counts from the top of
        an archive.

        Raises
        ------
        UploadError : an archive can't be trusted; nothing of what was sent is stored.
        CollectionError : another writer is at work, or the storage refuses.
        """
        with self.writing() as writer:
            return uploads.add(
                writer, sent, lambda: self.embedder, progress or Silent(), restore_removed, label_level
            )

    def add_vectors(
        self,
        paths: Sequence[str],
        vectors: np.ndarray,
        labels: Sequence[str | None] | None = None,
        metadata: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        """Store vectors (n, dimensions) that were made elsewhere, under unique names; all or none.

        Raises
        ------
        CollectionError : vectors of another length than the collection's or not finite, or as :meth:`add`.
        """
        vectors = np.asarray(vectors)
        if vectors.ndim != 2 or vectors.shape[1] != self.about.dimensions or len(vectors) != len(paths):
            raise CollectionError(
                f"Vectors of shape {vectors.shape} for {len(paths)} names; "
                f"the collection holds vectors of {self.about.dimensions} numbers."
            )
        if not fits(vectors, self.about.dtype).all():
            raise CollectionError(f"The vectors have numbers that are not finite as {self.about.dtype}.")
        new = [
            New(path, label=label and nfc(label), metadata=facts, vector=vector)
            for path, vector, label, facts in zip(
                paths, vectors, labels or [None] * len(paths), metadata or [{}] * len(paths), strict=True
            )
        ]
        with self.writing() as writer:
            writer.put(new)
            writer.index()

    def update(self, progress: Progress | None = None, *, labels_from: str | None = None) -> ingest.Report:
        """Go through the remembered sources again; only what changed is read. Parameters and errors as of :meth:`add`."""
        with self.writing() as writer:
            return ingest.update(writer, lambda: self.embedder, progress or Silent(), labels_from)

    def remove(self, paths: Sequence[str] = (), where: Sequence[str] = ()) -> int:
        """Remove images by path, folder or pattern, or all that fulfil conditions; files stay where they are.

        They stay out until :meth:`restore` brings them back; :meth:`purge` forgets them for good, with the files of uploads.
        Naming a remembered source forgets that at once, so that :meth:`update` does not look there any more. Returns how many images.

        Raises
        ------
        CollectionError : nothing matches, or as :meth:`add`.
        """
        with self.writing() as writer:
            with self._catalog.reading() as connection:
                chosen = self._chosen(connection, paths, where)
            known = {record["path"] for record in writer.recall("sources") or []}
            forgotten = {path for path in paths if sources.absolute(path) in known}
            for name, found in chosen.items():
                if not found and name not in forgotten:
                    raise _nothing("No image", name, paths)
            for path in forgotten:
                ingest.forget(writer, sources.absolute(path))
            every = list(dict.fromkeys(path for found in chosen.values() for path in found))
            writer.remove(every)
        return len(every)

    def restore(
        self, paths: Sequence[str] = (), where: Sequence[str] = (), progress: Progress | None = None
    ) -> ingest.Report:
        """Bring removed images back, all of them or some by path, folder, pattern or conditions.

        They come back as they were. No model is needed until :meth:`optimize` has taken their vectors away; then their files are read again,
        and what can't be read stays removed. Those of :meth:`removed_paths` are not among them.

        Raises
        ------
        CollectionError : no removed image is named so, or as :meth:`add`.
        """
        with self.writing() as writer:
            rows = self._removed(writer, paths, where)
            return removal.restore(writer, rows, lambda: self.embedder, progress or Silent())

    def purge(self, paths: Sequence[str] = (), where: Sequence[str] = ()) -> int:
        """Forget removed images for good, all of them or some as for :meth:`restore`, and delete the files of those that were uploaded.

        Of images from folders, lists and URLs their path stays known as removed. The vectors leave the disk with :meth:`optimize`.
        Returns how many images.

        Raises
        ------
        CollectionError : as :meth:`restore`.
        """
        with self.writing() as writer:
            return removal.purge(writer, self._removed(writer, paths, where))

    def forget_failures(self) -> int:
        """Forget the files that could not be read, until they are met again; returns how many. Raises as :meth:`add`."""
        with self.writing() as writer:
            failed = [image.path for image in self.images(schema.FAILED)]
            writer.forget(failed)
        return len(failed)

    def optimize(
        self, index: str | None = None, metric: str | None = None, progress: Progress | None = None
    ) -> None:
        """Make vectors and index anew, without what was removed; with another kind of index or metric where one is given.

        A removed image that is brought back afterwards has to be read again.

        Raises
        ------
        CollectionError : such an index can't be had, or as :meth:`add`.
        """
        progress = progress or Silent()
        with self.writing() as writer:
            progress.stage("index", writer.state.rows)
            # Vectors and index are written beside those that are there.
            disk.require(self.folder, writer.state.rows * writer.vectors.row_bytes)
            if index or metric:
                writer.retarget(index, metric)
            if not writer.compact(progress.step):
                writer.rebuild(progress.step)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """The right to change it.

        Raises
        ------
        AccessError : this process is a read-only server.
        UserError : another process has it, or the folder can't be written to.
        """
        access.require_full("change a collection")
        with self._maintaining() as writer:
            yield writer

    @contextmanager
    def _maintaining(self) -> Iterator[Writer]:
        """As :meth:`writing`, for what changes nothing that a user keeps: read-only servers do it too."""
        # Before the lock, which makes a folder where there is none, and again when nobody else can be at work.
        identity.check(self.folder, self._place, self.about, self._catalog)
        with lock.writing(self.folder):
            identity.check(self.folder, self._place, self.about, self._catalog)
            try:
                yield Writer(self.folder, self.about, self._catalog)
            finally:
                self._catalog.checkpoint()

    def _chosen(
        self, connection: sa.Connection, paths: Sequence[str], where: Sequence[str], removed: bool = False
    ) -> dict[str, list[str]]:
        """The paths of the stored or the removed images that each argument means, and of those that fulfil all conditions."""
        chosen = {path: self._named(connection, path, removed) for path in paths}
        if where:
            state = schema.REMOVED if removed else schema.INDEXED
            conditions = self._filter(connection, _state(connection), where, state).expressions
            chosen[", ".join(where)] = catalog.matching_paths(connection, conditions, state)
        return chosen

    def _removed(self, writer: Writer, paths: Sequence[str], where: Sequence[str]) -> list[Row]:
        """The removed images that are meant, all of them where nothing is named."""
        with self._catalog.reading() as connection:
            if not paths and not where:
                return list(catalog.removed(connection, restorable=True))
            chosen = self._chosen(connection, paths, where, removed=True)
        for name, found in chosen.items():
            if not found:
                raise _nothing("No removed image", name, paths)
        every = dict.fromkeys(path for found in chosen.values() for path in found)
        return list(writer.at(list(every)).values())

    def _named(self, connection: sa.Connection, path: str, removed: bool) -> list[str]:
        absolute = sources.absolute(path)
        if Path(absolute).is_relative_to(self.uploads):
            path = os.path.relpath(absolute, self.uploads.parent)
        return (
            catalog.paths_below(connection, path, removed)
            or catalog.paths_below(connection, absolute, removed)
            or catalog.paths_like(connection, absolute, removed)
        )

    @contextmanager
    def _reading(self) -> Iterator[tuple[sa.Connection, Snapshot]]:
        """One state of catalog and vectors, whatever a writer does meanwhile."""
        for attempt in range(_ATTEMPTS):
            with self._catalog.reading() as connection:
                try:
                    snapshot = self._current(connection)
                except FileNotFoundError as error:
                    # A writer may have replaced it between the look into the catalog and the look at the file.
                    trouble: Exception = error
                except ann_index.DamagedIndexError as error:
                    trouble = error
                else:
                    yield connection, snapshot
                    return
            if isinstance(trouble, ann_index.DamagedIndexError) or attempt == _ATTEMPTS - 2:
                self._repair(trouble)
        raise CollectionError(
            f"A file of the collection {self.about.name!r} is missing; restore its folder from a copy."
        )

    def _filter(
        self, connection: sa.Connection, state: State, where: Sequence[str], of: str = schema.INDEXED
    ) -> filters.Filter:
        """Conditions on the images of one kind in a state, whose fields are looked at once."""
        if not where:
            return filters.Filter()
        with self._guard:
            known = self._fields
            if known is None or (known.version, known.state) != (state.version, of):
                known = self._fields = filters.Fields(state.version, of)
        return filters.compile_(connection, where, known)

    def _current(self, connection: sa.Connection) -> Snapshot:
        state = _state(connection)
        with self._guard:
            old = self._snapshot
            if old is not None and old.state.version == state.version:
                return old
            vectors = self._vector_file(state)
            if old is not None and (old.state.index, old.state.metric) == (state.index, state.metric):
                self._snapshot = Snapshot(state, vectors, tombstones.rows(connection), old.index)
            else:
                self._snapshot = Snapshot.open(self.folder, state, vectors, tombstones.rows(connection))
            return self._snapshot

    def _vector_file(self, state: State) -> VectorFile:
        return VectorFile(self.folder / state.vector_file, self.about.dimensions, self.about.dtype)

    def _repair(self, trouble: Exception) -> None:
        """Make a new index for one that is damaged or gone; where that can't be now, searches do without it."""
        _log.warning("The index of the collection %r is damaged: %s", self.about.name, trouble)
        try:
            with self._maintaining() as writer:
                if writer.state.rows * self.about.dimensions * 4 > _REPAIRED_BYTES:
                    raise CollectionError("It is large; `collection optimize` makes a new one.")
                writer.rebuild()
            _log.warning("A new one was made from the stored vectors.")
        except UserError as error:
            _log.warning("Until there is a new one every vector is looked at. %s", error)
            with self._catalog.reading() as connection, self._guard:
                state = _state(connection)
                vectors = self._vector_file(state)
                if vectors.rows() >= state.rows:
                    self._snapshot = Snapshot(state, vectors, tombstones.rows(connection), None)


@contextmanager
def building(folder: Path, about: About) -> Iterator[tuple[Path, Catalog]]:
    """A folder with a description and an empty catalog, to be filled: it becomes a collection when the block ends, and goes when it raises.

    Parameters
    ----------
    folder : where collections lie.

    Raises
    ------
    CollectionError : the name is taken or can't be one, or the disk or catalog refuses.
    """
    if not _NAME.fullmatch(about.name):
        raise CollectionError(
            f"{about.name!r} can't be the name of a collection; use up to 63 lower case letters, digits, - and _."
        )
    with catalog.storage_errors():
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        if (folder / about.name).exists():
            raise CollectionError(f"There is a collection {about.name!r} already; choose another name.")
        # Made beside its place and renamed into it: a collection is whole or not there.
        place = folder / f"{_NEW}{secrets.token_hex(6)}"
        place.mkdir()
        try:
            with lock.writing(place):
                write_about(place, about)
                made = _open_catalog(place, about, create=True)
                try:
                    yield place, made
                    if about.catalog == "postgresql":
                        with made.writing() as connection:
                            identity.record(connection, Place.of(place, folder / about.name))
                finally:
                    made.close()
                place.rename(folder / about.name)
        except BaseException:
            _drop_unfinished(place)
            shutil.rmtree(place, ignore_errors=True)
            raise


def names(folder: Path | None = None) -> list[str]:
    """The collections that there are, in alphabetical order, those that can't be read included.

    Raises
    ------
    CollectionError : the folder of collections can't be read.
    """
    return [name for name in _described(folder or settings.COLLECTIONS_DIR) if _NAME.fullmatch(name)]


def misnamed(folder: Path | None = None) -> list[str]:
    """The folders that hold a collection and are none of :func:`names`, since a collection can't have their names: it is there when
    its folder is renamed. Raises as :func:`names`."""
    found = _described(folder or settings.COLLECTIONS_DIR)
    return [name for name in found if not _NAME.fullmatch(name)]


def _described(folder: Path) -> list[str]:
    """The folders with a description, by name; hidden ones are not finished or about to go."""
    try:
        with os.scandir(folder) as found:
            there = [child.name for child in found if not child.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CollectionError(f"The folder of collections can't be read ({error.strerror}).") from None
    return sorted(name for name in there if _is_described(folder / name))


def _is_described(folder: Path) -> bool:
    try:
        (folder / DESCRIPTION).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        # It can't be looked into: opening it says why.
        return True
    return True


def delete(name: str, folder: Path | None = None) -> None:
    """Remove a collection with its vectors and catalog, and pictures that were uploaded into it; files elsewhere stay.

    Raises
    ------
    AccessError : this process is a read-only server.
    UnknownNameError : there is none of that name.
    ForeignCatalogError : its catalog is that of another folder, of which this one is a copy.
    UserError : somebody writes to it, or the storage refuses.
    """
    access.require_full("delete a collection")
    folder = folder or settings.COLLECTIONS_DIR
    if name not in names(folder):
        raise UnknownNameError("collection", name, names(folder))
    with lock.writing(folder / name), catalog.storage_errors():
        try:
            about = read_about(folder / name)
            if about.catalog == "postgresql":
                opened = _open_catalog(folder / name, about)
                try:
                    identity.claim(folder / name, about, opened)
                    opened.drop()
                finally:
                    opened.close()
        except ForeignCatalogError:
            raise
        except CollectionError:
            # What can't be read can still be removed; a schema that can't be reached stays in its database.
            _log.warning("The catalog of %r could not be reached; its schema, if any, stays.", name)
        gone = folder / f".gone-{secrets.token_hex(6)}"
        (folder / name).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        _sweep(folder)


def _sweep(folder: Path) -> None:
    """Remove what a deletion or creation that did not end has left."""
    for path in [*folder.glob(".gone-*"), *folder.glob(f"{_NEW}*")]:
        try:
            with lock.writing(path):
                if path.name.startswith(_NEW):
                    _drop_unfinished(path)
                shutil.rmtree(path, ignore_errors=True)
        except Exception:
            # Somebody is at work there.
            continue


def _drop_unfinished(folder: Path) -> None:
    """Remove the schema of a collection that was not finished."""
    try:
        about = read_about(folder)
        if about.catalog == "postgresql":
            opened = _open_catalog(folder, about)
            # A copy of this folder may name the schema of a collection that was finished.
            if identity.owns(folder, opened):
                opened.drop()
            opened.close()
    except CollectionError as error:
        _log.warning("The schema of a collection that was not finished stays in its database: %s", error)


def _open_catalog(folder: Path, about: About, *, create: bool = False) -> Catalog:
    if about.catalog == "sqlite":
        path = folder / _CATALOG_FILE
        if not create and not path.is_file():
            raise CollectionError(
                f"The catalog of the collection {about.name!r} is missing; restore its folder from a copy."
            )
        return Catalog(path, create=create)
    if not settings.CATALOG_URL:
        raise CatalogUnreachableError(
            f"The catalog of the collection {about.name!r} is in PostgreSQL; set PLAYGROUND_CATALOG_URL to its URL."
        )
    # From its first moment on it names its folder, so that one that is left unfinished can be removed.
    facts = identity.facts(Place.of(folder)) if create else None
    return Catalog(settings.CATALOG_URL, about.schema, create=create, first_facts=facts)


def _state(connection: sa.Connection) -> State:
    return State.from_json(catalog.get_fact(connection, "state"))


def _nothing(what: str, name: str, paths: Sequence[str]) -> CollectionError:
    """The error for a path, or conditions, that no image matches."""
    if name in paths:
        return CollectionError(f"{what} of the collection is {name!r}.")
    return CollectionError(f"{what} of the collection fulfils {name!r}.")


def _hit(first: Row, paths: list[str], distance: float) -> Hit:
    return Hit(
        first.id,
        first.hash,
        first.path,
        distance,
        first.label,
        first.metadata,
        first.faiss_id,
        tuple(paths[1:]),
    )
