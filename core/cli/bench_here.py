"""``bench-here``: measure what layers cost on this machine."""

import argparse
from typing import Any

from core.cli import output


def add(commands: Any) -> None:
    """Add the command to a parser."""
    bench = output.command(
        commands, "bench-here", _bench, "measure the time of every layer on this machine, for the pages"
    )
    bench.add_argument(
        "--model",
        action="append",
        help="repeatable; default: every model whose weights are on this machine",
    )
    bench.add_argument(
        "--runtime",
        action="append",
        choices=("tensorflow", "openvino"),
        help="repeatable; default: tensorflow, and openvino where it is installed",
    )
    output.grid_option(bench)
    output.json_option(bench)


def _bench(options: argparse.Namespace) -> None:
    import importlib.util

    from core.experiments import machine_costs
    from core.models import registry, weights

    models = options.model or [
        name for name, model in registry.MODELS.items() if weights.availability(model)[0]
    ]
    for name in models:
        registry.get_model(name)
    runtimes = options.runtime or [
        kind for kind in machine_costs.RUNTIMES if kind == "tensorflow" or importlib.util.find_spec(kind)
    ]
    with output.Bar() as bar:
        bar.stage("starting TensorFlow", 1)
        output.start_tensorflow()
        found = machine_costs.measure(
            tuple(dict.fromkeys(models)), tuple(dict.fromkeys(runtimes)), output.grid_folder(options), bar
        )
    rows = [
        {"model": model, "layer": layer, "runtime": kind, "ms per image": ms}
        for kind, one in found.items()
        for model, layers in one.ms_per_image.items()
        for layer, ms in layers.items()
    ]
    output.table(rows, options.json, "Nothing was measured.")
