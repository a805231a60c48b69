"""Parquet files in which every row group is one small table with a key.

Reading one table reads its own kilobytes, whatever the size of the file. The keys are in the
file's metadata, so a file describes itself; pages carry checksums, so a damaged table is noticed
and costs only itself.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.cache import frozen
from core.errors import GridError

FORMAT = 1
_FORMAT_KEY = b"format"
_TABLES_KEY = b"tables"


@dataclass(frozen=True)
class Entry:
    """A table with its key (a flat dictionary) and facts about it, both such that JSON can hold them."""

    key: dict[str, Any]
    rows: pa.Table
    facts: dict[str, Any] = field(default_factory=dict)


def write(path: Path, entries: Sequence[Entry]) -> None:
    """Write tables of one schema, a row group each."""
    schema = entries[0].rows.schema
    index = [{"key": entry.key, "facts": entry.facts} for entry in entries]
    numbers_ = [f for f in schema if _is_number(f.type.value_type if pa.types.is_list(f.type) else f.type)]
    leaves = [f"{f.name}.list.element" if pa.types.is_list(f.type) else f.name for f in numbers_]
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=15,
        use_dictionary=False,
        # Bytes of equal weight side by side: neighboring numbers share the high ones.
        column_encoding=dict.fromkeys(leaves, "BYTE_STREAM_SPLIT"),
        write_page_checksum=True,
        store_schema=False,
    ) as writer:
        for entry in entries:
            writer.write_table(entry.rows, row_group_size=max(1, len(entry.rows)))
        writer.add_key_value_metadata({_FORMAT_KEY: str(FORMAT), _TABLES_KEY: json.dumps(index)})


class Tables:
    """A file written by :func:`write`, opened for reading.

    Raises
    ------
    GridError : the file is missing, truncated, not ours, or of another format.
    """

    def __init__(self, path: Path):
        self._path = path
        try:
            # Parsed once: reading a table later needs only its own row group.
            self._metadata = pq.read_metadata(path)
            metadata = self._metadata.metadata or {}
            found = metadata[_FORMAT_KEY].decode()
            if found != str(FORMAT):
                raise GridError(
                    f"{self._name} has format {found}, this version reads {FORMAT}; run the grid again."
                )
            index = json.loads(metadata[_TABLES_KEY])
            if len(index) != self._metadata.num_row_groups:
                raise ValueError("keys and tables differ in number")
            # Key and facts of every table, in the order they were written.
            self.entries: list[tuple[dict[str, Any], dict[str, Any]]] = [
                (e["key"], e["facts"]) for e in index
            ]
            self._places = {_hashable(key): place for place, (key, _) in enumerate(self.entries)}
        except (OSError, KeyError, ValueError, TypeError, AttributeError, pa.ArrowException) as error:
            raise GridError(_broken(self._name, error)) from None

    def read(self, key: dict[str, Any], columns: Sequence[str]) -> pa.Table:
        """The rows of one table.

        Raises
        ------
        GridError : there is no such table, or it is damaged.
        """
        if _hashable(key) not in self._places:
            raise GridError(f"{self._name} has no table for {', '.join(map(str, key.values()))}.")
        try:
            with pq.ParquetFile(
                self._path, metadata=self._metadata, page_checksum_verification=True, memory_map=False
            ) as file:
                table = file.read_row_group(
                    self._places[_hashable(key)], columns=list(columns), use_threads=False
                )
        except (OSError, ValueError, pa.ArrowException) as error:
            raise GridError(_broken(self._name, error)) from None
        if table.column_names != list(columns):
            raise GridError(
                f"{self._name} lacks some of the columns {', '.join(columns)}; run the grid again."
            )
        return table

    @property
    def _name(self) -> str:
        return f"{self._path.parent.name}/{self._path.name}"


def list_array(rows: np.ndarray, kind: pa.DataType) -> pa.Array:
    """A matrix (n, length) as a column of lists."""
    flat = pa.array(np.ascontiguousarray(rows).astype(kind.to_pandas_dtype()).ravel(), kind)
    return pa.ListArray.from_arrays(pa.array(np.arange(0, rows.size + 1, rows.shape[1]), pa.int32()), flat)


def matrix(column: pa.ChunkedArray, n_rows: int) -> np.ndarray:
    """A column of lists of one length as a read-only matrix (n_rows, length); raises ValueError for other lists."""
    return frozen(numbers(column.combine_chunks().flatten()).reshape(n_rows, -1))


def numbers(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """A column of numbers as a read-only array; raises ValueError where one is missing."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if whole.null_count:
        raise ValueError("numbers are missing")
    # Not to_numpy(), which imports pandas.
    return frozen(np.from_dlpack(whole))


def content_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _hashable(key: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(key.items()))


def _broken(name: str, error: Exception) -> str:
    kind = "is missing" if isinstance(error, FileNotFoundError) else "is damaged or not a grid file"
    return f"{name} {kind}; run the grid again for this model, or restore the file."
