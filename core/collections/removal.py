"""Removed images: how they are restored, and how they are purged.

The catalog keeps what a removed image was, and adding its source again does not add it without being requested.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from core.collections import ingest, uploads
from core.collections.ingest_report import Report
from core.collections.schema import REMOVED, Row
from core.collections.writer import Writer
from core.data.folder_walker import Problem
from core.data.image_sources import Entry, named
from core.imaging import servable_files
from core.models.image_embedder import Embedder
from core.progress import Progress


def restore(
    writer: Writer, rows: Sequence[Row], embedder: Callable[[], Embedder], progress: Progress
) -> Report:
    """Restore removed images as they were: with their vectors if these are still stored, or else by reading their files again.

    Images whose file can't be read stay removed, and the catalog says why.
    """
    restored = writer.restore([row.path for row in rows])
    left = writer.at([row.path for row in rows if row.hash is not None])
    again = [_entry(row) for row in left.values() if row.state == REMOVED]
    report = ingest.read_again(writer, again, embedder, progress)
    report.restored += restored
    return report


def _entry(row: Row) -> Entry | Problem:
    """An image to be read again; a problem if it is outside of the folder that the settings allow now."""
    entry = Entry(row.path, foreign=True) if servable_files.is_upload(row.path) else named(row.path)
    return entry if isinstance(entry, Problem) else replace(entry, label=row.label, metadata=row.metadata)


def purge(writer: Writer, rows: Sequence[Row]) -> int:
    """Forget removed images, delete the files of uploads among them, and return how many.

    The paths of all others stay in the catalog, so that adding their source does not add them again.
    """
    sent = [row.path for row in rows if servable_files.is_upload(row.path)]
    known = [row.path for row in rows if row.hash is not None or row.faiss_id is not None]
    others = [path for path in known if not servable_files.is_upload(path)]
    writer.forget(sent)
    writer.keep_path_only(others)
    uploads.sweep(writer)
    return len(sent) + len(others)
