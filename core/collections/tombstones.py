"""Tombstones: the rows of the vector file that no stored image uses.

Removing an image, or replacing its content, leaves its vector in the file and adds a tombstone for the row, unless another image
with the same content uses it. Searches skip these rows. Restoring the image removes the tombstone, so no model runs again.
A compaction (``Collection.optimize``) writes vectors and index without these rows; after it an image is restored from its file.
"""

from collections.abc import Iterable

import numpy as np
import sqlalchemy as sa

from core.collections import catalog
from core.collections.schema import images, tombstones


def rows(connection: sa.Connection) -> np.ndarray:
    """Rows (n,) int64 of the vector file that have a tombstone, ascending."""
    query = sa.select(tombstones.c.faiss_id).order_by(tombstones.c.faiss_id)
    return np.array(connection.scalars(query).all(), np.int64)


def add(connection: sa.Connection, candidates: Iterable[int | None]) -> list[int]:
    """Add tombstones for those of some rows that no stored image uses, and return these; None is skipped."""
    added: list[int] = []
    for part in catalog.chunks(sorted({row for row in candidates if row is not None})):
        kept = set(connection.scalars(sa.select(images.c.faiss_id).where(catalog.stored_at(part)).distinct()))
        # Rows of removed images have one.
        kept |= set(connection.scalars(sa.select(tombstones.c.faiss_id).where(_at(part))))
        if unused := [{"faiss_id": row} for row in part if row not in kept]:
            connection.execute(sa.insert(tombstones), unused)
            added += [one["faiss_id"] for one in unused]
    return added


def remove(connection: sa.Connection, used: Iterable[int]) -> list[int]:
    """Remove the tombstones of rows that stored images use again, and return those that had one."""
    removed: list[int] = []
    for part in catalog.chunks(sorted(set(used))):
        removed += connection.scalars(sa.select(tombstones.c.faiss_id).where(_at(part)))
        connection.execute(sa.delete(tombstones).where(_at(part)))
    return removed


def compact(connection: sa.Connection, dropped: np.ndarray) -> None:
    """Follow a compaction: renumber the images and remove all tombstones.

    Parameters
    ----------
    dropped : (n,) the rows that left the vector file, ascending. Removed images of these rows have no vector afterwards.
    """
    column = images.c.faiss_id
    for part in catalog.chunks(dropped.tolist()):
        connection.execute(sa.update(images).where(column.in_(part)).values(faiss_id=None))
    ends = [*dropped[1:].tolist(), None]
    for shift, (row, end) in enumerate(zip(dropped.tolist(), ends, strict=True), 1):
        if end != row + 1:
            between = column > row if end is None else sa.and_(column > row, column < end)
            connection.execute(sa.update(images).where(between).values(faiss_id=column - shift))
    connection.execute(sa.delete(tombstones))


def _at(part: list[int]) -> sa.ColumnElement[bool]:
    return tombstones.c.faiss_id.in_(part)
