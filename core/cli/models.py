"""``models``: the models, their layers and where their weights are."""

import argparse
from typing import Any

from core.cli import architecture, output


def add(commands: Any) -> None:
    """Add the commands to a parser; ``models`` alone lists."""
    models = output.command(commands, "models", _list, "list the models, their layers and weights")
    models.add_argument("--json", action="store_true")
    more = models.add_subparsers(metavar="COMMAND")
    listing = output.command(more, "list", _list, "list the models, their layers and weights")
    listing.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
    architecture.add(more)


def _list(options: argparse.Namespace) -> None:
    from dataclasses import asdict

    from core.models import weights, zoo

    rows = []
    for model in zoo.MODELS.values():
        available, sentence = weights.availability(model)
        row = {
            "model": model.name,
            "title": model.title,
            "input": model.input_size,
            "parameters": model.parameters,
            "imagenet": available if options.json else "here" if available else "not here",
            "about": sentence,
        }
        if options.json:
            row["layers"] = [{**asdict(layer), "depth": depth} for depth, layer in enumerate(model.layers, 1)]
        rows.append(row)
    output.table(rows, options.json, "")
