"""Index files of FAISS that are larger than memory: trained once, filled in pieces, and merged on disk.

The merged file is the one that FAISS would have written of the whole index, byte for byte. It is opened mapped into memory, as any other.
"""

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from core import disk
from core.collections.vector_file import VectorFile
from core.errors import CollectionError
from core.exact_index import prepared
from core.metrics import Metric

# A larger index is built in pieces of this size.
PIECE_BYTES = 2_000_000_000
# Those whose groups are plain arrays.
_MERGED = ("IndexIVFFlat", "IndexIVFPQ", "IndexIVFScalarQuantizer")
# How FAISS ends the file of an empty index: its groups, of which none has a vector.
_NO_GROUPS = b"sprs" + bytes(8)


def are_needed(core: Any, rows: int) -> bool:
    """Whether an index of so many rows is built in pieces; ``core`` is what it is without a transformation."""
    return type(core).__name__ in _MERGED and rows * _row_bytes(core) > PIECE_BYTES


def write(
    path: Path,
    index: Any,
    core: Any,
    vectors: VectorFile,
    start: int,
    stop: int,
    metric: Metric,
    step: Callable[[int], None],
    new: Callable[[], Path],
    earlier: Path | None = None,
) -> None:
    """Write an index of the rows ``start`` to ``stop``.

    Parameters
    ----------
    index : trained and empty; core : the index in it that has the groups.
    new : returns the path of a new file, for a piece.
    earlier : a file of the same index that holds the first ``start`` rows.

    Raises
    ------
    OSError : the disk is full or fails.
    """
    import faiss

    # The pieces and the merged file.
    disk.require(path.parent, (2 * stop - start) * _row_bytes(core))
    height = max(1, PIECE_BYTES // _row_bytes(core))
    with ExitStack() as stack:
        pieces = [earlier] if earlier else []
        for first in range(start, stop, height):
            last = min(first + height, stop)
            for row, block in vectors.chunks(first, last):
                index.add_with_ids(prepared(block, metric), np.arange(row, row + len(block)))
                step(len(block))
            piece = new()
            stack.callback(piece.unlink, missing_ok=True)
            faiss.write_index(index, str(piece))
            # It stays trained.
            index.reset()
            pieces.append(piece)
        opened = [
            faiss.read_index(str(piece), faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY) for piece in pieces
        ]
        _merge(path, index, core, [faiss.extract_index_ivf(one).invlists for one in opened], stop)


def empty(index: Any, core: Any) -> None:
    """Empty an index that is mapped from a file; the file stays as it is."""
    import faiss

    groups = faiss.ArrayInvertedLists(core.nlist, core.code_size)
    core.replace_invlists(groups, True)
    groups.this.disown()
    index.ntotal = core.ntotal = 0


def _merge(path: Path, index: Any, core: Any, parts: Sequence[Any], rows: int) -> None:
    """Write the file of an index whose groups are those of all parts, without having them in memory."""
    import faiss

    index.ntotal = core.ntotal = rows
    head = faiss.serialize_index(index).tobytes()
    index.ntotal = core.ntotal = 0
    if not head.endswith(struct.pack("<4sQQ", b"ilar", core.nlist, core.code_size) + _NO_GROUPS):
        raise CollectionError("This version of FAISS has another file format; choose a smaller index.")
    sizes = np.array([sum(part.list_size(group) for part in parts) for group in range(core.nlist)], "<u8")
    # As FAISS decides it.
    if np.count_nonzero(sizes) > core.nlist // 2:
        table = struct.pack("<4sQ", b"full", core.nlist) + sizes.tobytes()
    else:
        places = np.flatnonzero(sizes).astype("<u8")
        pairs = np.stack([places, sizes[places.astype(int)]], axis=1)
        table = struct.pack("<4sQ", b"sprs", pairs.size) + pairs.tobytes()
    with path.open("wb") as file:
        file.write(head.removesuffix(_NO_GROUPS))
        file.write(table)
        for group in range(core.nlist):
            for data in _group(parts, group, core.code_size):
                data.tofile(file)
        file.flush()
        os.fsync(file.fileno())


def _group(parts: Sequence[Any], group: int, code_size: int) -> Iterator[np.ndarray]:
    """The vectors of a group in all parts, and then their rows."""
    import faiss

    sized = [(part, part.list_size(group)) for part in parts if part.list_size(group)]
    for part, size in sized:
        yield faiss.rev_swig_ptr(part.get_codes(group), size * code_size)
    for part, size in sized:
        yield faiss.rev_swig_ptr(part.get_ids(group), size)


def _row_bytes(core: Any) -> int:
    return int(core.code_size) + 8
