"""What a number of images needs: cores for extraction, bytes, machines, and which index and engine serve them.

Bytes follow from the formats of the files. Times are those of :data:`MEASURED`, scaled as each function says.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from core.collections.index import faiss_file, faiss_scan
from core.metrics import Metric, get_metric
from core.wish import RECALL_GOAL, Wish


@dataclass(frozen=True)
class Constant:
    """A measured number that plans are made of, in ``unit``, and where it was measured."""

    name: str
    value: float
    unit: str
    source: str


_CPU = "2 shared cores of an AMD EPYC"
_REAL = "Fashion-MNIST, 70,000 x 784"
MEASURED = {
    constant.name: constant
    for constant in (
        Constant("decode", 390, "images/s and core", f"JPEG photographs to 224 x 224, {_CPU}"),
        Constant("forward", 38, "images/s and core", f"efficientnet-lite0 with OpenVINO, {_CPU}"),
        Constant("forward on a GPU", 20_000, "images/s", "efficientnet-lite0, one H100"),
        Constant("scan", 15.7, "GB/s", f"exact search in float16, 1,000,000 x 1280, {_CPU}"),
        Constant(
            "float32 scan", 10.3, "GB/s", f"float32 numbers compared one by one, 1,000,000 x 1280, {_CPU}"
        ),
        Constant("hnsw", 0.33, "ms", f"a query, {_REAL}, recall@10 0.95, {_CPU}"),
        Constant("hnsw growth", 0.27, "power of the rows", f"a query, 10,000 and 1,000,000 x 1280, {_CPU}"),
        Constant("probed", 8, "groups", f"for recall@10 0.95, {_REAL}"),
        Constant("compressed", 1.0, "GB/s", f"codes of ivfpq compared with a query, {_REAL}, {_CPU}"),
        Constant("rerank", 0.4, "ms", f"tables of a query, 100 candidates in full, {_REAL}, {_CPU}"),
        Constant("catalog", 410, "bytes per image", "labels and paths of 60 letters, 70,000 images, SQLite"),
        Constant("tail", 1.5, "p95 / median", f"queries one at a time, {_CPU}"),
    )
}
_REAL_ROWS, _REAL_DIMENSIONS = 70_000, 784
# FAISS's HNSW32 keeps 64 neighbors of 4 bytes on the first level, few above it, and an offset and a level.
_GRAPH_BYTES = 272
_ROW_NUMBER_BYTES = 8
# Of a machine's memory the index may have so much; of its cores or its memory bandwidth, queries so much.
_MEMORY_SHARE, _LOAD_SHARE = 0.8, 0.7
_MOST_MACHINES = 100_000
# Recall@10 that a kind reaches when it is tuned; the goal that the index is built for.
_RECALL = {
    "flat": 1.0,
    "hnsw": RECALL_GOAL,
    "ivf": RECALL_GOAL,
    "ivfpq": RECALL_GOAL,
}


@dataclass(frozen=True)
class Index:
    """The index of a collection on one machine: its kind, bytes, the median milliseconds of a query, and the recall@10 that it is tuned to."""

    kind: str
    bytes: int
    query_ms: float
    recall: float


@dataclass(frozen=True)
class Extraction:
    """Images to vectors within the hours: cores if all runs on them; or GPUs, and the cores that decode for them."""

    images_per_second: float
    cores: int
    gpus: int
    decoding_cores: int


@dataclass(frozen=True)
class Serving:
    """One kind of index over all images.

    factory : FAISS's name of the index on one machine; bytes : of the whole index; recall : that it is tuned to; machines : that hold it
    in memory and meet both limits, None if no number of them does; p95_ms : with so many machines, or with one that is large enough.
    """

    kind: str
    factory: str
    bytes: int
    recall: float
    machines: int | None
    p95_ms: float


@dataclass(frozen=True)
class Plan:
    """What a wish needs: bytes of the vectors as float16 and of the catalog, shard files, and every kind of index."""

    wish: Wish
    extraction: Extraction
    vector_bytes: int
    catalog_bytes: int
    shards: int
    serving: tuple[Serving, ...]

    @property
    def best(self) -> Serving | None:
        """The index with the fewest machines; among those an exact one, then the smallest. None if none meets the limits."""
        fitting = [one for one in self.serving if one.machines is not None and one.recall >= self.wish.recall]
        return min(fitting, key=lambda one: (one.machines, one.kind != "flat", one.bytes), default=None)

    @property
    def engine(self) -> str | None:
        """``faiss`` where one machine is enough, else ``milvus``, which spreads an index over several; None without an index."""
        if self.best is None:
            return None
        return "faiss" if self.best.machines == 1 else "milvus"


def plan(wish: Wish) -> Plan:
    """The plan for a wish."""
    return Plan(
        wish,
        _extraction(wish),
        vector_bytes=2 * wish.images * wish.dimensions,
        catalog_bytes=math.ceil(_measured("catalog") * wish.images),
        shards=math.ceil(wish.images / wish.shard_images),
        serving=tuple(_serving(kind, wish) for kind in _RECALL),
    )


def default_index(images: int, dimensions: int, metric: Metric) -> Index:
    """The index that a collection of so many images gets unless another is asked for."""
    factory = faiss_file.factory("auto", images, dimensions, metric)
    kind = "ivfpq" if "PQ" in factory else "ivf" if "IVF" in factory else "flat"
    return Index(
        kind, index_bytes(kind, images, dimensions), query_ms(kind, images, dimensions), _RECALL[kind]
    )


def index_bytes(kind: str, rows: int, dimensions: int) -> int:
    """The size of an index file of FAISS; ``kind`` is flat, hnsw, ivf or ivfpq."""
    full, (groups, parts) = 4 * dimensions, _groups_and_parts(kind, rows, dimensions)
    if kind == "flat":
        return rows * _scanned_bytes(rows, dimensions)
    per_row = full + _GRAPH_BYTES if kind == "hnsw" else (parts or full) + _ROW_NUMBER_BYTES
    # The centers of the groups, and of compressed vectors 256 values of every number.
    return rows * per_row + groups * full + (256 * full if parts else 0)


def query_ms(kind: str, rows: int, dimensions: int) -> float:
    """The median milliseconds of one query in an index of FAISS.

    Exact search reads every vector. A graph takes a power of the number of rows. Groups cost the comparison with every center and with the
    rows of the groups that are searched.
    """
    per_ms, full = _measured("float32 scan") * 1e6, 4 * dimensions
    if kind == "flat":
        scanned = _scanned_bytes(rows, dimensions)
        return rows * scanned / (per_ms if scanned == full else _measured("scan") * 1e6)
    if kind == "hnsw":
        more = math.pow(rows / _REAL_ROWS, _measured("hnsw growth"))
        return _measured("hnsw") * more * dimensions / _REAL_DIMENSIONS
    groups, parts = _groups_and_parts(kind, rows, dimensions)
    searched = rows * min(1, _measured("probed") / groups)
    if not parts:
        return (groups + searched) * full / per_ms
    compared = searched * parts / (_measured("compressed") * 1e6)
    return groups * full / per_ms + compared + _measured("rerank") * dimensions / _REAL_DIMENSIONS


def _extraction(wish: Wish) -> Extraction:
    rate = wish.images / (wish.hours * 3600)
    seconds_per_image = 1 / _measured("decode") + 1 / _measured("forward")
    return Extraction(
        images_per_second=rate,
        cores=math.ceil(rate * seconds_per_image),
        gpus=math.ceil(rate / _measured("forward on a GPU")),
        decoding_cores=math.ceil(rate / _measured("decode")),
    )


def _serving(kind: str, wish: Wish) -> Serving:
    """Machines hold equal parts of the rows, and every query goes to all of them."""
    size = partial(index_bytes, kind, dimensions=wish.dimensions)

    def p95(rows: int) -> float:
        return _measured("tail") * query_ms(kind, rows, wish.dimensions)

    def enough(machines: int) -> bool:
        rows = math.ceil(wish.images / machines)
        # A scan uses the bandwidth of the whole machine, any other search one core.
        parallel = 1 if kind == "flat" else wish.cores
        busy = wish.queries_per_second * query_ms(kind, rows, wish.dimensions) / 1000 / parallel
        return (
            size(rows) <= _MEMORY_SHARE * wish.memory_gb * 1e9
            and busy <= _LOAD_SHARE
            and p95(rows) <= wish.p95_ms
        )

    machines = _smallest(enough, _MOST_MACHINES)
    rows = math.ceil(wish.images / (machines or 1))
    return Serving(
        kind,
        faiss_file.factory(kind, rows, wish.dimensions, get_metric("cosine")),
        (machines or 1) * size(rows),
        _RECALL[kind],
        machines,
        p95(rows),
    )


def _smallest(enough: Callable[[int], bool], most: int) -> int | None:
    """The smallest number from 1 to ``most`` that is enough, if larger ones are enough too."""
    if not enough(most):
        return None
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def _scanned_bytes(rows: int, dimensions: int) -> int:
    """Of each vector in an exact index."""
    return (2 if faiss_scan.is_worth_it(rows, dimensions, get_metric("cosine")) else 4) * dimensions


def _groups_and_parts(kind: str, rows: int, dimensions: int) -> tuple[int, int]:
    """The groups of an index and the bytes of a compressed vector, 0 if it has none."""
    factory = faiss_file.factory(kind, rows, dimensions, get_metric("cosine"))
    groups, parts = re.search(r"IVF(\d+)", factory), re.search(r"PQ(\d+)", factory)
    return int(groups[1]) if groups else 0, int(parts[1]) if parts else 0


def _measured(name: str) -> float:
    return MEASURED[name].value
