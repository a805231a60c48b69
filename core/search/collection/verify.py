"""Whether what a collection has on disk is what it has promised."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from core.search.collection import ann, catalog, uploads
from core.search.collection.state import About, State
from core.search.collection.vectors import VectorFile


def problems(connection: sa.Connection, folder: Path, about: About, state: State) -> Iterator[str]:
    """A sentence for everything that is wrong; reads every byte of vectors and index.

    Raises
    ------
    FileNotFoundError : the index file is gone, as when a writer has just replaced it.
    """
    yield from _rows(connection, state)
    yield from uploads.missing(connection, folder)
    yield from _vectors(
        connection, VectorFile(folder / state.vector_file, about.dimensions, about.dtype), state
    )
    if state.index is not None:
        try:
            ann.inspect(folder / state.index.file, state.index, whole=True)
            ann.Ann(folder, state.index, state.metric)
        except ann.DamagedIndexError as error:
            yield f"{error} `collection optimize` makes a new one from the stored vectors."
        if state.index.rows > state.rows:
            yield f"The index has {state.index.rows:,} rows, the catalog {state.rows:,}."


def _rows(connection: sa.Connection, state: State) -> Iterator[str]:
    """Every row of the vectors is an image's or a hole, and none is both."""
    images = catalog.images.c
    used = np.array(
        connection.scalars(
            sa.select(images.faiss_id).where(images.state == catalog.INDEXED).distinct()
        ).all(),
        dtype=object,
    )
    if any(row is None for row in used):
        yield "The catalog has images without a vector."
    used = np.array([row for row in used if row is not None], np.int64)
    holes = catalog.hole_rows(connection)
    if len(np.intersect1d(used, holes)):
        yield "The catalog says of some vectors that they are used and that they are not."
    every = np.union1d(used, holes)
    if len(every) != state.rows or (len(every) and (every[0] != 0 or every[-1] != state.rows - 1)):
        yield f"The catalog knows {len(every):,} of the {state.rows:,} vectors that count."
    stray = sa.select(sa.func.count()).where(images.state != catalog.INDEXED, images.faiss_id.is_not(None))
    if connection.scalar(stray):
        yield "The catalog has images that failed and have a vector."


def _vectors(connection: sa.Connection, vectors: VectorFile, state: State) -> Iterator[str]:
    if vectors.rows() < state.rows:
        yield f"The file of vectors has {vectors.rows():,} of the {state.rows:,} rows that count."
        return
    end = 0
    for segment in connection.execute(sa.select(catalog.segments).order_by(catalog.segments.c.start)):
        if segment.start != end:
            yield f"The catalog has no checksum for the vectors {end:,} to {segment.start:,}."
        if vectors.checksum(segment.start, segment.stop) != segment.crc32:
            yield f"The vectors {segment.start:,} to {segment.stop:,} are damaged; add their images again."
        end = segment.stop
    if end != state.rows:
        yield f"The catalog has no checksum for the vectors {end:,} to {state.rows:,}."
