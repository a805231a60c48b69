"""``python -m benchmarks``: measure and print one table."""

import argparse
import importlib
import platform
import sys

from benchmarks.table import Row, render

# In this order; memory takes minutes.
_PARTS = ("pages", "reading", "extraction", "live", "memory")


def main() -> None:
    """Run the parts asked for, all by default."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Speed and memory next to their limits."
    )
    parser.add_argument("--only", action="append", choices=_PARTS, help="repeatable; default: everything")
    parts = parser.parse_args().only or _PARTS
    rows: list[Row] = []
    for part in parts:
        print(f"measuring {part} ...", file=sys.stderr)
        rows += importlib.import_module(f"benchmarks.{part}").rows()
    print(f"{platform.platform()}, Python {platform.python_version()}\n")
    print(render(rows))


main()
