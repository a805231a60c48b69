"""Search in vectors of real images against bare FAISS: those of a collection of Fashion-MNIST, which has to be there."""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks import collection
from benchmarks.measure import LeftOut
from benchmarks.table import Row
from core.collections import Collection
from core.collections.writer import New
from core.errors import UserError

NAME = "fashion"
KINDS = collection.KINDS
_HOW = f"""\
it needs a collection {NAME!r} with the vectors of real images:
    playground datasets add fashion-mnist
    playground collection create {NAME} --model efficientnet-lite0
    playground collection add {NAME} precomputed/fashion-mnist/images"""
_PAGE = 10_000


def rows() -> list[Row]:
    """Milliseconds per query, recall and label precision; the queries are images that are taken out of the collection."""
    try:
        with Collection.open(NAME) as source, tempfile.TemporaryDirectory() as folder:
            return _rows(source, Path(folder))
    except UserError as error:
        raise LeftOut(f"{error}\n{_HOW}") from None


def _rows(source: Collection, folder: Path) -> list[Row]:
    about, state = source.about, source.state
    with Collection.create(
        "bench",
        model=about.model,
        layer=about.layer,
        pooling=about.pooling,
        weights=about.weights,
        metric=state.metric,
        index="flat",
        dtype=about.dtype,
        folder=folder,
    ) as copy:
        queries, labels = _divide(source, copy)
        hits = copy.search_vectors(queries, 10)
        same = [hit.label == label for label, found in zip(labels, hits, strict=True) for hit in found]
        what = f"{about.model}, {about.layer}, {about.pooling}"
        return [
            *collection.compared(copy, queries, KINDS),
            Row(
                f"label precision@10, {copy.state.rows:,} images",
                float(np.mean(same)),
                "",
                better="higher",
                note=f"{len(queries)} images of {NAME!r} searched among all others by exact search; {what}",
            ),
        ]


def _divide(source: Collection, copy: Collection) -> tuple[np.ndarray, list[str | None]]:
    """Copy all but some images, spread over the collection; the vectors (n, dimensions) and labels of those."""
    queries: list[np.ndarray] = []
    labels: list[str | None] = []
    with source.pages(_PAGE) as (total, pages), copy.writing() as writer:
        if total < 2 * collection.QUERIES:
            raise UserError(f"The collection {NAME!r} has only {total:,} images.")
        step, place = total // collection.QUERIES, 0
        for found, vectors in pages:
            kept = []
            for row, vector in zip(found, vectors, strict=True):
                if place % step == 0 and len(queries) < collection.QUERIES:
                    queries.append(vector.astype(np.float32))
                    labels.append(row.label)
                else:
                    kept.append(New(row.path, label=row.label, vector=vector))
                place += 1
            writer.put(kept)
    return np.stack(queries), labels
