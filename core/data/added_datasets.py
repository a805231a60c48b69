"""Datasets that a user adds to a grid folder, images and all, and removes from it again."""

import errno
import hashlib
import io
import itertools
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from core import access, disk, lock
from core.data import datasets, fashion_mnist
from core.data.datasets import Dataset, Item
from core.errors import DatasetError, UnknownNameError
from core.progress import Progress

NAMES = ("fashion-mnist",)
"""Those that can be added by name."""

SHIPPED = ("emoji200", "fashion1000", "objects200")
"""Those that come with the project; they are not removed."""

# Datasets are built and deleted in here, out of sight of whoever lists datasets.
_STAGING = ".datasets"
# What a small file takes on most disks.
_BLOCK = 4096


def add_fashion_mnist(grid_dir: Path, folder: Path, progress: Progress) -> Dataset:
    """Write all 70,000 images of Fashion-MNIST as ``images/<split>/<class>/<number>.png``, unless the dataset is there already.

    A killed process leaves nothing that counts as a dataset, and the next call removes what it left.

    Parameters
    ----------
    folder : has the four IDX files, see :func:`core.data.fashion_mnist.read`.

    Raises
    ------
    AccessError : this process is a read-only server.
    DatasetError : a file can't be used, or the folder of the dataset is taken.
    DiskError : the disk is nearly full.
    UserError : another process adds or removes datasets.
    """
    access.require_full("add a dataset")
    name = NAMES[0]
    if name in datasets.names(grid_dir):
        return datasets.load(grid_dir / name)
    splits = {split: fashion_mnist.read(folder, split) for split in fashion_mnist.SPLITS}
    total = sum(len(labels) for _, labels in splits.values())
    disk.require(grid_dir, total * _BLOCK)
    with _staging(grid_dir) as staging:
        try:
            dataset = _write_fashion_mnist(staging / name, splits, progress)
            # So many files are flushed to the disk at once, not one by one.
            os.sync()
            (staging / name).rename(grid_dir / name)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                reason = "a folder or file of that name, which holds no dataset, is there already; rename or delete it"
            else:
                reason = f"{error.strerror}; nothing was added"
            raise DatasetError(f"{str(grid_dir / name)!r} can't be written: {reason}.") from None
    return replace(dataset, images=grid_dir / name / "images")


def _write_fashion_mnist(
    folder: Path, splits: Mapping[str, tuple[np.ndarray, np.ndarray]], progress: Progress
) -> Dataset:
    total = sum(len(labels) for _, labels in splits.values())
    progress.stage(f"{total:,} images", total)
    items: list[Item] = []
    contents: list[str] = []
    # In the order of the classes, as in the datasets that ship.
    for (place, label), (split, (images, labels)) in itertools.product(
        enumerate(fashion_mnist.CLASSES), splits.items()
    ):
        below = f"{split}/{label.replace('/', ' or ')}"
        (folder / "images" / below).mkdir(parents=True)
        numbers = np.flatnonzero(labels == place)
        for number in numbers:
            file = f"{below}/{number:05}.png"
            data = _png(images[number])
            (folder / "images" / file).write_bytes(data)
            contents.append(hashlib.sha256(data).hexdigest())
            items.append(Item(len(items), file, label, f"{split} {number}", "", fashion_mnist.LICENSE))
        progress.step(len(numbers))
    dataset = Dataset(
        name=folder.name,
        title="Fashion-MNIST",
        description=f"{total:,} small gray pictures of clothes on black, {len(fashion_mnist.CLASSES)} classes "
        "(Xiao, Rasul and Vollgraf, 2017).",
        classes=fashion_mnist.CLASSES,
        items=tuple(items),
        fingerprint=datasets.fingerprint_of_contents([item.label for item in items], contents),
        images=folder / "images",
    )
    (folder / "LICENSE.txt").write_text(fashion_mnist.LICENSE_TEXT, "utf-8")
    (folder / datasets.DESCRIPTION).write_text(datasets.describe(dataset, "images"), "utf-8")
    return dataset


def check_removable(grid_dir: Path, name: str) -> None:
    """Check that a dataset is one of those that are removed.

    Raises
    ------
    UnknownNameError : there is no dataset of that name.
    DatasetError : it ships with the project.
    """
    if name not in datasets.names(grid_dir):
        raise UnknownNameError("dataset", name, datasets.names(grid_dir))
    if name in SHIPPED:
        raise DatasetError(f"{name!r} ships with the project and is not removed.")


def remove(grid_dir: Path, name: str) -> None:
    """Delete a dataset with its experiments, and its images where they lie in its folder.

    Raises
    ------
    AccessError : this process is a read-only server.
    UnknownNameError, DatasetError : as :func:`check_removable`.
    UserError : another process adds or removes datasets, or computes experiments of this one.
    """
    access.require_full("remove a dataset")
    check_removable(grid_dir, name)
    with _staging(grid_dir) as staging, lock.writing(grid_dir / name):
        # Out of sight in one step; deleting takes a while.
        (grid_dir / name).rename(staging / name)


@contextmanager
def _staging(grid_dir: Path) -> Iterator[Path]:
    """A folder for what is not yet or no longer a dataset; empty, and emptied afterwards."""
    folder = grid_dir / _STAGING
    with lock.writing(folder):
        _empty(folder)
        try:
            yield folder
        finally:
            _empty(folder)


def _empty(folder: Path) -> None:
    for left in folder.iterdir():
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)


def _png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()
