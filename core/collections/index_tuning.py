"""Kinds of index, measured on the vectors of a collection."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.collections import tombstones
from core.collections.collection import Collection
from core.collections.index import engines, exact_search
from core.collections.index.index_record import IndexRecord
from core.collections.search_quality import K, first_labels, label_loss, label_precision
from core.collections.snapshot import Snapshot
from core.collections.state import State
from core.errors import CollectionError
from core.evaluation.uncertainty import Difference
from core.exact_index import prepared
from core.metrics import get_metric, pairwise
from core.progress import Progress
from core.wish import RECALL_GOAL

_QUERIES = 200


@dataclass(frozen=True)
class MeasuredIndex:
    """A kind of index, built and measured.

    effort : ``nprobe`` or ``efSearch`` as tuned when built, 0 if there is none; recall : recall@10 against exact search; median_ms,
    p95_ms : of one query at a time; filtered_recall, filtered_ms : recall and median latency under a condition that leaves the half of
    the vectors farthest from one of them; label_precision : precision@10 of labels among labelled neighbors, None without labels;
    label_loss : how much less that is than with exact search, with its 95% interval, None without labels;
    build_seconds : training, adding and tuning; bytes_per_vector, megabytes : of the index, 0 if the engine does not report it.
    """

    engine: str
    kind: str
    factory: str
    effort: int
    recall: float
    median_ms: float
    p95_ms: float
    filtered_recall: float
    filtered_ms: float
    label_precision: float | None
    label_loss: Difference | None
    build_seconds: float
    bytes_per_vector: float
    megabytes: float


@dataclass(frozen=True)
class Limits:
    """What a user accepts: the least recall, and the most megabytes of the index and median milliseconds."""

    min_recall: float = RECALL_GOAL
    max_megabytes: float | None = None
    max_milliseconds: float | None = None

    def allow(self, candidate: MeasuredIndex) -> bool:
        """Whether a candidate is within all of them."""
        return (
            candidate.recall >= self.min_recall
            and (self.max_megabytes is None or candidate.megabytes <= self.max_megabytes)
            and (self.max_milliseconds is None or candidate.median_ms <= self.max_milliseconds)
        )


def measure(
    collection: Collection, kinds: Sequence[str], progress: Progress, names: Sequence[str] = ()
) -> list[MeasuredIndex]:
    """Build each kind of index of each engine beside the one in use, measure it, and remove it.

    The queries are stored vectors spread over the collection, each searched without its own row. Latencies are measured in turns, so that
    other load on the machine affects all kinds alike.

    Parameters
    ----------
    kinds : default: those that the engine proposes.
    names : of engines; default: the one in use.

    Raises
    ------
    UnknownNameError : there is no such engine.
    CollectionError : there are too few vectors, an engine can't have such a kind or can't be reached, or another process writes to the
        collection.
    """
    with collection.writing() as writer:
        state, metric = writer.state, get_metric(writer.state.metric)
        used_engines = [
            engines.get(name)(writer.folder, writer.about, writer.catalog)
            for name in dict.fromkeys(names or [state.engine])
        ]
        wanted = [
            (engine, kind) for engine in used_engines for kind in dict.fromkeys(kinds or engine.candidates)
        ]
        if state.rows <= K + 1:
            raise CollectionError(
                f"The collection has {state.rows} vectors; there is nothing to tune below {K + 2}."
            )
        for engine, kind in wanted:
            engine.check(collection.about, kind, metric)
        vectors, unused = writer.vectors, writer.catalog.read(tombstones.rows)
        used = np.setdiff1d(np.arange(state.rows), unused)
        rows = used[exact_search.sample_rows(len(used), _QUERIES)]
        stored = vectors.map(state.rows)
        queries = np.asarray(stored[rows], np.float32)
        searching, *building, comparing, timing = progress.divide(1, *[5] * len(wanted), 1, 1)
        searching.stage("exact neighbors", 0)
        exact, _ = exact_search.exact(stored, prepared(queries, metric), K + 1, metric, used)
        truth = exact_search.without_self(exact, rows, K)
        # The half of the vectors that is farthest from one of them: most queries have neighbors that are not allowed.
        far = np.concatenate(
            [pairwise(metric.name, queries[:1], block)[0] for _, block in vectors.chunks(0, state.rows)]
        )
        allowed = np.sort(used[np.argsort(far[used], kind="stable")[len(used) // 2 :]])
        exact, _ = exact_search.exact(stored, prepared(queries, metric), K + 1, metric, allowed)
        filtered_truth = exact_search.without_self(exact, rows, K)
        labels = first_labels(collection)
        built: list[tuple[State, IndexRecord, int, float, Snapshot]] = []
        try:
            for (engine, kind), part in zip(wanted, building, strict=True):
                part.stage(f"building {kind}", state.rows)
                started = time.perf_counter()
                known = engine.build(vectors, state.rows, metric, kind, part.step)
                seconds = time.perf_counter() - started
                beside = replace(state, engine=engine.name, kind=kind, index=known)
                snapshot = engine.open(beside, vectors, unused)
                size, _ = writer.catalog.read(engine.size, beside)
                built.append((beside, known, size, seconds, snapshot))
            comparing.stage("recall", 0)
            found = [
                [
                    exact_search.without_self(snapshot.nearest(queries, K + 1, rows_allowed)[0], rows, K)
                    for rows_allowed in (None, allowed)
                ]
                for *_, snapshot in built
            ]
            timing.stage("latency", len(queries))
            times: list[tuple[list[float], list[float]]] = [([], []) for _ in built]
            for query in queries:
                for (*_, snapshot), both in zip(built, times, strict=True):
                    for rows_allowed, taken in zip((None, allowed), both, strict=True):
                        started = time.perf_counter()
                        snapshot.nearest(query[None], K, rows_allowed)
                        taken.append((time.perf_counter() - started) * 1000)
                timing.step()
        finally:
            # The catalog names none of them.
            for engine in used_engines:
                engine.sweep(state)
    return [
        MeasuredIndex(
            engine=beside.engine,
            kind=beside.kind,
            factory=known.factory,
            effort=known.effort,
            recall=exact_search.recall(rows_found, truth),
            median_ms=statistics.median(taken),
            p95_ms=float(np.percentile(taken, 95)),
            filtered_recall=exact_search.recall(filtered_found, filtered_truth),
            filtered_ms=statistics.median(filtered_taken),
            label_precision=label_precision(rows, rows_found, labels),
            label_loss=label_loss(rows, truth, rows_found, labels),
            build_seconds=seconds,
            bytes_per_vector=size / state.rows,
            megabytes=size / 1e6,
        )
        for (beside, known, size, seconds, _), (rows_found, filtered_found), (taken, filtered_taken) in zip(
            built, found, times, strict=True
        )
    ]


def choose(candidates: Sequence[MeasuredIndex], limits: Limits) -> MeasuredIndex | None:
    """The fastest candidate within the limits, by median latency; None if there is none."""
    return min(filter(limits.allow, candidates), key=lambda candidate: candidate.median_ms, default=None)
