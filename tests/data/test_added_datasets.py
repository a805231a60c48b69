"""Adding Fashion-MNIST to a grid folder and removing it: whole or not at all, and only what was added."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import lock
from core.cli import main
from core.collections import Collection
from core.data import added_datasets, datasets, fashion_mnist
from core.errors import DatasetError, UnknownNameError, UserError
from core.progress import Silent
from core.settings import settings
from tests.collections import pixels
from tests.conftest import ROOT
from tests.data import small_fashion
from tests.experiments.synthetic import draw_dataset

NAME = "fashion-mnist"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    small_fashion.known(monkeypatch)
    return small_fashion.write(tmp_path / "source")


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    return tmp_path / "grid"


def add(grid: Path, source: Path) -> datasets.Dataset:
    return added_datasets.add_fashion_mnist(grid, source, Silent())


def test_every_image_of_both_splits_is_there_with_its_class(grid, source):
    made = add(grid, source)
    there = datasets.load(grid / NAME)
    assert there == made and len(there) == 60
    assert there.labels == [label for label in fashion_mnist.CLASSES for _ in range(6)]
    assert there.fingerprint == datasets.fingerprint(there.labels, [there.path(i) for i in range(60)])
    for item in there.items:
        split, number = item.title.split()
        images, labels = fashion_mnist.read(source, split)
        assert fashion_mnist.CLASSES[labels[int(number)]] == item.label
        with Image.open(there.path(item.id)) as image:
            np.testing.assert_array_equal(np.asarray(image), images[int(number)])


def test_the_folder_gives_a_collection_and_a_dataset_the_same_classes(grid, source, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", tmp_path / "collections")
    images = add(grid, source).images
    expected = {label.replace("/", " or ") for label in fashion_mnist.CLASSES}
    assert set(datasets.scan(images).classes) == expected
    with pixels.create("clothes") as collection:
        collection.add([str(images)])
        assert set(collection.info().labels) == expected
        assert {image.path.split("/")[-3] for image in collection.images()} == {"train", "test"}


def test_adding_again_changes_nothing(grid, source):
    add(grid, source)
    before = {path: path.stat().st_mtime_ns for path in (grid / NAME).rglob("*")}
    # What is there needs no files any more.
    add(grid, source / "gone")
    assert {path: path.stat().st_mtime_ns for path in (grid / NAME).rglob("*")} == before


def test_a_broken_file_leaves_nothing_behind(grid, source):
    (source / "t10k-labels-idx1-ubyte.gz").write_bytes(b"broken")
    with pytest.raises(DatasetError):
        add(grid, source)
    assert not grid.exists()


@pytest.mark.parametrize("taken", ["folder", "file"])
def test_what_is_in_the_way_stays(taken, grid, source):
    grid.mkdir()
    if taken == "folder":
        (grid / NAME).mkdir()
    mine = grid / NAME / "mine" if taken == "folder" else grid / NAME
    mine.write_text("mine")
    with pytest.raises(DatasetError, match="rename or delete it"):
        add(grid, source)
    assert mine.read_text() == "mine"
    assert [path.name for path in (grid / added_datasets._STAGING).iterdir()] == [".lock"]


_SLOW = """
import sys, time
from pathlib import Path
import pytest
from core.data import added_datasets
from core.progress import Silent
from tests.data import small_fashion

class Slow(Silent):
    def step(self, n=1):
        print("step", flush=True)
        time.sleep(60)

small_fashion.known(pytest.MonkeyPatch())
added_datasets.add_fashion_mnist(Path(sys.argv[1]), Path(sys.argv[2]), Slow())
"""


def test_killed_in_the_middle_it_leaves_no_dataset_and_the_next_call_clears_up(grid, source):
    with subprocess.Popen(
        [sys.executable, "-c", _SLOW, str(grid), str(source)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        with pytest.raises(UserError, match="Another run"):
            add(grid, source)
        process.send_signal(signal.SIGKILL)
    staging = grid / added_datasets._STAGING
    assert list(staging.rglob("*.png")) and datasets.names(grid) == []
    assert len(add(grid, source)) == 60
    assert [path.name for path in staging.iterdir()] == [".lock"]


def test_removing_takes_the_dataset_its_images_and_experiments(grid, source):
    images = add(grid, source).images
    (grid / NAME / "squeezenet.imagenet").mkdir()
    added_datasets.remove(grid, NAME)
    assert not images.exists() and not (grid / NAME).exists() and datasets.names(grid) == []
    assert len(add(grid, source)) == 60


def test_removing_a_recorded_folder_leaves_its_images(grid, tmp_path):
    from core.experiments import store

    mine = draw_dataset(tmp_path / "mine")
    store.write_dataset(grid, mine)
    added_datasets.remove(grid, mine.name)
    assert datasets.names(grid) == [] and all(mine.path(item.id).is_file() for item in mine.items)


@pytest.mark.parametrize("name", added_datasets.SHIPPED)
def test_what_ships_is_not_removed(name, capsys):
    with pytest.raises(DatasetError, match=name):
        added_datasets.remove(settings.GRID_DIR, name)
    assert main(["datasets", "remove", name, "--yes"]) == 2
    # Nothing is announced that does not happen.
    assert "deleted" not in capsys.readouterr().err
    assert name in datasets.names()


def test_shipped_datasets_are_those_of_the_folder():
    assert set(added_datasets.SHIPPED) <= set(datasets.names(ROOT / "precomputed"))


@pytest.mark.parametrize("name", ["none", "", "..", "../grid", ".datasets", "fashion-mnist/images"])
def test_an_unknown_name_removes_nothing(name, grid, source):
    add(grid, source)
    with pytest.raises(UnknownNameError):
        added_datasets.remove(grid, name)
    assert datasets.load(grid / NAME).path(0).is_file()


def test_a_dataset_that_is_being_computed_is_not_removed(grid, source):
    add(grid, source)
    with lock.writing(grid / NAME), pytest.raises(UserError, match="Another run"):
        added_datasets.remove(grid, NAME)
    assert datasets.load(grid / NAME).path(0).is_file()


def test_commands_add_list_and_remove(grid, source, capsys):
    call = lambda *words: main(["datasets", *words, "--grid", str(grid)])  # noqa: E731
    assert call("add", NAME, "--from", str(source)) == 0
    assert "60 images" in capsys.readouterr().out
    assert call("add", NAME, "--from", str(source)) == 0
    assert "already there" in capsys.readouterr().out
    assert call() == 0
    alone = capsys.readouterr().out
    assert call("list") == 0
    assert capsys.readouterr().out == alone and NAME in alone
    assert call("remove", NAME) == 2
    assert "--yes" in capsys.readouterr().err and datasets.names(grid) == [NAME]
    assert call("remove", NAME, "--yes") == 0
    assert datasets.names(grid) == []


def test_removing_names_the_collection_that_loses_its_files(grid, source, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", tmp_path / "collections")
    images = add(grid, source).images
    for name, folder in (("clothes", images / "test"), ("others", draw_dataset(tmp_path / "mine").images)):
        with pixels.create(name) as collection:
            collection.add([str(folder)])
    assert main(["datasets", "remove", NAME, "--grid", str(grid)]) == 2
    said = capsys.readouterr().err
    assert "0 experiments" in said and "60 images" in said
    assert "'clothes'" in said and "'others'" not in said
    with Collection.open("clothes") as opened:
        assert opened.has_file(next(opened.images()).path)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("add", "mnist"), "fashion-mnist"),
        (("add", "fashion-mnist", "--from", "/none"), "--from"),
        (("remove", "none"), "none"),
    ],
)
def test_a_mistake_gives_a_sentence(words, says, grid, source, capsys):
    add(grid, source) if words[0] == "remove" else grid.mkdir()
    assert main(["datasets", *words, "--grid", str(grid)]) == 2
    assert says in capsys.readouterr().err
