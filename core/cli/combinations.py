"""``combinations``: join the vectors of several configurations, list and remove such combinations."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from core.cli import models, output
from core.errors import UserError

if TYPE_CHECKING:
    from core.experiments.combination_adding import Chosen


def add(commands: Any) -> None:
    """Add the commands to a parser."""
    group = output.group(commands, "combinations", "join the vectors of several configurations to one model")
    adding = output.command(group, "add", _add, "add a combination of configurations as a model")
    adding.add_argument("name", metavar="NAME", help="name of the new model")
    adding.add_argument(
        "--of",
        action="append",
        required=True,
        metavar="MODEL:LAYER[:POOLING]",
        help="a configuration with trained weights; give two to eight; default pooling: avg",
    )
    adding.add_argument(
        "--center",
        metavar="DATASET",
        help="subtract the mean of the vectors of this dataset; default: subtract nothing",
    )
    listing = output.command(group, "list", _list, "list the combinations")
    output.json_option(listing)
    removing = output.command(group, "remove", _remove, "delete a combination")
    removing.add_argument("name", metavar="NAME", help="name of the combination")
    output.yes_option(removing)
    for parser in (adding, removing):
        output.grid_option(parser)


def _add(options: argparse.Namespace) -> None:
    from core.experiments import combination_adding
    from core.experiments.store import Grid

    grid = Grid(output.grid_folder(options))
    with output.Bar() as bar:
        made = combination_adding.add(
            options.name, [_chosen(one) for one in options.of], grid, options.center, bar
        )
    [layer] = made.layers
    print(f"Added {made.name}: {made.source}; {layer.shape[2]:,} numbers.")
    print(
        f"`playground grid run --dataset NAME --model {made.name} --pooling avg` computes its experiments.",
        file=sys.stderr,
    )


def _chosen(text: str) -> "Chosen":
    from core.experiments.combination_adding import Chosen
    from core.models.extractor import POOLINGS

    model, _, rest = text.partition(":")
    layer, colon, pooling = rest.rpartition(":")
    # Names of tensors may have colons as well.
    if not colon or pooling not in POOLINGS:
        layer, pooling = rest, "avg"
    if not layer:
        raise UserError(f"{text!r} names no layer; write MODEL:LAYER or MODEL:LAYER:POOLING.")
    return Chosen(model, layer, pooling)


def _list(options: argparse.Namespace) -> None:
    from core.models import combinations

    rows = []
    for name in combinations.names():
        try:
            stored = combinations.description(name)
        except UserError as error:
            output.warn(error)
            continue
        rows.append(
            {
                "name": name,
                "parts": " + ".join(f"{part.model}:{part.layer}:{part.pooling}" for part in stored.parts),
                "centered on": stored.centered_on or "",
                "dimensions": sum(part.dimensions for part in stored.parts),
            }
        )
    output.table(rows, options.json, "There are no combinations here.")


def _remove(options: argparse.Namespace) -> None:
    from core.errors import UnknownNameError
    from core.experiments import combination_adding
    from core.models import combinations

    if options.name not in combinations.names():
        raise UnknownNameError("combination", options.name, combinations.names())
    for sentence in models.dependents(options.grid, options.name):
        print(sentence, file=sys.stderr)
    output.confirm(options.yes, f"Remove {options.name!r}?")
    combination_adding.remove(options.name)
    print(f"Removed {options.name!r}.")
