"""The plan of a shard: the images that fall into it, as they were listed."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from typing import Any

from core.data import list_merging
from core.shards import parquet_rows
from core.shards.manifest import FORMAT, Configuration
from core.shards.shard_store import Store

_SCHEMA = {
    "path": "string",
    "source": "int32",
    "label": "string",
    "metadata": "json",
    "number": "int64",
    "size": "int64",
    "mtime_ns": "int64",
    "problem": "string",
    "present": "bool",
}


@dataclass(frozen=True)
class Listed:
    """An image, or what can't be read, in a source.

    source : the place of its source in the manifest; label : from its folders, or of a row of a list; number : of that row;
    size, mtime_ns : of the file when it was listed, None of a URL; problem : why a folder, file or row can't be looked into;
    present : whether a collection has it unchanged, so that it is not extracted.
    """

    path: str
    source: int
    label: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    size: int | None = None
    mtime_ns: int | None = None
    problem: str | None = None
    present: bool = False


def shard_of(path: str, shards: int) -> int:
    """The number of the shard that an image falls into, from 0 on: the same on every machine and in every run."""
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:8]) % shards


def name(shard: int, shards: int) -> str:
    """The name of the file of a plan."""
    return f"plan-{shard:05}-of-{shards:05}.parquet"


def merged(listed: Iterable[Listed], lists: Mapping[int, str]) -> list[Listed]:
    """The images of one shard by path, each once, whatever their order.

    An image belongs to the first source that has it. Rows of lists give it label and metadata before its folder does, see
    :mod:`core.data.list_merging`.

    Parameters
    ----------
    lists : the paths of the lists, by the place of their source in the manifest.
    """
    ordered = sorted(listed, key=attrgetter("path", "source", "number"))
    return [_one(list(same), lists) for _, same in groupby(ordered, key=attrgetter("path"))]


def _one(same: Sequence[Listed], lists: Mapping[int, str]) -> Listed:
    first, rows = same[0], [one for one in same if one.source in lists and one.problem is None]
    if not rows:
        return first
    together = list_merging.merge(rows, lists)
    label = together.label
    if label is None and not together.conflict and first.source not in lists:
        label = first.label
    return replace(first, label=label, metadata=together.metadata, number=0)


def digest(listed: Sequence[Listed], configuration: Configuration, versions: Mapping[str, str]) -> str:
    """The SHA-256 of all that decides what is in the shard of a plan; empty for an empty plan."""
    if not listed:
        return ""
    hashed = hashlib.sha256()
    fixed = configuration.model_dump(exclude={"weights"})
    for part in (FORMAT, fixed, dict(versions), *map(astuple, listed)):
        hashed.update(json.dumps(part, sort_keys=True).encode() + b"\n")
    return hashed.hexdigest()


def write(store: Store, shard: int, shards: int, listed: Sequence[Listed]) -> None:
    """Write a plan; raises as :meth:`Store.write`."""
    store.write(name(shard, shards), parquet_rows.to_bytes(_SCHEMA, map(vars, listed)))


def read(store: Store, shard: int, shards: int) -> list[Listed]:
    """The images of a plan.

    Raises
    ------
    ShardError : there is none, or it is damaged.
    """
    with parquet_rows.opened(store, name(shard, shards), _SCHEMA) as file:
        return [
            Listed(**row)
            for rows in parquet_rows.batches(file, _SCHEMA, ("path", "source", "present"))
            for row in rows
        ]
