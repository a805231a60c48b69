import numpy as np
import pytest

from benchmarks import collection, real
from benchmarks.measure import LeftOut
from core.collections.writer import New
from core.data import fashion_mnist
from core.settings import settings
from tests.collections import pixels


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", tmp_path)
    monkeypatch.setattr(settings, "CATALOG_URL", None)


def fill(count: int) -> None:
    """Images in two clusters far from each other, each with its own label."""
    random = np.random.default_rng(0)
    with pixels.create(real.NAME) as made, made.writing() as writer:
        centers = random.standard_normal((2, made.about.dimensions))
        writer.put(
            [
                New(
                    str(i),
                    label="ab"[i % 2],
                    vector=centers[i % 2] + 0.1 * random.standard_normal(centers.shape[1]),
                )
                for i in range(count)
            ]
        )


def test_images_that_are_taken_out_find_those_of_their_label(monkeypatch):
    fill(400)
    monkeypatch.setattr(real, "KINDS", ("flat",))
    monkeypatch.setattr(collection, "_SECONDS", 0.001)
    rows = {row.name: row for row in real.rows()}
    assert rows["label precision@10, 300 images"].figure == 1.0
    assert rows["flat, 300 x 192, recall@10"].figure == 1.0
    with pixels.open_(real.NAME) as there:
        assert there.info().images == 400


def test_without_a_collection_the_pictures_are_searched_by_their_pixels(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    pictures, labels = random.integers(0, 256, (300, 28, 28), np.uint8), np.arange(300) % 10
    monkeypatch.setattr(fashion_mnist, "read", lambda folder, split: (pictures, labels))
    divided = real.Divided.load()
    assert divided.queries.shape == (100, 784) and len(divided.kept) == 500
    np.testing.assert_array_equal(divided.queries[0], pictures[0].reshape(-1) / np.float32(255))
    with divided.copy(tmp_path, "copy") as copy:
        near = copy.search_vectors(pictures[1].reshape(1, -1), 2)[0]
        assert {hit.path for hit in near} == {"train/1.png", "test/1.png"}


def test_without_either_the_commands_that_make_a_collection_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "FOLDER", tmp_path)
    with pytest.raises(LeftOut, match="datasets add fashion-mnist"):
        real.rows()


def test_too_few_images_are_left_out():
    fill(100)
    with pytest.raises(LeftOut, match="100 images"):
        real.rows()
