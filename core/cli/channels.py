"""``channels``: feature visualizations and top-activating images."""

import argparse
import sys
from typing import Any

from core.cli import output
from core.errors import UserError


def add(commands: Any) -> None:
    """Add the command to a parser."""
    channels = output.group(
        commands, "channels", "compute and list feature visualizations and top-activating images"
    )

    compute = output.command(
        channels,
        "compute",
        _compute,
        "compute and store feature visualizations and top-activating images of the eight layers",
    )
    compute.add_argument(
        "--model", action="append", help="repeatable; default: those whose weights come in packages"
    )
    compute.add_argument("--weights", default="imagenet", help="imagenet (default) or untrained")
    compute.add_argument(
        "--dataset", action="append", help="by name; repeatable; default: objects200 and emoji200"
    )
    compute.add_argument("-n", type=int, help="number of channels of each layer to visualize (default: 6)")
    compute.add_argument(
        "--steps", type=int, help="steps of gradient ascent for each visualization (default: 112)"
    )

    show = output.command(
        channels, "show", _show, "list the top-activating images of the channels of a layer"
    )
    show.add_argument("--model", required=True, help="see models list")
    show.add_argument("--layer", required=True, help="a layer of the model, such as block6_output")
    show.add_argument("--weights", default="imagenet", help="imagenet (default) or untrained")
    show.add_argument("--dataset", default="objects200", help="by name (default: objects200)")
    show.add_argument(
        "--channel", type=int, action="append", help="repeatable; default: those with a feature visualization"
    )
    show.add_argument("-k", type=int, default=3, help="images for each channel, 1 to 9 (default: 3)")
    output.grid_option(show)
    output.json_option(show)


def _compute(options: argparse.Namespace) -> None:
    from core.data import datasets
    from core.features import compute
    from core.models import registry
    from core.models.package_weights import PackageWeights
    from core.settings import settings

    names = options.model or [
        name for name, model in registry.MODELS.items() if isinstance(model.weights, PackageWeights)
    ]
    models = [registry.get_model(name) for name in dict.fromkeys(names)]
    chosen = [datasets.find(name) for name in dict.fromkeys(options.dataset or compute.DATASETS)]
    amounts = {name: value for name in ("n", "steps") if (value := getattr(options, name)) is not None}
    for name, value in amounts.items():
        if value < 1:
            raise UserError(f"{'-n' if name == 'n' else '--steps'} is {value}; it must be at least 1.")
    with output.Bar() as bar:
        bar.stage("starting TensorFlow", 1)
        output.start_tensorflow()
        for model, part in zip(models, bar.divide(*[1] * len(models)), strict=True):
            compute.compute(model, options.weights, chosen, part, **amounts)
    print(f"The channels are in {settings.MODELS_DIR}", file=sys.stderr)


def _show(options: argparse.Namespace) -> None:
    from core.experiments.store import Grid
    from core.features import channel_files, top_activating
    from core.models import architecture, registry

    grid = Grid(output.grid_folder(options))
    if not 1 <= options.k <= channel_files.MOST:
        raise UserError(f"-k is {options.k}; it must be 1 to {channel_files.MOST}.")
    dataset, model = grid.dataset(options.dataset), registry.get_model(options.model)
    visualized = {
        one.channel: one for one in channel_files.visualizations(model.name, options.weights, options.layer)
    }
    channels = list(dict.fromkeys(options.channel or visualized))
    if not channels:
        architecture.read(model.name).layer(options.layer)
    rows = []
    with output.Bar() as bar:
        for channel in channels:
            found = top_activating.top_images(
                dataset, model.name, options.weights, options.layer, channel, options.k, bar
            )
            rows += [
                {
                    "channel": channel,
                    "rank": rank,
                    "value": float(f"{one.value:.5g}"),
                    "image": one.item,
                    "class": dataset.items[one.item].label,
                    "title": dataset.items[one.item].title,
                    "box": [round(edge, 3) for edge in one.box],
                    "activation of visualization": float(f"{visualized[channel].activation:.5g}")
                    if channel in visualized
                    else None,
                }
                for rank, one in enumerate(found, 1)
            ]
    output.table(
        rows, options.json, "No channel of this layer has a feature visualization; name some with --channel."
    )
