"""``datasets``: what can be searched and compared."""

import argparse
from typing import Any

from core.cli import output
from core.errors import UserError


def add(commands: Any) -> None:
    """Add the command to a parser."""
    datasets = output.command(commands, "datasets", _datasets, "list the datasets")
    output.grid_option(datasets)
    datasets.add_argument("--json", action="store_true")


def _datasets(options: argparse.Namespace) -> None:
    from core.experiments.store import Grid

    grid = Grid(output.grid_folder(options))
    rows = []
    for name in grid.dataset_names():
        try:
            dataset = grid.dataset(name)
        except UserError as error:
            output.warn(error)
            continue
        rows.append(
            {
                "dataset": dataset.name,
                "title": dataset.title,
                "images": len(dataset),
                "classes": list(dataset.classes) if options.json else len(dataset.classes),
            }
        )
    output.table(rows, options.json, "No datasets here.")
