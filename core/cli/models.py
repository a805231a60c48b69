"""``models``: list the models, download their weights, export their networks, and describe their architectures."""

import argparse
import sys
from pathlib import Path
from typing import Any

from core.cli import output
from core.errors import UserError


def add(commands: Any) -> None:
    """Add the commands to a parser; ``models`` alone lists."""
    about = "list the models, their layers and weights"
    models = output.command(commands, "models", _list, about)
    models.add_argument("--json", action="store_true", help="with the layers and the origin of each file")
    more = models.add_subparsers(metavar="COMMAND")
    listing = output.command(more, "list", _list, about)
    listing.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
    fetch = output.command(more, "fetch", _fetch, "download ImageNet weights")
    fetch.add_argument(
        "name",
        nargs="*",
        help="a model of the list or any of keras.applications; default: all that Keras offers",
    )
    export = output.command(
        more,
        "export",
        _export,
        "convert networks for OpenVINO, so that their first use is as fast as the next",
    )
    export.add_argument(
        "names", nargs="*", metavar="NAME", help="default: all whose weights come in packages"
    )
    export.add_argument("--weights", default="imagenet", help="imagenet (default), untrained, or a file")
    describe = output.command(more, "describe", _describe, "describe the layers of models for the dashboard")
    describe.add_argument("names", nargs="*", metavar="NAME", help="default: all models")
    describe.add_argument("--out", type=Path, help="folder of all models; default: where the dashboard looks")


def _list(options: argparse.Namespace) -> None:
    from dataclasses import asdict

    from core.models import file_hash, registry, weights

    rows = []
    for model in registry.MODELS.values():
        file = weights.imagenet_file(model)
        here = file.path if file.here else None
        row = {
            "model": model.name,
            "title": model.title,
            "input": model.input_size,
            "parameters": model.parameters,
            "imagenet": file.here if options.json else "here" if file.here else "not here",
            "about": file.about,
        }
        if options.json:
            row["file"] = {
                "origin": file.origin,
                "path": here and str(here),
                "size": here and here.stat().st_size,
                "sha256": here and file_hash.sha256(here),
                "published_hash": file.published_hash,
            }
            row["layers"] = [{**asdict(layer), "depth": depth} for depth, layer in enumerate(model.layers, 1)]
        else:
            row["MB"] = f"{here.stat().st_size / 1e6:.1f}" if here else ""
            row["sha256"] = file_hash.sha256(here)[:12] if here else ""
            row["file"] = here.name if here else file.origin
        rows.append(row)
    output.table(rows, options.json, "")


def _fetch(options: argparse.Namespace) -> None:
    from core.download import DownloadError
    from core.models import keras_weights, registry, weights

    failures = []
    with output.Bar() as bar:
        for name in options.name or registry.APPLICATIONS:
            model = registry.MODELS.get(name)
            if model is not None and name not in registry.APPLICATIONS:
                here, sentence = weights.availability(model)
                if not here:
                    raise UserError(sentence)
                print(f"{model.name}: {sentence}")
                continue
            application = registry.APPLICATIONS[model.name] if model else keras_weights.find(name)
            there = keras_weights.is_whole(application)
            try:
                path = keras_weights.fetch(application, bar)
            except DownloadError as error:
                if error.unreachable:
                    raise UserError(f"{error} {_WITHOUT_NETWORK}") from None
                failures.append(f"{application}: {error}")
                continue
            verified = (
                "hash as published" if keras_weights.FILES[application].known_hash else "no hash is published"
            )
            print(
                f"{application}: {'already there' if there else 'downloaded'}, {path.stat().st_size / 1e6:.1f} MB, "
                f"{verified}: {path}"
            )
            if application not in registry.APPLICATIONS.values():
                print(
                    f"{application} is not one of the models that are compared here; "
                    f"keras.applications.{application}(include_top=False) finds its weights.",
                    file=sys.stderr,
                )
    if failures:
        raise UserError("\n".join(failures))


_WITHOUT_NETWORK = (
    "Without a connection, models whose weights come in packages work, and all others untrained."
)


def _export(options: argparse.Namespace) -> None:
    from core.models import networks, registry, runtime, weights
    from core.models.package_weights import PackageWeights

    models = [registry.get_model(name) for name in options.names] or [
        model
        for model in registry.MODELS.values()
        if isinstance(model.weights, PackageWeights) and weights.availability(model)[0]
    ]
    if runtime.name() != "openvino":
        print("TensorFlow runs the networks here, so there is nothing to export.", file=sys.stderr)
        return
    for model in models:
        there = networks.is_exported(model, options.weights)
        output.prepare_network(model.name, options.weights)
        with output.Bar() as bar:
            networks.load(model, options.weights, bar)
        if networks.is_exported(model, options.weights):
            print(f"{model.name}: {'already there' if there else 'exported'}", file=sys.stderr)


def _describe(options: argparse.Namespace) -> None:
    from core import disk
    from core.models import architecture, registry
    from core.settings import settings

    models = [registry.get_model(name) for name in options.names or registry.MODELS]
    output.start_tensorflow()
    for model in models:
        description = architecture.describe(model.build_graph(), model)
        folder = (options.out or settings.MODELS_DIR) / model.name
        folder.mkdir(parents=True, exist_ok=True)
        disk.replace_file(folder / architecture.FILE, architecture.text(description).encode())
        print(f"{model.name}: {len(description.layers)} layers", file=sys.stderr)
