"""Search in vectors of real images against bare FAISS: those of a collection of Fashion-MNIST, which has to be there."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from benchmarks import collection
from benchmarks.measure import LeftOut
from benchmarks.table import Row
from core.collections import Collection
from core.collections.collection_reader import Hit
from core.collections.state import About
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
# A number from 0 to 999 in the metadata of each image: "share<10" leaves one percent of them.
SHARE = "share"


def rows() -> list[Row]:
    """Milliseconds per query, recall and label precision; the queries are images that are taken out of the collection."""
    with opened() as source, tempfile.TemporaryDirectory() as folder:
        divided = Divided.of(source)
        with divided.copy(Path(folder), "bench", "faiss", "flat") as copy:
            hits = copy.search_vectors(divided.queries, 10)
            return [
                *collection.compared(copy, divided.queries, KINDS),
                Row(
                    f"label precision@10, {copy.state.rows:,} images",
                    divided.label_precision(hits),
                    "",
                    better="higher",
                    note=f"{len(hits)} images of {NAME!r} searched among all others by exact search; {divided.what}",
                ),
            ]


@contextmanager
def opened() -> Iterator[Collection]:
    """The collection of real images; raises LeftOut with what makes it."""
    try:
        source = Collection.open(NAME)
    except UserError as error:
        raise LeftOut(f"{error}\n{_HOW}") from None
    with source:
        count = source.info().images
        if count < 2 * collection.QUERIES:
            raise LeftOut(f"The collection {NAME!r} has only {count:,} images.\n{_HOW}")
        yield source


@dataclass(frozen=True)
class Divided:
    """A collection divided into queries and what they are searched in.

    about, metric : its configuration; queries : (n, dimensions) float32, spread over it; labels : of the queries; kept : all other images.
    """

    about: About
    metric: str
    queries: np.ndarray
    labels: list[str | None]
    kept: list[New]

    @classmethod
    def of(cls, source: Collection) -> Self:
        """Divide a collection, which is not changed."""
        queries: list[np.ndarray] = []
        labels: list[str | None] = []
        kept: list[New] = []
        with source.pages(_PAGE) as (total, pages):
            step, place = total // collection.QUERIES, 0
            shares = (np.random.default_rng(0).permutation(total) * 1_000 // total).tolist()
            for found, vectors in pages:
                for row, vector in zip(found, vectors, strict=True):
                    if place % step == 0 and len(queries) < collection.QUERIES:
                        queries.append(vector.astype(np.float32))
                        labels.append(row.label)
                    else:
                        metadata = {SHARE: shares[place]}
                        kept.append(New(row.path, label=row.label, metadata=metadata, vector=vector))
                    place += 1
        return cls(source.about, source.state.metric, np.stack(queries), labels, kept)

    @property
    def what(self) -> str:
        """The configuration in words."""
        return f"{self.about.model}, {self.about.layer}, {self.about.pooling}"

    @contextmanager
    def copy(self, folder: Path, name: str, engine: str, index: str) -> Iterator[Collection]:
        """A collection of all images but the queries; its index is not built yet."""
        with Collection.create(
            name,
            model=self.about.model,
            layer=self.about.layer,
            pooling=self.about.pooling,
            weights=self.about.weights,
            metric=self.metric,
            dtype=self.about.dtype,
            folder=folder,
            engine=engine,
            index=index,
        ) as made:
            with made.writing() as writer:
                for start in range(0, len(self.kept), _PAGE):
                    writer.put(self.kept[start : start + _PAGE])
            yield made

    def label_precision(self, hits: list[list[Hit]]) -> float:
        """The mean share of hits with the label of their query."""
        pairs = zip(self.labels, hits, strict=True)
        return float(np.mean([hit.label == label for label, found in pairs for hit in found]))
