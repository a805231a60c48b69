"""Reading the files of Fashion-MNIST: packed or not, the real ones, and broken ones."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from core.data import fashion_mnist
from core.errors import DatasetError
from tests.data import small_fashion

IMAGES = "t10k-images-idx3-ubyte"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    small_fashion.known(monkeypatch)


@pytest.mark.parametrize("packed", [True, False])
def test_images_and_labels_are_those_of_the_files(small, packed, tmp_path):
    images, labels = fashion_mnist.read(small_fashion.write(tmp_path, packed=packed), "test")
    assert images.shape == (20, 28, 28)
    assert images.tobytes() == small_fashion.content("test")[0][16:]
    assert labels.tolist() == [*range(10), *range(10)]


def test_the_files_of_the_package_have_the_same_number_of_each_class():
    if not fashion_mnist.FOLDER.is_dir():
        pytest.skip(f"Debian's package {fashion_mnist.PACKAGE} is not installed")
    images, labels = fashion_mnist.read(fashion_mnist.FOLDER, "test")
    assert images.shape == (10_000, 28, 28)
    assert np.bincount(labels).tolist() == [1_000] * 10
    # Published: the mean of the pixels is 0.2868 of white.
    assert images.mean() / 255 == pytest.approx(0.2868, abs=1e-4)


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def other_pixel(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def huge_header(data: bytes) -> bytes:
    return data[:4] + b"\xff" * 12 + data[16:]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param(
            lambda data: gzip.compress(cut(data)), "ends after", id="truncated before it was packed"
        ),
        pytest.param(lambda data: cut(gzip.compress(data)), "can't be read", id="truncated"),
        pytest.param(lambda data: cut(data), "ends after", id="truncated, not packed"),
        pytest.param(lambda data: b"", "ends after 0", id="empty"),
        pytest.param(lambda data: gzip.compress(data)[:1], "ends after 1", id="one byte"),
        pytest.param(
            lambda data: gzip.compress(data)[:2] + b"\xff" * 99, "can't be read", id="no gzip inside"
        ),
        pytest.param(lambda data: gzip.compress(data)[:-8] + b"\0" * 8, "can't be read", id="wrong checksum"),
        pytest.param(
            lambda data: gzip.compress(b"\0" * 50_000_000), "goes on after", id="unpacks to far more"
        ),
        pytest.param(lambda data: data + b"\0", "goes on after", id="one byte more"),
        pytest.param(other_pixel, "another content", id="another pixel"),
        pytest.param(huge_header, "another content", id="a header that claims 2^32 images"),
        pytest.param(lambda data: b"<html>Not found</html>" + data[22:], "another content", id="a web page"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(small, damage, says, tmp_path):
    path = small_fashion.write(tmp_path) / f"{IMAGES}.gz"
    path.write_bytes(damage(small_fashion.content("test")[0]))
    with pytest.raises(DatasetError, match=says) as raised:
        fashion_mnist.read(tmp_path, "test")
    assert path.name in str(raised.value) and "get it again" in str(raised.value)


def pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("instead", [lambda path: None, Path.mkdir, pipe], ids=["nothing", "folder", "pipe"])
def test_a_missing_file_is_named_with_the_package_that_has_it(small, instead, tmp_path):
    path = small_fashion.write(tmp_path) / f"{IMAGES}.gz"
    path.unlink()
    instead(path)
    with pytest.raises(DatasetError, match=f"{IMAGES}.*apt-get install {fashion_mnist.PACKAGE}.*--from"):
        fashion_mnist.read(tmp_path, "test")
