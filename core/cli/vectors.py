"""``vectors``: bring in vectors that something else computed, list and remove them."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cli import output
from core.errors import UserError

if TYPE_CHECKING:
    from core.data.datasets import Dataset
    from core.experiments.store import StoredRun


def add(commands: Any) -> None:
    """Add the commands to a parser."""
    vectors = output.group(
        commands,
        "vectors",
        "import vectors that something else computed, to compare them with the other configurations",
    )
    importing = output.command(
        vectors, "import", _import, "import a file of vectors for the images of a dataset or a collection"
    )
    importing.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help=".parquet with a column of vectors and one of paths, ids or hashes; or .npy with one row per image",
    )
    _images(importing, "name of a dataset, or a folder of class-named folders")
    importing.add_argument("--name", help="name of the vectors; default: the name of the file")
    importing.add_argument(
        "--by",
        choices=("path", "id", "hash"),
        help="column that says which image a row is for; default: the first of these that the file has",
    )
    importing.add_argument("--column", default="vector", help="column of the vectors (default: vector)")
    listing = output.command(vectors, "list", _list, "list the imported vectors")
    output.json_option(listing)
    removing = output.command(vectors, "remove", _remove, "delete imported vectors and their experiments")
    removing.add_argument("name", metavar="NAME", help="name of the vectors")
    _images(removing, "name of a dataset")
    output.yes_option(removing)
    for parser in (importing, listing, removing):
        output.grid_option(parser)


def _images(parser: argparse.ArgumentParser, dataset: str) -> None:
    """The options that say which images the vectors are of; ``dataset`` is the help of one of them."""
    images = parser.add_mutually_exclusive_group(required=True)
    images.add_argument("--dataset", help=dataset)
    images.add_argument("--collection", help="name of a collection: its labeled images")


def _import(options: argparse.Namespace) -> None:
    from core.cli import grid
    from core.collections import labelled_dataset
    from core.experiments import vector_import

    out = output.grid_folder(options)
    file = options.file.expanduser()
    table, by = vector_import.read(file, options.by, options.column)
    images = options.dataset or f"{labelled_dataset.PREFIX}{options.collection}"
    dataset = grid.dataset_of(images, out, False)
    name = options.name or file.stem.lower()
    with output.Bar() as bar:
        report = vector_import.import_vectors(out, dataset, name, table, by, file.name, bar)
    print(f"{name}: {report.images:,} images of {dataset.name!r} have a vector.")
    for number, text in (
        (report.missing, "images have none and are left out of its experiments"),
        (report.unknown, f"rows are of no image of {dataset.name!r}"),
        (report.duplicates, "rows are of an image that had one already, and were left out"),
    ):
        if number:
            output.warn(f"{number:,} {text}.")


def _list(options: argparse.Namespace) -> None:
    rows = []
    for dataset, run in _runs(options):
        rows.append(
            {
                "dataset": dataset.name,
                "name": run.about.model,
                "images": len(dataset) - len(run.about.skipped),
                "dimensions": run.about.layers[0].shape[2],
                "source": run.about.weights_source,
            }
        )
    output.table(rows, options.json, "No vectors were imported here.")


def _runs(options: argparse.Namespace) -> "Iterator[tuple[Dataset, StoredRun]]":
    """Imported vectors with their datasets."""
    from core.experiments import vector_import
    from core.experiments.store import Grid

    grid = Grid(output.grid_folder(options))
    for name in grid.dataset_names():
        try:
            found = grid.load(name)
        except UserError as error:
            output.warn(error)
            continue
        for (_, weights), run in found.runs.items():
            if weights.startswith(vector_import.SLUG):
                yield found.dataset, run


def _remove(options: argparse.Namespace) -> None:
    from core.collections import labelled_dataset
    from core.experiments import vector_import

    out = output.grid_folder(options)
    images = options.dataset or labelled_dataset.name(options.collection)
    wanted = (images, options.name)
    found = [run for dataset, run in _runs(options) if (dataset.name, run.about.model) == wanted]
    for run in found:
        print(
            f"{options.name!r} has {len(run.summaries)} experiments on {images!r}; they are deleted.",
            file=sys.stderr,
        )
    output.confirm(options.yes, f"Remove {options.name!r}?")
    vector_import.remove(out, images, options.name)
    print(f"Removed {options.name!r}.")
