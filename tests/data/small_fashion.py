"""Files such as those of Fashion-MNIST with few images, in place of the known ones."""

import gzip
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.data import fashion_mnist

COUNTS = {"train": 40, "test": 20}


def content(name: str) -> tuple[bytes, bytes]:
    """The images and labels of a split as IDX files."""
    count = COUNTS[name]
    rng = np.random.default_rng(count)
    labels = (np.arange(count) % len(fashion_mnist.CLASSES)).astype(np.uint8)
    images = rng.integers(0, 256, (count, fashion_mnist.SIDE, fashion_mnist.SIDE), np.uint8)
    sizes = [count.to_bytes(4), *[fashion_mnist.SIDE.to_bytes(4)] * 2]
    return (
        b"\0\0\x08\x03" + b"".join(sizes) + images.tobytes(),
        b"\0\0\x08\x01" + sizes[0] + labels.tobytes(),
    )


def write(folder: Path, *, packed: bool = True) -> Path:
    """The four files in a folder, which is returned."""
    folder.mkdir(exist_ok=True)
    for name, split in fashion_mnist.SPLITS.items():
        for kind, data in zip(("images-idx3", "labels-idx1"), content(name), strict=True):
            path = folder / f"{split.prefix}-{kind}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(data) if packed else data)
    return folder


def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take these files for those of Fashion-MNIST."""
    splits = {}
    for name, split in fashion_mnist.SPLITS.items():
        images, labels = (hashlib.sha256(data).hexdigest() for data in content(name))
        splits[name] = replace(split, count=COUNTS[name], images=images, labels=labels)
    monkeypatch.setattr(fashion_mnist, "SPLITS", splits)
