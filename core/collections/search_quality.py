"""How well a collection is searched: recall of its index and precision of the labels, for a sample of its images."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.collections import catalog, schema
from core.collections.collection_reader import Reader
from core.collections.index import exact_search
from core.evaluation import uncertainty
from core.evaluation.uncertainty import Difference
from core.exact_index import prepared
from core.metrics import get_metric

K = 10
# All shares of at most K neighbors are multiples of it.
_UNIT = 1.0 / math.lcm(*range(1, K + 1))


@dataclass(frozen=True)
class Quality:
    """The quality of searches with some stored images, each without itself.

    images : in the collection; queries : how many were searched; recall : recall@10 of the index against exact search, 1 without a query;
    label_precision : precision@10 of labels among labeled neighbors, None without labels.
    """

    images: int
    queries: int
    recall: float
    label_precision: float | None


def compare(before: Reader, after: Reader, queries: int) -> tuple[Quality, Quality]:
    """The quality of two states of a collection, each searched with the same images, at most so many; with its own if they share none.

    They are those with the lowest hashes, which are as good as random.

    Raises
    ------
    CollectionError : the storage can't be read.
    """
    samples = []
    for collection in (before, after):
        with collection.frozen() as (connection, _):
            samples.append(catalog.lowest_hashes(connection, queries))
    shared = samples[0].keys() & samples[1].keys()
    first, second = (
        [row for content, row in sample.items() if not shared or content in shared] for sample in samples
    )
    return measure(before, np.array(first, np.int64)), measure(after, np.array(second, np.int64))


def measure(collection: Reader, rows: np.ndarray) -> Quality:
    """The quality of searches with some rows (n_queries,) of the vectors; raises as :func:`compare`."""
    snapshot = collection.snapshot()
    with collection.frozen() as (connection, _):
        images = catalog.counts(connection)[schema.INDEXED]
    k = min(K, snapshot.state.rows - len(snapshot.tombstones) - 1)
    if k < 1:
        return Quality(images, 0, 1.0, None)
    metric = get_metric(snapshot.state.metric)
    vectors = np.asarray(snapshot.stored[rows], np.float32)
    allowed = snapshot.rows if len(snapshot.tombstones) else None
    exact, _ = exact_search.exact(snapshot.stored, prepared(vectors, metric), k + 1, metric, allowed)
    found, _ = snapshot.nearest(vectors, k + 1)
    truth, neighbors = (exact_search.without_self(one, rows, k) for one in (exact, found))
    labels = first_labels(collection)
    return Quality(
        images, len(rows), exact_search.recall(neighbors, truth), label_precision(rows, neighbors, labels)
    )


def first_labels(collection: Reader) -> dict[int, str]:
    """The labels of rows of the vectors; of several labels of the same content, the oldest."""
    return {row: next(iter(several)) for row, several in collection.labels_by_row().items()}


def label_precision(queries: np.ndarray, found: np.ndarray, labels: Mapping[int, str]) -> float | None:
    """The mean share of neighbors (n_queries, k) with the label of the query (n_queries,), among labeled ones; None if there are none."""
    shares = _label_shares(queries, found, labels)
    known = shares[np.isfinite(shares)]
    return float(known.mean()) if len(known) else None


def label_loss(
    queries: np.ndarray, exact: np.ndarray, found: np.ndarray, labels: Mapping[int, str]
) -> Difference | None:
    """How much label precision is lost where a search finds other neighbors than an exact one; None without labels.

    The queries are a sample of the images of the collection and its gallery is what it is, so that the interval is that of a paired mean, for
    searches with other images of the same collection.

    Parameters
    ----------
    queries : (n_queries,) rows, at least one; exact, found : (n_queries, at most 10) neighbors of both searches.
    """
    a, b = (_label_shares(queries, neighbors, labels) for neighbors in (exact, found))
    both = np.isfinite(a) & np.isfinite(b)
    n = int(both.sum())
    if not n:
        return None
    a, b = a[both], b[both]
    contributed = (a - b - (a - b).mean()) / np.sqrt(n * max(n - 1, 1))
    return uncertainty.difference(a, b, contributed, np.zeros(n, np.int64), unit=_UNIT)


def _label_shares(queries: np.ndarray, found: np.ndarray, labels: Mapping[int, str]) -> np.ndarray:
    """(n_queries,) shares of the labeled neighbors with the query's label; not a number where query or neighbors have none."""
    shares = np.full(len(queries), np.nan)
    for place, (query, neighbors) in enumerate(zip(queries.tolist(), found.tolist(), strict=True)):
        labelled = [labels[row] for row in neighbors if row in labels]
        if query in labels and labelled:
            shares[place] = labelled.count(labels[query]) / len(labelled)
    return shares
