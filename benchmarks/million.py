"""A collection of a million vectors: opening it, and searching it against bare FAISS; takes half an hour, most of it to build the indexes, and 10 GB of disk."""

import tempfile
from pathlib import Path

from benchmarks import collection
from benchmarks.measure import apart
from benchmarks.table import Row

_COUNT = 1_000_000


def rows() -> list[Row]:
    """Milliseconds per query, seconds until the first answer."""
    return _rows(("ivfpq", "hnsw", "flat"))


def _rows(kinds: tuple[str, ...]) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = collection.searching(folder, _COUNT, kinds)
        opening = apart(open_apart, str(folder / f"of-{_COUNT}"))
    return [
        *table,
        Row(
            f"opening {_COUNT:,} x {collection.DIMENSIONS}",
            opening.answer,
            "s",
            goal=1,
            note="catalog, vectors and index, in a fresh process that has imported what it needs; the index is mapped, not read",
        ),
    ]


def open_apart(folder: str) -> float:
    """Seconds until a collection is ready to search."""
    import faiss  # noqa: F401

    from benchmarks.measure import timed
    from core.collections import Collection

    def run() -> None:
        with Collection.open("bench", Path(folder)) as opened:
            assert opened.snapshot().state.rows == _COUNT

    return timed(run)
