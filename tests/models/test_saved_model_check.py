"""A user's saved model with layers of its own for the input: the same vectors as the model gives, or a refusal."""

import json

import numpy as np
import pytest

from core.errors import WeightsError
from core.imaging import decode, transform
from core.models import extractor, keras_weights, networks, registry, weights
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

# Trained, so that its features say something; it wants (value - 127) / 128.
MODEL = registry.get_model("efficientnet-lite0")
MOBILENET = registry.get_model("mobilenet")
LAST = MODEL.layers[-1].name
SIZE = MODEL.input_size


@pytest.fixture(scope="module")
def base():
    return weights.load(MODEL, "imagenet")[0]


@pytest.fixture(scope="module")
def images():
    """(2, size, size, 3) uint8: photographs."""
    files = sorted((ROOT / "precomputed" / "objects200" / "images").glob("*.webp"))[:40:20]
    return np.stack([transform.resize(decode.read(file), SIZE, MODEL.resample) for file in files])


def plain(base, x):
    return base(x)


def rescaled(base, x):
    from keras.layers import Rescaling

    return base(Rescaling(1 / 128, offset=-127 / 128)(x))


def normalized(base, x):
    from keras.layers import Normalization

    return base(Normalization(mean=[127.0] * 3, variance=[128.0**2] * 3)(x))


def adapted(base, x):
    """Normalization that has learnt what it does, so that its numbers are weights."""
    from keras.layers import Normalization

    layer = Normalization()
    values = np.array([-1, 255], np.float32)
    layer.adapt(np.stack([values] * 3, axis=-1))
    return base(layer(x))


def computed(base, x):
    return base((x - 127.0) / 128.0)


def augmented(base, x):
    from keras.layers import RandomFlip, Rescaling

    return base(Rescaling(1 / 128, offset=-127 / 128)(RandomFlip()(x)))


ACCEPTED = (plain, rescaled, normalized, adapted, computed, augmented)


def saved(make, base, path, shape=(SIZE, SIZE, 3)):
    """A classifier on what ``make`` returns, in a file; and the model of the pooled vectors."""
    import keras

    inputs = keras.Input(shape)
    pooled = keras.layers.GlobalAveragePooling2D()(make(base, inputs))
    keras.Model(inputs, keras.layers.Dense(5)(pooled)).save(path)
    return keras.Model(inputs, pooled)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.min((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)))


@pytest.mark.parametrize("make", ACCEPTED)
def test_an_accepted_model_gives_its_own_vectors(make, base, images, tmp_path):
    theirs = saved(make, base, tmp_path / "mine.keras")
    given = images.astype(np.float32)
    own = np.asarray(theirs(MODEL.preprocessing(given) if make is plain else given, training=False))
    network = extractor.Extractor(MODEL, networks.load(MODEL, tmp_path / "mine.keras"), [LAST], ["avg"], 2)
    assert cosine(network(images)[LAST, "avg"], own) > 0.9999


def test_a_sequence_of_layers_is_looked_into(base, tmp_path):
    import keras

    for scale, fits in ((1 / 128, True), (1 / 255, False)):
        keras.Sequential(
            [
                keras.Input((SIZE, SIZE, 3)),
                keras.layers.Rescaling(scale, offset=-127 / 128 if fits else 0),
                base,
                keras.layers.GlobalAveragePooling2D(),
            ]
        ).save(tmp_path / "mine.keras")
        if fits:
            weights.load(MODEL, tmp_path / "mine.keras")
        else:
            with pytest.raises(WeightsError, match=r"Rescaling scale 0\.0039"):
                weights.load(MODEL, tmp_path / "mine.keras")


def other_scale(base, x):
    from keras.layers import Rescaling

    return base(Rescaling(1 / 255)(x))


def other_mean(base, x):
    from keras.layers import Normalization

    return base(Normalization(mean=[123.0, 116.0, 103.0], variance=[58.0**2] * 3)(x))


def smaller(base, x):
    from keras.layers import Rescaling, Resizing

    return base(Resizing(SIZE, SIZE)(Resizing(96, 96)(Rescaling(1 / 128, offset=-127 / 128)(x))))


def reversed_channels(base, x):
    return base(((x - 127.0) / 128.0)[..., ::-1])


def grey(base, x):
    from keras.layers import Concatenate

    return base(Concatenate()([x, x, x]))


@pytest.mark.parametrize(
    ("make", "shape", "named"),
    [
        (other_scale, (SIZE, SIZE, 3), "Rescaling scale 0.0039"),
        (other_mean, (SIZE, SIZE, 3), "Normalization"),
        (smaller, (SIZE, SIZE, 3), "Resizing"),
        (reversed_channels, (SIZE, SIZE, 3), "GetItem"),
        (grey, (SIZE, SIZE, 1), "224 x 224 x 1"),
    ],
)
def test_other_input_is_refused_with_what_differs(make, shape, named, base, tmp_path):
    saved(make, base, tmp_path / "mine.keras", shape)
    with pytest.raises(WeightsError, match=rf"mine\.keras.*{named}.*from 0 to 255.*127"):
        weights.load(MODEL, tmp_path / "mine.keras")


def test_a_model_for_images_of_another_size_is_refused(tmp_path):
    import keras

    smaller = keras.applications.MobileNet(input_shape=(160, 160, 3), weights=None, include_top=False)
    smaller.save(tmp_path / "mine.keras")
    with pytest.raises(WeightsError, match=r"160 x 160 x 3.*224 x 224 x 3"):
        weights.load(MOBILENET, tmp_path / "mine.keras")


def test_several_inputs_are_refused(base, tmp_path):
    import keras

    image, facts = keras.Input((SIZE, SIZE, 3)), keras.Input((4,))
    pooled = keras.layers.GlobalAveragePooling2D()(base(image))
    keras.Model([image, facts], keras.layers.Concatenate()([pooled, facts])).save(tmp_path / "mine.keras")
    with pytest.raises(WeightsError, match="it has 2 inputs"):
        weights.load(MODEL, tmp_path / "mine.keras")


def test_weights_of_a_model_with_a_layer_for_its_input_are_refused(tmp_path):
    import keras

    inputs = keras.Input((SIZE, SIZE, 3))
    scaled = keras.layers.Rescaling(1 / 255)(inputs)
    flat = keras.applications.MobileNet(input_tensor=scaled, weights=None, include_top=False)
    flat.save_weights(tmp_path / "mine.weights.h5")
    with pytest.raises(WeightsError, match=r"mine\.weights\.h5.*layer rescaling"):
        weights.load(MOBILENET, tmp_path / "mine.weights.h5")


# Files of Keras 2


@pytest.fixture(scope="module")
def mobilenet():
    return weights.load(MOBILENET, "untrained")[0]


def keras2_file(path, graph, config=None):
    """The weights of a graph as Keras 2.15 lays them out in HDF5; a whole model with a description."""
    import h5py

    with h5py.File(path, "w") as file:
        group = file
        if config is not None:
            file.attrs["model_config"] = json.dumps(config)
            file.attrs["keras_version"] = "2.15.0"
            group = file.create_group("model_weights")
        group.attrs["keras_version"], group.attrs["backend"] = b"2.15.0", b"tensorflow"
        group.attrs["layer_names"] = [layer.name.encode() for layer in graph.layers]
        for layer in graph.layers:
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            inside = group.create_group(layer.name)
            inside.attrs["weight_names"] = [name.encode() for name in names]
            for name, value in zip(names, layer.get_weights(), strict=True):
                inside.create_dataset(name, data=value)
    return path


def described(*classes, shape=(None, SIZE, SIZE, 3), inputs=1):
    layers = [{"class_name": "InputLayer", "config": {"name": "input_1", "batch_input_shape": shape}}]
    layers += [{"class_name": name, "config": {"name": name.lower()}} for name in classes]
    return {
        "class_name": "Functional",
        "config": {"layers": layers, "input_layers": [["input_1", 0, 0]] * inputs},
    }


@pytest.mark.parametrize("name", ["mine.h5", "mine.weights.h5"])
@pytest.mark.parametrize("config", [None, described("Conv2D")])
def test_a_file_of_keras_2_is_loaded(name, config, mobilenet, tmp_path):
    graph, origin = weights.load(MOBILENET, keras2_file(tmp_path / name, mobilenet, config))
    assert origin.slug.startswith("file-")
    for value, expected in zip(graph.get_weights(), mobilenet.get_weights(), strict=True):
        np.testing.assert_array_equal(value, expected)


def test_a_file_of_keras_2_with_a_classifier_is_loaded(tmp_path):
    whole = keras_weights.build("MobileNet", 224, classifier=True)
    graph, _ = weights.load(MOBILENET, keras2_file(tmp_path / "mine.h5", whole, described("Conv2D", "Dense")))
    for value, expected in zip(graph.get_weights(), whole.get_weights(), strict=False):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (described("Rescaling", "Conv2D"), r"a whole model saved by Keras 2.*layer rescaling \(Rescaling\)"),
        (described("Lambda", "Conv2D"), r"layer lambda \(Lambda\)"),
        (described("Conv2D", shape=(None, 96, 96, 3)), "input is 96 x 96 x 3"),
        (described("Conv2D", inputs=2), "it has 2 inputs"),
        ({"class_name": "Functional"}, "can't be read"),
    ],
)
def test_a_model_of_keras_2_with_input_of_its_own_is_refused(config, named, mobilenet, tmp_path):
    with pytest.raises(WeightsError, match=named):
        weights.load(MOBILENET, keras2_file(tmp_path / "mine.h5", mobilenet, config))


@pytest.mark.parametrize(
    ("config", "named"),
    [(None, "weights saved by Keras 2"), (described("Conv2D"), "a whole model saved by Keras 2")],
)
def test_a_file_of_keras_2_that_does_not_fit_is_named_for_what_it_is(config, named, tmp_path):
    small = registry.get_model("squeezenet").build_graph()
    with pytest.raises(WeightsError, match=rf"{named} \(HDF5\)\) do not fit MobileNet"):
        weights.load(MOBILENET, keras2_file(tmp_path / "mine.h5", small, config))


def test_other_hdf5_is_no_file_of_weights(tmp_path):
    import h5py

    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file["numbers"] = [1, 2]
    with pytest.raises(WeightsError, match="is not a file of weights"):
        weights.load(MOBILENET, tmp_path / "mine.h5")
