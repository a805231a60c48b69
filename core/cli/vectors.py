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
    vectors = output.group(commands, "vectors", "vectors that something else computed, as a configuration")
    importing = output.command(
        vectors, "import", _import, "compare vectors of a dataset's images with all other configurations"
    )
    importing.add_argument(
        "file",
        type=Path,
        help=".parquet with a column of lists and one of paths, ids or hashes; or .npy, a row for each image",
    )
    _images(importing)
    importing.add_argument("--name", help="of the configuration; default: that of the file")
    importing.add_argument(
        "--by",
        choices=("path", "id", "hash"),
        help="what the rows are named by, which is the name of the column; default: the first that there is",
    )
    importing.add_argument("--column", default="vector", help="of the lists (default: vector)")
    listing = output.command(vectors, "list", _list, "list the imported vectors")
    listing.add_argument("--json", action="store_true")
    removing = output.command(vectors, "remove", _remove, "delete imported vectors and their experiments")
    removing.add_argument("name")
    _images(removing)
    removing.add_argument("--yes", action="store_true", help="do not ask")
    for parser in (importing, listing, removing):
        output.grid_option(parser)


def _images(parser: argparse.ArgumentParser) -> None:
    """The options that say whose images the vectors are of."""
    images = parser.add_mutually_exclusive_group(required=True)
    images.add_argument("--dataset", help="its name, or a folder of class-named folders")
    images.add_argument("--collection", help="of its labeled images")


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
