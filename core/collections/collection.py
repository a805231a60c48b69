"""A collection: a user's images under one configuration. Reading is in :mod:`core.collections.collection_reader`, this is what changes it."""

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import sqlalchemy as sa

from core import access, disk
from core.collections import (
    catalog,
    embedder,
    ingest,
    lifecycle,
    removal,
    schema,
    shard_import,
    uploads,
)
from core.collections.collection_reader import Loader, Reader
from core.collections.index import engines
from core.collections.ingest_report import Report
from core.collections.schema import Row
from core.collections.state import About, State
from core.collections.uploads import Upload
from core.collections.vector_file import DTYPES, fits
from core.collections.writer import New, Writer
from core.data import image_sources
from core.errors import CollectionError, ShardError, UnknownNameError
from core.metrics import get_metric
from core.progress import Progress, Silent
from core.settings import settings
from core.shards import scanning
from core.shards.manifest import Manifest
from core.shards.shard_store import Store
from core.text import nfc


class Collection(Reader):
    """A collection on disk; make one with :meth:`create` or :meth:`open`. Several threads may use it.

    Examples
    --------
    >>> with Collection.create("pets", model="efficientnet-lite0", layer="block6_output") as pets:  # doctest: +SKIP
    ...     pets.add(["~/Pictures/pets"])
    ...     hits = pets.search([Image.open("cat.jpg")], k=5, where=["label=cat"])[0]
    """

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
        engine: str = engines.DEFAULT,
        index: str = "auto",
        dtype: str = "float16",
        folder: Path | None = None,
        load: Loader = embedder.load,
    ) -> Self:
        """Create an empty collection.

        Parameters
        ----------
        name : lower case letters, digits, ``-`` and ``_``.
        model, layer, pooling, weights, metric : the configuration, as on the command line. Without a model or layer the best one that
            fits the others is chosen, see :func:`core.search.default_configuration.choose`; with both, pooling defaults to ``"avg"`` and
            metric to ``"cosine"``.
        engine : of :func:`core.collections.index.engines.names`.
        index : of the engine's kinds, or a factory string of FAISS.
        dtype : of the stored vectors, float16 or float32.
        folder : the folder of collections; default: that of the settings.
        load : see :meth:`open`.

        Raises
        ------
        CollectionError : the name is taken or not allowed, the index is not possible, or the disk or the catalog fails.
        UnknownNameError, WeightsError : there is no such model, layer, pooling, metric or engine, or its weights are not available; or no model
            was given and none has weights here.
        AccessError : this process is a read-only server.
        """
        access.require_full("create a collection")
        from core.models import extractor, registry
        from core.models import weights as weights_

        if model is None or layer is None:
            from core.search import default_configuration, shared_engine

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
        weights = weights_.resolve(definition, weights)
        if not weights_.has_name(weights):
            weights = image_sources.absolute(weights)
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
        return cls.create_empty(about, metric, engine, index, folder, load)

    @classmethod
    def create_empty(
        cls,
        about: About,
        metric: str = "cosine",
        engine: str = engines.DEFAULT,
        index: str = "auto",
        folder: Path | None = None,
        load: Loader = embedder.load,
    ) -> Self:
        """Create an empty collection of a description. For :meth:`add_vectors`, its model need not be here.

        Parameters and errors as of :meth:`create`.
        """
        access.require_full("create a collection")
        folder = folder or settings.COLLECTIONS_DIR
        engines.get(engine).check(about, index, get_metric(metric))
        state = State(1, 1, 0, metric, index, None, engine)
        with lifecycle.building(folder, about) as (place, created):
            if engine != engines.DEFAULT:
                # So that vectors and catalog change together from the first.
                made = engines.get(engine)(place, about, created)
                vectors = state.vectors(place, about)
                state = replace(state, index=made.build(vectors, 0, get_metric(metric), index))
            with created.writing() as connection:
                catalog.set_fact(connection, "state", state.to_json())
        return cls.open(about.name, folder, load)

    def add(
        self,
        paths: Sequence[str],
        progress: Progress | None = None,
        *,
        path_column: str | None = None,
        labels_from: str | None = None,
        restore_removed: bool = False,
        label_level: int | None = None,
    ) -> Report:
        """Add folders, patterns, files, lists or URLs (see :mod:`image_sources`), and remember them for :meth:`update`.

        Commits every few seconds. If it is stopped or killed, the same call continues with what is missing.

        Parameters
        ----------
        path_column : the column of the lists that holds paths, remembered with them; see :func:`image_lists.read`.
        labels_from : a list, remembered or among the paths, whose labels win if lists disagree, in this call.
        restore_removed : also add images that were removed; they are left out and counted otherwise.
        label_level : which level of folders names the labels: 1 for those directly in the folder, 0 for no labels; remembered with the
            folder. Default: that of the remembered folder around it, or else derived from the structure.

        Raises
        ------
        CollectionError : a source does not exist, another process writes to the collection, or the storage fails.
        """
        sources = image_sources.parse_all(paths, path_column, label_level)
        with self.writing() as writer:
            return ingest.add(
                writer, sources, lambda: self.embedder, progress or Silent(), labels_from, restore_removed
            )

    def add_uploads(
        self,
        sent: Sequence[Upload],
        progress: Progress | None = None,
        restore_removed: bool = False,
        *,
        label_level: int | None = None,
    ) -> Report:
        """Add uploaded images and zip archives; their files are kept in :attr:`uploads`.

        Files that were uploaded before are not read again; removed images are left out as in :meth:`add`. ``label_level`` counts from the
        top of an archive.

        Raises
        ------
        UploadError : an archive can't be trusted; nothing of the upload is stored.
        CollectionError : another process writes to the collection, or the storage fails.
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
        """Store vectors (n, dimensions) that were computed elsewhere, under unique names; all or none.

        Raises
        ------
        CollectionError : the vectors have another length than the collection's or are not finite, or as :meth:`add`.
        """
        vectors = np.asarray(vectors)
        if vectors.ndim != 2 or vectors.shape[1] != self.about.dimensions or len(vectors) != len(paths):
            raise CollectionError(
                f"Vectors of shape {vectors.shape} for {len(paths)} names; "
                f"the collection holds vectors of {self.about.dimensions} numbers."
            )
        if not fits(vectors, self.about.dtype).all():
            raise CollectionError(
                f"The vectors have numbers that are not finite as {self.about.dtype}, or too small for it."
            )
        new = [
            New(path, label=label and nfc(label), metadata=facts, vector=vector)
            for path, vector, label, facts in zip(
                paths, vectors, labels or [None] * len(paths), metadata or [{}] * len(paths), strict=True
            )
        ]
        with self.writing() as writer:
            writer.put(new)
            writer.index()

    def update(self, progress: Progress | None = None, *, labels_from: str | None = None) -> Report:
        """Go through the remembered sources again; reads only what changed. Parameters and errors as of :meth:`add`."""
        with self.writing() as writer:
            return ingest.update(writer, lambda: self.embedder, progress or Silent(), labels_from)

    def scan(
        self,
        place: str,
        paths: Sequence[str] = (),
        progress: Progress | None = None,
        *,
        path_column: str | None = None,
        label_level: int | None = None,
        shards: int | None = None,
        shard_size: int = scanning.SHARD_SIZE,
    ) -> Manifest:
        """Scan the remembered sources and others for shards that update the collection; its unchanged images are not extracted.

        Parameters
        ----------
        place : the folder of the shards, or the URL of one in an object store.
        paths, path_column, label_level : as for :meth:`add`.
        shards, shard_size : as for :func:`core.shards.scanning.scan`.

        Raises
        ------
        SourceError : a source does not exist.
        ShardError : there are no sources, or the folder can't be used.
        """
        sources = image_sources.parse_all(paths, path_column, label_level)
        stored = shard_import.StoredImages(self.about, self._catalog)
        if not stored.sources and not sources:
            raise ShardError(f"The collection {self.about.name!r} has no sources yet; give what to scan.")
        return scanning.scan(
            Store(place),
            [*stored.sources, *sources],
            shard_import.configuration(self.about),
            shards=shards,
            shard_size=shard_size,
            stored=stored,
            progress=progress,
        )

    def import_shards(
        self,
        place: str,
        progress: Progress | None = None,
        *,
        restore_removed: bool = False,
        allow_other_versions: bool = False,
    ) -> Report:
        """Store the images of shards as :meth:`add` of their sources would, or as :meth:`update` if they were scanned for one.

        Commits each shard. If it is stopped or killed, the same call continues with what is missing.

        Parameters
        ----------
        place : as for :meth:`scan`.
        restore_removed : as for :meth:`add`.
        allow_other_versions : accept vectors that were computed with other versions of what decodes images.

        Raises
        ------
        ShardError : the shards don't fit the collection, some are missing, or they can't be used; nothing is stored.
        CollectionError : as :meth:`add`.
        """
        with self.writing() as writer:
            return shard_import.import_shards(
                writer,
                Store(place),
                progress or Silent(),
                restore_removed=restore_removed,
                allow_other_versions=allow_other_versions,
            )

    def remove(self, paths: Sequence[str] = (), where: Sequence[str] = ()) -> int:
        """Remove images by path, folder or pattern, or all that meet conditions, and return how many; files stay where they are.

        Removed images stay out until :meth:`restore` brings them back; :meth:`purge` forgets them, with the files of uploads.
        Naming a remembered source also forgets the source, so that :meth:`update` no longer reads it.

        Raises
        ------
        CollectionError : nothing matches, or as :meth:`add`.
        """
        with self.writing() as writer:
            with self._catalog.reading() as connection:
                chosen = self._chosen(connection, paths, where)
            known = {record["path"] for record in writer.sources}
            forgotten = {path for path in map(image_sources.absolute, paths) if path in known}
            for name, matches in chosen.items():
                if not matches and image_sources.absolute(name) not in forgotten:
                    raise _no_match("No image", name, paths)
            for path in forgotten:
                ingest.forget(writer, path)
            every = list(dict.fromkeys(path for matches in chosen.values() for path in matches))
            writer.remove(every)
        return len(every)

    def restore(
        self, paths: Sequence[str] = (), where: Sequence[str] = (), progress: Progress | None = None
    ) -> Report:
        """Restore removed images as they were: all of them, or some by path, folder, pattern or conditions.

        No model is needed until :meth:`optimize` drops their vectors; after that their files are read again, and images whose file can't
        be read stay removed. Images of :meth:`removed_paths` are not restored.

        Raises
        ------
        CollectionError : no removed image matches, or as :meth:`add`.
        """
        with self.writing() as writer:
            rows = self._removed(writer, paths, where)
            return removal.restore(writer, rows, lambda: self.embedder, progress or Silent())

    def purge(self, paths: Sequence[str] = (), where: Sequence[str] = ()) -> int:
        """Forget removed images, all of them or some as for :meth:`restore`, delete the files of uploads among them, and return how many.

        The paths of images from folders, lists and URLs stay known as removed. :meth:`optimize` drops the vectors from the disk.

        Raises
        ------
        CollectionError : as :meth:`restore`.
        """
        with self.writing() as writer:
            return removal.purge(writer, self._removed(writer, paths, where))

    def forget_failures(self) -> int:
        """Forget the files that could not be read, until they are added again, and return how many. Raises as :meth:`add`."""
        with self.writing() as writer:
            failed = [image.path for image in self.images(schema.FAILED)]
            writer.forget(failed)
        return len(failed)

    def optimize(
        self, index: str | None = None, metric: str | None = None, progress: Progress | None = None
    ) -> None:
        """Compact the vectors and rebuild the index, with another kind of index or metric if given.

        A removed image that is restored after this is read again from its file; see :mod:`core.collections.tombstones`.

        Raises
        ------
        CollectionError : such an index is not possible, or as :meth:`add`.
        """
        progress = progress or Silent()
        with self.writing() as writer:
            progress.stage("index", writer.state.rows)
            # Vectors and index are written beside the old ones.
            disk.require(self.folder, writer.state.rows * writer.vectors.row_bytes)
            if index or metric:
                writer.retarget(index, metric)
            if not writer.compact(progress.step):
                writer.rebuild(progress.step)

    def migrate(self, engine: str, index: str | None = None, progress: Progress | None = None) -> None:
        """Build the index with another engine, from the stored vectors, and use that one from then on.

        Raises
        ------
        UnknownNameError : there is no such engine.
        CollectionError : it can't have such an index or can't be reached, and the old index stays; or as :meth:`add`.
        """
        progress = progress or Silent()
        with self.writing() as writer:
            progress.stage("index", writer.state.rows)
            writer.move(engine, index, progress.step)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """The right to change it.

        Raises
        ------
        AccessError : this process is a read-only server.
        UserError : another process has the right, or the folder can't be written.
        """
        access.require_full("change a collection")
        with self._maintaining() as writer:
            yield writer

    def _chosen(
        self, connection: sa.Connection, paths: Sequence[str], where: Sequence[str], removed: bool = False
    ) -> dict[str, list[str]]:
        """The paths of the stored or the removed images that each argument matches, and of those that meet all conditions."""
        chosen = {path: self._matching(connection, path, removed) for path in paths}
        if where:
            state = schema.REMOVED if removed else schema.INDEXED
            conditions = self._filter(connection, State.read(connection), where, state).expressions
            chosen[", ".join(where)] = catalog.matching_paths(connection, conditions, state)
        return chosen

    def _removed(self, writer: Writer, paths: Sequence[str], where: Sequence[str]) -> list[Row]:
        """The removed images that match, or all of them if nothing is given."""
        with self._catalog.reading() as connection:
            if not paths and not where:
                return list(catalog.removed(connection, restorable=True))
            chosen = self._chosen(connection, paths, where, removed=True)
        for name, matches in chosen.items():
            if not matches:
                raise _no_match("No removed image", name, paths)
        every = dict.fromkeys(path for matches in chosen.values() for path in matches)
        return list(writer.at(list(every)).values())

    def _matching(self, connection: sa.Connection, path: str, removed: bool) -> list[str]:
        absolute = image_sources.absolute(path)
        if Path(absolute).is_relative_to(self.uploads):
            path = os.path.relpath(absolute, self.uploads.parent)
        return (
            catalog.paths_below(connection, path, removed)
            or catalog.paths_below(connection, absolute, removed)
            or catalog.paths_like(connection, absolute, removed)
        )


def _no_match(subject: str, name: str, paths: Sequence[str]) -> CollectionError:
    """The error for a path, or conditions, that no image matches."""
    verb = "is" if name in paths else "meets"
    return CollectionError(f"{subject} of the collection {verb} {name!r}.")
