"""FAISS on a GPU against the processor: building an index, and searching a batch. Left out where FAISS finds no GPU."""

import tempfile
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.collection import DIMENSIONS, clustered
from benchmarks.measure import LeftOut, Sample, take_turns, timed
from benchmarks.table import Row
from core.collections.index import exact_search, faiss_file, faiss_gpu
from core.collections.index.faiss_file import Ann
from core.collections.vector_file import VectorFile
from core.exact_index import prepared
from core.metrics import get_metric

_COUNT, _QUERIES, _K = 200_000, 1_024, 10
_ROUNDS = 5
_KINDS = ("flat", "ivf", "ivfpq")


def rows() -> list[Row]:
    """Seconds to build, milliseconds of a batch of queries, and the share of equal neighbors."""
    if not faiss_gpu.count():
        raise LeftOut("FAISS finds no GPU; requirements-gpu.txt says how to install it for one.")
    with tempfile.TemporaryDirectory() as name:
        return [row for kind in _KINDS for row in _compared(Path(name), kind)]


def _compared(folder: Path, kind: str) -> list[Row]:
    metric = get_metric("cosine")
    vectors = VectorFile(folder / "vectors.bin", DIMENSIONS, "float16")
    if not vectors.path.exists():
        for start in range(0, _COUNT, 20_000):
            vectors.write(start, clustered(_COUNT, min(20_000, _COUNT - start), start + 2))
    queries = prepared(clustered(_COUNT, _QUERIES, 1), metric)
    built, seconds, opened = {}, {}, {}
    for who, gpus in (("gpu", faiss_gpu.count()), ("cpu", 0)):
        with mock.patch.object(faiss_gpu, "count", lambda gpus=gpus: gpus):

            def build(who: str = who) -> None:
                built[who] = faiss_file.build(folder, vectors, _COUNT, metric, kind)

            seconds[who] = Sample((timed(build),))
            opened[who] = Ann(folder, built["gpu"], "cosine")
            # The first search uploads the index.
            opened[who].search(queries, _K, None)
    times = take_turns({who: partial(ann.search, queries, _K, None) for who, ann in opened.items()}, _ROUNDS)
    found = {who: ann.search(queries, _K, None)[0] for who, ann in opened.items()}
    name = f"{kind}, {_COUNT:,} x {DIMENSIONS}"
    ours, theirs = (times[who].times(1_000) for who in ("gpu", "cpu"))
    return [
        Row.of(f"{name}, building", seconds["gpu"], "s", "processor", seconds["cpu"]),
        Row.of(
            f"{name}, {_QUERIES:,} queries at once", ours, "ms", "processor", theirs, goal=1, judged="ratio"
        ),
        Row(
            f"{name}, neighbors that are the same",
            exact_search.recall(found["gpu"], np.asarray(found["cpu"])),
            "",
            better="higher",
            goal=0.97,
            note=f"{built['gpu'].factory}, effort {built['gpu'].effort}",
        ),
    ]
