"""Whether the files of a collection are what its catalog says."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from core.collections import schema, tombstones
from core.collections.index.index_engine import Engine
from core.collections.schema import FAILED, INDEXED, REMOVED, Row
from core.collections.state import State
from core.collections.vector_file import VectorFile
from core.data.image_sources import is_remote
from core.imaging import servable_files
from core.progress import Progress, Silent

# The most missing files that are named.
_MOST_NAMED = 20
_ROWS = 1_000


def problems(
    connection: sa.Connection, engine: Engine, state: State, name: Callable[[Row], str], progress: Progress
) -> Iterator[str]:
    """A message for everything that is wrong; reads every byte of vectors and index.

    Parameters
    ----------
    name : returns the name shown for an image whose file is missing.
    progress : receives the vectors and the files of images that were checked.

    Raises
    ------
    FileNotFoundError : the index file is gone, for example because a writer just replaced it.
    """
    stored, files = progress.divide(1, 1)
    yield from storage_problems(connection, engine, state, stored)
    yield from _missing(connection, engine.folder, name, files)


def storage_problems(
    connection: sa.Connection, engine: Engine, state: State, progress: Progress | None = None
) -> Iterator[str]:
    """As :func:`problems`, without the files of the images."""
    vectors, index = (progress or Silent()).divide(2, 1)
    yield from _rows(connection, state)
    vectors.stage("vectors", state.rows)
    yield from vector_problems(
        connection, state.vectors(engine.folder, engine.about), state, step=vectors.step
    )
    index.stage("index", 0)
    yield from engine.verify(connection, state)


def _rows(connection: sa.Connection, state: State) -> Iterator[str]:
    """Every row of the vectors is used by an image or has a tombstone, and none is both."""
    images = schema.images.c
    rows = connection.scalars(sa.select(images.faiss_id).where(images.state == INDEXED).distinct()).all()
    if None in rows:
        yield "The catalog has images without a vector."
    used = np.array([row for row in rows if row is not None], np.int64)
    unused = tombstones.rows(connection)
    if len(np.intersect1d(used, unused)):
        yield "The catalog marks some vectors both as used and as unused."
    every = np.union1d(used, unused)
    if len(every) != state.rows or (len(every) and (every[0] != 0 or every[-1] != state.rows - 1)):
        yield f"The catalog knows {len(every):,} of the {state.rows:,} valid vectors."
    # The vector of a removed image has a tombstone, or is shared with a stored image.
    kept = sa.select(images.faiss_id).where(images.state == REMOVED, images.faiss_id.is_not(None))
    if len(np.setdiff1d(connection.scalars(kept.distinct()).all(), every)):
        yield "The catalog has removed images whose vectors are not valid."
    stray = sa.select(sa.func.count()).where(images.state == FAILED, images.faiss_id.is_not(None))
    if connection.scalar(stray):
        yield "The catalog has images that failed and have a vector."


def _missing(
    connection: sa.Connection, folder: Path, name: Callable[[Row], str], progress: Progress
) -> Iterator[str]:
    """The images whose files are gone; an image without a hash has no file."""
    images = schema.images.c
    # Removed uploads are kept until they are purged.
    kept = sa.and_(images.state == REMOVED, images.path.startswith(f"{servable_files.UPLOADS}/"))
    here = sa.and_(sa.or_(images.state == INDEXED, kept), images.hash.is_not(None))
    stored = sa.select(images.path, images.metadata).where(here)
    progress.stage("files of images", connection.scalar(sa.select(sa.func.count()).where(here)) or 0)
    names: list[str] = []
    uploaded = count = 0
    query: Any = stored.order_by(images.path).execution_options(yield_per=_ROWS)
    for row in connection.execute(query):
        progress.step()
        if is_remote(row.path) or servable_files.present(servable_files.located(row.path, folder)):
            continue
        count += 1
        uploaded += servable_files.is_upload(row.path)
        if len(names) < _MOST_NAMED:
            names.append(name(row))
    if count:
        more = f" and {count - len(names):,} more" if count > len(names) else ""
        yield (
            f"Missing image files: {count:,}, of which {uploaded:,} were uploaded: {', '.join(names)}{more}. Put them back, "
            "or use `playground collection update` for files of this machine; uploads can be uploaded again."
        )


def vector_problems(
    connection: sa.Connection,
    vectors: VectorFile,
    state: State,
    unused: np.ndarray | None = None,
    step: Callable[[int], None] = lambda n: None,
) -> Iterator[str]:
    """A message for everything that is wrong with the stored vectors; those of the rows ``unused`` (n,), ascending, may be damaged."""
    unused = np.empty(0, np.int64) if unused is None else unused
    if len(unused) == state.rows:
        return
    if vectors.rows() < state.rows:
        yield f"The file of vectors has {vectors.rows():,} of the {state.rows:,} valid rows; restore the folder from a copy."
        return
    end = 0
    for segment in connection.execute(sa.select(schema.segments).order_by(schema.segments.c.start)):
        if segment.start != end:
            yield f"The catalog has no checksum for the vectors {end:,} to {segment.start:,}."
        first, last = np.searchsorted(unused, [segment.start, segment.stop])
        used = last - first < segment.stop - segment.start
        if used and vectors.checksum(segment.start, segment.stop) != segment.crc32:
            yield f"The vectors {segment.start:,} to {segment.stop:,} are damaged; restore the folder from a copy."
        step(segment.stop - segment.start)
        end = segment.stop
    if end != state.rows:
        yield f"The catalog has no checksum for the vectors {end:,} to {state.rows:,}."
