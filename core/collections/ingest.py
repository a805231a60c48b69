"""Sources to stored images: read, decode and hash in threads, embed in batches, store every few seconds."""

import errno
import hashlib
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from core.cache import Shared
from core.collections import image_lists as lists
from core.collections import list_rows, schema
from core.collections.embedder import Embedder
from core.collections.folder_labels import FolderLabels, decide
from core.collections.image_sources import Entry, Source, SourceError, absolute, is_folder, is_url, named
from core.collections.list_rows import Conflict
from core.collections.schema import Row
from core.collections.vector_file import fits
from core.collections.writer import New, Writer
from core.data import folder_walker as folders
from core.data.folder_walker import LeftOut, Problem
from core.errors import UserError
from core.imaging import decode, servable_files, url_download
from core.imaging.decode_pool import Reduction
from core.imaging.image_limits import check_bytes
from core.progress import Progress
from core.settings import settings
from core.threads import in_threads

# What is lost at most when the process is killed.
_COMMIT_SECONDS, _COMMIT_IMAGES = 2.0, 256
_LOOKUP = 256
# Copies of a file mostly lie side by side, so the pixels of so many contents are kept for the next one.
_KEPT_CONTENTS = 16
# What a report names.
_MOST_CONFLICTS, _MOST_REASONS = 20, 5
_HIDDEN = "hidden or system file or folder"
_REMOVED = "removed before"
# Of the operating system.
_SHORTER = {os.strerror(errno.ENOENT): "file not found"}
_NOT_FINITE = "The model makes numbers of it that are not finite as {}."


@dataclass
class Report:
    """What an add or update did, in images.

    added : new, with a vector of their own or that of the same content; duplicates : of these, those whose content was there;
    changed : known paths with new content, label or metadata; unchanged; failed; removed; reasons : how many were left out for each reason, the
    failed among them; kept_out : those left out because they were removed before; restored : removed before, and back; conflicting : those that lists give different labels now, which keep the label they had or none; conflicts : some of them;
    problems : sources that could not be read.
    """

    added: int = 0
    duplicates: int = 0
    changed: int = 0
    unchanged: int = 0
    failed: int = 0
    removed: int = 0
    kept_out: int = 0
    restored: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    conflicting: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def leave_out(self, reason: str, count: int) -> None:
        """Count images or rows that are left out."""
        if count:
            self.reasons[reason] = self.reasons.get(reason, 0) + count

    @property
    def left_out(self) -> int:
        """All that was met and is not stored."""
        return sum(self.reasons.values())

    @property
    def read(self) -> int:
        """All that was met."""
        return self.added + self.changed + self.unchanged + self.restored + self.left_out

    def to_json(self) -> dict:
        """As plain data."""
        return {"read": self.read, "left_out": self.left_out, **asdict(self)}

    def conflict_summary(self) -> str:
        """A sentence about the conflicts, which are listed behind it."""
        one = self.conflicting == 1
        some = "" if self.conflicting == len(self.conflicts) else f" The first {len(self.conflicts):,}:"
        return (
            f"Lists give different labels to {self.conflicting:,} image{'' if one else 's'}, which {'keeps' if one else 'keep'} the "
            "label from before, or none. Correct the lists and update, or let one of them win with `collection update --labels-from "
            f"LIST`.{some}"
        )

    def summary(self) -> str:
        """One line of it all."""
        parts = [
            f"{self.added:,} added",
            f"{self.changed:,} changed",
            f"{self.unchanged:,} already there",
            *([f"{self.removed:,} removed"] if self.removed else []),
            *([f"{self.restored:,} restored"] if self.restored else []),
        ]
        left_out = f"{self.left_out:,} left out"
        if self.reasons:
            reasons = sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))
            told = [f"{reason}: {count:,}" for reason, count in reasons[:_MOST_REASONS]]
            if others := sum(count for _, count in reasons[_MOST_REASONS:]):
                told.append(f"other reasons: {others:,}")
            left_out += f" ({'; '.join(told)})"
        return f"{self.read:,} read, {', '.join([*parts, left_out])}."


@dataclass(frozen=True)
class _Candidate:
    """An entry that has to be looked at, and what the catalog knows of it.

    hash : of a content that has a vector; state : None where the path is new.
    """

    entry: Entry
    hash: str | None
    state: str | None
    folder_label: str | None
    source: int | None


@dataclass(frozen=True)
class _Read:
    candidate: _Candidate
    hash: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    pixels: np.ndarray | None = None
    reason: str | None = None


def add(
    writer: Writer,
    sources: Sequence[Source],
    embedder: Callable[[], Embedder],
    progress: Progress,
    labels_from: str | None = None,
    restore_removed: bool = False,
) -> Report:
    """Store the images of sources, and remember the sources; what is stored and unchanged is left alone.

    Parameters
    ----------
    embedder : called when the first image has to be embedded.
    labels_from : the path of a list whose labels win over those of other lists, this time.
    restore_removed : take in images that were removed; they are left out otherwise.

    Raises
    ------
    SourceError : a source can't be read, or ``labels_from`` is none of the lists; nothing is stored or remembered.
    """
    known = writer.recall("sources") or []
    last = max([writer.last_source(), *(record["id"] for record in known)])
    added, read = [], {}
    for source in dict.fromkeys(sources):
        old = next((one for one in known if (one["kind"], one["path"]) == (source.kind, source.path)), None)
        if old is None:
            last += 1
            old = {"id": last}
            known.append(old)
        else:
            source = source.over(old)
        if source.kind == "list":
            digest, rows = _open_list(writer, source, old)
            old["digest"] = digest
            if rows is not None:
                read[old["id"]] = rows
        else:
            next(iter(source.entries()), None)
        old.update(source.to_json())
        decide(known, source.path)
        added.append(old)
    among = _Sources.of(known, labels_from)
    writer.remember_sources(known, read)
    for record in known:
        if record["kind"] == "list" and record not in added:
            # What other lists say counts as it is now; those that can't be read now said something before.
            with suppress(SourceError):
                _refresh_list(writer, known, record)
    report, run = Report(), _next_run(writer)
    # Lists last: what folders say of the same images is known by then.
    for record in sorted(added, key=_is_list):
        _Run(
            writer, embedder, progress, report, among, record["id"], run, again=True, restore=restore_removed
        ).take_source(record)
    _report_conflicts(writer, report, among, added)
    _index(writer, progress)
    return report


def add_files(
    writer: Writer,
    entries: Sequence[Entry | LeftOut | Problem],
    embedder: Callable[[], Embedder],
    progress: Progress,
    restore_removed: bool = False,
) -> Report:
    """Store single files that belong to no source, such as uploads; what update finds missing never takes them away."""
    report = Report()
    _Run(writer, embedder, progress, report, _Sources(), None, 0, again=True, restore=restore_removed).take(
        "computing vectors", lambda: iter(entries)
    )
    _index(writer, progress)
    return report


def read_again(
    writer: Writer,
    entries: Sequence[Entry | Problem],
    embedder: Callable[[], Embedder],
    progress: Progress,
) -> Report:
    """Bring removed images back with all that the catalog knows of them by reading them again."""
    report, run = Report(), writer.recall("run") or 0
    _Run(writer, embedder, progress, report, _Sources(), None, run, again=True, restore=True, undo=True).take(
        "computing vectors", lambda: iter(entries)
    )
    _index(writer, progress)
    return report


def update(
    writer: Writer, embedder: Callable[[], Embedder], progress: Progress, labels_from: str | None = None
) -> Report:
    """Go through the remembered sources again: take in what is new or has other content, forget what is gone.

    Of a source that is not there, or that holds no picture any more, nothing is removed: it may be a disk that is not connected.
    URLs that are stored are not downloaded again.

    Parameters
    ----------
    labels_from : as for :func:`add`.
    """
    known = writer.recall("sources") or []
    decided = [decide(known, record["path"]) for record in known]
    if any(decided):
        writer.remember_sources(known)
    among, run = _Sources.of(known, labels_from), _next_run(writer)
    report, there, done = Report(), [], []
    # Every list is read before the first label is decided.
    for record in known:
        with _noting(report, progress):
            if record["kind"] in ("file", "list") and not Path(record["path"]).is_file():
                raise SourceError(f"The file {record['path']!r} is not there.")
            if _is_list(record):
                _refresh_list(writer, known, record)
            elif _is_empty(record, among) and writer.unseen([record["id"]], run):
                raise SourceError(
                    f"{record['path']!r} holds no pictures now. If their disk is connected and they are gone for good, use "
                    "`collection remove` with the same path."
                )
            there.append(record)
    for record in sorted(there, key=_is_list):
        with _noting(report, progress):
            _Run(writer, embedder, progress, report, among, record["id"], run, again=False).take_source(
                record
            )
            done.append(record["id"])
    while missing := writer.unseen(done, run):
        writer.forget(missing)
        report.removed += len(missing)
    _report_conflicts(writer, report, among, there)
    _index(writer, progress)
    return report


def forget(writer: Writer, path: str) -> None:
    """Forget a source, with what a list says of its images."""
    known = writer.recall("sources") or []
    gone = [record for record in known if record["path"] == path]
    for record in gone:
        known.remove(record)
        writer.forget_source(known, record["id"])


@dataclass(frozen=True)
class _Sources:
    """The remembered sources by their numbers: paths of lists, the list whose labels win, and all that are no lists.

    labels : what the folders among them say of a file.
    """

    lists: dict[int, str] = field(default_factory=dict)
    favored: int | None = None
    folders: frozenset[int] = frozenset()
    labels: FolderLabels = field(default_factory=FolderLabels)

    @classmethod
    def of(cls, known: Sequence[dict], labels_from: str | None) -> "_Sources":
        paths = {record["id"]: record["path"] for record in known if _is_list(record)}
        folders = frozenset(record["id"] for record in known if not _is_list(record))
        labels = FolderLabels(map(Source.from_json, known))
        if labels_from is None:
            return cls(paths, None, folders, labels)
        wanted = absolute(labels_from)
        if wanted not in paths.values():
            raise SourceError(
                f"Labels can't be taken from {labels_from!r}: it is none of the collection's lists "
                f"({', '.join(map(repr, paths.values())) or 'there are none'}). Add it first."
            )
        return cls(paths, next(number for number, path in paths.items() if path == wanted), folders, labels)


def _is_list(record: dict) -> bool:
    return record["kind"] == "list"


def _is_empty(record: dict, among: _Sources) -> bool:
    """Whether a folder or pattern leads to no picture, as the place where a disk is connected does without it."""
    entries = Source.from_json(record).entries(among.labels)
    return not any(isinstance(entry, Entry) for entry in entries)


@contextmanager
def _noting(report: Report, progress: Progress) -> Iterator[None]:
    """Report a source that can't be read and go on."""
    try:
        yield
    except SourceError as error:
        report.problems.append(f"{error} Nothing of it was removed.")
        progress.say(report.problems[-1])


def _next_run(writer: Writer) -> int:
    run = (writer.recall("run") or 0) + 1
    writer.remember("run", run)
    return run


def _open_list(writer: Writer, source: Source, record: dict) -> tuple[str, Iterator[lists.Row] | None]:
    """The digest of a list, and its rows unless they are those that are stored.

    Raises
    ------
    SourceError : it can't be read, or names no file that is there.
    """
    path = Path(source.path)
    digest = lists.digest(path, source.path_column)
    if record.get("digest") != digest:
        rows = lists.read(path, source.path_column)
        # The columns are found before anything of it is stored.
        first = next(rows, None)
        return digest, itertools.chain([] if first is None else [first], rows)
    for row in writer.rows_of_list(record["id"]):
        if row.problem is None and (is_url(row.path) or Path(row.path).is_file()):
            return digest, None
    raise SourceError(f"No file that the list {path.name!r} names is there.")


def _refresh_list(writer: Writer, known: Sequence[dict], record: dict) -> None:
    """Read a remembered list again if it has changed; raises SourceError as :func:`_open_list`."""
    digest, rows = _open_list(writer, Source.from_json(record), record)
    if rows is not None:
        fresh = {**record, "digest": digest}
        writer.remember_sources([fresh if one is record else one for one in known], {record["id"]: rows})
        record.update(fresh)


def _report_conflicts(writer: Writer, report: Report, among: _Sources, records: Sequence[dict]) -> None:
    if any(map(_is_list, records)):
        report.conflicting, report.conflicts = writer.conflicts(among.lists, among.favored, _MOST_CONFLICTS)


class _Run:
    """One source on its way into the collection."""

    def __init__(
        self,
        writer: Writer,
        embedder: Callable[[], Embedder],
        progress: Progress,
        report: Report,
        among: _Sources,
        source: int | None,
        run: int,
        again: bool,
        restore: bool = False,
        undo: bool = False,
    ):
        self.writer, self.progress, self.report, self.among = writer, progress, report, among
        self._make, self._embedder = embedder, None
        # "again": what failed before is tried again; "restore": what was removed is taken in; "undo": as it was.
        self.source, self.run, self.again, self.restore, self.undo = source, run, again, restore, undo
        self._batch: list[_Read] = []
        self._pending: list[New] = []
        self._vectors: dict[str, np.ndarray] = {}
        self._not_restored: dict[str, str] = {}
        self._committed = time.monotonic()

    @property
    def embedder(self) -> Embedder:
        if self._embedder is None:
            self._embedder = self._make()
        return self._embedder

    def take_source(self, record: dict) -> None:
        """Store the images of a remembered source."""
        source = Source.from_json(record)
        if not _is_list(record):
            self.take(source.path, lambda: source.entries(self.among.labels))
            return
        self.take(source.path, lambda: self._listed(source.path))
        self.report.leave_out(lists.NO_PATH, self.writer.rows_without_path(record["id"]))

    def _listed(self, path: str) -> Iterator[Entry | Problem]:
        """The images that a list names, each once."""
        assert self.source is not None
        for row in self.writer.rows_of_list(self.source):
            yield (
                named(row.path) if row.problem is None else Problem(f"{path}, row {row.number}", row.problem)
            )

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
                self.report.leave_out(_HIDDEN, 1)
            else:
                yield entry

    def _candidates(self, entries: Iterator[Entry | Problem]) -> Iterator[_Candidate]:
        """The entries that have to be read; the others are done with here."""
        while chunk := list(itertools.islice(entries, _LOOKUP)):
            known = self.writer.at([entry.path for entry in chunk])
            rows = self.writer.rows_of_images([entry.path for entry in chunk]) if self.among.lists else {}
            removed = [row.hash for row in known.values() if row.state == schema.REMOVED and row.hash]
            stored = self.writer.known(removed) if self.restore else set()
            same = []
            for entry in chunk:
                old = known.get(entry.path)
                if self.source is not None and old is not None and old.seen == self.run:
                    # Another source of this run has it too; what all of them say of it was stored then.
                    self.progress.step()
                    continue
                state = old.state if old is not None else None
                if state == schema.REMOVED and not self.restore:
                    self.report.kept_out += 1
                    self.report.leave_out(_REMOVED, 1)
                    same.append(entry.path)
                    self.progress.step()
                    continue
                if isinstance(entry, Problem):
                    self._fail(self._unread(entry, old), entry.reason, state)
                    if self.source is not None and is_folder(entry.path):
                        # What lies in a folder that can't be looked into may still be there.
                        same += self.writer.below(entry.path)
                    continue
                candidate = self._candidate(entry, old, rows.get(entry.path, []))
                if old is not None and state == schema.REMOVED:
                    if old.hash not in stored:
                        yield replace(candidate, hash=None)
                    elif not self._unchanged(entry, old):
                        yield candidate
                    else:
                        self.report.restored += 1
                        self._pending.append(self._new(candidate, old.hash, old.size, old.mtime_ns))
                        self.progress.step()
                elif old is None or not self._unchanged(entry, old):
                    yield candidate
                elif old.state == schema.INDEXED and self._differs(candidate, old):
                    same_words = (old.label, old.metadata) == (
                        candidate.entry.label,
                        candidate.entry.metadata,
                    )
                    self.report.unchanged += same_words
                    self.report.changed += not same_words
                    self._pending.append(self._new(candidate, old.hash, old.size, old.mtime_ns))
                    self.progress.step()
                else:
                    same.append(entry.path)
                    self.report.unchanged += 1
                    self.progress.step()
            if same:
                self.writer.mark_seen(same, self.run)

    def _unchanged(self, entry: Entry, old: Row) -> bool:
        """Whether there is nothing to read again."""
        if old.state == schema.FAILED and self.again:
            return False
        if is_url(entry.path):
            return True
        try:
            stat = servable_files.located(entry.path, self.writer.folder).stat()
        except OSError:
            return False
        return (old.size, old.mtime_ns) == (stat.st_size, stat.st_mtime_ns)

    def _candidate(self, entry: Entry, old: Row | None, rows: Sequence[Row]) -> _Candidate:
        """An image with what all sources together say of it: its folder, and before that the rows of lists."""
        hash_, state = (old.hash, old.state) if old is not None else (None, None)
        if self.undo and old is not None:
            return _Candidate(entry, hash_, state, old.folder_label, old.source)
        # It stays with the source that it came with, but for a list that leaves it to a folder.
        kept = old is not None and (
            self.source is None
            or old.source in self.among.folders
            or (old.source in self.among.lists and self.source in self.among.lists)
        )
        source = old.source if kept else self.source
        folder_label = entry.label
        if old is not None and self.source in self.among.lists:
            folder_label = old.folder_label
        label, metadata = folder_label, entry.metadata
        if rows:
            merged = list_rows.merge(rows, self.among.lists, self.among.favored)
            metadata = merged.metadata
            if merged.conflict:
                label = old.label if old is not None else None
            elif merged.label is not None:
                label = merged.label
        return _Candidate(replace(entry, label=label, metadata=metadata), hash_, state, folder_label, source)

    def _differs(self, candidate: _Candidate, old: Row) -> bool:
        """Whether something else is said of an image than is stored."""
        said = (candidate.entry.label, candidate.entry.metadata, candidate.folder_label, candidate.source)
        return said != (old.label, old.metadata, old.folder_label, old.source)

    def _put(self, found: _Read) -> None:
        if found.reason is not None:
            self._fail_read(found, found.reason)
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
            state = read.candidate.state
            if read.hash not in there and read.hash not in self._vectors:
                self._fail_read(read, _NOT_FINITE.format(self.writer.about.dtype))
                continue
            own = read.hash in fresh
            fresh.pop(read.hash, None)
            if state == schema.REMOVED:
                self.report.restored += 1
            elif state is not None:
                self.report.changed += 1
            else:
                self.report.added += 1
                self.report.duplicates += not own
            self._pending.append(self._new(read.candidate, read.hash, read.size, read.mtime_ns))
            self.progress.step()

    def _unread(self, problem: Problem, old: Row | None) -> New:
        failed = New(problem.path, reason=problem.reason, source=self.source, seen=self.run)
        if old is None:
            return failed
        return replace(failed, label=old.label, metadata=old.metadata, folder_label=old.folder_label)

    def _fail_read(self, read: _Read, reason: str) -> None:
        """Note why an image can't be read; what is said of it is kept until it can be."""
        failed = self._new(read.candidate, None, read.size, read.mtime_ns)
        self._fail(replace(failed, reason=reason), reason, read.candidate.state)

    def _fail(self, failed: New, reason: str, state: str | None) -> None:
        """Note a failure; ``state`` is what the image was. A removed one stays removed, with all that is known of it."""
        self.report.failed += 1
        self.report.leave_out(_SHORTER.get(reason, reason), 1)
        if state == schema.REMOVED:
            self._not_restored[failed.path] = reason
        else:
            self._pending.append(failed)
        self.progress.step()

    def _new(self, candidate: _Candidate, hash_: str | None, size: int | None, mtime_ns: int | None) -> New:
        entry = candidate.entry
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
            candidate.source,
            self.run,
            candidate.folder_label,
        )

    def _commit(self) -> None:
        if self._pending:
            self.writer.put(self._pending)
        if self._not_restored:
            self.writer.set_reasons(self._not_restored)
        self._pending, self._vectors, self._not_restored = [], {}, {}
        self.writer.index(meanwhile=True)
        self._committed = time.monotonic()


def _read(candidate: _Candidate, folder: Path, embedder: Embedder, decoded: Shared) -> _Read:
    """Bytes, hash and pixels of an image; decoded only when its content is not the one that is stored."""
    entry, size, mtime_ns = candidate.entry, None, None
    try:
        if is_url(entry.path):
            data = url_download.fetch_image(entry.path)
        else:
            path = servable_files.located(entry.path, folder)
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
        picture = decode.decode_guarded(data, Reduction(embedder.size, embedder.resample))
    else:
        picture = decode.decode(data)
    return decode.resize(picture, embedder.size, embedder.resample)


def _index(writer: Writer, progress: Progress) -> None:
    if writer.state.rows and (writer.state.index is None or writer.state.index.rows < writer.state.rows):
        progress.stage("index", writer.state.rows)
        writer.index(step=progress.step)
