"""A catalog of a million images in PostgreSQL against one in SQLite; takes five minutes and 2 GB of disk."""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import sqlalchemy as sa

from benchmarks.measure import LeftOut, take_turns, timed
from benchmarks.table import Row
from core.collections import Collection, schema
from core.collections.writer import New
from core.settings import settings

_COUNT = 1_000_000
# A layer with few numbers: vectors are the same in both.
_MODEL, _LAYER = "efficientnet-lite0", "block1_output"
# What takes milliseconds is repeated for so many seconds: drivers prepare a statement after some uses.
_ROUNDS, _MOST_ROUNDS, _SECONDS = 2, 50, 1
# What `collection add` commits at a time.
_COMMIT = 256
_PAGE = 60
_LABELS = 1_000
_PATH = "https://example.org/pictures/"
# Hashes of 64 letters.
_FIRST = 10_000_000
_HASH = "a" * 56


def rows() -> list[Row]:
    """Milliseconds of adding, paging, filtering and verifying in both."""
    from tests.collections import postgres

    binaries = postgres.programs() or postgres.programs_with_pgvector()
    if binaries is None:
        raise LeftOut(postgres.HOW)
    with postgres.server(binaries) as url, tempfile.TemporaryDirectory() as name:
        return compared(Path(name), url, _COUNT)


def compared(folder: Path, url: str, count: int) -> list[Row]:
    """One row for each of what is done."""
    with _made(folder / "sqlite", None) as sqlite, _made(folder / "postgresql", url) as postgresql:
        both = {"sqlite": sqlite, "postgresql": postgresql}
        for collection in both.values():
            _fill(collection, count)
            collection.optimize(index="flat")
        numbers = {name: itertools.count(count, _COMMIT) for name in both}
        # What searches remember of a condition is used while the catalog does not change.
        labels, ranges = ({name: itertools.count(100) for name in both} for _ in range(2))
        query = np.ones((1, sqlite.about.dimensions), np.float32)

        def add(name: str) -> None:
            with both[name].writing() as writer:
                new = list(_images(next(numbers[name]), _COMMIT))
                writer.at([image.path for image in new])
                writer.known([str(image.hash) for image in new])
                writer.put(new)

        done: dict[str, Callable[[str], object]] = {
            f"adding {_COMMIT} images": add,
            "the first page": lambda name: list(both[name].images(most=_PAGE)),
            "a page in the middle": lambda name: list(both[name].images(most=_PAGE, start=count // 2)),
            "a search in one label of a thousand, never the same": lambda name: both[name].search_vectors(
                query, 10, [f"label=class {next(labels[name])}"]
            ),
            "a search in one label of a thousand, the same again": lambda name: both[name].search_vectors(
                query, 10, ["label=class 7"]
            ),
            "a search in a range of numbers, half of all, never the same": lambda name: both[
                name
            ].search_vectors(query, 10, [f"price<{50 + next(ranges[name]) / 1_000}"]),
            "a search in a range of numbers, half of all, the same again": lambda name: both[
                name
            ].search_vectors(query, 10, ["price<50"]),
            "counts of states and labels": lambda name: both[name].info(),
            "verify": lambda name: both[name].verify(lambda image: image.path),
        }
        found = []
        for what, act in done.items():
            once = timed(partial(act, "postgresql"))
            rounds = max(_ROUNDS, min(_MOST_ROUNDS, round(_SECONDS / once)))
            times = take_turns({name: partial(act, name) for name in both}, rounds)
            ours, theirs = (times[name].times(1_000) for name in ("postgresql", "sqlite"))
            found.append(
                Row.of(
                    f"{what}, {count:,} images",
                    ours,
                    "ms",
                    "SQLite",
                    theirs,
                    goal=2,
                    judged="ratio",
                    note="PostgreSQL of this machine with its default settings, over a socket",
                )
            )
        return found


def _images(start: int, count: int) -> Iterator[New]:
    for number in range(start, start + count):
        yield New(
            f"{_PATH}{number}.jpg",
            hash=f"{_HASH}{_FIRST + number}",
            size=number % 5_000,
            label=f"class {number % _LABELS}",
            metadata={"price": number % 100, "camera": f"c{number % 7}"},
            vector=np.full(16, number % 1_009, np.float32),
        )


def _fill(collection: Collection, count: int) -> None:
    """Store the first images of :func:`_images` by one statement: adding them as usual takes most of an hour."""
    metadata = """'{"price": ' || (i % 100) || ', "camera": "c' || (i % 7) || '"}'"""
    if collection.about.catalog == "postgresql":
        metadata = f"CAST({metadata} AS jsonb)"
    numbers = "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < :last)"
    values = {
        "path": f"'{_PATH}' || i || '.jpg'",
        "hash": f"'{_HASH}' || ({_FIRST} + i)",
        "size": "i % 5000",
        "label": f"'class ' || (i % {_LABELS})",
        "metadata": metadata,
        "faiss_id": "i",
        "state": "'indexed'",
    }
    table = f"{collection.about.schema_name}.images" if collection.about.catalog == "postgresql" else "images"
    insert = f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())} FROM n"
    with collection.writing() as writer:
        vectors = np.repeat((np.arange(count) % 1_009).astype(np.float16)[:, None], 16, axis=1)
        checksum = writer.vectors.write(0, vectors)
        with writer._change(rows=count) as connection:
            connection.execute(sa.text(f"{numbers} {insert}"), {"last": count - 1})
            connection.execute(sa.insert(schema.segments).values(start=0, stop=count, crc32=checksum))


@contextmanager
def _made(folder: Path, url: str | None) -> Iterator[Collection]:
    with (
        mock.patch.object(settings, "CATALOG_URL", url),
        Collection.create("bench", model=_MODEL, layer=_LAYER, folder=folder) as collection,
    ):
        yield collection
