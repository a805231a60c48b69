"""The labelled images of a collection as a dataset, so that the grid can be run on them."""

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from core import access, lock
from core.collections import collection as collections
from core.collections.collection import Collection
from core.collections.image_sources import is_url, title
from core.data import datasets
from core.data.datasets import Dataset, Item
from core.errors import DatasetError
from core.settings import settings

# What a collection is called where datasets are named.
PREFIX = "collection:"


@dataclass(frozen=True)
class Labelled:
    """A dataset made of a collection, and why images were left out, a sentence for each reason."""

    dataset: Dataset
    left_out: tuple[str, ...]


def name(collection: str) -> str:
    """The dataset's name, which no shipped dataset and no collection has."""
    return f"collection-{collection}"


def dataset(collection: Collection) -> Labelled:
    """The images that have a label and a file here, ordered by label and path, one for each content.

    The fingerprint is made of what the catalog knows, so no file is read.

    Raises
    ------
    DatasetError : there are fewer than two labels among them.
    """
    found, reasons, contents = [], Counter[str](), set()
    for image in collection.images():
        if not image.label:
            reasons["has no label", "have no label"] += 1
        elif image.hash is None or is_url(image.path):
            reasons["came from a URL and is not kept here", "came from URLs and are not kept here"] += 1
        elif image.hash in contents:
            reasons["has the content of another one", "have the content of another one"] += 1
        elif not collection.has_file(image.path):
            reasons[
                "is gone or lies outside the allowed folder", "are gone or lie outside the allowed folder"
            ] += 1
        else:
            contents.add(image.hash)
            found.append((image.label, image.path, image.hash, title(image.path, image.metadata)))
    about = collection.about.name
    left_out = tuple(
        f"{count:,} image{'s' if count > 1 else ''} of {about!r} {words[count > 1]}; left out."
        for words, count in reasons.items()
    )
    if len({label for label, *_ in found}) < 2:
        raise DatasetError(
            " ".join(
                [
                    f"The grid needs images with at least two labels; the collection {about!r} has too few.",
                    *left_out,
                ]
            )
        )
    found.sort()
    labels = [label for label, *_ in found]
    made = Dataset(
        name=name(about),
        title=about,
        description=f"{len(found):,} labelled pictures of the collection {about!r}.",
        classes=tuple(dict.fromkeys(labels)),
        items=tuple(
            Item(id=place, file=path, label=label, title=titled)
            for place, (label, path, _, titled) in enumerate(found)
        ),
        fingerprint=datasets.fingerprint_of_contents(labels, [content for *_, content, _ in found]),
        # Files lie anywhere, by absolute paths; uploads by those that the catalog has.
        images=Path("/"),
        collection=about,
    )
    return Labelled(made, left_out)


def delete(collection: str) -> None:
    """Remove a collection, and the experiments that were computed on it.

    Raises
    ------
    AccessError : this process is a read-only server.
    UnknownNameError : there is none of that name.
    UserError : somebody writes to one of them, or the storage refuses.
    """
    access.require_full("delete a collection")
    folder = settings.GRID_DIR / name(collection)
    try:
        computed = datasets.load(folder).collection == collection
    except DatasetError:
        computed = False
    if not computed:
        collections.delete(collection)
        return
    with lock.writing(folder):
        collections.delete(collection)
        # Without its description it is no dataset, wherever this is stopped.
        (folder / "dataset.json").unlink()
        shutil.rmtree(folder, ignore_errors=True)
