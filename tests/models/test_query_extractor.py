import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from core.models import extractor, networks, query_extractor, registry, runtime
from core.models.query_extractor import QueryExtractor
from core.settings import settings
from tests.conftest import needs_openvino
from tests.models.test_runtime import pixels

pytestmark = pytest.mark.slow

MODEL = registry.get_model("squeezenet")
LAYER, POOLINGS = MODEL.layers[-1].name, ("avg", "gem")


@pytest.fixture(scope="module")
def network():
    return networks.load(MODEL, "imagenet")


@pytest.fixture
def compiled(monkeypatch) -> list[int]:
    """For how many passes at a time networks are compiled during the test."""
    done = []
    compile_ = runtime.OpenVINONetwork.compile

    def watched(self, layers, finish, batch_size, side_by_side=1):
        done.append(side_by_side)
        return compile_(self, layers, finish, batch_size, side_by_side)

    monkeypatch.setattr(runtime.OpenVINONetwork, "compile", watched)
    return done


def overlap(queries: QueryExtractor, images: np.ndarray, until: float = 60) -> list[dict]:
    """Vectors of all images, asked for by several threads, until the second network is ready."""
    deadline = time.monotonic() + until
    with ThreadPoolExecutor(4) as pool:
        while queries._others is None and time.monotonic() < deadline:
            list(pool.map(queries, images[:, None]))
        return list(pool.map(queries, images[:, None]))


@needs_openvino
def test_vectors_are_the_same_whoever_else_asks(network, compiled):
    images = pixels(MODEL.input_size, 12)
    queries = QueryExtractor(MODEL, network, [LAYER], POOLINGS, 2)
    alone = [queries(image[None]) for image in images]
    assert compiled == [1] and queries._others is None
    for found, expected in zip(overlap(queries, images), alone, strict=True):
        for key, vectors in expected.items():
            np.testing.assert_allclose(found[key], vectors, rtol=1e-6, atol=1e-6 * np.abs(vectors).max())
    assert compiled == [1, 2] and queries._others is not None
    in_grid = extractor.Extractor(MODEL, network, [LAYER], POOLINGS, 8)(images[:8])
    for place, expected in enumerate(alone[:8]):
        for key, vectors in expected.items():
            np.testing.assert_allclose(in_grid[key][place], vectors[0], rtol=1e-5, atol=1e-6)


@needs_openvino
def test_a_lone_image_has_all_cores_and_others_share_them(network, monkeypatch):
    monkeypatch.setattr(query_extractor, "_CROWD_SECONDS", 0)
    images = pixels(MODEL.input_size, 4)
    queries = QueryExtractor(MODEL, network, [LAYER], POOLINGS, 2)
    overlap(queries, images)
    started, goes_on = threading.Event(), threading.Event()
    alone, others = queries._run, queries._others
    calls = []

    def slowly(batch):
        started.set()
        goes_on.wait(60)
        return alone(batch)

    queries._run = slowly
    queries._others = lambda batch: calls.append(len(batch)) or others(batch)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(queries, images[:1])
        assert started.wait(60)
        queries(images[1:2])
        goes_on.set()
        first.result()
    assert calls == [1]
    queries(images[:1])
    assert calls == [1]


@needs_openvino
def test_soon_after_images_overlapped_none_takes_all_cores(network, monkeypatch):
    monkeypatch.setattr(query_extractor, "_CROWD_SECONDS", 600)
    images = pixels(MODEL.input_size, 4)
    queries = QueryExtractor(MODEL, network, [LAYER], POOLINGS, 2)
    overlap(queries, images)
    others, calls = queries._others, []
    queries._others = lambda batch: calls.append(len(batch)) or others(batch)
    queries(images[:1])
    assert calls == [1]


def test_tensorflow_and_one_pass_at_a_time_need_no_second_network(monkeypatch, network, compiled):
    images = pixels(MODEL.input_size, 4)
    overlap(QueryExtractor(MODEL, network, [LAYER], POOLINGS, 1), images, until=0.5)
    monkeypatch.setattr(settings, "OPENVINO", False)
    theirs = networks.load(MODEL, "imagenet")
    queries = QueryExtractor(MODEL, theirs, [LAYER], POOLINGS, 2)
    overlap(queries, images, until=0.5)
    assert queries._others is None and set(compiled) <= {1}


@needs_openvino
def test_an_error_leaves_the_next_image_alone(network):
    queries = QueryExtractor(MODEL, network, [LAYER], POOLINGS, 2)
    with pytest.raises(ValueError):
        queries(np.zeros((1, 3, 3, 3), np.uint8))
    assert queries._running == 0
