"""Importing shards into a collection, and what it has stored for a scan that updates it."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np

from core.collections import catalog, ingest, list_rows
from core.collections.ingest_images import HIDDEN, Candidate, Ingester, KnownSources, Read
from core.collections.ingest_report import Report
from core.collections.schema import FAILED, REMOVED, Row
from core.collections.state import About
from core.collections.writer import Writer
from core.data.folder_labels import FolderLabels
from core.data.folder_walker import Problem
from core.data.image_lists import NO_PATH
from core.data.image_sources import Entry, ImageSource, Record, check_allowed, is_url, remembered
from core.errors import ShardError
from core.progress import Progress
from core.shards import list_file, listing, manifest, row_check, shard_file, shard_set
from core.shards.manifest import Configuration, Manifest, Source, Update
from core.shards.plan import Listed
from core.shards.shard_file import PRESENT, UNLISTED
from core.shards.shard_store import Store

_GONE = "its vector is neither in the shards nor in the collection any more; scan its source again"
# Missing shards that an error names.
_MOST_NAMED = 10


class ShardImages:
    """The images of the part of a shard that is being imported, in place of :class:`ingest_images.FileImages`."""

    batch_size = 256

    def __init__(self) -> None:
        self._rows: dict[str, shard_file.Row] = {}

    def entries(
        self, rows: Sequence[shard_file.Row], source: Source, labels: FolderLabels
    ) -> Iterator[Entry | Problem]:
        """The entries of rows, which all are of one source; they can be read from now on."""
        self._rows = {row.path: row for row in rows}
        for row in rows:
            if row.state == UNLISTED:
                yield Problem(row.path, row.reason or "")
            else:
                label = None if source.kind == listing.LIST else labels(row.path)
                yield Entry(row.path, label, foreign=is_url(row.path), size=row.size, mtime_ns=row.mtime_ns)

    def unchanged(self, entry: Entry, old: Row) -> bool:
        row = self._rows[entry.path]
        if row.state == PRESENT:
            return True
        same_file = (row.size, row.mtime_ns) == (old.size, old.mtime_ns)
        if row.state == shard_file.FAILED:
            # A file that is gone has neither size nor time, and a URL never has.
            return same_file and (row.size is not None or old.state == FAILED or is_url(entry.path))
        return same_file and row.sha256 == old.hash and old.state != FAILED

    def read(self, candidates: Iterator[Candidate]) -> Iterator[Read]:
        for candidate in candidates:
            row = self._rows[candidate.entry.path]
            if row.state == PRESENT:
                yield Read(candidate, reason=_GONE)
            else:
                yield Read(candidate, row.sha256 or "", row.size, row.mtime_ns, row.vector, row.reason)

    def vectors(self, contents: Sequence[Any]) -> np.ndarray:
        return np.stack(contents)


class StoredImages:
    """What a collection has stored, for :func:`core.shards.scanning.scan`."""

    def __init__(self, about: About, catalog_: catalog.Catalog):
        self._catalog = catalog_
        known = catalog_.read(catalog.get_fact, "sources") or []
        self.sources = [ImageSource.from_json(record) for record in known]
        self._numbers = {record["path"]: record["id"] for record in known}
        run = catalog_.read(catalog.get_fact, "run") or 0
        self.update = Update(collection=about.name, run=run)

    def present(self, listed: Sequence[Listed]) -> set[str]:
        """The paths of the images that are stored and unchanged, or were removed or failed before."""
        files = {one.path: (one.size, one.mtime_ns) for one in listed if one.problem is None}
        return {
            row.path
            for row in self._catalog.read(catalog.at_paths, list(files))
            if row.state == REMOVED or is_url(row.path) or files[row.path] == (row.size, row.mtime_ns)
        }

    def holds(self, source: Source) -> bool:
        """Whether it has images from a source."""
        number = self._numbers.get(source.path)
        return number is not None and bool(self._catalog.read(catalog.unseen, [number], self.update.run + 1))


def configuration(about: About) -> Configuration:
    """The configuration of a collection."""
    return Configuration(**about.model_dump(include=set(Configuration.model_fields)))


def import_shards(
    writer: Writer,
    store: Store,
    progress: Progress,
    *,
    restore_removed: bool = False,
    allow_other_versions: bool = False,
) -> Report:
    """Store the images of shards, as an add of their sources would, or as an update if they were scanned for one.

    Everything is checked before anything is stored. Then each shard is committed by itself, and what is stored and unchanged is not
    stored again, so that an import that was killed continues.

    Raises
    ------
    ShardError : the shards don't fit the collection, some are missing, or they can't be used; nothing is stored.
    """
    described = manifest.read(store)
    _check_fits(described, writer.about, allow_other_versions)
    _check_complete(store, described)
    checking, importing, indexing = progress.divide(1, 5, 1)
    _check_content(store, described, checking)
    known = writer.sources
    records = _remember(writer, store, known, described)
    among, run = KnownSources.of(known, None), ingest.next_run(writer)
    images = ShardImages()
    ingester = Ingester(writer, images, importing, among, run, restore=restore_removed)
    report = ingester.report
    importing.stage("importing", described.images)
    for shard in _filled(described):
        for rows in shard_file.read(store, shard, described.shards, described.configuration):
            for place, same in groupby(sorted(rows, key=attrgetter("source")), attrgetter("source")):
                source = described.sources[place]
                entries = images.entries(list(same), source, among.labels)
                ingester.store(entries, records[place]["id"])
    report.leave_out(HIDDEN, described.left_out)
    used = []
    for record, source in zip(records, described.sources, strict=True):
        if source.problem:
            ingest.note(report, progress, source.problem)
            continue
        used.append(record)
        if source.kind == listing.LIST:
            report.leave_out(NO_PATH, writer.catalog.read(list_rows.without_path, record["id"]))
    if described.update is not None:
        # What another run stored after the scan is not in the shards, and stays.
        ingest.forget_unseen(writer, report, [record["id"] for record in used], described.update.run + 1)
    ingest.report_conflicts(writer, report, among, used)
    return ingester.finish(indexing)


def _check_fits(described: Manifest, about: About, allow_other_versions: bool) -> None:
    wanted = configuration(about)
    if not wanted.weights_fingerprint:
        # Of weights that were downloaded after the collection was created.
        wanted = wanted.model_copy(
            update={"weights_fingerprint": described.configuration.weights_fingerprint}
        )
    if differences := wanted.differences(described.configuration):
        raise ShardError(
            f"The shards have another configuration than the collection {about.name!r} ({'; '.join(differences)}). Extract them with "
            f"`playground shards extract SOURCE --out FOLDER --collection {about.name}`."
        )
    if described.update is not None and described.update.collection != about.name:
        raise ShardError(
            f"The shards were scanned to update the collection {described.update.collection!r}, not {about.name!r}; what that one "
            "has unchanged is not in them."
        )
    differences = manifest.version_differences(described.versions, manifest.versions())
    if differences and not allow_other_versions:
        raise ShardError(
            f"The shards were made with other versions than are here ({'; '.join(differences)}), which may decode images differently. "
            "Install the same versions and extract them again, or accept the differences with --allow-other-versions."
        )
    for source in described.sources:
        check_allowed(source.image_source())


def _filled(described: Manifest) -> list[int]:
    """The numbers of the shards that hold images."""
    return [shard for shard, digest in enumerate(described.plans) if digest]


def _check_complete(store: Store, described: Manifest) -> None:
    if missing := shard_set.missing(store, described):
        named = ", ".join(map(str, missing[:_MOST_NAMED])) + (", …" if len(missing) > _MOST_NAMED else "")
        raise ShardError(
            f"{len(missing):,} of the {described.shards:,} shards in {store.place!r} are missing, damaged or of an earlier scan "
            f"(numbers {named}); `playground shards extract --out {store.place}` extracts them."
        )


def _check_content(store: Store, described: Manifest, progress: Progress) -> None:
    """Check every row of every file."""
    progress.stage("checking", described.images)
    for place in listing.lists(described.sources):
        for listed in list_file.read(store, place):
            if problem := row_check.of_list(listed):
                name = list_file.name(place)
                raise ShardError(f"{name!r}, row {listed.number}: {problem}. Scan the list again.")
    for shard in _filled(described):
        for rows in shard_file.read(store, shard, described.shards, described.configuration):
            for row in rows:
                if problem := row_check.problem(row, described.sources):
                    name = shard_file.name(shard, described.shards)
                    raise ShardError(f"{name!r}, {row.path[:200]!r}: {problem}. Extract the shard again.")
            progress.step(len(rows))


def _remember(writer: Writer, store: Store, known: list[Record], described: Manifest) -> list[Record]:
    """The records of the sources, added to the remembered ones, with the rows of lists that changed."""
    records, rows = [], {}
    last = ingest.last_source(writer, known)
    for place, listed in enumerate(described.sources):
        source = ImageSource(listed.kind, listed.path, listed.path_column, listed.label_level)
        record, source = remembered(known, source)
        if "id" not in record:
            last += 1
            record["id"] = last
        record.update(source.to_json())
        if (
            record["label_level"] is None
            and FolderLabels(map(ImageSource.from_json, known)).root(source.path) is None
        ):
            record["label_level"] = listed.derived_level
        if listed.kind == listing.LIST and not listed.problem and record.get("digest") != listed.digest:
            record["digest"] = listed.digest
            rows[record["id"]] = list_file.read(store, place)
        records.append(record)
    writer.remember_sources(known, rows)
    ingest.refresh_other_lists(writer, known, records)
    return records
