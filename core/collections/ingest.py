"""Adding and updating: which sources are read, in what order, and what is remembered of them.

What happens to the images of a source is in :mod:`core.collections.ingest_images`.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from core.collections import catalog, list_rows
from core.collections.ingest_images import FileImages, Ingester, KnownSources, is_list
from core.collections.ingest_report import Report
from core.collections.writer import Writer
from core.data import image_lists
from core.data.folder_labels import decide
from core.data.folder_walker import LeftOut, Problem
from core.data.image_sources import Entry, ImageSource, Record, SourceError, is_file, is_remote, remembered
from core.models.image_embedder import Embedder
from core.progress import Progress

_COUNTING = "counting the images"
# How long it takes to count images, to store them, and to index the last of them, compared with each other.
_SOURCES_COSTS = 1, 40, 2
_FILES_COSTS = 40, 2
# Conflicts that a report names.
_MOST_CONFLICTS = 20


def add(
    writer: Writer,
    sources: Sequence[ImageSource],
    embedder: Callable[[], Embedder],
    progress: Progress,
    labels_from: str | None = None,
    restore_removed: bool = False,
) -> Report:
    """Store the images of sources, and remember the sources; images that are stored and unchanged are not read.

    Parameters
    ----------
    embedder : called when the first image has to be embedded.
    labels_from : the path of a list whose labels win over those of other lists, in this call.
    restore_removed : also add images that were removed; they are left out otherwise.

    Raises
    ------
    SourceError : a source can't be read, or ``labels_from`` is not one of the lists; nothing is stored or remembered.
    """
    known = writer.sources
    last = last_source(writer, known)
    added, read = [], {}
    for source in dict.fromkeys(sources):
        record, source = remembered(known, source)
        if "id" not in record:
            last += 1
            record["id"] = last
        if source.kind == "list":
            record["digest"], rows = _open_list(writer, source, record)
            if rows is not None:
                read[record["id"]] = rows
        else:
            next(iter(source.entries()), None)
        record.update(source.to_json())
        decide(known, source.path)
        added.append(record)
    among = KnownSources.of(known, labels_from)
    writer.remember_sources(known, read)
    refresh_other_lists(writer, known, added)
    images = FileImages(embedder, writer.folder)
    counting, storing, indexing = progress.divide(*_SOURCES_COSTS)
    ingester = Ingester(writer, images, storing, among, next_run(writer), restore=restore_removed)
    # Lists last: the labels of folders for the same images are known by then.
    added.sort(key=is_list)
    counting.stage(_COUNTING, 0)
    totals = [ingester.count(record, counting) for record in added]
    for record, total, part in zip(added, totals, storing.divide(*totals), strict=True):
        ingester.take_source(record, total, part)
    report_conflicts(writer, ingester.report, among, added)
    return ingester.finish(indexing)


def add_files(
    writer: Writer,
    entries: Sequence[Entry | LeftOut | Problem],
    embedder: Callable[[], Embedder],
    progress: Progress,
    restore_removed: bool = False,
) -> Report:
    """Store single files that belong to no source, such as uploads; an update never removes them."""
    images = FileImages(embedder, writer.folder)
    storing, indexing = progress.divide(*_FILES_COSTS)
    ingester = Ingester(writer, images, storing, restore=restore_removed)
    ingester.take_files(entries)
    return ingester.finish(indexing)


def read_again(
    writer: Writer, entries: Sequence[Entry | Problem], embedder: Callable[[], Embedder], progress: Progress
) -> Report:
    """Restore removed images, with all that the catalog knows of them, by reading them again."""
    run = writer.catalog.read(catalog.get_fact, "run") or 0
    images = FileImages(embedder, writer.folder)
    storing, indexing = progress.divide(*_FILES_COSTS)
    ingester = Ingester(writer, images, storing, run=run, restore=True, undo=True)
    ingester.take_files(entries)
    return ingester.finish(indexing)


def update(
    writer: Writer, embedder: Callable[[], Embedder], progress: Progress, labels_from: str | None = None
) -> Report:
    """Go through the remembered sources again: add what is new, read what changed, forget what is gone.

    Nothing is forgotten of a source that does not exist or holds no images now: its disk may not be connected.
    Stored URLs are not downloaded again.

    Parameters
    ----------
    labels_from : as for :func:`add`.
    """
    known = writer.sources
    if any([decide(known, record["path"]) for record in known]):  # noqa: C419 - every source gets its turn
        writer.remember_sources(known)
    among, run = KnownSources.of(known, labels_from), next_run(writer)
    images = FileImages(embedder, writer.folder, again=False)
    counting, storing, indexing = progress.divide(*_SOURCES_COSTS)
    ingester = Ingester(writer, images, storing, among, run)
    report, present, totals, done = ingester.report, [], [], []
    # Every list is read before the first label is decided.
    for record in known:
        with _noting(report, progress):
            if record["kind"] in ("file", "list") and not is_file(record["path"]):
                raise SourceError(f"The file {record['path']!r} does not exist.")
            if is_list(record):
                _refresh_list(writer, known, record)
            elif _is_empty(record, among) and writer.catalog.read(catalog.unseen, [record["id"]], run):
                raise SourceError(
                    f"{record['path']!r} holds no images now. If its disk is connected and they are really gone, use "
                    "`playground collection remove` with the same path."
                )
            present.append(record)
    counting.stage(_COUNTING, 0)
    readable = []
    for record in sorted(present, key=is_list):
        with _noting(report, progress):
            totals.append(ingester.count(record, counting))
            readable.append(record)
    for record, total, part in zip(readable, totals, storing.divide(*totals), strict=True):
        with _noting(report, progress):
            ingester.take_source(record, total, part)
            done.append(record["id"])
    forget_unseen(writer, report, done, run)
    report_conflicts(writer, report, among, present)
    return ingester.finish(indexing)


def last_source(writer: Writer, known: Sequence[Record]) -> int:
    """The highest number that a source has, or had."""
    last: int = max([writer.catalog.read(catalog.last_source), *(record["id"] for record in known)])
    return last


def refresh_other_lists(writer: Writer, known: Sequence[Record], added: Sequence[Record]) -> None:
    """Read the lists that are not being added, whose labels count as they are now; one that can't be read keeps its stored rows."""
    for record in known:
        if is_list(record) and record not in added:
            with suppress(SourceError):
                _refresh_list(writer, known, record)


def forget_unseen(writer: Writer, report: Report, sources: Sequence[int], run: int) -> None:
    """Forget the images of sources, by their numbers, that no run from this one on has seen."""
    while missing := writer.catalog.read(catalog.unseen, sources, run):
        writer.forget(missing)
        report.removed += len(missing)


def note(report: Report, progress: Progress, problem: str) -> None:
    """Report a source that can't be read."""
    report.problems.append(f"{problem} Nothing of it was removed.")
    progress.say(report.problems[-1])


def forget(writer: Writer, path: str) -> None:
    """Forget a source, with the rows of a list."""
    known = writer.sources
    for record in [record for record in known if record["path"] == path]:
        known.remove(record)
        writer.forget_source(known, record["id"])


def _is_empty(record: Record, among: KnownSources) -> bool:
    """Whether a folder or pattern leads to no image, like the mount point of a disk that is not connected."""
    entries = ImageSource.from_json(record).entries(among.labels)
    return not any(isinstance(entry, Entry) for entry in entries)


@contextmanager
def _noting(report: Report, progress: Progress) -> Iterator[None]:
    """Report a source that can't be read and go on."""
    try:
        yield
    except SourceError as error:
        note(report, progress, str(error))


def next_run(writer: Writer) -> int:
    """The number of a new run."""
    run: int = (writer.catalog.read(catalog.get_fact, "run") or 0) + 1
    writer.catalog.write(catalog.set_fact, "run", run)
    return run


def _open_list(
    writer: Writer, source: ImageSource, record: Record
) -> tuple[str, Iterator[image_lists.Row] | None]:
    """The digest of a list, and its rows unless the stored ones are the same.

    Raises
    ------
    SourceError : it can't be read, or names no existing file.
    """
    path = Path(source.path)
    digest = image_lists.digest(path, source.path_column)
    if record.get("digest") != digest:
        rows = image_lists.read(path, source.path_column)
        # The columns are checked before anything is stored.
        first = next(rows, None)
        return digest, itertools.chain([] if first is None else [first], rows)
    for row in writer.rows_of_list(record["id"]):
        if row.problem is None and (is_remote(row.path) or Path(row.path).is_file()):
            return digest, None
    raise SourceError(f"None of the files that the list {path.name!r} names exists.")


def _refresh_list(writer: Writer, known: Sequence[Record], record: Record) -> None:
    """Read a remembered list again if it has changed; raises SourceError as :func:`_open_list`."""
    digest, rows = _open_list(writer, ImageSource.from_json(record), record)
    if rows is not None:
        fresh = {**record, "digest": digest}
        writer.remember_sources([fresh if one is record else one for one in known], {record["id"]: rows})
        record.update(fresh)


def report_conflicts(writer: Writer, report: Report, among: KnownSources, records: Sequence[Record]) -> None:
    """Report the images to which lists give different labels, if some of the sources are lists."""
    if any(map(is_list, records)):
        report.conflicting, report.conflicts = writer.catalog.read(
            list_rows.conflicts, among.lists, among.favored, _MOST_CONFLICTS
        )
