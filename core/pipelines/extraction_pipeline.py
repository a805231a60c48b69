"""``python -m core.pipelines.extraction_pipeline``: extract shards on Apache Beam.

Runs in an environment with Apache Beam (``make pipeline``), on any of Beam's runners.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

import apache_beam as beam
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions, WorkerOptions

from core.cli import output
from core.data import image_sources
from core.data.image_sources import ImageSource
from core.errors import UserError
from core.models import weights
from core.pipelines.shard_transforms import (
    COUNTERS,
    STAGES,
    ExtractPlanned,
    ExtractSources,
    as_json,
)
from core.shards import listing, manifest, scanning
from core.shards.manifest import Configuration, Manifest
from core.shards.shard_store import Store

# Runs in this process or starts others. Beam's DirectRunner would first try to download a program that runs pipelines.
_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


def main(words: Sequence[str] | None = None) -> int:
    """Run the pipeline of a command line and print its counters; 2 when the user can put right what was wrong."""
    words = sys.argv[1:] if words is None else words
    # Behind the first option, a word may be the value of one of Beam's.
    sources = list(takewhile(lambda word: not word.startswith("-"), words))
    parser = _parser()
    options, others = parser.parse_known_args(words[len(sources) :])
    if sources and not (options.model and options.layer):
        parser.error("sources need --model and --layer")
    logging.basicConfig(level=logging.WARNING)
    try:
        transform = _transform(sources, options)
        counters = run(transform, options.failures, others)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    output.table(summary(counters), options.json, "The runner reports no counters.")
    return 0


def run(
    transform: beam.PTransform, failures: str | None = None, options: Sequence[str] = ()
) -> dict[str, int]:
    """Run a transform that extracts shards, until it has finished, and return its counters.

    Parameters
    ----------
    failures : where rows without a vector are written, as JSON in lines; the beginning of the names of one or several files.
    options : those of Beam.
    """
    given = PipelineOptions(list(options))
    if given.view_as(StandardOptions).runner in (None, "DirectRunner"):
        given.view_as(StandardOptions).runner = _RUNNER
    worker = given.view_as(WorkerOptions)
    worker.default_sdk_harness_log_level = worker.default_sdk_harness_log_level or "WARNING"
    pipeline = beam.Pipeline(options=given)
    found = pipeline | transform
    if failures is not None:
        _ = found.failures | beam.Map(as_json) | beam.io.WriteToText(failures, file_name_suffix=".jsonl")
    result = pipeline.run()
    result.wait_until_finish()
    counters = result.metrics().query(MetricsFilter().with_namespace(COUNTERS))["counters"]
    # Some runners tell only what was attempted.
    return {one.key.metric.name: one.committed or one.attempted for one in counters}


def summary(counters: Mapping[str, int]) -> list[dict[str, Any]]:
    """Rows for people: what was counted, and for the time of each stage what an image cost."""
    images = counters.get("images", 0)
    rows: list[dict[str, Any]] = [
        {"": name, "count": counters[name], "ms per image": None}
        for name in ("images", "failures", "kept", "bytes")
        if name in counters
    ]
    for stage in STAGES:
        if (spent := counters.get(f"{stage}_ms")) is not None:
            cost = round(spent / images, 3) if images else None
            rows.append({"": f"{stage}, ms", "count": spent, "ms per image": cost})
    return rows


def _transform(arguments: Sequence[str], options: argparse.Namespace) -> beam.PTransform:
    store = Store(options.out)
    if not arguments:
        return ExtractPlanned(store.place, manifest.read(store))
    sources = image_sources.parse_all(arguments, options.path_column, options.label_level)
    configuration = Configuration.of(options.model, options.weights, options.layer, options.pooling)
    scanning.check_before(store, configuration)
    return ExtractSources(store.place, begin(configuration, sources), options.shards, options.shard_size)


def begin(configuration: Configuration, sources: Sequence[ImageSource]) -> Manifest:
    """The manifest of some sources before they are listed; raises SourceError for a list that can't be read."""
    return Manifest(
        configuration=configuration,
        versions=manifest.versions(),
        sources=listing.describe(sources),
        plans=("",),
        images=0,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m core.pipelines.extraction_pipeline",
        usage="%(prog)s [SOURCE ...] --out OUT [options] [options of Beam]",
        description="Extract shards on Apache Beam: of all images in the sources, or without sources the missing shards of a plan.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--out", required=True, help="folder of the shards, or a URL such as s3://bucket/folder"
    )
    parser.add_argument("--model", help="see models list; needed with sources")
    parser.add_argument("--layer", help="a layer of the model; needed with sources")
    parser.add_argument("--pooling", default="avg", help="avg (default), max, gem or flatten")
    parser.add_argument(
        "--weights", default=weights.IMAGENET, help="imagenet (default), untrained, or a file"
    )
    parser.add_argument("--path-column", help="column of a list that has the paths")
    parser.add_argument(
        "--label-level", type=output.level, help="level of the folders that name the labels, or none"
    )
    parser.add_argument("--shards", type=output.count, metavar="N", help="how many shards")
    parser.add_argument(
        "--shard-size",
        type=output.count,
        default=scanning.SHARD_SIZE,
        metavar="N",
        help=f"images in a shard, without --shards (default: {scanning.SHARD_SIZE:,})",
    )
    parser.add_argument(
        "--failures", metavar="FILE", help="write the images that can't be read to FILE-...jsonl"
    )
    output.json_option(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
