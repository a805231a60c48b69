"""Removed images: how they come back, and how they go for good.

Removing is a decision: the catalog keeps what an image was, and nothing that finds it again takes it in unasked.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from core.collections import ingest, schema, uploads
from core.collections.embedder import Embedder
from core.collections.image_sources import Entry, named
from core.collections.schema import Row
from core.collections.writer import Writer
from core.data.folder_walker import Problem
from core.imaging import servable_files
from core.progress import Progress


def is_restorable(row: Row) -> bool:
    """Whether the catalog knows enough of a removed image to bring it back."""
    return row.hash is not None or row.faiss_id is not None


def restore(
    writer: Writer, rows: Sequence[Row], embedder: Callable[[], Embedder], progress: Progress
) -> ingest.Report:
    """Bring removed images back as they were: with the vectors that are still stored, the others by reading their files again.

    What can't be read stays removed, and the catalog says why.
    """
    restored = writer.restore([row.path for row in rows])
    left = writer.at([row.path for row in rows if row.hash is not None])
    again = [_entry(row) for row in left.values() if row.state == schema.REMOVED]
    report = ingest.read_again(writer, again, embedder, progress)
    report.restored += restored
    return report


def _entry(row: Row) -> Entry | Problem:
    """An image to be read again; a problem where it lies outside the folder that the settings allow now."""
    found = Entry(row.path, foreign=True) if servable_files.is_upload(row.path) else named(row.path)
    return found if isinstance(found, Problem) else replace(found, label=row.label, metadata=row.metadata)


def purge(writer: Writer, rows: Sequence[Row]) -> int:
    """Forget removed images for good, delete the files of those that were uploaded, and return how many.

    Of others the path stays in the catalog, so that adding their source does not bring them back.
    """
    sent = [row.path for row in rows if servable_files.is_upload(row.path)]
    others = [row.path for row in rows if is_restorable(row) and not servable_files.is_upload(row.path)]
    writer.forget(sent)
    writer.keep_path_only(others)
    uploads.sweep(writer)
    return len(sent) + len(others)
