"""Listing and extraction of shards as transforms of Apache Beam, over the functions that the command line calls."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics
from apache_beam.pvalue import AsList, AsSingleton, PBegin, PCollection, TaggedOutput
from apache_beam.utils.shared import Shared

from core.cli import output
from core.models import image_embedder
from core.models.image_embedder import Embedder
from core.shards import extraction, listing, manifest, plan, scanning, shard_file, shard_set
from core.shards.manifest import Configuration, Manifest
from core.shards.plan import Listed
from core.shards.shard_file import EMBEDDED, Row
from core.shards.shard_store import Store

# The namespace of the counters.
COUNTERS = "shards"
# Where the time of workers goes, counted in milliseconds. Images are read in threads while the network works on those before, so
# "read" is the time that the network waits for them.
STAGES = ("list", "load", "read", "network", "write")
# The model of a worker, for all threads and pipelines of its process.
_embedder = Shared()


class ExtractSources(beam.PTransform):
    """From nothing to shards of all images in the sources of a manifest, and the manifest after them.

    The outputs are those of :class:`ExtractShards`.

    Parameters
    ----------
    place : of the shards; begun : a manifest without plans; shards : their number, None for one in ``shard_size`` images.
    """

    def __init__(self, place: str, begun: Manifest, shards: int | None, shard_size: int):
        super().__init__()
        self._place, self._begun = place, begun
        self._shards, self._size = shards, shard_size

    def expand(self, start: PBegin) -> Any:
        begun = self._begun
        found = (
            start
            | "Sources" >> beam.Create(range(len(begun.sources)))
            | "List" >> beam.ParDo(_List(self._place, begun)).with_outputs("counts", main="listed")
        )
        # Few transforms: each costs the local runner as much as some images. Outputs that are side inputs pass through a transform of
        # their own, since to one of Beam's runners a side input from one of several outputs is one from all of them.
        counts = found.counts | "Counts" >> beam.Map(lambda one: one)
        shards = AsSingleton(
            start
            | "Before the shards" >> beam.Impulse()
            | "Number of shards" >> beam.Map(_number, AsList(counts), self._shards, self._size)
        )
        extracted = (
            found.listed
            | "Choose shards" >> beam.Map(_with_shard, shards)
            | "Group" >> beam.GroupByKey()
            | "Merge" >> beam.Map(_merge, listing.lists(begun.sources))
            | ExtractShards(self._place, begun, shards, write_plans=True)
        )
        plans = extracted.shards | "Plans" >> beam.Map(lambda one: one)
        _ = (
            start
            | "After the shards" >> beam.Impulse()
            | "Write manifest"
            >> beam.Map(_write_manifest, self._place, begun, shards, AsList(plans), AsList(counts))
        )
        return extracted


class ExtractPlanned(beam.PTransform):
    """From nothing to those shards of a manifest that are missing; the outputs are those of :class:`ExtractShards`."""

    def __init__(self, place: str, planned: Manifest):
        super().__init__()
        self._place, self._planned = place, planned
        self._missing = shard_set.missing(Store(place), planned)

    def expand(self, start: PBegin) -> Any:
        return (
            start
            | "Missing shards" >> beam.Create(self._missing)
            | "Read plans" >> beam.Map(_with_plan, self._place, self._planned)
            | ExtractShards(self._place, self._planned, self._planned.shards)
        )


class ExtractShards(beam.PTransform):
    """From (shard, images of its plan) to ``shards``, (shard, (digest of its plan, number of images)), and ``failures``, rows without a vector.

    A shard that is there from the same plan is kept. A shard is written whole, by a name that its number gives: extracted again, after a
    failure or by two workers at once, it replaces itself.

    Parameters
    ----------
    described : a manifest with the configuration and the versions; shards : how many there are, or a side input with that;
    write_plans : write the plan of a shard beside it.
    """

    def __init__(
        self, place: str, described: Manifest, shards: int | AsSingleton, *, write_plans: bool = False
    ):
        super().__init__()
        self._extract, self._shards = _Extract(place, described, write_plans), shards

    def expand(self, planned: PCollection) -> Any:
        work = beam.ParDo(self._extract, self._shards)
        return planned | "Extract" >> work.with_outputs("failures", main="shards")


def load(configuration: Configuration) -> Embedder:
    """The embedder of a configuration, which loads the model."""
    output.prepare_network(configuration.model, configuration.weights)
    return image_embedder.load(
        configuration.model, configuration.weights, configuration.layer, configuration.pooling
    )


def as_json(failure: Row) -> str:
    """A row without a vector, for people and programs."""
    names = ("path", "source", "state", "reason", "size", "label", "metadata")
    return json.dumps({name: getattr(failure, name) for name in names}, ensure_ascii=False)


class _Clock:
    """Counts the milliseconds of stages."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - started

    def count(self) -> None:
        for stage, seconds in self.seconds.items():
            _counter(f"{stage}_ms").inc(round(1000 * seconds))


class _Timed:
    """An embedder whose time is counted."""

    def __init__(self, embedder: Embedder, clock: _Clock):
        self.size, self.resample, self.batch_size = embedder.size, embedder.resample, embedder.batch_size
        self._embedder, self._clock = embedder, clock

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        with self._clock("network"):
            return self._embedder(pixels)


class _List(beam.DoFn):
    """The place of a source in the manifest to the images in it, and to ``counts``: their number, and that of what is left out."""

    def __init__(self, place: str, begun: Manifest):
        self._place, self._sources = place, begun.sources

    def process(self, source: int) -> Iterator[Listed | TaggedOutput[Literal["counts"], tuple[int, int]]]:
        clock = _Clock()
        with clock("list"):
            _, images, left_out = scanning.listed_in(Store(self._place), self._sources, source)
        clock.count()
        yield TaggedOutput("counts", (len(images), left_out))
        yield from images


class _Extract(beam.DoFn):
    def __init__(self, place: str, described: Manifest, write_plans: bool):
        self._place, self._described, self._write_plans = place, described, write_plans

    def setup(self) -> None:
        self._store = Store(self._place)

    def process(
        self, planned: tuple[int, list[Listed]], shards: int
    ) -> Iterator[tuple[int, tuple[str, int]] | TaggedOutput[Literal["failures"], Row]]:
        shard, listed = planned
        configuration = self._described.configuration
        digest = plan.digest(listed, configuration, self._described.versions)
        if shard_set.is_done(self._store, shard, shards, configuration, digest):
            failures = list(shard_file.failures(self._store, shard, shards, configuration))
            _counter("kept").inc(len(listed))
        else:
            rows = self._extract(shard, shards, listed, digest)
            failures = [row for row in rows if row.reason is not None]
        yield from (TaggedOutput("failures", row) for row in failures)
        yield shard, (digest, len(listed))

    def _extract(self, shard: int, shards: int, listed: list[Listed], digest: str) -> list[Row]:
        clock, started = _Clock(), time.perf_counter()
        rows = extraction.extract(listed, lambda: _Timed(self._load(clock), clock))
        took = time.perf_counter() - started
        clock.seconds["read"] = took - clock.seconds["load"] - clock.seconds["network"]
        with clock("write"):
            if self._write_plans:
                plan.write(self._store, shard, shards, listed)
            shard_file.write(self._store, shard, shards, rows, self._described.configuration, digest)
        clock.count()
        _counter("images").inc(sum(row.state == EMBEDDED for row in rows))
        _counter("failures").inc(sum(row.reason is not None for row in rows))
        _counter("bytes").inc(sum(row.size or 0 for row in rows if row.state == EMBEDDED))
        return rows

    def _load(self, clock: _Clock) -> Embedder:
        def checked() -> Embedder:
            manifest.check_here(self._described)
            return load(self._described.configuration)

        with clock("load"):
            found: Embedder = _embedder.acquire(
                checked, tag=(self._described.configuration, self._described.versions)
            )
            return found


def _number(start: bytes, counts: Sequence[tuple[int, int]], shards: int | None, size: int) -> int:
    """How many shards there are."""
    return shards or scanning.shards_for(sum(images for images, _ in counts), size)


def _with_shard(one: Listed, shards: int) -> tuple[int, Listed]:
    return plan.shard_of(one.path, shards), one


def _merge(grouped: tuple[int, Iterable[Listed]], lists: Mapping[int, str]) -> tuple[int, list[Listed]]:
    shard, listed = grouped
    return shard, plan.merged(listed, lists)


def _with_plan(shard: int, place: str, planned: Manifest) -> tuple[int, list[Listed]]:
    return shard, shard_set.planned(Store(place), planned, shard)


def _write_manifest(
    start: bytes,
    place: str,
    begun: Manifest,
    shards: int,
    plans: Sequence[tuple[int, tuple[str, int]]],
    counts: Sequence[tuple[int, int]],
) -> None:
    by_shard = dict(plans)
    update = {
        "plans": tuple(by_shard.get(shard, ("", 0))[0] for shard in range(shards)),
        "images": sum(images for _, images in by_shard.values()),
        "left_out": sum(left_out for _, left_out in counts),
    }
    scanning.finish(Store(place), begun.model_copy(update=update))


def _counter(name: str) -> Any:
    return Metrics.counter(COUNTERS, name)
