"""The table of models against the graphs that it describes."""

import json
import subprocess
import sys

import numpy as np
import pytest

from core.errors import UnknownNameError
from core.models import registry
from core.models.package_weights import PackageWeights
from tests.reference import PUBLISHED

PUBLISHED_LAYERS = PUBLISHED.parents[2] / "published_layers.json"
APPLICATIONS = list(registry.APPLICATIONS)
COUNTED = ["xception", "inceptionv3"]


def test_nine_models_of_keras_and_five_with_weights_in_packages():
    assert len(APPLICATIONS) == 9
    packaged = [name for name, model in registry.MODELS.items() if isinstance(model.weights, PackageWeights)]
    assert packaged == [
        "efficientnet-lite0",
        "efficientnet-lite1",
        "efficientnet-lite2",
        "mobilenetv2",
        "squeezenet",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.MODELS)
def test_row_is_what_the_graph_is(name, graphs):
    import keras

    model, graph = registry.get_model(name), graphs(name)
    assert graph.input.shape == (None, model.input_size, model.input_size, 3)
    assert graph.count_params() == model.parameters
    assert len({layer.name for layer in model.layers}) == len(model.layers) == 8
    points = model.outputs(graph, [layer.name for layer in model.layers])
    assert [tuple(point.shape[1:]) for point in points] == [layer.shape for layer in model.layers]
    assert [keras.Model(graph.input, point).count_params() for point in points] == [
        layer.parameters for layer in model.layers
    ]


@pytest.mark.parametrize("name", ["efficientnet-lite0", "mobilenetv2", "squeezenet"])
def test_last_layer_is_what_the_original_pools(name, graphs):
    model, graph = registry.get_model(name), graphs(name)
    assert model.outputs(graph, [model.layers[-1].name])[0] is graph.output


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTED)
def test_counted_layers_are_found_whatever_was_built_before(name, graphs):
    """Keras's own name shifts with every graph of the process; the place in the graph does not."""
    model = registry.get_model(name)
    counted = [layer for layer in model.layers if layer.index is not None]
    first, second = graphs(name), model.build_graph()
    for layer in counted:
        ordinal = int(layer.name.removeprefix("conv2d_"))
        for graph in (first, second):
            (found,) = model.outputs(graph, [layer.name])
            owner = found._keras_history.operation
            numbers = sorted(_number(each.name) for each in graph.layers if each.name.startswith("conv2d"))
            assert numbers.index(_number(owner.name)) + 1 == ordinal
    assert first.layers[counted[0].index].name != second.layers[counted[0].index].name


def _number(name: str) -> int:
    return int(name.removeprefix("conv2d").removeprefix("_") or 0)


def test_graph_of_another_model_is_noticed(graphs):
    with pytest.raises(RuntimeError, match="should"):
        registry.get_model("xception").outputs(graphs("inceptionv3"), ["conv2d_3"])


@pytest.mark.skipif(
    not PUBLISHED_LAYERS.is_file(), reason="the published layers are not beside this checkout"
)
@pytest.mark.parametrize("name", APPLICATIONS)
def test_layers_are_the_published_ones_by_depth(name):
    published = json.loads(PUBLISHED_LAYERS.read_text())["models"][name]
    published.sort(key=lambda layer: layer["keras_index"])
    for ours, theirs in zip(registry.get_model(name).layers, published, strict=True):
        counted = ours.index is not None
        assert ours.name == theirs["published" if counted else "keras_name"]
        assert list(ours.shape) == theirs["output_shape"]
        assert not counted or ours.index == theirs["keras_index"]


@pytest.mark.parametrize("name", APPLICATIONS)
def test_preprocessing_is_that_of_keras(name):
    import keras

    module = {"efficientnetb0": "efficientnet", "efficientnetb5": "efficientnet", "densenet121": "densenet"}
    module |= {"inceptionv3": "inception_v3"}
    reference = getattr(keras.applications, module.get(name, name)).preprocess_input
    x = np.random.default_rng(0).uniform(0, 255, (2, 4, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(registry.get_model(name).preprocessing(x), reference(x.copy()), atol=2e-5)


def test_preprocessing_by_hand():
    x = np.array([[[[255.0, 127.0, 0.0]]]], np.float32)
    assert registry.get_model("efficientnet-lite0").preprocessing(x).ravel().tolist() == [
        1.0,
        0.0,
        -127 / 128,
    ]
    np.testing.assert_allclose(
        registry.get_model("squeezenet").preprocessing(x).ravel(),
        [-104.006, 10.331, 132.321],
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        registry.get_model("mobilenetv2").preprocessing(x).ravel(),
        [(1 - 0.485) / 0.229, (127 / 255 - 0.456) / 0.224, -0.406 / 0.225],
        rtol=1e-5,
    )


@pytest.mark.parametrize("name", ["mobilenet", "vgg16", "efficientnetb0", "squeezenet"])
def test_preprocessing_works_on_tensors_too(name):
    import tensorflow as tf

    model = registry.get_model(name)
    x = np.random.default_rng(0).uniform(0, 255, (2, 3, 3, 3)).astype(np.float32)
    compiled = tf.function(lambda images: model.preprocessing(images))
    np.testing.assert_allclose(compiled(tf.constant(x)).numpy(), model.preprocessing(x), atol=1e-5)


def test_layers_are_counted_from_the_image():
    model = registry.get_model("vgg16")
    assert model.depth("block1_conv1") == 1
    assert model.depth("block5_conv3") == 8
    assert model.layer("block3_conv1").shape == (56, 56, 256)


def test_unknown_names_are_reported_with_the_valid_ones():
    with pytest.raises(UnknownNameError, match=r"model 'vgg17'.*vgg16"):
        registry.get_model("vgg17")
    with pytest.raises(UnknownNameError, match=r"layer of vgg16 'top'.*block1_conv1"):
        registry.get_model("vgg16").layer("top")


def test_listing_models_imports_neither_keras_nor_tensorflow():
    program = (
        "import sys; from core.models import registry, weights\n"
        "for model in registry.MODELS.values(): weights.availability(model)\n"
        "print(sorted({'tensorflow', 'keras', 'h5py', 'torch'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.slow
def test_for_another_size_the_layers_have_the_shapes_of_its_graph():
    model = registry.get_model("mobilenet")
    assert model.at_size(model.input_size) is model
    small = model.at_size(64)
    assert (small.input_size, small.layers[0].shape, small.layers[-1].shape) == (
        64,
        (32, 32, 32),
        (2, 2, 1024),
    )
    assert [layer.name for layer in small.layers] == [layer.name for layer in model.layers]
    assert len(small.outputs(small.build_graph(), [layer.name for layer in small.layers])) == 8
