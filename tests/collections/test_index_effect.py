"""What an approximate index costs the labels of what is found."""

import json

import numpy as np
import pytest
from scipy import stats
from sklearn.neighbors import NearestNeighbors

from core import cli
from core.collections import experiment_index, index_tuning
from core.collections.search_quality import label_loss
from core.errors import GridError
from core.experiments.store import Configuration, Grid
from core.progress import Silent
from core.settings import settings
from tests.collections import pixels

EXACT = np.array([[1, 2, 3, 4]] * 40)


def test_the_loss_and_its_interval_are_those_of_a_paired_mean():
    rng = np.random.default_rng(0)
    labels = {row: str(row % 2) for row in range(200)}
    queries = np.arange(40) + 100
    exact, found = (rng.integers(0, 100, (40, 10)) for _ in range(2))
    loss = label_loss(queries, exact, found, labels)
    shares = [
        [np.mean([labels[n] == labels[q] for n in row]) for q, row in zip(queries, lists, strict=True)]
        for lists in (exact, found)
    ]
    gaps = np.subtract(*shares)
    low, high = stats.t.interval(0.95, 39, gaps.mean(), stats.sem(gaps))
    assert (loss.mean, loss.low, loss.high) == pytest.approx((gaps.mean(), low, high), abs=1e-4)
    assert loss.differing == np.count_nonzero(gaps)


def test_few_differences_are_decided_by_the_exact_test():
    labels = dict.fromkeys(range(200), "a") | {50: "b"}
    found = EXACT.copy()
    found[:6, 0] = 50
    loss = label_loss(np.arange(40) + 100, EXACT, found, labels)
    assert (loss.differing, loss.p, loss.certain) == (6, pytest.approx(2 / 2**6), True)
    assert loss.mean == pytest.approx(6 / 4 / 40)


def test_images_without_a_label_count_for_nothing():
    queries = np.arange(40) + 100
    assert label_loss(queries, EXACT, EXACT, {}) is None
    assert label_loss(queries, EXACT, EXACT, {100: "a"}) is None
    one = label_loss(queries, EXACT, EXACT, {100: "a", 1: "a"})
    assert (one.mean, one.low, one.high) == (0, 0, 0)


def test_an_index_that_finds_all_loses_nothing_and_one_that_misses_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "CATALOG_URL", None)
    rng = np.random.default_rng(1)
    with pixels.create(folder=tmp_path) as made:
        codes = np.arange(1500) % 50
        vectors = rng.normal(size=(50, 192))[codes] + 2.5 * rng.normal(size=(1500, 192))
        made.add_vectors([str(i) for i in range(1500)], vectors, [str(code) for code in codes])
        found = {one.kind: one for one in index_tuning.measure(made, ["flat", "IVF64,PQ2x2"], Silent())}
    flat, coarse = found["flat"], found["IVF64,PQ2x2"]
    assert (flat.recall, flat.label_loss.mean, flat.label_loss.certain) == (1.0, 0.0, False)
    assert coarse.recall < 0.95
    loss = coarse.label_loss
    assert loss.mean == pytest.approx(flat.label_precision - coarse.label_precision, abs=1e-9)
    assert loss.low < loss.mean < loss.high and loss.differing > 0


def test_the_vectors_of_an_experiment_are_measured_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "SCRATCH_DIR", tmp_path)
    monkeypatch.setattr(settings, "CATALOG_URL", None)
    grid = Grid().load("objects200")
    configuration = Configuration("squeezenet", "imagenet", "fire9_concat", "avg", "cosine")
    [flat] = experiment_index.measure(grid, configuration, ["flat"], Silent())
    _, vectors = grid.run(configuration).vectors("fire9_concat")
    search = NearestNeighbors(n_neighbors=11, metric="cosine").fit(vectors.astype(float))
    nearest = search.kneighbors(return_distance=False)[:, :10]
    labels = np.array(grid.dataset.labels)
    assert flat.label_precision == pytest.approx((labels[nearest] == labels[:, None]).mean(), abs=2e-3)
    assert flat.recall == 1.0 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("weights", "pooling"), [("untrained", "avg"), ("imagenet", "flatten")])
def test_vectors_that_are_not_stored_are_refused(weights, pooling):
    model = "vgg16" if weights == "untrained" else "squeezenet"
    grid = Grid().load("objects200")
    one = next(s for s in grid.summaries if (s.model, s.weights, s.pooling) == (model, weights, pooling))
    with pytest.raises(GridError, match="collection tune"):
        experiment_index.measure(grid, one.configuration, (), Silent())


def test_the_command_prints_the_loss(monkeypatch, capsys):
    monkeypatch.setattr(settings, "CATALOG_URL", None)
    options = ["--dataset", "objects200", "--model", "squeezenet", "--layer", "fire9_concat"]
    assert cli.main(["grid", "tune", *options, "--index", "flat", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert (row["recall@10"], row["label loss"], row["loss from"], row["loss to"]) == (1.0, 0.0, 0.0, 0.0)
    assert cli.main(["grid", "tune", *options, "--index", "flat", "--min-recall", "1.1"]) == 2
    assert "within the limits" in capsys.readouterr().err
