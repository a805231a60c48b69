"""FAISS on an NVIDIA GPU, where ``faiss-gpu`` is installed in place of ``faiss-cpu``: training, adding, and searches of many queries.

The GPU has a copy of an index, and what it computed is copied back: index files are the same as without one. What a GPU lacks (graphs,
filters, metrics other than cosine and euclidean), few queries, and what does not fit its memory stay on the processor.
"""

import ctypes
import logging
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

import numpy as np

# For fewer queries the way to the GPU and back takes longer than the search on the processor.
MANY_QUERIES = 32
# FAISS finds no more neighbors and visits no more groups on a GPU.
_MOST = 2_048
_KINDS = ("IndexFlat", "IndexFlatIP", "IndexFlatL2", "IndexIVFFlat", "IndexIVFPQ")
# What FAISS takes for intermediate results, and how many times the size of an index it may take while it grows.
_WORK_BYTES, _GROWTH = 2_000_000_000, 2
_CUDART = "libcudart.so.12"
_log = logging.getLogger(__name__)
# One thread at a time: FAISS's buffers on a GPU are not shared.
_lock = Lock()


def count() -> int:
    """The number of GPUs that FAISS can use: 0 with ``faiss-cpu``."""
    import faiss

    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0


def has_kind(index: Any) -> bool:
    """Whether GPUs have an index of this kind and metric."""
    import faiss

    index = faiss.downcast_index(index)
    if index.metric_type not in (faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2):
        return False
    if isinstance(index, faiss.IndexScalarQuantizer):
        return bool(index.sq.qtype == faiss.ScalarQuantizer.QT_fp16)
    return type(index).__name__ in _KINDS


def needed(index: Any, rows: int) -> int:
    """The bytes that an index of so many rows takes on a GPU while it grows to them, with what a search takes."""
    import faiss

    index = faiss.downcast_index(index)
    row = int(index.code_size)
    fixed = 0
    if isinstance(index, faiss.IndexIVF):
        # The number of each row, and the center of each group.
        row += 8
        fixed = 4 * index.nlist * index.d
    return _GROWTH * (row * rows + fixed) + _WORK_BYTES


def is_worth_it(queries: int, k: int, effort: int) -> bool:
    """Whether a GPU can and should search for so many neighbors of so many queries, in so many groups."""
    return queries >= MANY_QUERIES and k <= _MOST and effort <= _MOST


def upload(index: Any, rows: int) -> "Copy | None":
    """A copy of an index on the first GPU, which can grow to so many rows; None if it has to stay on the processor."""
    if not count() or not has_kind(index) or needed(index, rows) > _free_bytes():
        return None
    import faiss

    options = faiss.GpuClonerOptions()
    # The tables of long codes do not fit otherwise. The best are compared again in full.
    options.useFloat16 = type(faiss.downcast_index(index)).__name__ == "IndexIVFPQ"
    try:
        resources = faiss.StandardGpuResources()
        return Copy(resources, faiss.index_cpu_to_gpu(resources, 0, index, options))
    except RuntimeError as error:
        _stay(error)
        return None


def trained(index: Any, sample: np.ndarray) -> Any | None:
    """A copy of the index that a GPU trained on a sample (n, dimensions); None if it has to be trained on the processor."""
    return _computed(index, len(sample), lambda copy: copy.train(sample))


def filled(index: Any, rows: int, blocks: Iterable[np.ndarray]) -> Any | None:
    """A copy of the index to which a GPU added vectors (n, dimensions), ``rows`` in the end; None if the processor has to add them."""

    def add(copy: Any) -> None:
        for block in blocks:
            copy.add(block)

    return _computed(index, rows, add)


class Copy:
    """An index on a GPU, used by one thread at a time."""

    def __init__(self, resources: Any, index: Any):
        # The index does not keep its resources.
        self._resources, self.index = resources, index

    def search(self, queries: np.ndarray, k: int, effort: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Distances and rows (n_queries, k) as those of FAISS, None if that fails; ``effort`` is ``nprobe``, 0 without groups."""
        import faiss

        parameters = faiss.SearchParametersIVF(nprobe=effort) if effort else None
        try:
            with _lock:
                distances, rows = self.index.search(queries, k, params=parameters)
            return distances, rows
        except RuntimeError as error:
            _stay(error)
            return None


def _computed(index: Any, rows: int, work: Callable[[Any], None]) -> Any | None:
    copy = upload(index, rows)
    if copy is None:
        return None
    import faiss

    try:
        with _lock:
            work(copy.index)
            return faiss.index_gpu_to_cpu(copy.index)
    except RuntimeError as error:
        _stay(error)
        return None


def _stay(error: RuntimeError) -> None:
    _log.warning("The GPU failed, so the processor does the work: %s", error)


def _free_bytes() -> int:
    """The free memory of the GPU in use; FAISS does not say, but has loaded CUDA. 0 if it can't be told."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    try:
        failed = ctypes.CDLL(_CUDART).cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total))
    except (OSError, AttributeError):
        return 0
    return 0 if failed else free.value
