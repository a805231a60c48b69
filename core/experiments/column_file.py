"""Vectors of any length, read back a block of columns at a time.

The flattened activation of an early layer has millions of numbers per image. Distances need the
same columns of all images, not all columns of one, so rows are appended in any number and blocks of
columns are read back; what is too large for memory lies in a scratch file laid out by block.
"""

import tempfile
from collections.abc import Iterator

import numpy as np

from core.settings import settings

# A block holds at most this many columns and about this many numbers: 13 MB for 200 images.
_BLOCK_COLUMNS = 16_384
_BLOCK_NUMBERS = 8_000_000
_BYTES = 4


class ColumnBlocks:
    """A float32 matrix that is appended to by rows and read by blocks of columns.

    The scratch file has no name on disk, so nothing is left behind however the process ends.

    Parameters
    ----------
    max_rows : rows that may be appended.
    n_columns : length of a row.
    """

    def __init__(self, max_rows: int, n_columns: int):
        self.n_rows = 0
        self.n_columns = n_columns
        self._max_rows = max_rows
        self._width = max(1, min(_BLOCK_COLUMNS, n_columns, _BLOCK_NUMBERS // max_rows))
        self.in_memory = max_rows * n_columns * _BYTES <= settings.MEMORY_BYTES
        if self.in_memory:
            self._memory = np.empty((max_rows, n_columns), np.float32)
        else:
            self._file = tempfile.TemporaryFile(dir=settings.SCRATCH_DIR, prefix="vectors-")  # noqa: SIM115 - closed by close()

    def append(self, rows: np.ndarray) -> None:
        """Add rows: (n, n_columns) numbers.

        Raises
        ------
        OSError : the disk of the scratch file is full.
        """
        if self.in_memory:
            self._memory[self.n_rows : self.n_rows + len(rows)] = rows
        else:
            for start in range(0, self.n_columns, self._width):
                block = np.ascontiguousarray(rows[:, start : start + self._width], np.float32)
                self._file.seek(self._offset(start) + self.n_rows * block.shape[1] * _BYTES)
                self._file.write(block.data)
        self.n_rows += len(rows)

    def blocks(self) -> Iterator[np.ndarray]:
        """The appended rows, block of columns after block: (n_rows, n_block) float32 each."""
        for start in range(0, self.n_columns, self._width):
            if self.in_memory:
                yield self._memory[: self.n_rows, start : start + self._width]
            else:
                width = min(self._width, self.n_columns - start)
                self._file.seek(self._offset(start))
                data = self._file.read(self.n_rows * width * _BYTES)
                yield np.frombuffer(data, np.float32).reshape(self.n_rows, width)

    def whole(self) -> np.ndarray:
        """All rows: (n_rows, n_columns) float32. Only for vectors known to be short."""
        return np.concatenate(list(self.blocks()), axis=1)

    def close(self) -> None:
        """Give back memory or disk."""
        if self.in_memory:
            del self._memory
        else:
            self._file.close()

    def _offset(self, start_column: int) -> int:
        return start_column * self._max_rows * _BYTES
