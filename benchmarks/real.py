"""Search in vectors of real images against bare FAISS: the 70,000 pictures of Fashion-MNIST.

The vectors are those of a collection of that name. Without one they are the pixels themselves, as in ANN-Benchmarks (Aumüller, Bernhardsson and
Faithfull, 2020).
"""

import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from benchmarks import collection
from benchmarks.measure import LeftOut
from benchmarks.table import Row
from core.collections import Collection, lifecycle
from core.collections.collection_reader import Hit
from core.collections.state import About
from core.collections.writer import New
from core.data import fashion_mnist
from core.errors import DatasetError, UserError
from core.settings import settings

NAME = "fashion"
KINDS = collection.KINDS
_HOW = f"""\
For the vectors of a network it needs a collection {NAME!r}:
    playground datasets add fashion-mnist
    playground collection create {NAME} --model efficientnet-lite0
    playground collection add {NAME} precomputed/fashion-mnist/images"""
_PAGE = 10_000
# A number from 0 to 999 in the metadata of each image: "share<10" leaves one percent of them.
SHARE = "share"


def rows() -> list[Row]:
    """Milliseconds per query, recall and label precision; the queries are images that are taken out of the collection."""
    divided = Divided.load()
    with tempfile.TemporaryDirectory() as folder, divided.copy(Path(folder), "bench") as copy:
        hits = copy.search_vectors(divided.queries, 10)
        return [
            *collection.compared(copy, divided.queries, KINDS),
            Row(
                f"label precision@10, {copy.state.rows:,} images",
                divided.label_precision(hits),
                "",
                better="higher",
                note=f"{len(hits)} images searched among all others by exact search; {divided.what}",
            ),
        ]


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
    def load(cls) -> Self:
        """Divide the collection, which is not changed, or the pictures; raises LeftOut if neither is here."""
        try:
            with Collection.open(NAME) as source, source.pages(_PAGE) as (total, pages):
                about, metric = source.about, source.state.metric
                images = (
                    (row.path, row.label, vector)
                    for found, vectors in pages
                    for row, vector in zip(found, vectors, strict=True)
                )
                return cls._of(about, metric, total, images)
        except UserError as error:
            if NAME in lifecycle.names():
                raise LeftOut(f"{error}\n{_HOW}") from None
        try:
            splits = {name: fashion_mnist.read(fashion_mnist.FOLDER, name) for name in fashion_mnist.SPLITS}
        except DatasetError as error:
            raise LeftOut(f"{error}\n{_HOW}") from None
        images = (
            (f"{split}/{place}.png", fashion_mnist.CLASSES[label], picture.reshape(-1) / np.float32(255))
            for split, (pictures, labels) in splits.items()
            for place, (picture, label) in enumerate(zip(pictures, labels, strict=True))
        )
        total = sum(len(labels) for _, labels in splits.values())
        about = About(
            name=NAME,
            uuid="0",
            catalog="sqlite",
            model="pixels",
            weights="none",
            weights_fingerprint="",
            layer="gray values",
            pooling="none",
            dimensions=fashion_mnist.SIDE**2,
            dtype="float16",
        )
        return cls._of(about, "cosine", total, images)

    @classmethod
    def _of(
        cls, about: About, metric: str, total: int, images: Iterable[tuple[str, str | None, np.ndarray]]
    ) -> Self:
        if total < 2 * collection.QUERIES:
            raise UserError(f"The collection {NAME!r} has only {total:,} images.")
        step = total // collection.QUERIES
        shares = (np.random.default_rng(0).permutation(total) * 1_000 // total).tolist()
        queries: list[np.ndarray] = []
        labels: list[str | None] = []
        kept: list[New] = []
        for place, (path, label, vector) in enumerate(images):
            if place % step == 0 and len(queries) < collection.QUERIES:
                queries.append(vector.astype(np.float32))
                labels.append(label)
            else:
                kept.append(New(path, label=label, metadata={SHARE: shares[place]}, vector=vector))
        return cls(about, metric, np.stack(queries), labels, kept)

    @property
    def what(self) -> str:
        """The configuration in words."""
        return f"{self.about.model}, {self.about.layer}, pooling {self.about.pooling}"

    @contextmanager
    def copy(self, folder: Path, name: str) -> Iterator[Collection]:
        """A collection of all images but the queries; its index is not built yet."""
        database = "postgresql" if settings.CATALOG_URL else "sqlite"
        about = self.about.model_copy(update={"name": name, "uuid": uuid.uuid4().hex, "catalog": database})
        with Collection.create_empty(about, self.metric, index="flat", folder=folder) as made:
            with made.writing() as writer:
                for start in range(0, len(self.kept), _PAGE):
                    writer.put(self.kept[start : start + _PAGE])
            yield made

    def label_precision(self, hits: list[list[Hit]]) -> float:
        """The mean share of hits with the label of their query."""
        pairs = zip(self.labels, hits, strict=True)
        return float(np.mean([hit.label == label for label, found in pairs for hit in found]))
