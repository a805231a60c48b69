"""Index files of FAISS of several kinds, built in bounded memory if the kind allows it.

A file is written once and never changed. Its rows are the first rows of the vector file.
"""

import hashlib
import math
import os
import secrets
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from core.collections.index import exact_search, faiss_gpu, faiss_pieces, faiss_scan
from core.collections.index.exact_search import exact, least_effort, recall, rerank, sample_rows, without_self
from core.collections.index.index_engine import DamagedIndexError
from core.collections.index.index_record import IndexFile
from core.collections.vector_file import VectorFile
from core.errors import CollectionError
from core.exact_index import as_distances, prepared
from core.metrics import Metric, get_metric

KINDS = {
    "auto": "exact below 50,000 images, above a tuned approximate index",
    "flat": "exact: every vector is compared",
    "hnsw": "a graph of near neighbors: fast, needs the most memory",
    "ivf": "vectors in groups, the nearest groups are searched",
    "ivfpq": "groups of compressed vectors, the best compared again in full: the least memory",
}
# For a compressed index, so many times k neighbors are compared again with the stored vectors.
RERANK = 10

# For each unit of efSearch a graph compares about so many vectors.
_VISITED = 20
_TRAINING_BYTES = 256_000_000
_TRAINING_PER_GROUP = 64
_TUNING_QUERIES = 100
# Files up to this size are checked completely when opened, larger ones in samples.
_CHECKED_WHOLE = 64_000_000
_SAMPLES, _SAMPLE_BYTES = 64, 65_536
# Files of vectors one after the other.
_PLAIN = ("Flat", faiss_scan.FACTORY)
# FAISS supports compressed vectors under two metrics only; under others some combinations end the process.
_ANY_METRIC = ("IndexFlat", "IndexFlatL2", "IndexFlatIP", "IndexHNSWFlat", "IndexIVFFlat")
_COMPRESSED = (
    "IndexScalarQuantizer",
    "IndexHNSWSQ",
    "IndexIVFPQ",
    "IndexIVFPQFastScan",
    "IndexIVFScalarQuantizer",
)


def factory(kind: str, rows: int, dimensions: int, metric: Metric) -> str:
    """The factory string of FAISS for a kind and so many rows; a factory string is returned unchanged."""
    groups = max(1, min(round(math.sqrt(rows)), rows // 39))
    if kind == "auto":
        kind = "flat" if rows < exact_search.EXACT_BELOW else "ivfpq"
    if kind == "ivfpq" and metric.name in ("manhattan", "chebyshev"):
        kind = "ivf"
    if kind == "ivfpq" and rows < 10_000:
        # Too few to train 256 centroids per part.
        kind = "ivf"
    # Parts of fewer than four numbers gain nothing and are slow to train.
    parts = max(m for m in range(1, min(64, max(1, dimensions // 4)) + 1) if dimensions % m == 0)
    return {
        "flat": faiss_scan.FACTORY if faiss_scan.is_worth_it(rows, dimensions, metric) else "Flat",
        "hnsw": "HNSW32",
        "ivf": f"IVF{groups},Flat",
        # "np": without FAISS's polysemous training, which takes minutes and is for a search not used here.
        "ivfpq": f"IVF{groups},PQ{parts}np",
    }.get(kind, kind)


def check(kind: str, dimensions: int, metric: Metric) -> None:
    """Check that a kind of index can be built and searched.

    Raises
    ------
    CollectionError : it can't.
    """
    if kind in KINDS:
        return
    import faiss

    try:
        index = faiss.index_factory(dimensions, kind, getattr(faiss, metric.faiss_metric))
    except (RuntimeError, TypeError):
        raise CollectionError(
            f"FAISS can't build an index of {kind!r} for vectors of {dimensions} numbers; "
            f"choose {', '.join(KINDS)} or another factory string."
        ) from None
    name = type(_core(index)).__name__
    if name not in _ANY_METRIC + _COMPRESSED:
        raise CollectionError(
            f"An index of {kind!r} can't be searched with filters; choose {', '.join(KINDS)} "
            "or a factory string of Flat, SQ, HNSW or IVF."
        )
    if metric.name in ("manhattan", "chebyshev") and (
        name not in _ANY_METRIC or isinstance(faiss.downcast_index(index), faiss.IndexPreTransform)
    ):
        raise CollectionError(
            f"An index of {kind!r} supports the metrics cosine and euclidean, not {metric.name}; choose flat, hnsw or ivf."
        )


def build(
    folder: Path,
    vectors: VectorFile,
    rows: int,
    metric: Metric,
    kind: str,
    step: Callable[[int], None] = lambda n: None,
) -> IndexFile:
    """Build an index of the first rows in a new file; ``step`` is called with the number of rows added.

    Raises
    ------
    CollectionError : it can't be trained on these vectors.
    OSError : the disk is full or fails.
    """
    description = factory(kind, rows, vectors.dimensions, metric)
    path = _new(folder)
    try:
        if description in _PLAIN:
            description = _write_plain(path, description, vectors, rows, metric, step)
            effort = 0
        else:
            index = _trained(description, vectors, rows, metric)
            if faiss_pieces.are_needed(_core(index), rows):
                with _disk_errors():
                    faiss_pieces.write(
                        path, index, _core(index), vectors, 0, rows, metric, step, lambda: _new(folder)
                    )
                index = _mapped(path)
            else:
                index = _filled(index, vectors, 0, rows, metric, step)
                _write(index, path)
            effort = _tuned_effort(index, description, vectors, rows, metric)
        return _described(path, description, rows, rows, effort)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def extend(
    folder: Path,
    old: IndexFile,
    vectors: VectorFile,
    rows: int,
    metric: Metric,
    step: Callable[[int], None] = lambda n: None,
) -> IndexFile:
    """An index with further rows, trained as before, in a new file; raises as :func:`build`."""
    if old.factory in _PLAIN:
        return build(folder, vectors, rows, metric, old.factory, step)
    import faiss

    path, before = _new(folder), folder / old.file
    try:
        inspect(before, old, whole=True)
        index = _mapped(before)
        if faiss_pieces.are_needed(_core(index), rows):
            faiss_pieces.empty(index, _core(index))
            with _disk_errors():
                faiss_pieces.write(
                    path,
                    index,
                    _core(index),
                    vectors,
                    old.rows,
                    rows,
                    metric,
                    step,
                    lambda: _new(folder),
                    before,
                )
        else:
            index = faiss.read_index(str(before))
            _write(_filled(index, vectors, old.rows, rows, metric, step), path)
        return _described(path, old.factory, rows, old.trained_rows, old.effort)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def inspect(path: Path, known: IndexFile, whole: bool) -> None:
    """Compare a file with its checksums, completely or in samples.

    Raises
    ------
    DamagedIndexError : it is not the file that was written.
    FileNotFoundError : it does not exist.
    """
    size = path.stat().st_size
    whole = whole or size <= _CHECKED_WHOLE
    intact = size == known.size and (
        _sha256(path) == known.sha256 if whole else _sample(path) == known.sample
    )
    if not intact:
        raise DamagedIndexError(f"The index file {path.name} is damaged.")


class Ann:
    """An index file opened for searching, mapped into memory.

    Raises
    ------
    DamagedIndexError : its checksum is wrong.
    FileNotFoundError : a writer has replaced it.
    """

    def __init__(self, folder: Path, known: IndexFile, metric: str):
        path = folder / known.file
        inspect(path, known, whole=False)
        self.known, self.metric = known, get_metric(metric)
        try:
            self._index = _mapped(path)
        except RuntimeError:
            raise DamagedIndexError(f"The index file {path.name} can't be read.") from None
        if self._index.ntotal != known.rows:
            raise DamagedIndexError(f"The index file {path.name} has another number of rows.")
        _set_effort(self._index, known.effort)

    def search(
        self, queries: np.ndarray, k: int, mask: np.ndarray | None, effort: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows and distances (n_queries, k) as FAISS ranks them, -1 if there are no more.

        Parameters
        ----------
        queries : prepared for the metric.
        mask : (rows,) bool, the allowed rows; None for all.
        effort : ``nprobe`` or ``efSearch``; default: that of the tuned index.
        """
        wanted = effort or self.known.effort
        answer = None
        if self.has_gpu_for(len(queries), k, mask, wanted) and self._on_gpu:
            answer = self._on_gpu.search(queries, k, wanted)
        if answer is None and self.known.factory == faiss_scan.FACTORY:
            answer = faiss_scan.search(self._index, queries, k, mask)
        if answer is None:
            # Without parameters: making them takes as long as a fast search.
            given = 0 if mask is None and effort is None else wanted
            answer = search(self._index, queries, k, mask, given)
        found, rows = answer
        return rows, as_distances(found, self.metric)

    def has_gpu_for(self, queries: int, k: int, mask: np.ndarray | None, effort: int = 0) -> bool:
        """Whether so many queries are searched on a GPU, if it does not fail."""
        return mask is None and faiss_gpu.is_worth_it(queries, k, effort) and self._on_gpu is not None

    @cached_property
    def _on_gpu(self) -> faiss_gpu.Copy | None:
        """Its copy on a GPU, None if there is none."""
        return faiss_gpu.upload(self._index, self.known.rows)

    @cached_property
    def efforts(self) -> list[int]:
        """The values of ``effort`` worth trying, ascending; [0] if the kind has none."""
        return efforts(self._index)

    @cached_property
    def is_graph(self) -> bool:
        """Whether it is an HNSW graph."""
        import faiss

        return isinstance(_core(self._index), faiss.IndexHNSW)

    def effort_at(self, depth: int, k: int, effort: int) -> int:
        """The effort that finds ``depth`` neighbors with the recall of ``effort`` for k, as measured on clustered vectors."""
        if self.is_graph:
            return max(effort, 2 * depth)
        return min(self.efforts[-1], math.ceil(effort * math.sqrt(max(1, depth / k))))

    def compared(self, effort: int) -> float:
        """How many rows could be compared one by one in the time of a search with this effort."""
        if self.is_graph:
            return _VISITED * effort
        return effort / self.efforts[-1] * self.known.rows


def search(
    index: Any, queries: np.ndarray, k: int, mask: np.ndarray | None, effort: int
) -> tuple[np.ndarray, np.ndarray]:
    """The search of FAISS with a mask and an effort: distances as FAISS defines them, and rows."""
    import faiss

    selector = parameters = None
    if mask is not None:
        # Kept in a variable: FAISS does not hold on to it.
        bits = np.packbits(mask, bitorder="little")
        selector = faiss.IDSelectorBitmap(bits)
    if selector is not None or effort:
        parameters = _parameters(index, selector, effort)
    distances, rows = index.search(queries, k, params=parameters)
    return distances, rows


def efforts(index: Any) -> list[int]:
    """The values of ``nprobe`` or ``efSearch`` worth trying, ascending; [0] if the kind has neither."""
    import faiss

    core = _core(index)
    if isinstance(core, faiss.IndexIVF):
        return [*(2**i for i in range(20) if 2**i < core.nlist), core.nlist]
    if isinstance(core, faiss.IndexHNSW):
        return [16, 32, 64, 128, 256, 512]
    return [0]


def _core(index: Any) -> Any:
    import faiss

    index = faiss.downcast_index(index)
    return _core(index.index) if isinstance(index, faiss.IndexPreTransform) else index


def _set_effort(index: Any, effort: int) -> None:
    """Set the effort of a search without parameters."""
    import faiss

    core = _core(index)
    if isinstance(core, faiss.IndexIVF):
        core.nprobe = effort
    elif isinstance(core, faiss.IndexHNSW):
        core.hnsw.efSearch = effort


def _parameters(index: Any, selector: Any, effort: int) -> Any:
    import faiss

    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        return faiss.SearchParametersPreTransform(index_params=_parameters(index.index, selector, effort))
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(sel=selector, efSearch=effort)
    if isinstance(index, faiss.IndexIVF):
        return faiss.SearchParametersIVF(sel=selector, nprobe=effort)
    return faiss.SearchParameters(sel=selector)


def _trained(description: str, vectors: VectorFile, rows: int, metric: Metric) -> Any:
    import faiss

    index = faiss.index_factory(vectors.dimensions, description, getattr(faiss, metric.faiss_metric))
    if isinstance(_core(index), faiss.IndexHNSW):
        _core(index).hnsw.efConstruction = 80
    if not index.is_trained:
        core = _core(index)
        groups = core.nlist if isinstance(core, faiss.IndexIVF) else 1
        most = min(
            max(_TRAINING_PER_GROUP * groups, 20_000), max(1, _TRAINING_BYTES // (4 * vectors.dimensions))
        )
        sample = prepared(vectors.map(rows)[sample_rows(rows, most)], metric)
        for quantizer in (getattr(core, "cp", None), getattr(getattr(core, "pq", None), "cp", None)):
            if quantizer is not None:
                # It prints warnings about small samples to the terminal.
                quantizer.min_points_per_centroid = 1
        try:
            on_gpu = faiss_gpu.trained(index, sample)
            if on_gpu is None:
                index.train(sample)
            else:
                index = on_gpu
        except RuntimeError as error:
            raise CollectionError(
                f"An index of {description!r} can't be trained on {len(sample)} vectors; "
                f"choose a smaller one or flat. FAISS says: {_message(error)}"
            ) from None
    return index


def _filled(
    index: Any, vectors: VectorFile, start: int, stop: int, metric: Metric, step: Callable[[int], None]
) -> Any:
    """The index with the rows ``start`` to ``stop`` added."""

    def blocks() -> Iterator[np.ndarray]:
        for _, block in vectors.chunks(start, stop):
            yield prepared(block, metric)
            step(len(block))

    filled = faiss_gpu.filled(index, stop, blocks())
    if filled is not None:
        return filled
    for block in blocks():
        index.add(block)
    return index


def _tuned_effort(index: Any, description: str, vectors: VectorFile, rows: int, metric: Metric) -> int:
    """The smallest effort that reaches the recall goal for a sample of the rows, or almost the highest recall."""
    candidates = efforts(index)
    queries = sample_rows(rows, _TUNING_QUERIES)
    k = min(10, rows - 1)
    if candidates == [0] or k < 1:
        return candidates[-1]
    stored = vectors.map(rows)
    prepared_queries = prepared(stored[queries], metric)
    truth = without_self(exact(stored, prepared_queries, k + 1, metric)[0], queries, k)
    compressed = "PQ" in description or "SQ" in description

    def recall_at(effort: int) -> float:
        found = search(index, prepared_queries, (k + 1) * (RERANK if compressed else 1), None, effort)[1]
        if compressed:
            found = rerank(stored, prepared_queries, found, k + 1, metric)[0]
        return recall(without_self(found, queries, k), truth)

    return least_effort(candidates, recall_at)


def _write_plain(
    path: Path, description: str, vectors: VectorFile, rows: int, metric: Metric, step: Callable[[int], None]
) -> str:
    """Write an exact index as FAISS would, without having it in memory, and return its factory: float32 where float16 can't hold the numbers.

    FAISS writes the vectors last, so the file begins like an empty index with two other counts. Reading the file back checks this.
    """
    import faiss

    empty = faiss.index_factory(vectors.dimensions, description, getattr(faiss, metric.faiss_metric))
    head = bytearray(faiss.serialize_index(empty).tobytes())
    # Four letters, the dimensions in 4 bytes, the number of rows in 8; the number of numbers, or of bytes, in the last 8.
    struct.pack_into("<q", head, 8, rows)
    size = vectors.dimensions if description == "Flat" else empty.code_size
    struct.pack_into("<Q", head, len(head) - 8, rows * size)
    fits = False
    with path.open("wb") as file:
        file.write(head)
        for _, block in vectors.chunks(0, rows):
            block = prepared(block, metric)
            if description != "Flat" and np.abs(block).max() > faiss_scan.LARGEST:
                break
            file.write(empty.sa_encode(block).tobytes())
            step(len(block))
        else:
            file.flush()
            os.fsync(file.fileno())
            fits = True
    if not fits:
        return _write_plain(path, "Flat", vectors, rows, metric, step)
    written = _mapped(path)
    last = prepared(vectors.map(rows)[-1:], metric)
    if written.ntotal != rows or not np.array_equal(
        written.reconstruct(rows - 1), empty.sa_decode(empty.sa_encode(last))[0]
    ):
        raise CollectionError(
            "This version of FAISS has another file format; choose an index other than flat."
        )
    return description


def _mapped(path: Path) -> Any:
    """An index file, mapped into memory."""
    import faiss

    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY)


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Raise errors of FAISS that writes a file as OSError."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(None, f"the index could not be written ({_message(error)})") from None


def _write(index: Any, path: Path) -> None:
    import faiss

    with _disk_errors():
        faiss.write_index(index, str(path))
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _message(error: RuntimeError) -> str:
    """The message of FAISS without its source code."""
    return str(error).strip().splitlines()[-1].rsplit(": ", 1)[-1][:200]


def _described(path: Path, description: str, rows: int, trained_rows: int, effort: int) -> IndexFile:
    return IndexFile(
        path.name, description, rows, trained_rows, path.stat().st_size, _sha256(path), _sample(path), effort
    )


def _new(folder: Path) -> Path:
    return folder / f"index-{secrets.token_hex(6)}.faiss"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sample(path: Path) -> str:
    size, digest = path.stat().st_size, hashlib.sha256()
    with path.open("rb") as file:
        for place in np.linspace(0, max(0, size - _SAMPLE_BYTES), _SAMPLES).astype(int):
            file.seek(place)
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()
