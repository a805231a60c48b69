"""``shards``: compute the vectors of many images in parts, on one machine or many."""

import argparse
from collections import Counter
from typing import Any

from core.cli import output
from core.errors import UserError


def add(commands: Any) -> None:
    """Add the commands to a parser."""
    group = output.group(commands, "shards", "compute the vectors of many images in parts, for a collection")

    scan = output.command(group, "scan", _scan, "list images and divide them into shards")
    _scanning(scan)

    extract = output.command(
        group, "extract", _extract, "compute the vectors of the missing shards, or of one shard"
    )
    _scanning(extract)
    extract.add_argument(
        "--shard",
        type=int,
        metavar="N",
        help="only this shard of an earlier scan, counted from 0",
    )


def _scanning(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="as for collection add, and folders in object stores such as s3://bucket/folder; default: those of the collection, or of an earlier scan",
    )
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="a folder, or one in an object store: s3://…, gs://…"
    )
    parser.add_argument(
        "--collection",
        metavar="NAME",
        help="take the configuration of a collection, and leave out the images that it already has unchanged",
    )
    parser.add_argument("--model", help="see models list")
    parser.add_argument("--weights", default="imagenet", help="imagenet (default), untrained, or a file")
    parser.add_argument("--layer", help="a layer of the model, such as block6_output")
    parser.add_argument("--pooling", default="avg", help="avg (default), max, gem or flatten")
    parser.add_argument(
        "--shards", type=output.count, metavar="N", help="how many shards; default: by --shard-size"
    )
    parser.add_argument(
        "--shard-size",
        type=output.count,
        metavar="N",
        help="about how many images a shard has (default: 5,000)",
    )
    parser.add_argument("--path-column", metavar="NAME", help="as for collection add")
    parser.add_argument("--label-level", type=output.level, metavar="N", help="as for collection add")
    output.json_option(parser)


def _scan(options: argparse.Namespace) -> None:
    from core.shards import shard_set
    from core.shards.shard_store import Store

    store = Store(options.out)
    found = _scanned(store, options)
    missing = shard_set.missing(store, found)
    if options.json:
        output.print_json({"images": found.images, "shards": found.shards, "missing": missing})
        return
    for source in found.sources:
        if source.problem:
            output.warn(source.problem)
    print(
        f"{found.images:,} images in {found.shards:,} shards, {len(missing):,} of them to be extracted: "
        f"`playground shards extract --out {options.out}`."
    )


def _scanned(store: Any, options: argparse.Namespace) -> Any:
    """The manifest of a scan of the sources that the options name."""
    from core.data import image_sources
    from core.shards import scanning
    from core.shards.manifest import Configuration

    choice = {"shards": options.shards, "shard_size": options.shard_size or scanning.SHARD_SIZE}
    naming = {"path_column": options.path_column, "label_level": options.label_level}
    with output.Bar() as bar:
        if options.collection is not None:
            from core.collections import Collection

            if options.model or options.layer:
                raise UserError("Give either a collection or a configuration: --model and --layer.")
            with Collection.open(options.collection) as opened:
                return opened.scan(store.place, options.sources, bar, **naming, **choice)
        if not options.model or not options.layer:
            raise UserError("Give --model and --layer, or --collection to take the configuration from one.")
        if not options.sources:
            raise UserError("Give what to scan: folders, images, patterns, lists or URLs.")
        configuration = Configuration.of(options.model, options.weights, options.layer, options.pooling)
        sources = image_sources.parse_all(options.sources, **naming)
        return scanning.scan(store, sources, configuration, progress=bar, **choice)


def _extract(options: argparse.Namespace) -> None:
    from core.shards import manifest, shard_set
    from core.shards.shard_store import Store

    store = Store(options.out)
    if options.shard is not None and (options.sources or options.collection):
        raise UserError(
            "--shard extracts a part of what was scanned before; scan the sources without it first."
        )
    scanning = options.sources or options.collection
    found = _scanned(store, options) if scanning else manifest.read(store)
    manifest.check_here(found)
    waiting = shard_set.missing(store, found)
    if options.shard is not None:
        if not 0 <= options.shard < found.shards:
            raise UserError(f"There is no shard {options.shard}; there are 0 to {found.shards - 1}.")
        waiting = [shard for shard in waiting if shard == options.shard]
    done: Counter[str] = Counter()
    with output.Bar() as bar:
        for counts in shard_set.extract_planned(store, found, waiting, _load, bar):
            done += counts
    if options.json:
        output.print_json({"shards": len(waiting), "images": done})
        return
    print(
        f"{len(waiting):,} shards extracted: {done['embedded']:,} images, {done['failed'] + done['unlisted']:,} failed, "
        f"{done['present']:,} unchanged in the collection."
    )
    if options.shard is None:
        print(f"`playground collection import NAME {options.out}` stores them.")


def _load(configuration: Any) -> Any:
    from core.models import image_embedder

    output.prepare_network(configuration.model, configuration.weights)
    return image_embedder.load(
        configuration.model, configuration.weights, configuration.layer, configuration.pooling
    )
