"""The labeled images of a collection as a dataset, so that the grid can be run on them."""

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from core import access, lock
from core.collections import lifecycle
from core.collections.collection import Collection
from core.data import datasets
from core.data.datasets import Dataset, Item
from core.data.image_sources import is_remote, title
from core.errors import DatasetError
from core.settings import settings

# Before the name of a collection where names of datasets are expected.
PREFIX = "collection:"


@dataclass(frozen=True)
class Labelled:
    """A dataset from a collection, and a message for each reason why images were left out."""

    dataset: Dataset
    left_out: tuple[str, ...]


def name(collection: str) -> str:
    """The name of the dataset, which no shipped dataset and no collection can have."""
    return f"collection-{collection}"


def dataset(collection: Collection) -> Labelled:
    """The images that have a label and a file here, ordered by label and path, one for each content.

    The fingerprint comes from the catalog, so no file is read.

    Raises
    ------
    DatasetError : there are fewer than two labels among them.
    """
    found, reasons, contents = [], Counter[tuple[str, str]](), set()
    for image in collection.images():
        if not image.label:
            reasons["has no label", "have no label"] += 1
        elif image.hash is None or is_remote(image.path):
            reasons["came from a URL and is not kept here", "came from URLs and are not kept here"] += 1
        elif image.hash in contents:
            reasons["has the same content as another one", "have the same content as another one"] += 1
        elif not collection.has_file(image.path):
            reasons[
                "is gone or outside of the allowed folder", "are gone or outside of the allowed folder"
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
    labelled = Dataset(
        name=name(about),
        title=about,
        description=f"{len(found):,} labeled images of the collection {about!r}.",
        classes=tuple(dict.fromkeys(labels)),
        items=tuple(
            Item(id=place, file=path, label=label, title=titled)
            for place, (label, path, _, titled) in enumerate(found)
        ),
        fingerprint=datasets.fingerprint_of_contents(labels, [content for *_, content, _ in found]),
        # Files have absolute paths; uploads the paths of the catalog.
        images=Path("/"),
        collection=about,
    )
    return Labelled(labelled, left_out)


def delete(collection: str) -> None:
    """Delete a collection, and the experiments that were computed on it.

    Raises
    ------
    AccessError : this process is a read-only server.
    UnknownNameError : there is no collection of that name.
    UserError : another process writes to one of them, or the storage fails.
    """
    access.require_full("delete a collection")
    folder = settings.GRID_DIR / name(collection)
    try:
        computed = datasets.load(folder).collection == collection
    except DatasetError:
        computed = False
    if not computed:
        lifecycle.delete(collection)
        return
    with lock.writing(folder):
        lifecycle.delete(collection)
        # Without its description it is no dataset, even if this is killed.
        (folder / "dataset.json").unlink()
        shutil.rmtree(folder, ignore_errors=True)
