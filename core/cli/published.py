"""``published``: the results published with the ConvNet Playground, beside ours."""

import argparse
import sys
from pathlib import Path
from typing import Any

from core.cli import output
from core.errors import UserError


def add(commands: Any) -> None:
    """Add the commands to a parser."""
    published = output.group(
        commands, "published", "import and check the published results of the ConvNet Playground"
    )
    copy = output.command(published, "import", _import, "import a copy of the published data into the grid")
    copy.add_argument(
        "copy",
        type=Path,
        metavar="COPY",
        help="a folder that has the data at any depth, or a zip or tar archive",
    )
    copy.add_argument(
        "--out", type=Path, metavar="FOLDER", help="folder of the grid; default: where the dashboard looks"
    )
    fetch = output.command(
        published, "fetch", _fetch, "download the published data and import it into the grid"
    )
    fetch.add_argument(
        "--out", type=Path, metavar="FOLDER", help="folder of the grid; default: where the dashboard looks"
    )
    check = output.command(
        published, "check", _check, "compute the published experiments again and compare the neighbors"
    )
    output.grid_option(check)
    for name, default in (
        ("dataset", "all that were published"),
        ("model", "all nine"),
        ("layer", "all eight"),
    ):
        check.add_argument(f"--{name}", action="append", default=[], help=f"repeatable; default: {default}")
    check.add_argument(
        "--weights",
        default="imagenet",
        help="imagenet (default), as published; untrained or a file are controls",
    )
    output.json_option(check)


def _import(options: argparse.Namespace) -> None:
    from core.published import convert
    from core.settings import settings

    out = options.out or settings.GRID_DIR
    with output.Bar() as bar:
        _report(convert.import_copy(options.copy.expanduser(), out, bar), out)


def _fetch(options: argparse.Namespace) -> None:
    from core.download import DownloadError
    from core.published import repository as fetch
    from core.settings import settings

    out = options.out or settings.GRID_DIR
    with output.Bar() as bar:
        try:
            _report(fetch.fetch(out, bar), out)
        except DownloadError as error:
            raise UserError(fetch.without_network(error)) from None


def _check(options: argparse.Namespace) -> None:
    from dataclasses import asdict

    from core.published import check

    folder = output.grid_folder(options)
    with output.Bar() as bar:
        found, sentences = check.check(
            folder, options.dataset, options.model, options.layer, options.weights, bar
        )
    for sentence in sentences:
        print(f"not checked: {sentence}", file=sys.stderr)
    rows = [
        {**asdict(one), "overlap": round(one.overlap, 4), "chance": round(one.chance, 4)} for one in found
    ]
    output.table(rows, options.json, "Nothing could be checked.")
    if not options.json:
        for model, layer in dict.fromkeys((one.model, one.layer) for one in found):
            overlaps = [one.overlap for one in found if (one.model, one.layer) == (model, layer)]
            print(f"{model}, {layer}: mean overlap at {check.K} {sum(overlaps) / len(overlaps):.3f}")


def _report(report: Any, out: Path) -> None:
    for sentence in report.sentences:
        output.warn(sentence)
    for name, n in report.experiments.items():
        print(f"{name}: {n} published experiments")
    print(f"The grid is in {out}", file=sys.stderr)
