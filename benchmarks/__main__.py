"""``python -m benchmarks``: measure, and print one table."""

import argparse
import importlib
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import measure, table
from benchmarks.table import Row
from core.disk import replace_file

PARTS = (
    "startup",
    "pages",
    "browser",
    "interactions",
    "many_points",
    "reading",
    "forward",
    "extraction",
    "grid",
    "query",
    "collection",
    "catalogs",
    "pipeline",
    "million",
    "real",
    "side_by_side",
    "gpu",
    "memory",
)
_RESULTS = measure.ROOT / "benchmarks" / "results"


def main(words: Sequence[str] | None = None) -> int:
    """Run the parts asked for, all by default; 1 when one of them failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Speed and memory next to goals, limits and peers. Takes an hour, half of it for the part million; "
        "nothing is written unless --save is given.",
    )
    parser.add_argument(
        "--only", action="append", choices=PARTS, metavar="PART", help=f"repeatable: {', '.join(PARTS)}"
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument(
        "--save",
        nargs="?",
        type=Path,
        const=_RESULTS,
        metavar="FOLDER",
        help="keep what is printed in a dated file; without a folder in benchmarks/results",
    )
    options = parser.parse_args(words)
    head = measure.conditions()
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    failed = False
    for part in options.only or PARTS:
        print(f"measuring {part} ...", file=sys.stderr)
        try:
            found = importlib.import_module(f"benchmarks.{part}").rows()
        except measure.LeftOut as reason:
            left_out[part] = str(reason)
            continue
        except Exception as error:
            # The other parts took minutes; what they found is not thrown away.
            traceback.print_exc()
            left_out[part] = f"failed: {error}".splitlines()[0]
            failed = True
            continue
        rows += [replace(row, part=part) for row in found]
    text = table.to_json(head, rows, left_out) if options.json else _text(head, rows, left_out)
    print(text)
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
        suffix = "json" if options.json else "txt"
        path = options.save / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}.{suffix}"
        replace_file(path, f"{text}\n".encode())
        print(f"saved as {path}", file=sys.stderr)
    return int(failed)


def _text(head: dict[str, Any], rows: Sequence[Row], left_out: dict[str, str]) -> str:
    machine = head["machine"]
    lines = [
        f"{head['date']}: {machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{machine['system']}, load {machine['load_before']} before",
        ", ".join(f"{name} {version}" for name, version in head["versions"].items()),
        ", ".join(f"{name}={value}" for name, value in head["settings"].items()),
        "",
        table.render(rows),
    ]
    lines += [f"\n{part} left out: {reason}" for part, reason in left_out.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
