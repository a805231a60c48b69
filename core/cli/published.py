"""``published``: the results published with the ConvNet Playground, beside ours."""

import argparse
import sys
from pathlib import Path
from typing import Any

from core.cli import output


def add(commands: Any) -> None:
    """Add the commands to a parser."""
    published = output.group(commands, "published", "the published ConvNet Playground beside our own results")
    bring = output.command(published, "import", _import, "bring a copy of the published data into the grid")
    bring.add_argument("copy", type=Path, help="a folder that holds it at any depth, or a zip or tar archive")
    bring.add_argument("--out", type=Path, help="folder of the grid; default: where the dashboard looks")


def _import(options: argparse.Namespace) -> None:
    from core import settings
    from core.published import convert

    out = options.out or settings.GRID_DIR
    with output.Bar() as bar:
        _tell(convert.import_copy(options.copy.expanduser(), out, bar), out)


def _tell(report: Any, out: Path) -> None:
    for sentence in report.sentences:
        print(f"warning: {sentence}", file=sys.stderr)
    for name, n in report.experiments.items():
        print(f"{name}: {n} published experiments")
    print(f"The grid is in {out}", file=sys.stderr)
