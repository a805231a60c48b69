"""The vectors of a collection: rows of numbers in one file, appended and never changed in place.

The catalog says how many rows are valid; rows after them are left from a write that did not finish.
"""

import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from core import disk
from core.errors import CollectionError
from core.exact_index import as_float32

DTYPES = ("float16", "float32")
# The most bytes that are read at a time.
_CHUNK_BYTES = 8_000_000


def fits(vectors: np.ndarray, dtype: str) -> np.ndarray:
    """(n,) bool: which of some vectors (n, dimensions) are finite in the type of the file, and neither vanish there nor lose their digits."""
    with np.errstate(over="ignore"):
        finite = np.isfinite(vectors.astype(dtype)).all(axis=1)
    largest = np.abs(vectors).max(axis=1, initial=0)
    return np.asarray(finite & ((largest == 0) | (largest >= np.finfo(dtype).tiny)))


class VectorFile:
    """A matrix in a file.

    Parameters
    ----------
    path : created if missing.
    dimensions : numbers per row.
    dtype : of :data:`DTYPES`.
    """

    def __init__(self, path: Path, dimensions: int, dtype: str):
        self.path, self.dimensions = path, dimensions
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.row_bytes = dimensions * self.dtype.itemsize

    def write(self, start: int, vectors: np.ndarray) -> int:
        """Write rows (n, dimensions) after the first ``start`` ones, durably, and return their checksum.

        Rows that are there after ``start`` already, or that a failed write leaves, are cut off. A file with several names, such as a
        staged copy makes, is replaced by a copy first: what it holds under the other names does not change.

        Raises
        ------
        DiskError : the disk is too full for the copy; OSError : the disk is full or fails. The file has ``start`` rows again.
        """
        data = np.ascontiguousarray(vectors, self.dtype).tobytes()
        if self.path.exists() and self.path.stat().st_nlink > 1:
            self._copy()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.ftruncate(descriptor, start * self.row_bytes)
            try:
                view, place = memoryview(data), start * self.row_bytes
                while view:
                    written = os.pwrite(descriptor, view, place)
                    view, place = view[written:], place + written
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, start * self.row_bytes)
                raise
        finally:
            os.close(descriptor)
        return zlib.crc32(data)

    def _copy(self) -> None:
        """Replace the file by a copy of it."""
        disk.require(self.path.parent, self.path.stat().st_size)
        # A copy that did not finish is removed by the next writer, like other files of vectors that the catalog does not name.
        part = self.path.with_suffix(".part.bin")
        shutil.copyfile(self.path, part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(self.path)
        disk.sync_folder(self.path.parent)

    def rows(self) -> int:
        """The number of complete rows in the file, valid or not."""
        return self.path.stat().st_size // self.row_bytes if self.path.exists() else 0

    def require(self, count: int) -> None:
        """Raise CollectionError unless the file has so many rows."""
        if self.rows() < count:
            raise CollectionError(
                f"The file of vectors is shorter than the catalog says ({self.rows():,} of {count:,} rows); "
                "restore the collection's folder from a copy."
            )

    def map(self, count: int) -> np.ndarray:
        """The first ``count`` rows, mapped: they are read from the disk when they are used."""
        if count == 0:
            return np.empty((0, self.dimensions), self.dtype)
        mapped = np.memmap(self.path, self.dtype, "r", shape=(count, self.dimensions))
        # A plain array: the class of mapped arrays takes time at every use.
        return mapped.view(np.ndarray)

    def checksum(self, start: int, stop: int) -> int:
        """CRC-32 of the bytes of rows ``start`` to ``stop``, as :meth:`write` returned it; -1 if the file is shorter."""
        checksum = 0
        with self.path.open("rb") as file:
            file.seek(start * self.row_bytes)
            left = (stop - start) * self.row_bytes
            while left:
                data = file.read(min(left, _CHUNK_BYTES))
                if not data:
                    return -1
                checksum, left = zlib.crc32(data, checksum), left - len(data)
        return checksum

    def chunks(self, start: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
        """Rows ``start`` to ``stop`` in parts of bounded size: first row and (n, dimensions) float32.

        They are read and not mapped, since mapped rows count as memory of the process until something else needs it.
        """
        height = max(1, _CHUNK_BYTES // (4 * self.dimensions))
        if start == stop:
            return
        with self.path.open("rb") as file:
            file.seek(start * self.row_bytes)
            for first in range(start, stop, height):
                n = min(height, stop - first)
                rows = np.fromfile(file, self.dtype, n * self.dimensions).reshape(n, self.dimensions)
                yield first, as_float32(rows)
