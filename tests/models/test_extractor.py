import numpy as np
import pytest
from PIL import Image
from scipy.stats import pmean

from core.errors import UnknownNameError
from core.models import extractor, networks, registry, weights

MODEL = registry.get_model("mobilenet")
LAYERS = ("conv1", "conv_dw_6", "conv_pw_13")


@pytest.fixture(scope="module")
def graph():
    return weights.load(MODEL, "untrained")[0]


@pytest.fixture(scope="module")
def network():
    return networks.load(MODEL, "untrained")


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)


@pytest.fixture(scope="module")
def vectors(network, pixels):
    return extractor.Extractor(MODEL, network, LAYERS, tuple(extractor.POOLINGS), batch_size=4)(pixels)


def test_one_pass_gives_every_layer_under_every_pooling(vectors):
    assert {key: value.shape for key, value in vectors.items()} == {
        (layer, pooling): (3, extractor.dimensions(MODEL.layer(layer).shape, pooling))
        for layer in LAYERS
        for pooling in extractor.POOLINGS
    }


def test_one_pass_gives_what_keras_gives_layer_by_layer(graph, pixels, vectors):
    import keras

    prepared = MODEL.preprocessing(pixels.astype(np.float32))
    for layer in LAYERS:
        cut = keras.Model(graph.input, graph.get_layer(layer).output)
        activation = np.asarray(cut(prepared))
        np.testing.assert_allclose(vectors[layer, "flatten"], activation.reshape(3, -1), rtol=1e-3, atol=1e-5)


def test_poolings_are_what_they_say(vectors):
    for layer in LAYERS:
        height, width, channels = MODEL.layer(layer).shape
        positions = vectors[layer, "flatten"].reshape(3, height * width, channels).astype(np.float64)
        np.testing.assert_allclose(vectors[layer, "avg"], positions.mean(axis=1), rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(vectors[layer, "max"], positions.max(axis=1), rtol=1e-6)
        np.testing.assert_allclose(
            vectors[layer, "gem"], pmean(np.maximum(positions, 1e-6), 3, axis=1), rtol=1e-3, atol=1e-6
        )


def test_a_batch_gives_what_single_images_give(network, pixels, vectors):
    single = extractor.Extractor(MODEL, network, LAYERS, tuple(extractor.POOLINGS), batch_size=1)
    for i in range(len(pixels)):
        for key, rows in single(pixels[i : i + 1]).items():
            np.testing.assert_allclose(rows[0], vectors[key][i], rtol=1e-4, atol=1e-5, err_msg=str(key))


def test_the_place_in_a_batch_does_not_matter(network, pixels, vectors):
    average = extractor.Extractor(MODEL, network, LAYERS, ("avg",), batch_size=4)
    for key, rows in average(pixels[::-1]).items():
        np.testing.assert_allclose(rows[::-1], vectors[key], rtol=1e-4, atol=1e-5)


def test_unknown_names_are_refused_with_the_valid_ones(network):
    with pytest.raises(UnknownNameError, match="avg, max, gem, flatten"):
        extractor.Extractor(MODEL, network, LAYERS, ("sum",))
    with pytest.raises(UnknownNameError, match="conv_pw_13"):
        extractor.Extractor(MODEL, network, ("conv_pw_99",))


@pytest.fixture
def files(tmp_path):
    paths = []
    for i in range(7):
        paths.append(tmp_path / f"{i}.png")
        Image.new("RGB", (20 + i, 30), (i * 30, 0, 0)).save(paths[-1])
    paths[3].write_bytes(paths[3].read_bytes()[:40])
    paths[6].unlink()
    return paths


def test_files_come_in_order_and_broken_ones_are_named(files):
    batches = list(extractor.read_batches(files, 16, "bicubic", 3))
    assert [batch.places.tolist() for batch in batches] == [[0, 1, 2], [4, 5], []]
    assert [place for batch in batches for place, _ in batch.failures] == [3, 6]
    reasons = [reason for batch in batches for _, reason in batch.failures]
    assert reasons[0].startswith("3.png: ") and reasons[1].startswith("6.png: ")
    assert batches[1].pixels.shape == (2, 16, 16, 3)
    assert batches[1].pixels[0, 0, 0, 0] == pytest.approx(120, abs=1)


def test_decoding_runs_only_a_little_ahead(files, monkeypatch):
    opened = []
    monkeypatch.setattr(
        extractor, "_read", lambda path, *_: opened.append(path) or np.zeros((1, 1, 3), np.uint8)
    )
    batches = extractor.read_batches(files * 10, 1, "bilinear", 2)
    next(batches)
    assert len(opened) <= 6
    batches.close()
