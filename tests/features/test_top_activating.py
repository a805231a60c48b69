"""Top-activating images compared with the Keras graph."""

import numpy as np
import pytest

from core.errors import UnknownNameError, UserError, WeightsError
from core.features import activations, channel_files, top_activating
from core.imaging import decode, transform
from core.models import registry
from core.progress import Silent
from core.search import shared_engine
from core.settings import settings
from tests.experiments.synthetic import draw_dataset

NAME = "efficientnet-lite0"
LITE = registry.get_model(NAME)
# One of the eight, and one that only the architecture lists.
LAYERS = ("block1_output", "block2a_depthwise_activation")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    drawn = draw_dataset(tmp_path_factory.mktemp("shapes"), 3, 4)
    drawn.path(5).write_bytes(b"not a picture")
    return drawn


@pytest.fixture(scope="module")
def activation_of(dataset):
    """By layer: (images that can be read, height, width, channels), one image at a time, as Keras computes it."""
    import keras

    graph = shared_engine.engine().graph(NAME, "imagenet")
    cut = keras.Model(graph.input, [graph.get_layer(layer).output for layer in LAYERS])
    rows = []
    for item in dataset.items:
        if item.id != 5:
            pixels = transform.resize(decode.read(dataset.path(item.id)), LITE.input_size, LITE.resample)
            rows.append([a.numpy()[0] for a in cut(LITE.preprocessing(pixels[None].astype(np.float32)))])
    return {layer: np.stack([row[i] for row in rows]) for i, layer in enumerate(LAYERS)}


IDS = np.array([0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11])


@pytest.fixture(scope="module")
def found(dataset):
    return top_activating.find(
        dataset, LITE, shared_engine.engine().loaded(NAME, "imagenet"), LAYERS, Silent()
    )


@pytest.mark.parametrize("layer", LAYERS)
def test_the_images_with_the_highest_peaks_in_order(layer, found, activation_of):
    peaks = activation_of[layer].max(axis=(1, 2))
    for channel in range(peaks.shape[1]):
        mine = found[layer].of(channel)
        positive = peaks[:, channel][peaks[:, channel] > 0]
        expected = np.sort(positive)[::-1][: channel_files.MOST]
        np.testing.assert_allclose([one.value for one in mine], expected, rtol=1e-4, atol=1e-5)
        assert len({one.item for one in mine}) == len(mine)
        for one in mine:
            assert peaks[list(IDS).index(one.item), channel] == pytest.approx(one.value, rel=1e-4, abs=1e-5)
    np.testing.assert_allclose(found[layer].spread, peaks.std(axis=0), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_region_holds_the_peak_and_little_that_is_far_below_it(layer, found, activation_of):
    _, height, width, n_channels = activation_of[layer].shape
    for channel in range(0, n_channels, 5):
        for one in found[layer].of(channel):
            activation = activation_of[layer][list(IDS).index(one.item), :, :, channel]
            left, top, right, bottom = one.box
            assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
            inside = activation[
                int(top * height) : int(np.ceil(bottom * height)),
                int(left * width) : int(np.ceil(right * width)),
            ]
            assert inside.max() == pytest.approx(activation.max(), rel=1e-3)


def test_a_region_is_the_connected_area_at_half_height():
    coarse = np.zeros((8, 8), np.float16)
    coarse[1:3, 2:6] = 0.9
    coarse[1, 2] = 1
    coarse[6, 6] = 0.95  # another one, elsewhere
    rows = top_activating._interpolation(8)
    left, top, right, bottom = top_activating._region(coarse, rows @ coarse.astype(np.float32) @ rows.T)
    # Between two middles the map falls to half of the peak a little before the edge of the position.
    assert (left, top, right, bottom) == pytest.approx((2 / 8, 1 / 8, 6 / 8, 3 / 8), abs=0.03)


def test_a_small_peak_far_above_the_rest_has_a_region():
    best = top_activating._Best()
    activation = np.full((4, 4, 1), -100.0, np.float32)
    activation[1, 2, 0] = 1e-4
    best.add(7, activation)
    found = best.found()
    assert found.items[0, 0] == 7
    # Its own position, since all others are far below.
    np.testing.assert_allclose(found.boxes[0, 0], [0.5, 0.25, 0.75, 0.5])


def test_a_lone_peak_has_its_own_position_for_a_region():
    coarse = np.full((5, 5), -3, np.float16)
    coarse[4, 0] = 1
    rows = top_activating._interpolation(5)
    box = top_activating._region(coarse, rows @ coarse.astype(np.float32) @ rows.T)
    assert box == pytest.approx((0, 4 / 5, 1 / 5, 1))


@pytest.mark.parametrize("n", [1, 5, 7, 13, 56, 112])
def test_upsampling_keeps_peaks_and_adds_none(n):
    rows = top_activating._interpolation(n)
    assert rows.shape[0] >= 56 and rows.shape[0] % n == 0
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-5)
    line = np.random.default_rng(n).normal(size=n)
    assert (rows @ line).max() == pytest.approx(line.max(), rel=1e-5)


def test_live_results_are_computed_once_and_are_those_of_the_pass(dataset, found, monkeypatch):
    layer = LAYERS[0]
    mine = top_activating.top_images(dataset, NAME, "imagenet", layer, 3, 4)
    assert [one.item for one in mine] == [one.item for one in found[layer].of(3)[:4]]
    monkeypatch.setattr(top_activating, "find", None)
    assert len(top_activating.top_images(dataset, NAME, "imagenet", layer, 4)) > 0


def test_every_image_is_a_step_and_what_progress_raises_ends_the_pass(dataset):
    class Impatient(Silent):
        def step(self, n=1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        top_activating.top_images(dataset, NAME, "imagenet", "stem_activation", 0, progress=Impatient())


@pytest.mark.parametrize(
    ("model", "weights", "layer", "channel", "error"),
    [
        ("nope", "imagenet", "stem_activation", 0, UnknownNameError),
        (NAME, "file-12345678", "stem_activation", 0, UnknownNameError),
        (NAME, "imagenet", "nope", 0, UnknownNameError),
        (NAME, "imagenet", LAYERS[0], 16, UserError),
        (NAME, "imagenet", LAYERS[0], -1, UserError),
        ("vgg19", "imagenet", "block1_conv1", 0, WeightsError),
    ],
)
def test_what_is_not_there_is_reported(dataset, monkeypatch, tmp_path, model, weights, layer, channel, error):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(error):
        top_activating.top_images(dataset, model, weights, layer, channel)


def test_a_dataset_of_which_nothing_can_be_read_is_reported(tmp_path):
    drawn = draw_dataset(tmp_path, 1, 2)
    for item in drawn.items:
        drawn.path(item.id).write_bytes(b"")
    with pytest.raises(UserError, match="can be read"):
        top_activating.top_images(drawn, NAME, "imagenet", LAYERS[0], 0)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_activation_of_an_image_is_what_keras_computes(layer, dataset, activation_of):
    image = decode.read(dataset.path(2))
    mine = activations.activation(image, NAME, "imagenet", layer)
    np.testing.assert_allclose(mine, activation_of[layer][2], rtol=1e-3, atol=1e-3)
    peaks = activation_of[layer][2].max(axis=(0, 1))
    strongest = activations.strongest(mine, 5)
    np.testing.assert_allclose(peaks[strongest], np.sort(peaks)[::-1][:5], rtol=1e-3)


def test_activations_of_networks_that_are_not_there_are_reported(dataset, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    image = decode.read(dataset.path(0))
    for model, layer, error in (("nope", "x", UnknownNameError), (NAME, "nope", UnknownNameError), ("vgg19", "block1_conv1", WeightsError)):  # fmt: skip
        with pytest.raises(error):
            activations.activation(image, model, "imagenet", layer)


def test_bounded_memory_whatever_the_number_of_images():
    best = top_activating._Best()
    rng = np.random.default_rng(0)
    for item in range(40):
        best.add(item, rng.normal(size=(4, 4, 3)).astype(np.float32))
    assert best.maps.shape == (3, channel_files.MOST, 4, 4)
    assert settings.BATCH_SIZE < 40
