"""Sources to stored images: read, decode and hash in threads, embed in batches, store every few seconds."""

import hashlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from core import fetch, files, folders, images, settings
from core.ahead import in_threads
from core.cache import Shared
from core.decoder import Reduction
from core.errors import UserError
from core.folders import LeftOut, Problem
from core.image_limits import check_bytes
from core.progress import Progress
from core.search.collection import catalog
from core.search.collection.embedder import Embedder
from core.search.collection.sources import Entry, Source, SourceError, is_url
from core.search.collection.vectors import fits
from core.search.collection.writer import New, Writer

# What is lost at most when the process is killed.
_COMMIT_SECONDS, _COMMIT_IMAGES = 2.0, 256
_LOOKUP = 256
# Copies of a file mostly lie side by side, so the pixels of so many contents are kept for the next one.
_KEPT_CONTENTS = 16
_NOT_FINITE = "The model makes numbers of it that are not finite as {}."


@dataclass
class Report:
    """What an add or update did, in images.

    added : new, with a vector of their own or that of the same content; duplicates : of these, those whose content was there;
    changed : known paths with new content or new metadata; unchanged; failed; removed; left_out : hidden and system files and folders;
    problems : sources that could not be read.
    """

    added: int = 0
    duplicates: int = 0
    changed: int = 0
    unchanged: int = 0
    failed: int = 0
    removed: int = 0
    left_out: int = 0
    problems: list[str] = field(default_factory=list)

    def to_json(self) -> dict:
        """As plain data."""
        return asdict(self)


@dataclass(frozen=True)
class _Candidate:
    """An entry that has to be looked at, and what the catalog knows of it."""

    entry: Entry
    hash: str | None
    known: bool


@dataclass(frozen=True)
class _Read:
    candidate: _Candidate
    hash: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    pixels: np.ndarray | None = None
    reason: str | None = None


def add(
    writer: Writer, sources: Sequence[Source], embedder: Callable[[], Embedder], progress: Progress
) -> Report:
    """Store the images of sources, and remember the sources; what is stored and unchanged is left alone.

    Parameters
    ----------
    embedder : called when the first image has to be embedded.
    """
    known = writer.recall("sources") or []
    run = (writer.recall("run") or 0) + 1
    writer.remember("run", run)
    report = Report()
    for source in sources:
        old = _remembered(known, source)
        if old is not None and source.path_column is None:
            source = Source.from_json(old)
        # A list that can't be read is refused before it is remembered.
        next(iter(source.entries()), None)
        if old is None:
            old = {"id": 1 + max((entry["id"] for entry in known), default=0)}
            known.append(old)
        old.update(source.to_json())
        writer.remember("sources", known)
        _Run(writer, embedder, progress, report, old["id"], run, again=True).take(source.path, source.entries)
    _index(writer, progress)
    return report


def add_files(
    writer: Writer,
    entries: Sequence[Entry | LeftOut | Problem],
    embedder: Callable[[], Embedder],
    progress: Progress,
) -> Report:
    """Store single files that belong to no source, such as uploads; what update finds missing never takes them away."""
    report = Report()
    _Run(writer, embedder, progress, report, None, 0, again=True).take(
        "computing vectors", lambda: iter(entries)
    )
    _index(writer, progress)
    return report


def update(writer: Writer, embedder: Callable[[], Embedder], progress: Progress) -> Report:
    """Go through the remembered sources again: take in what is new or has other content, forget what is gone.

    A source that is not there at all is told and nothing of it is removed: it may be a disk that is not connected.
    URLs that are stored are not downloaded again.
    """
    run = (writer.recall("run") or 0) + 1
    writer.remember("run", run)
    report, done = Report(), []
    for entry in writer.recall("sources") or []:
        source = Source.from_json(entry)
        try:
            if source.kind in ("file", "list") and not Path(source.path).is_file():
                raise SourceError(f"The file {source.path!r} is not there.")
            _Run(writer, embedder, progress, report, entry["id"], run, again=False).take(
                source.path, source.entries
            )
            done.append(entry["id"])
        except SourceError as error:
            report.problems.append(f"{error} Nothing of it was removed.")
            progress.say(report.problems[-1])
    while missing := writer.unseen(done, run):
        writer.remove(missing)
        report.removed += len(missing)
    _index(writer, progress)
    return report


def forget(writer: Writer, path: str) -> bool:
    """Forget a source; whether there was one."""
    known = writer.recall("sources") or []
    left = [entry for entry in known if entry["path"] != path]
    if len(left) < len(known):
        writer.remember("sources", left)
    return len(left) < len(known)


class _Run:
    """One source on its way into the collection."""

    def __init__(
        self,
        writer: Writer,
        embedder: Callable[[], Embedder],
        progress: Progress,
        report: Report,
        source: int | None,
        run: int,
        again: bool,
    ):
        self.writer, self.progress, self.report = writer, progress, report
        self._make, self._embedder = embedder, None
        # "again": what failed or was removed before is tried again.
        self.source, self.run, self.again = source, run, again
        self._batch: list[_Read] = []
        self._pending: list[New] = []
        self._vectors: dict[str, np.ndarray] = {}
        self._committed = time.monotonic()

    @property
    def embedder(self) -> Embedder:
        if self._embedder is None:
            self._embedder = self._make()
        return self._embedder

    def take(self, name: str, entries: Callable[[], Iterable[Entry | LeftOut | Problem]]) -> None:
        """Store what the entries name."""
        # Counted first, since the time left is what a user wants to know of a long run.
        self.progress.stage(
            Path(name).name or name, sum(not isinstance(entry, LeftOut) for entry in entries())
        )
        candidates = self._candidates(self._without_left_out(entries()))
        first = next(candidates, None)
        if first is not None:
            embedder = self.embedder
            everything = itertools.chain([first], candidates)
            decoded = Shared(_KEPT_CONTENTS)
            read = lambda candidate: _read(candidate, self.writer.folder, embedder, decoded)  # noqa: E731
            for found in in_threads(read, everything, settings.DECODE_THREADS, 3 * embedder.batch_size):
                self._put(found)
        self._embed()
        self._commit()

    def _without_left_out(self, entries: Iterable[Entry | LeftOut | Problem]) -> Iterator[Entry | Problem]:
        for entry in entries:
            if isinstance(entry, LeftOut):
                self.report.left_out += 1
            else:
                yield entry

    def _candidates(self, entries: Iterator[Entry | Problem]) -> Iterator[_Candidate]:
        """The entries that have to be read; the others are done with here."""
        while chunk := list(itertools.islice(entries, _LOOKUP)):
            known = self.writer.at([entry.path for entry in chunk])
            same = []
            for entry in chunk:
                old = known.get(entry.path)
                if isinstance(entry, Problem):
                    self._fail(entry, entry.reason)
                elif old is None or not self._unchanged(entry, old):
                    yield _Candidate(entry, old.hash if old is not None else None, old is not None)
                elif old.state == catalog.INDEXED and self._says_otherwise(entry, old):
                    self.report.changed += 1
                    self._pending.append(self._new(entry, old.hash, old.size, old.mtime_ns))
                    self.progress.step()
                else:
                    same.append(entry.path)
                    self.report.unchanged += 1
                    self.progress.step()
            if same:
                self.writer.mark_seen(same, self.run)

    def _unchanged(self, entry: Entry, old: sa.Row) -> bool:
        """Whether there is nothing to read again."""
        if old.state != catalog.INDEXED and self.again:
            return False
        if old.state == catalog.REMOVED or is_url(entry.path):
            return True
        try:
            stat = files.located(entry.path, self.writer.folder).stat()
        except OSError:
            return False
        return (old.size, old.mtime_ns) == (stat.st_size, stat.st_mtime_ns)

    def _says_otherwise(self, entry: Entry, old: sa.Row) -> bool:
        """Whether the source gives another label or other metadata than are stored, or is another source."""
        here = self.source if self.source is not None else old.source
        return (old.label, old.metadata, old.source) != (entry.label, entry.metadata, here)

    def _put(self, found: _Read) -> None:
        if found.reason is not None:
            self._fail(found.candidate.entry, found.reason, found.size, found.mtime_ns)
        else:
            self._batch.append(found)
            if len(self._batch) == self.embedder.batch_size:
                self._embed()
        if len(self._pending) >= _COMMIT_IMAGES or time.monotonic() - self._committed > _COMMIT_SECONDS:
            self._commit()

    def _embed(self) -> None:
        """Vectors for the batch: one for each content that has none yet."""
        batch, self._batch = self._batch, []
        if not batch:
            return
        there = self.writer.known([read.hash for read in batch]) | self._vectors.keys()
        fresh = {
            read.hash: read.pixels for read in batch if read.hash not in there and read.pixels is not None
        }
        if fresh:
            vectors = self.embedder(np.stack(list(fresh.values())))
            fit = fits(vectors, self.writer.about.dtype)
            self._vectors |= {
                hash_: vector for hash_, vector, fine in zip(fresh, vectors, fit, strict=True) if fine
            }
        for read in batch:
            entry = read.candidate.entry
            if read.hash not in there and read.hash not in self._vectors:
                self._fail(entry, _NOT_FINITE.format(self.writer.about.dtype), read.size, read.mtime_ns)
                continue
            own = read.hash in fresh
            fresh.pop(read.hash, None)
            if read.candidate.known:
                self.report.changed += 1
            else:
                self.report.added += 1
                self.report.duplicates += not own
            self._pending.append(self._new(entry, read.hash, read.size, read.mtime_ns))
            self.progress.step()

    def _fail(
        self, failed: Entry | Problem, reason: str, size: int | None = None, mtime_ns: int | None = None
    ) -> None:
        self.report.failed += 1
        self._pending.append(
            New(
                failed.path,
                size=size,
                mtime_ns=mtime_ns,
                metadata=failed.metadata if isinstance(failed, Entry) else {},
                reason=reason,
                source=self.source,
                seen=self.run,
            )
        )
        self.progress.step()

    def _new(self, entry: Entry, hash_: str | None, size: int | None, mtime_ns: int | None) -> New:
        vector = self._vectors.get(hash_) if hash_ else None
        return New(
            entry.path,
            hash_,
            size,
            mtime_ns,
            entry.label,
            entry.metadata,
            vector,
            None,
            self.source,
            self.run,
        )

    def _commit(self) -> None:
        if self._pending:
            self.writer.put(self._pending)
        self._pending, self._vectors = [], {}
        self.writer.index(meanwhile=True)
        self._committed = time.monotonic()


def _read(candidate: _Candidate, folder: Path, embedder: Embedder, decoded: Shared) -> _Read:
    """Bytes, hash and pixels of an image; decoded only when its content is not the one that is stored."""
    entry, size, mtime_ns = candidate.entry, None, None
    try:
        if is_url(entry.path):
            data = fetch.fetch_image(entry.path)
        else:
            path = files.located(entry.path, folder)
            stat = path.stat()
            size, mtime_ns = stat.st_size, stat.st_mtime_ns
            if what := folders.special(stat.st_mode):
                # Opening it could wait forever.
                raise UserError(f"it is {what}, not a file")
            # Before it is read: reading takes the memory that the limit protects.
            check_bytes(size)
            data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest == candidate.hash:
            return _Read(candidate, digest, size, mtime_ns)
        pixels = decoded.get(digest, lambda: _pixels(data, entry.foreign, embedder))
        return _Read(candidate, digest, size, mtime_ns, pixels)
    except UserError as error:
        return _Read(candidate, None, size, mtime_ns, None, str(error))
    except OSError as error:
        return _Read(candidate, None, size, mtime_ns, None, error.strerror or "it can't be read")


def _pixels(data: bytes, foreign: bool, embedder: Embedder) -> np.ndarray:
    # Files of the user's own are decoded here; what strangers sent or serve, in a process that may die.
    if foreign:
        picture = images.decode_guarded(data, Reduction(embedder.size, embedder.resample))
    else:
        picture = images.decode(data)
    return images.resize(picture, embedder.size, embedder.resample)


def _remembered(known: list[dict], source: Source) -> dict | None:
    for entry in known:
        if (entry["kind"], entry["path"]) == (source.kind, source.path):
            return entry
    return None


def _index(writer: Writer, progress: Progress) -> None:
    if writer.state.rows and (writer.state.index is None or writer.state.index.rows < writer.state.rows):
        progress.stage("index", writer.state.rows)
        writer.index(step=progress.step)
