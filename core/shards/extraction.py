"""The images of a plan to the rows of a shard: read, decode and hash in threads, embed in batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from core.cache import Shared
from core.data import image_reader
from core.data.image_reader import Read
from core.data.image_sources import is_url
from core.models.image_embedder import Embedder
from core.progress import Progress, Silent
from core.settings import settings
from core.shards.plan import Listed
from core.shards.shard_file import EMBEDDED, FAILED, PRESENT, UNLISTED, Row
from core.threads import in_threads

# Copies of a file are mostly side by side, so the pixels of so many contents are kept for the next one.
_KEPT_CONTENTS = 16
_NOT_FINITE = "The model gives numbers that are not finite as float32."


def extract(
    listed: Sequence[Listed], embedder: Callable[[], Embedder], progress: Progress | None = None
) -> list[Row]:
    """The rows of a shard, in the order of its plan; an image that can't be read is a row with the reason.

    Parameters
    ----------
    embedder : called when the first image has to be embedded.
    """
    progress = progress or Silent()
    rows: dict[str, Row] = {}
    waiting = []
    for one in listed:
        if one.problem is None and not one.present:
            waiting.append(one)
        else:
            rows[one.path] = _unread(one)
            progress.step()
    if waiting:
        loaded = embedder()
        vectors: dict[str, np.ndarray | None] = {}
        for batch in _batches(waiting, loaded):
            fresh = {
                read.sha256: read.pixels.array
                for _, read in batch
                if read.sha256 is not None and read.pixels is not None and read.sha256 not in vectors
            }
            if fresh:
                for sha256, vector in zip(fresh, loaded(np.stack(list(fresh.values()))), strict=True):
                    vectors[sha256] = vector if np.isfinite(vector).all() else None
            for one, read in batch:
                rows[one.path] = _row(one, read, vectors.get(read.sha256 or ""))
                progress.step()
    return [rows[one.path] for one in listed]


def _batches(listed: Sequence[Listed], embedder: Embedder) -> Iterator[list[tuple[Listed, Read]]]:
    decoded = Shared(_KEPT_CONTENTS)

    def read(one: Listed) -> tuple[Listed, Read]:
        return one, image_reader.read(one.path, embedder, decoded, foreign=is_url(one.path))

    found = in_threads(read, listed, settings.DECODE_THREADS, 3 * embedder.batch_size)
    while batch := list(islice(found, embedder.batch_size)):
        yield batch


def _unread(one: Listed) -> Row:
    state = PRESENT if one.problem is None else UNLISTED
    return replace(_known(one), state=state, size=one.size, mtime_ns=one.mtime_ns, reason=one.problem)


def _row(one: Listed, read: Read, vector: np.ndarray | None) -> Row:
    row = replace(_known(one), size=read.size, mtime_ns=read.mtime_ns)
    if read.reason is not None or vector is None:
        return replace(row, reason=read.reason or _NOT_FINITE)
    assert read.pixels is not None
    return replace(
        row,
        state=EMBEDDED,
        sha256=read.sha256,
        width=read.pixels.width,
        height=read.pixels.height,
        vector=vector,
    )


def _known(one: Listed) -> Row:
    return Row(one.path, one.source, FAILED, label=one.label, metadata=one.metadata)
