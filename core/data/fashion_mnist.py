"""Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017): 70,000 labeled pictures of clothes, read from its four IDX files.

Debian's package ``dataset-fashion-mnist`` has the files. Each is known by the SHA-256 of its content, packed or not.
"""

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import DatasetError

PACKAGE = "dataset-fashion-mnist"
FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where the package puts the files."""

CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
SIDE = 28
LICENSE = "MIT"
LICENSE_TEXT = """\
The MIT License (MIT)

Copyright (c) 2017 Zalando SE, https://tech.zalando.com

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files
(the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify,
merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES
OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE
LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR
IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
_HEADERS = {"images": 16, "labels": 8}


@dataclass(frozen=True)
class Split:
    """One of the two parts: how its files begin, how many images there are, and the SHA-256 of the unpacked files."""

    prefix: str
    count: int
    images: str
    labels: str


SPLITS: Mapping[str, Split] = {
    "train": Split(
        "train",
        60_000,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    "test": Split(
        "t10k",
        10_000,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}


def read(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The images and labels of a split.

    Parameters
    ----------
    folder : has its two files, with or without the suffix ``.gz``.
    name : ``"train"`` | ``"test"``.

    Returns
    -------
    images : (n, 28, 28) uint8, white on black.
    labels : (n,) uint8, places in :data:`CLASSES`.

    Raises
    ------
    DatasetError : a file is missing, can't be read, or has another content.
    """
    split = SPLITS[name]
    images = _content(
        folder, f"{split.prefix}-images-idx3-ubyte", "images", split.count * SIDE**2, split.images
    )
    labels = _content(folder, f"{split.prefix}-labels-idx1-ubyte", "labels", split.count, split.labels)
    return images.reshape(-1, SIDE, SIDE), labels


def _content(folder: Path, name: str, kind: str, size: int, sha256: str) -> np.ndarray:
    """The bytes (size,) of a file behind its header, which need not be looked at: the hash covers it."""
    path = next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
    if path is None:
        raise DatasetError(
            f"There is no file {name} or {name}.gz in {str(folder)!r}; install Debian's package with "
            f"`sudo apt-get install {PACKAGE}`, or name the folder of the four files with --from."
        )
    again = f"get it again, from Debian's package {PACKAGE} or from where it was downloaded"
    size += _HEADERS[kind]
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            # One byte more tells a file that is too long, however long it is.
            data = (gzip.GzipFile(fileobj=raw) if packed else raw).read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DatasetError(f"{path.name} can't be read ({reason}); {again}.") from None
    if len(data) != size:
        length = f"ends after {len(data):,}" if len(data) < size else "goes on after"
        raise DatasetError(f"{path.name} {length} of {size:,} bytes; {again}.")
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DatasetError(f"{path.name} has another content than the file of Fashion-MNIST; {again}.")
    return np.frombuffer(data, np.uint8, offset=_HEADERS[kind])
