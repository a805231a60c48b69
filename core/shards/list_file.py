"""The rows of a list as they were read when it was scanned, for the catalog of a collection."""

from collections.abc import Iterable, Iterator

from core.data.image_lists import Row
from core.shards import parquet_rows
from core.shards.shard_store import Store

_SCHEMA = {"number": "int64", "path": "string", "label": "string", "metadata": "json", "problem": "string"}


def name(place: int) -> str:
    """The name of the file; ``place`` is that of the list among the sources of the manifest."""
    return f"list-{place:05}.parquet"


def write(store: Store, place: int, rows: Iterable[Row]) -> None:
    """Write the rows of a list; raises as :meth:`Store.write`."""
    store.write(name(place), parquet_rows.to_bytes(_SCHEMA, map(vars, rows)))


def read(store: Store, place: int) -> Iterator[Row]:
    """The rows of a list.

    Raises
    ------
    ShardError : there is no such file, or it is damaged.
    """
    with parquet_rows.opened(store, name(place), _SCHEMA) as file:
        for rows in parquet_rows.batches(file, _SCHEMA, ("number",)):
            yield from (Row(**row) for row in rows)
