"""A shard: what was read of the images of a plan, with their vectors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.shards import parquet_rows
from core.shards.manifest import Configuration
from core.shards.shard_store import Store

# What a shard says of an image: it has a vector, it could not be read, it could not be listed, or the collection has it unchanged.
EMBEDDED, FAILED, UNLISTED, PRESENT = "embedded", "failed", "unlisted", "present"
_DIGEST = "plan"
_REQUIRED = ("path", "source", "state")


@dataclass(frozen=True)
class Row:
    """An image of a shard.

    source : the place of its source in the manifest; state : one of this module; sha256 : of its bytes; size, mtime_ns : of its file,
    None of a URL; label, metadata : from all sources; width, height : in pixels, None where they are not known; vector : (dimensions,)
    float32; reason : why it has none.
    """

    path: str
    source: int
    state: str
    sha256: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    label: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    width: int | None = None
    height: int | None = None
    vector: np.ndarray | None = None
    reason: str | None = None


def name(shard: int, shards: int) -> str:
    """The name of the file of a shard."""
    return f"shard-{shard:05}-of-{shards:05}.parquet"


def write(
    store: Store, shard: int, shards: int, rows: Sequence[Row], configuration: Configuration, digest: str
) -> None:
    """Write a shard in place of an older one; ``digest`` is that of its plan. Raises as :meth:`Store.write`."""
    schema = _schema(configuration.dimensions)
    store.write(name(shard, shards), parquet_rows.to_bytes(schema, map(vars, rows), {_DIGEST: digest}))


def digest(store: Store, shard: int, shards: int, configuration: Configuration) -> str:
    """The digest of the plan that a shard was extracted from; raises as :func:`read`."""
    with parquet_rows.opened(store, name(shard, shards), _schema(configuration.dimensions)) as file:
        return parquet_rows.facts(file).get(_DIGEST, "")


def read(store: Store, shard: int, shards: int, configuration: Configuration) -> Iterator[list[Row]]:
    """The rows of a shard, some at a time.

    Raises
    ------
    ShardError : there is no such shard, or it is damaged.
    """
    schema = _schema(configuration.dimensions)
    with parquet_rows.opened(store, name(shard, shards), schema) as file:
        for rows in parquet_rows.batches(file, schema, _REQUIRED):
            yield [Row(**row) for row in rows]


def failures(store: Store, shard: int, shards: int, configuration: Configuration) -> Iterator[Row]:
    """The rows of a shard that have a reason, without reading the vectors of the others; raises as :func:`read`."""
    schema = {
        column: kind for column, kind in _schema(configuration.dimensions).items() if column != "vector"
    }
    with parquet_rows.opened(store, name(shard, shards), schema) as file:
        for rows in parquet_rows.batches(file, schema, _REQUIRED):
            yield from (Row(**row) for row in rows if row["reason"] is not None)


def _schema(dimensions: int) -> parquet_rows.Schema:
    return {
        "path": "string",
        "source": "int32",
        "state": "string",
        "sha256": "string",
        "size": "int64",
        "mtime_ns": "int64",
        "label": "string",
        "metadata": "json",
        "width": "int32",
        "height": "int32",
        "vector": dimensions,
        "reason": "string",
    }
