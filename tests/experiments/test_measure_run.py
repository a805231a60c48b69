"""Measures of experiments that were computed without them, on a small folder of real pictures and a real network."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import average_precision_score

from core.errors import UnknownNameError
from core.experiments import measure_run, runner, store, vector_import
from core.progress import Silent
from tests.experiments.synthetic import draw_dataset, random_run

pytestmark = pytest.mark.slow

LAYERS = ("conv1", "conv_pw_13")


class Listener(Silent):
    def __init__(self):
        self.said = []

    def say(self, sentence):
        self.said.append(sentence)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return draw_dataset(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(scope="module")
def computed(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("grid")
    request = runner.Request(
        ("mobilenet",), "untrained", LAYERS, ("avg", "flatten"), ("cosine", "manhattan"), 5
    )
    runner.run([dataset], request, out, Silent())
    return out


@pytest.fixture
def grid(computed, tmp_path):
    return shutil.copytree(computed, tmp_path / "grid")


def strip(run, dataset, kept=0):
    """The same run as a version without measures wrote it, but for some experiments."""
    contents = run.read_all()
    bare = [
        replace(e, measures=e.measures if place < kept else {})
        for place, e in enumerate(contents.experiments)
    ]
    return store.write_run(run.folder.parent, dataset, run.about, replace(contents, experiments=bare))


def opened(grid, dataset, model="mobilenet", weights="untrained"):
    return store.Grid(grid).run(dataset, model, weights)


def test_the_runner_measures_every_experiment(computed, dataset):
    run = opened(computed, dataset)
    assert {name: len(run.measures(name)) for name in run.measure_names} == {"map": 8, "mrr": 8, "probe": 8}


def test_average_precision_is_that_of_the_stored_vectors(grid, dataset):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(len(dataset), 7)).astype(np.float32)
    table = vector_import.Table(None, rows)
    vector_import.import_vectors(grid, dataset, "mine", table, "order", "a test", Silent())
    slug = next(weights for model, weights in store.Grid(grid).load(dataset.name).runs if model == "mine")
    labels = np.array(dataset.labels)
    for metric in ("cosine", "euclidean"):
        distances = cdist(rows, rows, metric)
        found = opened(grid, dataset, "mine", slug).measures("map")["vectors", "avg", metric].values
        for query in range(len(dataset)):
            there = np.arange(len(dataset)) != query
            expected = average_precision_score(labels[there] == labels[query], -distances[query][there])
            assert found[query] == pytest.approx(expected, abs=1e-3)


def test_what_is_missing_is_computed_as_the_runner_does_and_all_else_stays(grid, dataset):
    whole = opened(grid, dataset)
    part = strip(whole, dataset, kept=3)
    assert len(part.measures("map")) == 3
    listener = Listener()
    measure_run.run([dataset], (), grid, listener)
    again = opened(grid, dataset)
    for name in whole.measure_names:
        expected, found = whole.measures(name), again.measures(name)
        assert found.keys() == expected.keys()
        for key, one in found.items():
            np.testing.assert_allclose(one.values, expected[key].values, atol=0.02)
    assert again.about.files == part.about.files | {"measures": again.about.files["measures"]}
    assert "5 experiments to measure by the network" in listener.said[-1]
    measure_run.run([dataset], (), grid, listener)
    assert listener.said[-1].endswith("complete")


def test_imported_vectors_are_measured_by_what_is_stored(grid, dataset):
    rows = np.random.default_rng(1).normal(size=(len(dataset), 7)).astype(np.float32)
    vector_import.import_vectors(
        grid, dataset, "mine", vector_import.Table(None, rows), "order", "a test", Silent()
    )
    slug = next(weights for model, weights in store.Grid(grid).load(dataset.name).runs if model == "mine")
    whole = opened(grid, dataset, "mine", slug)
    expected = whole.measures("map")
    strip(whole, dataset)
    measure_run.run([dataset], ("mine",), grid, Silent())
    found = opened(grid, dataset, "mine", slug).measures("map")
    assert found.keys() == expected.keys()
    for key, one in found.items():
        np.testing.assert_allclose(one.values.mean(), expected[key].values.mean(), atol=0.02)


def test_experiments_of_other_weights_are_left_as_they_are(tmp_path, dataset):
    run = random_run(tmp_path, dataset, model="mobilenet", weights="file-00000000")
    contents = run.read_all()
    bare = [replace(one, measures={}) for one in contents.experiments]
    store.write_run(run.folder.parent, dataset, run.about, store.Contents(bare, {}, contents.projections))
    listener = Listener()
    measure_run.run([dataset], (), tmp_path, listener)
    assert "4 experiments are not measured" in listener.said[-1]
    assert opened(tmp_path, dataset, "mobilenet", "file-00000000").measure_names == []


def test_the_models_that_have_experiments_are_named(grid, dataset):
    with pytest.raises(UnknownNameError, match="mobilenet"):
        measure_run.run([dataset], ("nothing",), grid, Silent())
