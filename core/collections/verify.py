"""Whether what a collection has on disk is what it has promised."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from core.collections import ann_index, schema, tombstones
from core.collections.image_sources import is_url
from core.collections.schema import Row
from core.collections.state import About, State
from core.collections.vector_file import VectorFile
from core.imaging import servable_files

# Missing files are named up to this many.
_MOST_NAMED = 20
_ROWS = 1_000


def problems(
    connection: sa.Connection,
    folder: Path,
    about: About,
    state: State,
    named: Callable[[Row], str],
) -> Iterator[str]:
    """A sentence for everything that is wrong; reads every byte of vectors and index.

    Parameters
    ----------
    named : how an image whose file is missing is called.

    Raises
    ------
    FileNotFoundError : the index file is gone, as when a writer has just replaced it.
    """
    yield from storage_problems(connection, folder, about, state)
    yield from _missing(connection, folder, named)


def storage_problems(connection: sa.Connection, folder: Path, about: About, state: State) -> Iterator[str]:
    """As :func:`problems`, without looking for the files of the images."""
    yield from _rows(connection, state)
    yield from vector_problems(
        connection, VectorFile(folder / state.vector_file, about.dimensions, about.dtype), state
    )
    if state.index is not None:
        try:
            ann_index.inspect(folder / state.index.file, state.index, whole=True)
            ann_index.Ann(folder, state.index, state.metric)
        except ann_index.DamagedIndexError as error:
            yield f"{error} `collection optimize` makes a new one from the stored vectors."
        if state.index.rows > state.rows:
            yield f"The index has {state.index.rows:,} rows, the catalog {state.rows:,}."


def _rows(connection: sa.Connection, state: State) -> Iterator[str]:
    """Every row of the vectors is used by an image or has a tombstone, and none is both."""
    images = schema.images.c
    used = np.array(
        connection.scalars(sa.select(images.faiss_id).where(images.state == schema.INDEXED).distinct()).all(),
        dtype=object,
    )
    if any(row is None for row in used):
        yield "The catalog has images without a vector."
    used = np.array([row for row in used if row is not None], np.int64)
    unused = tombstones.rows(connection)
    if len(np.intersect1d(used, unused)):
        yield "The catalog says of some vectors that they are used and that they are not."
    every = np.union1d(used, unused)
    if len(every) != state.rows or (len(every) and (every[0] != 0 or every[-1] != state.rows - 1)):
        yield f"The catalog knows {len(every):,} of the {state.rows:,} vectors that count."
    # The vector of a removed image has a tombstone, or is shared with a stored image.
    kept = sa.select(images.faiss_id).where(images.state == schema.REMOVED, images.faiss_id.is_not(None))
    if len(np.setdiff1d(connection.scalars(kept.distinct()).all(), every)):
        yield "The catalog knows vectors of removed images that do not count."
    stray = sa.select(sa.func.count()).where(images.state == schema.FAILED, images.faiss_id.is_not(None))
    if connection.scalar(stray):
        yield "The catalog has images that failed and have a vector."


def _missing(connection: sa.Connection, folder: Path, named: Callable[[Row], str]) -> Iterator[str]:
    """The images whose files are gone; an image without a hash has no file."""
    images = schema.images.c
    # Removed uploads are kept until they are purged.
    kept = sa.and_(images.state == schema.REMOVED, images.path.startswith(f"{servable_files.UPLOADS}/"))
    stored = sa.select(images.path, images.metadata).where(
        sa.or_(images.state == schema.INDEXED, kept), images.hash.is_not(None)
    )
    names, uploaded, count = [], 0, 0
    query = stored.order_by(images.path).execution_options(yield_per=_ROWS)
    for row in connection.execute(query):
        if is_url(row.path) or servable_files.present(servable_files.located(row.path, folder)):
            continue
        count += 1
        uploaded += servable_files.is_upload(row.path)
        if len(names) < _MOST_NAMED:
            names.append(named(row))
    if count:
        more = f" and {count - len(names):,} more" if count > len(names) else ""
        yield (
            f"Missing picture files: {count:,}, of which {uploaded:,} were uploaded: {', '.join(names)}{more}. Put them back, "
            "or use `collection update` for files of this machine; what was uploaded can be uploaded again."
        )


def vector_problems(
    connection: sa.Connection, vectors: VectorFile, state: State, without: np.ndarray | None = None
) -> Iterator[str]:
    """A sentence for everything that is wrong with the stored vectors; those of the rows ``without`` (n,), ascending, need not be right."""
    needless = np.empty(0, np.int64) if without is None else without
    if len(needless) == state.rows:
        return
    if vectors.rows() < state.rows:
        yield f"The file of vectors has {vectors.rows():,} of the {state.rows:,} rows that count; restore the folder from a copy."
        return
    end = 0
    for segment in connection.execute(sa.select(schema.segments).order_by(schema.segments.c.start)):
        if segment.start != end:
            yield f"The catalog has no checksum for the vectors {end:,} to {segment.start:,}."
        first, last = np.searchsorted(needless, [segment.start, segment.stop])
        needed = last - first < segment.stop - segment.start
        if needed and vectors.checksum(segment.start, segment.stop) != segment.crc32:
            yield f"The vectors {segment.start:,} to {segment.stop:,} are damaged; restore the folder from a copy."
        end = segment.stop
    if end != state.rows:
        yield f"The catalog has no checksum for the vectors {end:,} to {state.rows:,}."
