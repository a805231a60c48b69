"""Robustness measured with a real, small network on a small folder of images."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_distances

from core import cli
from core.data import datasets
from core.errors import UnknownNameError, UserError
from core.experiments import robustness_file, robustness_run
from core.experiments.robustness_run import Request
from core.imaging import decode, transform
from core.imaging.changes import CHANGES
from core.models import extractor, networks, registry
from core.progress import Silent
from tests.experiments.synthetic import draw_dataset

pytestmark = pytest.mark.slow

MODEL = registry.get_model("squeezenet")
LAYERS = [layer.name for layer in MODEL.layers]


class Listening(Silent):
    """Progress that is remembered; ends the process where it is told to."""

    def __init__(self, end_at=None):
        self.stages, self.said, self._end_at = [], [], end_at

    def stage(self, name, total):
        self.stages.append(name)
        if name == self._end_at:
            raise KeyboardInterrupt

    def say(self, sentence):
        self.said.append(sentence)


@pytest.fixture(scope="module", autouse=True)
def two_changes():
    """Only two of the changes, since each takes its time."""
    with pytest.MonkeyPatch.context() as patch:
        for name in set(CHANGES) - {"rotate", "gray"}:
            patch.delitem(CHANGES, name)
        yield


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Three photos of each of two classes: drawings of one color are too much alike for an early layer."""
    folder, shipped = tmp_path_factory.mktemp("data") / "photos", datasets.find("objects200")
    for label in shipped.classes[:2]:
        (folder / label).mkdir(parents=True)
        for item in [one for one in shipped.items if one.label == label][:3]:
            shutil.copy(shipped.path(item.id), folder / label)
    return datasets.scan(folder)


@pytest.fixture(scope="module")
def computed(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("grid")
    robustness_run.run([dataset], Request(("squeezenet",)), out, Listening())
    return out


def copied(computed, dataset, folder):
    (folder / dataset.name).mkdir(parents=True)
    file = folder / dataset.name / robustness_file.NAME
    file.write_bytes((computed / dataset.name / robustness_file.NAME).read_bytes())
    return file


def test_results_are_those_of_an_independent_computation(computed, dataset):
    network = extractor.Extractor(MODEL, networks.load(MODEL, "imagenet"), LAYERS)
    images = [decode.read(dataset.path(item)) for item in range(len(dataset))]

    def vectors(change):
        pixels = [transform.resize(change(image), MODEL.input_size, MODEL.resample) for image in images]
        return network(np.stack(pixels))

    gallery = vectors(lambda image: image)
    [table] = robustness_file.read(computed, dataset)
    assert {layer for layer, _, _ in table.rows} == set(LAYERS) and table.images == len(dataset)
    for name, strength in (("rotate", 2), ("gray", 3)):
        changed = vectors(lambda image, name=name, strength=strength: CHANGES[name](image, strength))
        for layer in LAYERS:
            distances = cosine_distances(changed[layer, "avg"], gallery[layer, "avg"])
            order = np.argsort(distances, axis=1)
            found = table.rows[layer, name, strength]
            assert found.recall == pytest.approx((order[:, 0] == np.arange(len(dataset))).mean())
            # All others are neighbors here: two of them are of the same class.
            assert found.precision == pytest.approx(2 / 5)
    assert all(table.rows[layer, "none", 0].recall == 1.0 for layer in LAYERS)


def test_a_run_that_was_ended_goes_on_and_gives_the_same_file(computed, dataset, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        robustness_run.run([dataset], Request(("squeezenet",)), tmp_path, Listening("gray"))
    [table] = robustness_file.read(tmp_path, dataset)
    assert table.changes == ["none", "rotate"]
    assert robustness_file.by_configuration([table]) == {}
    progress = Listening()
    robustness_run.run([dataset], Request(("squeezenet",)), tmp_path, progress)
    assert progress.stages[-2:] == ["unchanged images", "gray"]
    ended, whole = (out / dataset.name / robustness_file.NAME for out in (tmp_path, computed))
    assert ended.read_bytes() == whole.read_bytes()


def test_started_again_nothing_is_computed(computed, dataset, monkeypatch):
    monkeypatch.setattr(networks, "load", lambda *a, **k: pytest.fail("the model was loaded"))
    progress = Listening()
    robustness_run.run([dataset], Request(("squeezenet",)), computed, progress)
    assert "already there" in progress.said[-1] and progress.stages == []


def test_other_images_or_another_number_of_them_are_computed_anew(computed, dataset, tmp_path):
    copied(computed, dataset, tmp_path)
    assert robustness_file.read(tmp_path, replace(dataset, fingerprint="0" * 64)) == []
    progress = Listening("rotate")
    with pytest.raises(KeyboardInterrupt):
        robustness_run.run([dataset], Request(("squeezenet",), images=4), tmp_path, progress)
    assert "none" in progress.stages
    [table] = robustness_file.read(tmp_path, dataset)
    assert table.images == table.drawn == 4


def test_a_damaged_file_is_computed_again(computed, dataset, tmp_path):
    copied(computed, dataset, tmp_path).write_bytes(b"PAR1 no more")
    progress = Listening("rotate")
    with pytest.raises(KeyboardInterrupt):
        robustness_run.run([dataset], Request(("squeezenet",)), tmp_path, progress)
    assert "damaged" in progress.said[0]
    assert robustness_file.read(tmp_path, dataset)[0].changes == ["none"]


def test_images_that_can_not_be_read_are_left_out(tmp_path):
    drawn = draw_dataset(tmp_path / "shapes", 2, 2)
    drawn.path(1).write_bytes(b"no image")
    progress = Listening("rotate")
    with pytest.raises(KeyboardInterrupt):
        robustness_run.run([drawn], Request(("squeezenet",)), tmp_path / "grid", progress)
    assert any(sentence.startswith("Skipped") for sentence in progress.said)
    [table] = robustness_file.read(tmp_path / "grid", drawn)
    assert (table.drawn, table.images) == (4, 3)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"poolings": ("flatten",)}, UnknownNameError),
        ({"metrics": ("nope",)}, UnknownNameError),
        ({"models": ("nope",)}, UnknownNameError),
        ({"images": 1}, UserError),
    ],
)
def test_what_does_not_exist_is_refused(dataset, tmp_path, changes, error):
    with pytest.raises(error):
        robustness_run.run(
            [dataset], Request(**{"models": ("squeezenet",), **changes}), tmp_path, Listening()
        )


def test_the_command_prints_what_the_file_has(computed, dataset, capsys):
    folder = str(dataset.images)
    options = ["grid", "robustness", "--dataset", folder, "--model", "squeezenet", "--out", str(computed)]
    assert cli.main([*options, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == len(LAYERS) * (1 + 2 * 3)
    [table] = robustness_file.read(computed, dataset)
    for row in rows:
        found = table.rows[row["layer"], row["change"], row["strength"]]
        assert row["recall@1"] == pytest.approx(found.recall, abs=1e-4)
        assert row["precision@10"] == pytest.approx(found.precision, abs=1e-4)
    assert cli.main(options) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[-2:] == ["rotate", "gray"]
