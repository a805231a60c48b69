"""``plan``: what a number of images needs."""

import argparse
from dataclasses import asdict
from typing import Any

from core.cli import output
from core.wish import Wish


def add(commands: Any) -> None:
    """Add the command to a parser."""
    command = output.command(
        commands, "plan", _plan, "estimate cores, bytes, machines and the index for a number of images"
    )
    command.add_argument("--images", type=_count, required=True, help="how many, such as 70000 or 1e9")
    command.add_argument("--dimensions", type=int, default=1280, help="numbers per vector (default: 1280)")
    for option, name, text in (
        ("--qps", "queries_per_second", "queries per second"),
        ("--p95-ms", "p95_ms", "longest time of 95%% of the queries, in milliseconds"),
        ("--recall", "recall", "lowest recall@10"),
        ("--hours", "hours", "time for the extraction, in hours"),
        ("--memory-gb", "memory_gb", "memory of a machine, in gigabytes"),
    ):
        default = getattr(Wish, name)
        command.add_argument(
            option, dest=name, type=float, default=default, help=f"{text} (default: {default:g})"
        )
    command.add_argument(
        "--cores", type=int, default=Wish.cores, help=f"cores of a machine (default: {Wish.cores})"
    )
    output.json_option(command)


def _count(text: str) -> int:
    value = float(text)
    if not value.is_integer():
        raise ValueError(text)
    return int(value)


def _plan(options: argparse.Namespace) -> None:
    from core import planning

    wish = Wish(
        **output.fields(options, "images dimensions queries_per_second p95_ms recall hours cores memory_gb")
    )
    found = planning.plan(wish)
    if options.json:
        constants = [asdict(one) for one in planning.MEASURED.values()]
        best = found.best and found.best.kind
        output.print_json({**asdict(found), "index": best, "engine": found.engine, "constants": constants})
    else:
        _print(found)


def _print(found: Any) -> None:
    from core import planning

    wish, extraction = found.wish, found.extraction
    print(f"{wish.images:,} images, {wish.dimensions:,} numbers per vector\n")
    print(
        f"Extraction in {wish.hours:g} hours ({extraction.images_per_second:,.0f} images/s): cores {extraction.cores:,}, "
        f"or GPUs {extraction.gpus:,} and cores that decode {extraction.decoding_cores:,}"
    )
    print(
        f"Storage: vectors {_size(found.vector_bytes)} (float16), catalog {_size(found.catalog_bytes)}, "
        f"{found.shards:,} shards of {wish.shard_images:,} images\n"
    )
    print(
        f"Index for {wish.queries_per_second:g} queries/s, {wish.p95_ms:g} ms at the 95th percentile, recall@10 {wish.recall:g}, "
        f"machines of {wish.cores} cores and {wish.memory_gb:g} GB:"
    )
    output.table(
        [
            {
                "index": one.kind,
                "FAISS": one.factory,
                "size": _size(one.bytes),
                "recall@10": one.recall,
                "machines": "-" if one.machines is None else f"{one.machines:,}",
                "p95": f"{one.p95_ms:,.1f} ms",
            }
            for one in found.serving
        ],
        False,
        "",
    )
    best = found.best
    if best is None:
        print("\nNo index meets these limits. Allow more milliseconds or less recall.")
    elif found.engine == "faiss":
        print(f"\nRecommended: {best.kind} with the engine faiss, on one machine.")
    else:
        print(f"\nRecommended: {best.kind} with the engine milvus, over {best.machines:,} machines.")
    print("\nMeasured numbers behind this; other processors and images differ:")
    rows = [
        {"what": one.name, "value": f"{one.value:g}", "unit": one.unit, "measured": one.source}
        for one in planning.MEASURED.values()
    ]
    output.table(rows, False, "")


def _size(count: int) -> str:
    """A number of bytes for people."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"
