import threading
import time

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from core.errors import UnknownNameError, UserError
from core.exact_index import Index
from core.experiments.store import Configuration, Grid
from core.imaging import decode
from core.metrics import METRICS, pairwise
from core.models import networks, weights
from core.search import engine as engine_module
from core.search.engine import Engine
from core.settings import settings

LAYER = "block6_output"
CONFIGURATION = Configuration("efficientnet-lite0", "imagenet", LAYER, "avg", "cosine")


@pytest.fixture(scope="module")
def engine():
    return Engine(Grid(settings.GRID_DIR))


@pytest.fixture(scope="module")
def dataset(engine):
    return engine.grid.dataset("objects200")


@pytest.mark.parametrize("metric", METRICS)
def test_an_index_finds_what_exact_distances_say(metric):
    rng = np.random.default_rng(0)
    vectors, queries = rng.normal(size=(50, 17)), rng.normal(size=(4, 17))
    places, distances = Index(vectors, metric).search(queries, 6)
    exact = pairwise(metric, queries, vectors)
    np.testing.assert_allclose(distances, np.sort(exact, axis=1)[:, :6], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(places, np.argsort(exact, axis=1)[:, :6])


def test_more_neighbors_than_vectors_give_all_of_them():
    assert Index(np.eye(3), "euclidean").search(np.ones((1, 3)), 9)[0].shape == (1, 3)


def test_a_query_of_another_length_is_refused():
    with pytest.raises(ValueError, match="3 numbers"):
        Index(np.eye(3), "cosine").search(np.ones((1, 4)), 1)


def test_an_image_of_the_dataset_is_its_own_nearest_neighbor(engine, dataset):
    for query in (0, 77, 199):
        ids, distances = _nearest(engine, dataset, query, 5)
        assert ids[0] == query
        assert distances[0] == pytest.approx(0, abs=1e-3)


def test_results_are_those_of_the_experiment(engine, dataset):
    shipped = engine.grid.run(dataset, "efficientnet-lite0", "imagenet").neighbors(LAYER, "avg", "cosine")
    _, distances = _nearest(engine, dataset, 42, 11)
    np.testing.assert_allclose(distances[1:], shipped.distances[42][:10], atol=2e-3)


@pytest.mark.slow
def test_vectors_that_are_not_stored_are_computed(engine, dataset):
    configuration = Configuration("squeezenet", "imagenet", "fire9_concat", "max", "euclidean")
    ids, index = engine.index(dataset, configuration)
    assert ids.tolist() == list(range(200)) and index.dimensions == 512
    vector = engine.embed(decode.read(dataset.path(9)), configuration)
    assert engine.nearest((ids, index), vector, 1)[0].tolist() == [9]


def test_the_activation_is_what_is_pooled(engine, dataset):
    picture = decode.read(dataset.path(5))
    activation = engine.activation(picture, CONFIGURATION)
    assert activation.shape == (7, 7, 192)
    pooled = engine.embed(picture, CONFIGURATION)
    np.testing.assert_allclose(activation.mean(axis=(0, 1)), pooled, rtol=1e-4, atol=1e-5)


def test_vectors_too_long_to_keep_are_refused(engine, dataset):
    configuration = Configuration("efficientnet-lite0", "imagenet", "stem_activation", "flatten", "cosine")
    with pytest.raises(UserError, match="MB allowed"):
        engine.index(dataset, configuration)


def test_searchable_lists_trained_ones_first_by_score(engine, dataset):
    rows = engine.searchable(dataset)
    trained = [row for row in rows if row.weights != "untrained"]
    assert rows[: len(trained)] == trained
    assert [row.score_10 for row in trained] == sorted((row.score_10 for row in trained), reverse=True)


def test_weights_that_come_later_can_be_searched_with(monkeypatch, dataset):
    engine, now = Engine(Grid(settings.GRID_DIR)), 0.0
    monkeypatch.setattr(engine_module, "monotonic", lambda: now)
    available, there = weights.availability, set[str]()
    monkeypatch.setattr(weights, "availability", lambda model: (model.name in there, available(model)[1]))

    def models() -> set[str]:
        return {one.model for one in engine.searchable(dataset) if one.weights == "imagenet"}

    assert models() == set() and engine.recommended(dataset).taken.weights == "untrained"
    there.add("squeezenet")
    now = 61.0
    assert models() == {"squeezenet"} and engine.recommended(dataset).taken.model == "squeezenet"


def test_unknown_names_are_refused(engine, dataset):
    picture = decode.read(dataset.path(0))
    for change in (
        {"model": "alexnet"},
        {"layer": "conv99"},
        {"pooling": "sum"},
        {"weights": "file-12345678"},
    ):
        with pytest.raises(UnknownNameError):
            engine.embed(picture, Configuration(**{**CONFIGURATION.__dict__, **change}))


def test_the_first_image_does_not_wait_for_the_graph_to_be_optimized(dataset):
    engine = Engine(Grid(settings.GRID_DIR))
    engine.network(CONFIGURATION)
    picture = decode.read(dataset.path(3))
    times = []
    for _ in range(9):
        started = time.perf_counter()
        engine.embed(picture, CONFIGURATION)
        times.append(time.perf_counter() - started)
    # Without a warm-up it takes ten times as long and more.
    assert times[0] < 5 * np.median(times[1:])


def test_threads_that_ask_at_once_load_the_model_once(monkeypatch, dataset):
    loads = []
    load = networks.load
    monkeypatch.setattr(networks, "load", lambda *a, **k: loads.append(a) or load(*a, **k))
    engine = Engine(Grid(settings.GRID_DIR))
    picture = decode.read(dataset.path(3))
    vectors = []
    threads = [
        threading.Thread(target=lambda: vectors.append(engine.embed(picture, CONFIGURATION)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1 and len(vectors) == 6
    assert cdist(vectors, vectors).max() == 0


def _nearest(engine, dataset, query, k):
    vector = engine.embed(decode.read(dataset.path(query)), CONFIGURATION)
    return engine.nearest(engine.index(dataset, CONFIGURATION), vector, k)
