"""``datasets``: list what can be searched and compared, add and remove datasets."""

import argparse
import sys
from pathlib import Path
from typing import Any

from core.cli import output
from core.errors import UnknownNameError, UserError


def add(commands: Any) -> None:
    """Add the commands to a parser; ``datasets`` alone lists."""
    datasets = output.command(
        commands, "datasets", _list, "list the datasets, add a known one, or remove one that was added"
    )
    output.grid_option(datasets)
    output.json_option(datasets)
    more = datasets.add_subparsers(metavar="COMMAND")
    listing = output.command(more, "list", _list, "list the datasets")
    output.json_option(listing, default=argparse.SUPPRESS)
    adding = output.command(more, "add", _add, "add a known dataset with its images")
    adding.add_argument("name", metavar="NAME", help="fashion-mnist: 70,000 pictures of clothes")
    adding.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="FOLDER",
        help="folder of the four IDX files, compressed or not; default: where Debian's package dataset-fashion-mnist has them",
    )
    removing = output.command(
        more,
        "remove",
        _remove,
        "delete a dataset that was added, its experiments, and its images if it has its own",
    )
    removing.add_argument("name", metavar="NAME", help="name of the dataset")
    output.yes_option(removing)
    for parser in (listing, adding, removing):
        output.grid_option(parser, default=argparse.SUPPRESS)


def _list(options: argparse.Namespace) -> None:
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


def _add(options: argparse.Namespace) -> None:
    from core.data import added_datasets, datasets, fashion_mnist
    from core.settings import settings

    if options.name not in added_datasets.NAMES:
        raise UnknownNameError("dataset", options.name, added_datasets.NAMES)
    grid = options.grid or settings.GRID_DIR
    there = options.name in datasets.names(grid)
    with output.Bar() as bar:
        dataset = added_datasets.add_fashion_mnist(grid, options.source or fashion_mnist.FOLDER, bar)
    print(f"{dataset.name}: {len(dataset):,} images{', already there' if there else ''}, in {dataset.images}")


def _remove(options: argparse.Namespace) -> None:
    from core.data import added_datasets

    grid = output.grid_folder(options)
    added_datasets.check_removable(grid, options.name)
    for sentence in _dependents(grid, options.name):
        print(sentence, file=sys.stderr)
    output.confirm(options.yes, f"Remove {options.name!r}?")
    added_datasets.remove(grid, options.name)
    print(f"Removed {options.name!r}.")


def _dependents(grid_dir: Path, name: str) -> list[str]:
    """A sentence for all that is lost or left without files when a dataset goes."""
    from core import collections
    from core.experiments.store import Grid

    try:
        grid = Grid(grid_dir).load(name)
    except UserError as error:
        return [str(error)]
    dataset = grid.dataset
    images = dataset.images.resolve()
    own = images.is_relative_to((grid_dir / name).resolve())
    sentences = [
        f"{name!r} has {len(grid.summaries):,} experiments; they are deleted.",
        f"Its {len(dataset):,} images in {images} {'are deleted' if own else 'stay'}.",
    ]
    for collection in collections.names() if own else []:
        try:
            with collections.Collection.open(collection) as opened:
                uses = any(Path(path).is_relative_to(images) for path in opened.source_paths)
        except UserError as error:
            output.warn(error)
            continue
        if uses:
            sentences.append(f"The collection {collection!r} takes images from there; it loses their files.")
    return sentences
