"""Computing what ships: stopped anywhere it goes on, and nothing is computed twice."""

import io
import json
import shutil
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from PIL import Image

from core import cli, lock
from core.data import datasets
from core.errors import UnknownNameError, UserError
from core.features import channel_files, compute
from core.models import registry, weights
from core.progress import Silent
from core.settings import settings
from tests.conftest import ROOT
from tests.experiments.synthetic import draw_dataset

NAME = "efficientnet-lite0"
# The two layers next to the image are enough, and fast.
LITE = replace(registry.get_model(NAME), layers=registry.get_model(NAME).layers[:2])
FIRST, SECOND = (layer.name for layer in LITE.layers)


@pytest.fixture(autouse=True)
def models_dir(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "MODELS_DIR", tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture(scope="module")
def stopped(dataset, loaded, tmp_path_factory):
    """What a computation that was stopped after the first layer left behind; copied by the tests that go on from there."""
    folder = tmp_path_factory.mktemp("stopped") / "models"
    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(settings, "MODELS_DIR", folder)
        run(dataset, Log(ends_at=f"visualizations of {SECOND}"))
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return draw_dataset(tmp_path_factory.mktemp("shapes"), 3, 2)


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """The network is read from its file once, not for every run."""
    load = lru_cache(weights.load)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(weights, "load", lambda model, slug, progress=None: load(model, slug))
        yield


class Log(Silent):
    """Remembers the stages, and ends the computation when one of some name begins."""

    def __init__(self, ends_at=None):
        self.stages, self.sentences, self._ends_at = [], [], ends_at

    def stage(self, name, total):
        if name == self._ends_at:
            raise KeyboardInterrupt
        self.stages.append(name)

    def say(self, sentence):
        self.sentences.append(sentence)


def run(dataset, log=None, **changes):
    log = log or Log()
    compute.compute(LITE, "imagenet", [dataset], log, **{"n": 2, "steps": 1, **changes})
    return log


@pytest.mark.slow
def test_started_again_it_computes_what_is_missing(dataset, stopped, models_dir):
    shutil.copytree(stopped, models_dir)
    first = channel_files.visualizations(NAME, "imagenet", FIRST)
    assert len(first) == 2 and channel_files.visualizations(NAME, "imagenet", SECOND) == []

    assert run(dataset).stages == [f"loading {NAME}", f"visualizations of {SECOND}"]
    assert channel_files.visualizations(NAME, "imagenet", FIRST) == first
    assert len(channel_files.visualizations(NAME, "imagenet", SECOND)) == 2

    log = run(dataset)
    assert log.stages == [] and log.sentences == [f"{NAME} · imagenet: already there"]
    assert run(dataset, n=1).stages == []
    with pytest.raises(KeyboardInterrupt):
        run(dataset, Log(ends_at=f"visualizations of {FIRST}"), steps=2)


def test_images_are_small_and_of_the_channels_that_differ_most_between_images(dataset, stopped, models_dir):
    shutil.copytree(stopped, models_dir)
    spread = channel_files.top_images_of_layer(dataset, NAME, "imagenet", FIRST).spread
    images = channel_files.visualizations(NAME, "imagenet", FIRST)
    assert [one.channel for one in images] == list(np.argsort(-spread)[:2])
    for one in images:
        with Image.open(io.BytesIO(one.webp)) as image:
            assert (image.format, image.size) == ("WEBP", (compute.SIDE, compute.SIDE))


def test_channels_that_nothing_activates_come_last_however_much_they_differ(dataset):
    values = np.ones((4, channel_files.MOST), np.float32) * [[1], [0], [2], [3]]
    spread = np.array([1, 9, 3, 2], np.float32)
    items, boxes = np.zeros((4, channel_files.MOST), int), np.zeros((4, channel_files.MOST, 4))
    channel_files.write_top_images(
        NAME, "imagenet", dataset, {FIRST: channel_files.TopImages(items, values, boxes, spread)}, {}
    )
    assert compute.choose(LITE, "imagenet", [dataset], FIRST) == [2, 3, 0, 1]


def test_channels_that_respond_to_a_place_come_after_those_that_respond_to_what_is_there(dataset):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 0.7, (4, channel_files.MOST, 2))
    corners[1] = 0.9  # in the lower right corner of every image
    corners[3] = 0.45  # in the middle of every image
    corners[2, 5:] = 0.0  # in a corner of some
    boxes = np.concatenate([corners, corners + 0.1], axis=2)
    values = np.ones((4, channel_files.MOST), np.float32)
    spread = np.array([1, 9, 3, 2], np.float32)
    images = channel_files.TopImages(np.zeros((4, channel_files.MOST), int), values, boxes, spread)
    channel_files.write_top_images(NAME, "imagenet", dataset, {FIRST: images}, {})
    assert compute.choose(LITE, "imagenet", [dataset], FIRST) == [2, 3, 0, 1]


def test_a_channel_without_images_responds_to_no_place():
    assert not compute.of_a_place(np.zeros((0, 4)))
    assert compute.of_a_place(np.array([[0, 0, 0.1, 0.1]]))


@pytest.mark.slow
def test_for_other_images_in_the_dataset_it_is_computed_again(dataset, stopped, models_dir, tmp_path):
    shutil.copytree(stopped, models_dir)
    other = draw_dataset(tmp_path / "more" / dataset.images.name, 2, 2)
    assert other.name == dataset.name and other.fingerprint != dataset.fingerprint
    log = Log(ends_at=f"visualizations of {SECOND}")
    with pytest.raises(KeyboardInterrupt):
        run(other, log)
    assert log.stages == [f"loading {NAME}", f"{NAME} on {other.name}, activations", "regions"]
    assert channel_files.top_images(dataset, NAME, "imagenet", FIRST, 0) is None
    assert channel_files.top_images(other, NAME, "imagenet", FIRST, 0) is not None


def test_one_at_a_time(dataset, models_dir):
    with lock.writing(models_dir / NAME), pytest.raises(UserError, match="Another run is writing"):
        run(dataset)


def test_weights_from_a_file_are_refused(dataset):
    with pytest.raises(UnknownNameError, match="weights"):
        compute.compute(LITE, "my.weights.h5", [dataset], Silent())


def refused(capsys, *arguments):
    assert cli.main(["channels", *arguments]) == 2
    return capsys.readouterr().err


def test_the_command_refuses_what_is_not_there(capsys):
    assert "Unknown model 'nope'" in refused(capsys, "compute", "--model", "nope")
    assert "Unknown dataset 'nope'" in refused(capsys, "compute", "--dataset", "nope")
    assert "--steps is 0" in refused(capsys, "compute", "--steps", "0")
    show = ("show", "--model", NAME, "--layer")
    assert "Unknown layer" in refused(capsys, *show, "nope", "--channel", "0")
    assert "Unknown dataset" in refused(capsys, *show, FIRST, "--dataset", "nope")
    assert "-k is 10" in refused(capsys, *show, FIRST, "-k", "10")


def test_show_prints_what_is_stored(dataset, models_dir, tmp_path, capsys):
    shipped = datasets.load(ROOT / "precomputed" / "emoji200")
    values = np.tile(np.linspace(8, 0.5, channel_files.MOST, dtype=np.float32), (3, 1))
    found = channel_files.TopImages(
        np.tile(np.arange(channel_files.MOST), (3, 1)),
        values,
        np.full((3, channel_files.MOST, 4), [0, 0, 1, 1]),
        np.ones(3),
    )
    channel_files.write_top_images(NAME, "imagenet", shipped, {FIRST: found}, {})
    channel_files.write_visualizations(
        NAME, "imagenet", FIRST, [channel_files.Visualization(2, b"", 12.5)], {}
    )
    words = ["channels", "show", "--model", NAME, "--layer", FIRST, "--dataset", "emoji200", "-k", "2"]
    assert cli.main([*words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [
        (row["channel"], row["rank"], row["image"], row["value"], row["activation of visualization"])
        for row in rows
    ] == [
        (2, 1, 0, 8.0, 12.5),
        (2, 2, 1, 7.0625, 12.5),
    ]
    assert cli.main([*words, "--channel", "0"]) == 0
    assert "12.5" not in capsys.readouterr().out
