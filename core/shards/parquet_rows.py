"""Rows of plain values, and vectors beside them, as Parquet files in a store; what is read is checked."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from pydantic_core import from_json

from core.errors import ShardError
from core.shards.shard_store import Store

# A column by its type; "json" is an object as text, a number that many float32.
Schema = Mapping[str, str | int]

_ROWS = 1_000
# Vectors of a row group, before they are compressed.
_GROUP_BYTES = 16_000_000
# The longest text in a cell.
_MOST_CHARACTERS = 1_000_000


def to_bytes(
    schema: Schema, rows: Iterable[Mapping[str, Any]], facts: Mapping[str, str] | None = None
) -> bytes:
    """A Parquet file of rows; ``facts`` go into its metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = list(rows)
    columns = {}
    for name, kind in schema.items():
        cells = [row[name] for row in found]
        if kind == "json":
            cells = [json.dumps(cell, ensure_ascii=False) for cell in cells]
        columns[name] = _vectors(cells, kind) if isinstance(kind, int) else pa.array(cells, _type(kind))
    table = pa.table(columns, schema=_arrow(schema)).replace_schema_metadata(dict(facts or {}))
    width = max((kind for kind in schema.values() if isinstance(kind, int)), default=1)
    out = pa.BufferOutputStream()
    pq.write_table(
        table,
        out,
        compression="zstd",
        row_group_size=max(1, min(_ROWS, _GROUP_BYTES // (4 * width))),
        write_page_checksum=True,
    )
    return bytes(out.getvalue())


@contextmanager
def opened(store: Store, name: str, schema: Schema) -> Iterator[Any]:
    """A ``pyarrow.parquet.ParquetFile`` whose columns are as they should be.

    Raises
    ------
    ShardError : there is none, or it is damaged or of other columns; errors of reading it in the block as well.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with store.opened(name) as file, pq.ParquetFile(file, page_checksum_verification=True) as parquet:
            wrong = [
                f"its column {field.name!r} is not {field.type}"
                for field in _arrow(schema)
                if field.name not in parquet.schema_arrow.names
                or parquet.schema_arrow.field(field.name).type != field.type
            ]
            if wrong:
                raise ShardError(f"{name!r} in {store.place!r} can't be used: {wrong[0]}. Extract it again.")
            yield parquet
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
        raise ShardError(f"{name!r} in {store.place!r} is damaged ({reason}); extract it again.") from None


def facts(file: Any) -> dict[str, str]:
    """The facts in the metadata of a file."""
    found = file.schema_arrow.metadata or {}
    return {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in found.items()}


def batches(file: Any, schema: Schema, required: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    """The rows of a file, some at a time; a vector is an array (dimensions,) float32.

    Raises
    ------
    ValueError : a value of the ``required`` columns is missing, or one can't be.
    """
    for batch in file.iter_batches(_ROWS, columns=list(schema)):
        for name in required:
            if batch.column(name).null_count:
                raise ValueError(f"a value of {name!r} is missing")
        columns = [_cells(batch.column(name), kind, name) for name, kind in schema.items()]
        yield [dict(zip(schema, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _cells(column: Any, kind: str | int, name: str) -> list[Any]:
    import pyarrow.compute as pc

    if isinstance(kind, int):
        return _arrays(column, kind)
    if kind in ("string", "json"):
        longest = pc.max(pc.utf8_length(column)).as_py() or 0
        if longest > _MOST_CHARACTERS:
            raise ValueError(f"a value of {name!r} has {longest:,} characters")
    cells = column.to_pylist()
    return [from_json(cell or "null", allow_inf_nan=False) for cell in cells] if kind == "json" else cells


def _arrays(column: Any, dimensions: int) -> list[np.ndarray | None]:
    values = column.flatten()
    if values.null_count:
        raise ValueError("a vector has missing numbers")
    rows = iter(values.to_numpy().reshape(-1, dimensions))
    return [next(rows) if valid else None for valid in column.is_valid().to_pylist()]


def _vectors(cells: list[np.ndarray | None], dimensions: int) -> Any:
    import pyarrow as pa

    mask = np.array([cell is None for cell in cells], bool)
    flat = np.zeros((len(cells), dimensions), np.float32)
    for place, cell in enumerate(cells):
        if cell is not None:
            flat[place] = cell
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), dimensions, mask=pa.array(mask))


def _arrow(schema: Schema) -> Any:
    import pyarrow as pa

    return pa.schema([(name, _type(kind)) for name, kind in schema.items()])


def _type(kind: str | int) -> Any:
    import pyarrow as pa

    if isinstance(kind, int):
        return pa.list_(pa.float32(), kind)
    return pa.type_for_alias("string" if kind == "json" else kind)
