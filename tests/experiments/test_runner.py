"""The grid runner on a small folder of real pictures and a real, small network."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from core import lock
from core.data import datasets
from core.errors import UserError
from core.experiments import runner, store
from core.models import extractor, networks, registry, weights
from core.progress import Silent
from core.settings import settings
from tests.experiments.synthetic import draw_dataset

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("conv1", "conv_pw_13")


class Listening(Silent):
    """Remembers what it is told."""

    def __init__(self):
        self.said = []

    def say(self, sentence):
        self.said.append(sentence)


def request(**changes):
    defaults = {
        "models": ("mobilenet",),
        "weights": "untrained",
        "layers": LAYERS,
        "poolings": ("avg", "flatten"),
        "metrics": ("cosine", "manhattan"),
        "top": 5,
    }
    return runner.Request(**{**defaults, **changes})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return draw_dataset(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(scope="module")
def computed(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("grid")
    runner.run([dataset], request(), out, Silent())
    return out


@pytest.fixture
def copy(computed, tmp_path):
    import shutil

    return Path(shutil.copytree(computed, tmp_path / "grid"))


def open_run(out, dataset):
    return store.Grid(out).run(dataset, "mobilenet", "untrained")


def test_neighbors_are_those_of_an_independent_computation(computed, dataset):
    model = registry.get_model("mobilenet")
    network = extractor.Extractor(model, networks.load(model, "untrained"), LAYERS, ("avg", "flatten"))
    files = [dataset.path(i) for i in range(len(dataset))]
    batches = [network(batch.pixels) for batch in network.batches(files)]
    run = open_run(computed, dataset)
    for (layer, pooling), metric in [
        ((layer, pooling), metric)
        for layer in LAYERS
        for pooling in ("avg", "flatten")
        for metric in ("cosine", "manhattan")
    ]:
        rows = np.concatenate([b[layer, pooling] for b in batches]).astype(np.float64)
        distances = cdist(rows, rows, "cityblock" if metric == "manhattan" else metric)
        found = run.neighbors(layer, pooling, metric)
        np.fill_diagonal(distances, np.inf)
        expected = np.sort(distances, axis=1)[:, :5]
        np.testing.assert_allclose(found.distances, expected, rtol=1e-3, atol=1e-6)
        by_id = np.take_along_axis(distances, found.ids, axis=1)
        np.testing.assert_allclose(by_id, expected, rtol=1e-3, atol=1e-6)
        pairs = distances[np.triu_indices(len(rows), 1)]
        quantiles = np.quantile(pairs, np.linspace(0, 1, store.N_QUANTILES))
        np.testing.assert_allclose(
            run.pair_quantiles(layer, pooling, metric), quantiles, rtol=1e-3, atol=1e-6
        )


def test_the_manifest_says_what_was_computed_and_what_it_cost(computed, dataset):
    about = open_run(computed, dataset).about
    assert [layer.name for layer in about.layers] == list(LAYERS)
    assert [layer.depth for layer in about.layers] == [1, 8]
    assert all(layer.ms_per_image > 0 for layer in about.layers)
    assert about.top == 5 and about.weights == "untrained"
    assert about.measured["processor"] and about.measured["batch_size"] == settings.BATCH_SIZE


def test_started_again_nothing_is_computed(copy, dataset, monkeypatch):
    monkeypatch.setattr(weights, "load", lambda *a, **k: pytest.fail("the model was loaded"))
    progress = Listening()
    runner.run([dataset], request(), copy, progress)
    assert "already there" in progress.said[-1]


def test_what_is_missing_is_added_and_the_rest_kept(copy, dataset):
    before = open_run(copy, dataset)
    kept = before.neighbors("conv1", "flatten", "cosine")
    runner.run([dataset], request(metrics=("euclidean",), poolings=("avg",)), copy, Silent())
    after = open_run(copy, dataset)
    assert len(after.summaries) == len(before.summaries) + 2
    np.testing.assert_array_equal(after.neighbors("conv1", "flatten", "cosine").ids, kept.ids)
    assert [s.depth for s in after.summaries] == sorted(s.depth for s in after.summaries)


def test_projections_of_all_layers_stay_aligned_when_a_layer_is_added(copy, dataset):
    runner.run([dataset], request(layers=("conv_dw_6",), poolings=("avg",)), copy, Silent())
    run = open_run(copy, dataset)
    added = run.projections("avg", "pca", 2)
    assert [one.layer for one in added] == ["conv1", "conv_dw_6", "conv_pw_13"]
    assert [one.layer for one in run.projections("flatten", "pca", 2)] == list(LAYERS)
    assert max(np.abs(one.coordinates).max() for one in added) == pytest.approx(1)


def test_projections_are_kept_when_only_a_metric_is_added(copy, dataset):
    before = open_run(copy, dataset).projections("avg", "umap", 3)
    runner.run([dataset], request(layers=("conv1",), metrics=("euclidean",)), copy, Silent())
    after = open_run(copy, dataset).projections("avg", "umap", 3)
    for one, two in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.coordinates, two.coordinates)


def test_a_damaged_model_is_computed_again(copy, dataset):
    run = open_run(copy, dataset)
    (run.folder / run.about.files["neighbors"]).write_bytes(b"junk")
    runner.run([dataset], request(), copy, Silent())
    assert len(open_run(copy, dataset).summaries) == 8


def test_images_that_cannot_be_read_are_skipped_and_named(tmp_path):
    dataset = draw_dataset(tmp_path / "shapes")
    dataset.path(2).write_bytes(b"not a picture")
    dataset = datasets.scan(tmp_path / "shapes")
    progress = Listening()
    runner.run([dataset], request(layers=("conv1",), poolings=("avg",)), tmp_path / "grid", progress)
    run = open_run(tmp_path / "grid", dataset)
    assert any("2.png" in sentence for sentence in progress.said)
    assert [place for place, _ in run.about.skipped] == [2]
    found = run.neighbors("conv1", "avg", "cosine")
    assert 2 not in found.queries and 2 not in found.ids
    assert len(found.queries) == len(dataset) - 1


def test_fewer_than_two_readable_images_give_a_sentence(tmp_path):
    dataset = draw_dataset(tmp_path / "shapes", classes=1, per_class=2)
    dataset.path(0).write_bytes(b"no")
    with pytest.raises(UserError, match="1 readable images"):
        runner.run(
            [datasets.scan(tmp_path / "shapes")], request(layers=("conv1",)), tmp_path / "grid", Silent()
        )


def test_tiles_of_rows_give_what_the_whole_gives(dataset, monkeypatch):
    from core.experiments.column_file import ColumnBlocks

    rows = np.random.default_rng(0).normal(size=(len(dataset), 9)).astype(np.float32)
    features = runner.Features(np.arange(len(dataset)), {("a", "avg"): ColumnBlocks(len(dataset), 9)}, ())
    features.vectors["a", "avg"].append(rows)
    whole, cosine = runner.compare(features, "a", "avg", ["euclidean"], 4, dataset.labels)
    assert cosine.shape == (len(dataset), len(dataset))
    monkeypatch.setattr(runner, "_TILE", 5 * len(dataset))
    tiled, cosine = runner.compare(features, "a", "avg", ["euclidean"], 4, dataset.labels)
    assert cosine is None
    np.testing.assert_array_equal(tiled[0].neighbors.ids, whole[0].neighbors.ids)
    np.testing.assert_allclose(tiled[0].pair_quantiles, whole[0].pair_quantiles, rtol=1e-6)


def test_a_second_writer_is_refused(tmp_path):
    with lock.writing(tmp_path), pytest.raises(UserError, match="Another run"), lock.writing(tmp_path):
        pass


def core(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "core", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


def test_a_shipped_dataset_goes_into_any_grid_by_its_name(tmp_path):
    arguments = ["--model", "squeezenet", "--weights", "untrained", "--layer", "conv1_activation"]
    arguments += ["--pooling", "avg", "--metric", "cosine", "--out", tmp_path]
    run = core("grid", "run", "--dataset", "emoji200", *arguments)
    assert run.returncode == 0, run.stderr
    there = store.Grid(tmp_path)
    shipped = store.Grid(settings.GRID_DIR).dataset("emoji200")
    dataset = there.dataset("emoji200")
    assert dataset.path(7) == shipped.path(7)
    found = there.run(dataset, "squeezenet", "untrained").neighbors("conv1_activation", "avg", "cosine")
    assert found.ids.shape == (200, 20)


def test_killed_in_the_middle_it_goes_on_with_the_models_that_are_missing(dataset, tmp_path):
    out = tmp_path / "grid"
    arguments = ["grid", "run", "--dataset", dataset.images, "--model", "mobilenet", "--model", "mobilenetv2"]
    arguments += ["--weights", "untrained", "--pooling", "avg", "--metric", "cosine", "--out", out]
    run = subprocess.Popen(
        [sys.executable, "-m", "core", *map(str, arguments)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    first = out / dataset.name / "mobilenet.untrained" / "model.json"
    deadline = time.monotonic() + 120
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert len(open_run(out, dataset).summaries) == 8
    written = first.stat().st_mtime_ns
    again = core(*arguments)
    assert again.returncode == 0, again.stderr
    assert "already there" in again.stderr
    assert first.stat().st_mtime_ns == written
    listed = json.loads(core("grid", "list", "--grid", out, "--json").stdout)
    assert {row["model"] for row in listed} == {"mobilenet", "mobilenetv2"}
