"""Images to vectors and rows of the catalog: read, decode and hash in threads, embed in batches, commit every few seconds."""

import errno
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from core.cache import Shared
from core.collections import catalog, list_rows
from core.collections.ingest_report import Report
from core.collections.schema import FAILED, INDEXED, REMOVED, Row
from core.collections.vector_file import fits
from core.collections.writer import New, Writer
from core.data import image_lists, image_reader, list_merging
from core.data.folder_labels import FolderLabels
from core.data.folder_walker import LeftOut, Problem
from core.data.image_sources import Entry, ImageSource, Record, SourceError, absolute, is_url, named
from core.errors import UserError
from core.models.image_embedder import Embedder
from core.progress import Progress
from core.settings import settings
from core.threads import in_threads

# The most that is lost when the process is killed.
_COMMIT_SECONDS, _COMMIT_IMAGES = 2.0, 256
_LOOKUP = 256
# Batches that are embedded at a time, so that no core waits for the end of one, while the catalog takes those before.
_BATCHES = 2
# Copies of a file are mostly side by side, so the pixels of so many contents are kept for the next one.
_KEPT_CONTENTS = 16
HIDDEN = "hidden or system file or folder"
_REMOVED_BEFORE = "removed before"
# Shorter than the operating system's.
_SHORTER = {os.strerror(errno.ENOENT): "file not found"}
_NOT_FITTING = "The model gives numbers that are not finite as {}, or too small for it; create the collection with `--dtype float32`"

Entries = Iterable[Entry | LeftOut | Problem]


@dataclass(frozen=True)
class KnownSources:
    """The remembered sources.

    lists : paths of lists by number; favored : the number of the list whose labels win; folders : numbers of all other sources;
    labels : the labels of files by their folders.
    """

    lists: dict[int, str] = field(default_factory=dict)
    favored: int | None = None
    folders: frozenset[int] = frozenset()
    labels: FolderLabels = field(default_factory=FolderLabels)

    @classmethod
    def of(cls, known: Sequence[Record], labels_from: str | None) -> Self:
        """Raises SourceError if ``labels_from`` is not one of the lists."""
        paths = {record["id"]: record["path"] for record in known if is_list(record)}
        favored = None
        if labels_from is not None:
            wanted = absolute(labels_from)
            favored = next((number for number, path in paths.items() if path == wanted), None)
            if favored is None:
                raise SourceError(
                    f"Labels can't be taken from {labels_from!r}: it is not one of the collection's lists "
                    f"({', '.join(map(repr, paths.values())) or 'there are none'}). Add it first."
                )
        folders = frozenset(record["id"] for record in known if not is_list(record))
        return cls(paths, favored, folders, FolderLabels(map(ImageSource.from_json, known)))


def is_list(record: Record) -> bool:
    """Whether a source is a list."""
    return bool(record["kind"] == "list")


@dataclass(frozen=True)
class Candidate:
    """An entry that has to be read, and what the catalog knows of it.

    hash : of a content that has a vector; state : None if the path is new.
    """

    entry: Entry
    hash: str | None
    state: str | None
    folder_label: str | None
    source: int | None


@dataclass(frozen=True)
class Read:
    """An image that was read, or the reason why it could not be; ``content`` is None if it is the stored one."""

    candidate: Candidate
    hash: str = ""
    size: int | None = None
    mtime_ns: int | None = None
    content: Any = None
    reason: str | None = None


@dataclass(frozen=True)
class Batch:
    """Images whose vectors are wanted together; contents : by hash, those that have none yet."""

    reads: list[Read]
    contents: dict[str, Any]


class Images(Protocol):
    """Where images are read."""

    def unchanged(self, entry: Entry, old: Row) -> bool:
        """Whether an image need not be read again."""

    def read(self, candidates: Iterator[Candidate]) -> Iterator[Read]:
        """Read images, in their order."""

    def vectors(self, contents: Sequence[Any]) -> np.ndarray:
        """(n, dimensions) float32: the vectors of contents that were read. Called in other threads."""

    @property
    def batch_size(self) -> int:
        """The most contents that :meth:`vectors` takes."""
        ...


class FileImages:
    """Images in files and at URLs, which are decoded in threads and embedded in batches.

    Parameters
    ----------
    embedder : called when the first image has to be embedded.
    folder : of the collection.
    again : read files again that failed before.
    """

    def __init__(self, embedder: Callable[[], Embedder], folder: Path, *, again: bool = True):
        self._load, self._folder, self._again = embedder, folder, again
        self._embedder: Embedder | None = None

    @property
    def _loaded(self) -> Embedder:
        if self._embedder is None:
            self._embedder = self._load()
        return self._embedder

    @property
    def batch_size(self) -> int:
        return self._loaded.batch_size

    def unchanged(self, entry: Entry, old: Row) -> bool:
        if old.state == FAILED and self._again:
            return False
        if is_url(entry.path):
            return True
        try:
            status = entry.size, entry.mtime_ns
            if entry.size is None:
                status = image_reader.status(entry.path, self._folder)
        except (OSError, UserError):
            return False
        return (old.size, old.mtime_ns) == status

    def read(self, candidates: Iterator[Candidate]) -> Iterator[Read]:
        first = next(candidates, None)
        if first is None:
            return
        embedder, decoded = self._loaded, Shared(_KEPT_CONTENTS)

        def read(candidate: Candidate) -> Read:
            entry = candidate.entry
            found = image_reader.read(
                entry.path,
                embedder,
                decoded,
                foreign=entry.foreign,
                known=candidate.hash,
                folder=self._folder,
            )
            pixels = found.pixels and found.pixels.array
            return Read(candidate, found.sha256 or "", found.size, found.mtime_ns, pixels, found.reason)

        everything = itertools.chain([first], candidates)
        yield from in_threads(read, everything, settings.DECODE_THREADS, 3 * embedder.batch_size)

    def vectors(self, contents: Sequence[Any]) -> np.ndarray:
        return self._loaded(np.stack(contents))


class Ingester:
    """The images of one add or update on their way into the collection.

    Parameters
    ----------
    images : where they are read.
    sources : the remembered sources.
    run : the number of the run; images that it has seen at one source are skipped at others.
    restore : store images that were removed before.
    undo : store them exactly as they were.
    """

    def __init__(
        self,
        writer: Writer,
        images: Images,
        progress: Progress,
        sources: KnownSources | None = None,
        run: int = 0,
        *,
        restore: bool = False,
        undo: bool = False,
    ):
        self.report = Report()
        self._writer, self._images, self._progress = writer, images, progress
        self._sources, self._run = sources or KnownSources(), run
        self._restore, self._undo = restore, undo
        # The number of the source that is being read; None for files of no source.
        self._source: int | None = None
        self._pending: list[New] = []
        self._vectors: dict[str, np.ndarray] = {}
        # Hashes of contents whose vectors are being computed.
        self._awaited: set[str] = set()
        self._not_restored: dict[str, str] = {}
        self._committed = time.monotonic()

    def count(self, record: Record, progress: Progress) -> int:
        """How many images a remembered source has, be they stored or not; they are read once more to be stored.

        Raises
        ------
        SourceError : it can't be read.
        """
        total = 0
        for entry in self._entries(record):
            total += not isinstance(entry, LeftOut)
            progress.step()
        return total

    def take_source(self, record: Record, total: int, progress: Progress) -> None:
        """Store the images of a remembered source, which has so many."""
        path = record["path"]
        self._progress, self._source = progress, record["id"]
        progress.stage(Path(path).name or path, total)
        self.store(self._entries(record), record["id"])
        if is_list(record):
            self.report.leave_out(
                image_lists.NO_PATH, self._writer.catalog.read(list_rows.without_path, record["id"])
            )

    def _entries(self, record: Record) -> Entries:
        if is_list(record):
            return self._listed(record["path"], record["id"])
        return ImageSource.from_json(record).entries(self._sources.labels)

    def _listed(self, path: str, number: int) -> Iterator[Entry | Problem]:
        """The images that a list names, each once."""
        for row in self._writer.rows_of_list(number):
            if row.problem is None:
                yield named(row.path)
            else:
                yield Problem(f"{path}, row {row.number}", row.problem)

    def take_files(self, entries: Sequence[Entry | LeftOut | Problem]) -> None:
        """Store images of no source."""
        self._progress.stage("computing vectors", sum(not isinstance(entry, LeftOut) for entry in entries))
        self.store(entries, None)

    def store(self, entries: Entries, source: int | None) -> None:
        """Store the images of some entries of a source, by its number."""
        self._source = source
        reads = self._images.read(self._candidates(self._without_left_out(entries)))
        for batch, vectors in in_threads(self._embed, self._batches(reads), _BATCHES, _BATCHES):
            self._put(batch, vectors)
            self._commit_when_due()
        self._commit()

    def finish(self, progress: Progress) -> Report:
        """Bring the index up to date and return the report."""
        state = self._writer.state
        if state.rows and (state.index is None or state.index.rows < state.rows):
            progress.stage("index", state.rows)
            self._writer.index(step=progress.step)
        return self.report

    def _without_left_out(self, entries: Entries) -> Iterator[Entry | Problem]:
        for entry in entries:
            if isinstance(entry, LeftOut):
                self.report.leave_out(HIDDEN)
            else:
                yield entry

    def _candidates(self, entries: Iterator[Entry | Problem]) -> Iterator[Candidate]:
        """The entries that have to be read; all others are dealt with here."""
        while chunk := list(itertools.islice(entries, _LOOKUP)):
            paths = [entry.path for entry in chunk]
            known = self._writer.at(paths)
            rows = self._writer.catalog.read(list_rows.of_paths, paths) if self._sources.lists else {}
            removed = [row.hash for row in known.values() if row.state == REMOVED and row.hash]
            stored = self._writer.known(removed) if self._restore else set()
            seen = []
            for entry in chunk:
                old = known.get(entry.path)
                if self._source is not None and old is not None and old.seen == self._run:
                    # Another source of this run has it too, and it was stored with the labels of all sources.
                    self._progress.step()
                    continue
                state = old.state if old is not None else None
                if state == REMOVED and not self._restore:
                    self.report.kept_out += 1
                    self.report.leave_out(_REMOVED_BEFORE)
                    seen.append(entry.path)
                    self._progress.step()
                    continue
                if isinstance(entry, Problem):
                    self._fail(self._unread(entry, old), entry.reason, state)
                    if self._source is not None:
                        # The images in a folder that can't be read may still be there.
                        seen += self._writer.catalog.read(catalog.paths_below, entry.path)
                    continue
                candidate = self._candidate(entry, old, rows.get(entry.path, []))
                if old is not None and state == REMOVED:
                    if old.hash not in stored:
                        yield replace(candidate, hash=None)
                    elif not self._images.unchanged(entry, old):
                        yield candidate
                    else:
                        self.report.restored += 1
                        self._pending.append(self._new(candidate, old.hash, old.size, old.mtime_ns))
                        self._progress.step()
                elif old is None or not self._images.unchanged(entry, old):
                    yield candidate
                elif old.state == INDEXED and self._differs(candidate, old):
                    same = (old.label, old.metadata) == (candidate.entry.label, candidate.entry.metadata)
                    self.report.unchanged += same
                    self.report.changed += not same
                    self._pending.append(self._new(candidate, old.hash, old.size, old.mtime_ns))
                    self._progress.step()
                else:
                    seen.append(entry.path)
                    self.report.unchanged += 1
                    self._progress.step()
            if seen:
                self._writer.catalog.write(catalog.mark_seen, seen, self._run)

    def _candidate(self, entry: Entry, old: Row | None, rows: Sequence[Row]) -> Candidate:
        """An image with the label and metadata from all sources together: the rows of lists, and then its folder."""
        if old is None:
            source, folder_label, hash_, state = self._source, entry.label, None, None
        elif self._undo:
            return Candidate(entry, old.hash, old.state, old.folder_label, old.source)
        else:
            # It stays with its first source, but a list leaves it to a folder.
            kept = (
                self._source is None
                or old.source in self._sources.folders
                or (old.source in self._sources.lists and self._source in self._sources.lists)
            )
            source, hash_, state = old.source if kept else self._source, old.hash, old.state
            folder_label = old.folder_label if self._source in self._sources.lists else entry.label
        label, metadata = folder_label, entry.metadata
        if rows:
            merged = list_merging.merge(rows, self._sources.lists, self._sources.favored)
            metadata = merged.metadata
            if merged.conflict:
                label = old.label if old is not None else None
            elif merged.label is not None:
                label = merged.label
        return Candidate(replace(entry, label=label, metadata=metadata), hash_, state, folder_label, source)

    def _differs(self, candidate: Candidate, old: Row) -> bool:
        """Whether label, metadata or source of an image are not the stored ones."""
        entry = candidate.entry
        new = (entry.label, entry.metadata, candidate.folder_label, candidate.source)
        return new != (old.label, old.metadata, old.folder_label, old.source)

    def _batches(self, reads: Iterator[Read]) -> Iterator[Batch]:
        """What was read, in batches; what can't be read is recorded here."""
        good = (read for read in reads if self._is_read(read))
        while batch := list(itertools.islice(good, self._images.batch_size)):
            stored = self._writer.known([read.hash for read in batch]) | self._vectors.keys() | self._awaited
            contents = {
                read.hash: read.content
                for read in batch
                if read.hash not in stored and read.content is not None
            }
            self._awaited |= contents.keys()
            yield Batch(batch, contents)

    def _is_read(self, read: Read) -> bool:
        if read.reason is not None:
            self._fail_read(read, read.reason)
            self._commit_when_due()
        return read.reason is None

    def _embed(self, batch: Batch) -> tuple[Batch, dict[str, np.ndarray]]:
        """A batch, and by hash the vectors of its contents that are finite."""
        if not batch.contents:
            return batch, {}
        vectors = self._images.vectors(list(batch.contents.values()))
        finite = fits(vectors, self._writer.about.dtype)
        return batch, {
            hash_: vector for hash_, vector, fine in zip(batch.contents, vectors, finite, strict=True) if fine
        }

    def _put(self, batch: Batch, vectors: dict[str, np.ndarray]) -> None:
        fresh = set(batch.contents)
        self._awaited -= fresh
        self._vectors |= vectors
        stored = self._writer.known([read.hash for read in batch.reads if read.hash not in self._vectors])
        for read in batch.reads:
            state = read.candidate.state
            if read.hash not in stored and read.hash not in self._vectors:
                self._fail_read(read, _NOT_FITTING.format(self._writer.about.dtype))
                continue
            own = read.hash in fresh
            fresh.discard(read.hash)
            if state == REMOVED:
                self.report.restored += 1
            elif state is not None:
                self.report.changed += 1
            else:
                self.report.added += 1
                self.report.duplicates += not own
            self._pending.append(self._new(read.candidate, read.hash, read.size, read.mtime_ns))
            self._progress.step()

    def _unread(self, problem: Problem, old: Row | None) -> New:
        failed = New(problem.path, reason=problem.reason, source=self._source, seen=self._run)
        if old is None:
            return failed
        return replace(failed, label=old.label, metadata=old.metadata, folder_label=old.folder_label)

    def _fail_read(self, read: Read, reason: str) -> None:
        """Record why an image can't be read; its label and metadata are kept until it can."""
        failed = self._new(read.candidate, None, read.size, read.mtime_ns)
        self._fail(replace(failed, reason=reason), reason, read.candidate.state)

    def _fail(self, failed: New, reason: str, state: str | None) -> None:
        """Record a failure; ``state`` is that of the image before. A removed image stays removed, with all that is known of it."""
        self.report.failed += 1
        self.report.leave_out(_SHORTER.get(reason, reason))
        if state == REMOVED:
            self._not_restored[failed.path] = reason
        else:
            self._pending.append(failed)
        self._progress.step()

    def _new(self, candidate: Candidate, hash_: str | None, size: int | None, mtime_ns: int | None) -> New:
        return New(
            path=candidate.entry.path,
            hash=hash_,
            size=size,
            mtime_ns=mtime_ns,
            label=candidate.entry.label,
            metadata=candidate.entry.metadata,
            vector=self._vectors.get(hash_) if hash_ else None,
            source=candidate.source,
            seen=self._run,
            folder_label=candidate.folder_label,
        )

    def _commit_when_due(self) -> None:
        if len(self._pending) >= _COMMIT_IMAGES or time.monotonic() - self._committed > _COMMIT_SECONDS:
            self._commit()

    def _commit(self) -> None:
        if self._pending:
            self._writer.put(self._pending)
        if self._not_restored:
            self._writer.set_reasons(self._not_restored)
        self._pending, self._vectors, self._not_restored = [], {}, {}
        self._writer.index(adding=True)
        self._committed = time.monotonic()
