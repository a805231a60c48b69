"""Feature visualizations of small networks and of EfficientNet-Lite 0."""

import random
from dataclasses import replace

import numpy as np
import pytest

from core.errors import UnknownNameError, UserError
from core.features import visualize
from core.features.visualize import peaks
from core.models import registry, weights
from core.progress import Silent

LITE = registry.get_model("efficientnet-lite0")
LAYER, CHANNELS = "block2_output", [9, 4]


@pytest.fixture(scope="module")
def graph():
    return weights.load(LITE, "imagenet")[0]


def visualized(graph, channels=CHANNELS, steps=32, layer=LAYER, progress=None):
    return visualize.visualize(graph, LITE, layer, channels, progress or Silent(), steps)


@pytest.fixture(scope="module")
def images(graph):
    return visualized(graph)


def small_model(size=64):
    return replace(LITE, input_size=size)


def small_graph(size=64):
    """A layer of every kind that a copy treats in its own way, with weights other than those it starts with."""
    import keras
    from keras import layers

    inputs = keras.Input((size, size, 3))
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0], name="normalized")(inputs)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="fused")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.ReLU(max_value=6.0, name="six")(x)
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    y = layers.Activation("relu6", name="named")(layers.Dropout(0.5, name="dropout")(y))
    x = layers.Concatenate(name="joined")(
        [layers.Add(name="added")([x, y]), layers.ReLU(negative_slope=0.1, name="leaky")(y)]
    )
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="swish", name="end")(x)
    x = layers.GlobalAveragePooling2D(name="pooled")(x)
    graph = keras.Model(inputs, x)
    rng = np.random.default_rng(0)
    values = {
        weight.path: rng.uniform(0.5, 1.5, weight.shape) * rng.choice([-1, 1], weight.shape)
        for weight in graph.weights
    }
    for weight in graph.weights:
        if "variance" in weight.path:
            values[weight.path] = np.abs(values[weight.path])
        if weight.dtype == "float32" and not weight.path.startswith("normalized"):
            weight.assign(values[weight.path])
    return graph


def test_an_image_is_square_and_has_contrast(images):
    assert images.dtype == np.uint8 and images.shape[0] == 2 and images.shape[3] == 3
    assert images.shape[1] == images.shape[2] > 32
    assert all(image.std() > 20 for image in images)


def test_it_activates_its_channel_far_more_than_its_start_or_noise_or_the_other_image_do(graph, images):
    noise = np.random.default_rng(0).integers(0, 256, images.shape).astype(np.uint8)
    mine = peaks(graph, LITE, LAYER, CHANNELS, images)
    for other, factor in ((visualized(graph, steps=0), 4), (noise, 1.3), (images[::-1].copy(), 1.3)):
        assert (mine > factor * peaks(graph, LITE, LAYER, CHANNELS, other)).all()


def test_the_same_image_each_time_and_in_any_company(graph, images):
    alone = visualized(graph, [CHANNELS[1]])
    assert np.abs(alone[0].astype(int) - images[1]).mean() < 3
    assert np.abs(images[0].astype(int) - images[1]).mean() > 20


def test_every_step_is_counted_and_what_progress_raises_ends_the_ascent(graph):
    class Cancelled(BaseException):
        pass

    class Impatient(Silent):
        done = 0

        def step(self, n=1):
            self.done += n
            if self.done == 3:
                raise Cancelled

    watched = Impatient()
    with pytest.raises(Cancelled):
        visualized(graph, [0], steps=1000, layer="stem_activation", progress=watched)
    assert watched.done == 3


@pytest.mark.parametrize("channel", [-1, 24])
def test_a_channel_that_is_not_there_is_reported_with_those_that_are(graph, channel):
    with pytest.raises(UserError, match=f"channels 0 to 23, not {channel}"):
        visualized(graph, [channel])


def test_a_layer_that_is_not_there_or_has_no_positions_is_refused(graph):
    with pytest.raises(UnknownNameError, match="block9_output"):
        visualized(graph, layer="block9_output")
    with pytest.raises(UserError, match=r"pooled of .* has no height and width"):
        visualize.visualize(small_graph(), small_model(), "pooled", [0], Silent(), 1)


@pytest.mark.parametrize("layer", ["fused", "six", "joined", "end"])
def test_the_copy_that_is_ascended_computes_what_the_graph_does_up_to_the_rectifier_at_its_end(layer):
    import keras

    graph = small_graph()
    output = graph.get_layer(layer).output
    batch = np.random.default_rng(1).normal(size=(2, 64, 64, 3)).astype(np.float32)
    expected = keras.Model(graph.input, output)(batch).numpy()
    exact = visualize._copy(graph, output, 64, to_ascend=False)(batch).numpy()
    ascended = visualize._copy(graph, output, 64, to_ascend=True)(batch).numpy()
    assert expected.std() > 0.1
    np.testing.assert_allclose(exact, expected, rtol=1e-5, atol=1e-5)
    top = {"fused": np.inf, "six": 6.0}.get(layer)
    if top is not None:
        assert ascended.min() < 0
        ascended = ascended.clip(0, top)
    np.testing.assert_allclose(ascended, expected, rtol=1e-5, atol=1e-5)


def test_copying_draws_nothing_from_the_random_numbers_of_the_process():
    graph = small_graph()
    before = random.getstate(), np.random.get_state()[1].tolist()
    visualize._copy(graph, graph.get_layer("end").output, 32, to_ascend=True)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


def test_a_channel_that_is_zero_at_the_start_is_visualized():
    import keras
    from keras import layers

    inputs = keras.Input((64, 64, 3))
    x = layers.Conv2D(1, 3, padding="same", activation="relu", name="silent")(inputs)
    x = layers.Conv2D(1, 1, name="end")(x)
    graph = keras.Model(inputs, x)
    # The first layer is zero for a gray image, and above zero only where all of a window is nearly white.
    graph.get_layer("silent").set_weights([np.full((3, 3, 3, 1), 1 / 27), np.array([-0.8])])
    graph.get_layer("end").set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    start = visualize.visualize(graph, small_model(), "end", [0], Silent(), 0)
    assert peaks(graph, small_model(), "end", [0], start) == 0
    woken = visualize.visualize(graph, small_model(), "end", [0], Silent(), 60)
    assert peaks(graph, small_model(), "end", [0], woken) > 0.1


@pytest.mark.parametrize(("size", "positions", "spacing"), [(224, 112, 2), (224, 55, 4), (224, 13, 16), (260, 9, 32), (299, 147, 2), (224, 1, 32), (224, 224, 1)])  # fmt: skip
def test_positions_lie_a_power_of_two_of_pixels_apart(size, positions, spacing):
    import keras

    assert visualize._spacing(small_model(size), keras.Input((positions, positions, 1))) == spacing
