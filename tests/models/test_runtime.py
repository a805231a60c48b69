import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from core.errors import UnknownNameError, UserError
from core.models import architecture, extractor, networks, registry, runtime, weights
from core.models.definition import Layer, Model
from core.models.preprocessing import TF
from core.settings import settings
from tests.conftest import ROOT, needs_openvino

pytestmark = pytest.mark.slow


def pixels(size: int, n: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), np.uint8)


def cosine_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return 1 - (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def extracted(monkeypatch, name: str, kind: str, openvino: bool) -> dict[tuple[str, str], np.ndarray]:
    monkeypatch.setattr(settings, "OPENVINO", openvino)
    model = registry.get_model(name)
    layers = [layer.name for layer in model.layers]
    network = extractor.Extractor(
        model, networks.load(model, kind), layers, tuple(extractor.POOLINGS), batch_size=2
    )
    return network(pixels(model.input_size))


@needs_openvino
@pytest.mark.parametrize(
    ("name", "kind"),
    [("efficientnet-lite0", "imagenet"), ("squeezenet", "imagenet"), ("efficientnetb0", "untrained")],
)
def test_both_runtimes_give_the_same_vectors(monkeypatch, name, kind):
    theirs = extracted(monkeypatch, name, kind, openvino=True)
    ours = extracted(monkeypatch, name, kind, openvino=False)
    assert list(theirs) == list(ours)
    for key, vectors in ours.items():
        assert theirs[key].shape == vectors.shape and theirs[key].dtype == vectors.dtype == np.float32
        assert cosine_distance(theirs[key], vectors).max() < 1e-6, key


@pytest.fixture(scope="module")
def network():
    model = registry.get_model("squeezenet")
    return extractor.Extractor(
        model,
        networks.load(model, "untrained"),
        [model.layers[-1].name, model.layers[0].name],
        ("max",),
        batch_size=1,
    )


def test_the_same_pixels_give_the_same_vector_bit_for_bit_from_any_thread(network):
    image = pixels(network.model.input_size, 1)
    expected = network(image)
    with ThreadPoolExecutor(4) as pool:
        for vectors_again in pool.map(lambda _: network(image), range(16)):
            for key, vectors in expected.items():
                np.testing.assert_array_equal(vectors_again[key], vectors)


def test_batches_of_any_size_from_any_thread_give_the_vectors_of_single_images(network):
    images = pixels(network.model.input_size, 9)
    alone = [network(image[None]) for image in images]
    in_batches = extractor.Extractor(
        network.model,
        networks.load(network.model, "untrained"),
        network.layers,
        network.poolings,
        batch_size=9,
    )
    sizes = [9, 1, 4, 5, 0, 2, 9]
    with ThreadPoolExecutor(4) as pool:
        for size, found in zip(sizes, pool.map(lambda n: in_batches(images[:n]), sizes), strict=True):
            for key, vectors in found.items():
                assert vectors.shape == (size, *alone[0][key].shape[1:]) and vectors.dtype == np.float32
                for vector, expected in zip(vectors, alone, strict=False):
                    np.testing.assert_allclose(vector, expected[key][0], rtol=1e-6)


def test_vectors_of_one_image_stay_when_the_next_is_run(network):
    image = pixels(network.model.input_size, 1)
    first = network(image)
    kept = {key: vectors.copy() for key, vectors in first.items()}
    network(255 - image)
    for key, vectors in kept.items():
        np.testing.assert_array_equal(first[key], vectors)


def test_openvino_is_left_alone_when_not_wanted_or_not_there(monkeypatch):
    monkeypatch.setattr(settings, "OPENVINO", False)
    assert runtime.name() == "tensorflow"
    monkeypatch.setattr(settings, "OPENVINO", True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert runtime.name() == "tensorflow"


@needs_openvino
def test_what_openvino_can_not_run_is_run_by_tensorflow(monkeypatch, caplog):
    import keras
    import tensorflow as tf

    class Doubled(keras.layers.Layer):
        def call(self, x):
            return tf.ensure_shape(tf.numpy_function(lambda values: values * 2, [x], tf.float32), x.shape)

        def compute_output_shape(self, shape):
            return shape

    def build(size):
        inputs = keras.Input((size, size, 3))
        return keras.Model(inputs, Doubled(name="twice")(inputs))

    monkeypatch.setattr(settings, "OPENVINO", True)
    layer = Layer("twice", (4, 4, 3), 0)
    model = Model("doubling", "Doubling", 4, "bilinear", TF, 0, (layer,), build, None, "none")
    network = runtime.of_graph(model, model.build_graph())
    image = pixels(4, 1)
    [doubled] = network.compile(["twice"], lambda ops, x: [ops.same(x)], 2)(image)
    np.testing.assert_allclose(doubled, 2 * TF(image.astype(np.float32)), rtol=1e-6)
    assert "TensorFlow does" in caplog.text


@pytest.mark.parametrize("openvino", [pytest.param(True, marks=needs_openvino), False])
def test_every_layer_with_positions_is_as_in_the_graph_and_others_are_refused(monkeypatch, openvino):
    monkeypatch.setattr(settings, "OPENVINO", openvino)
    model = registry.get_model("efficientnetb0")
    graph, _ = weights.load(model, "untrained")
    network = runtime.of_graph(model, graph)
    shapes = {name: layer.output.shape for name, layer in architecture.layers_by_name(graph).items()}
    spatial = [name for name, shape in shapes.items() if len(shape) == 4]
    image = pixels(model.input_size, 1)
    run = network.compile(spatial, lambda ops, x: [ops.same(x)], 1)
    for name, found in zip(spatial, run(image), strict=True):
        assert found.shape == (1, *shapes[name][1:]), name
    flat = next(name for name, shape in shapes.items() if len(shape) == 2)
    with pytest.raises(UserError, match="no height and width"):
        network.compile([flat], lambda ops, x: [ops.same(x)], 1)
    with pytest.raises(UnknownNameError, match="top_conv"):
        network.compile(["block99"], lambda ops, x: [ops.same(x)], 1)


@needs_openvino
def test_nothing_is_reported_to_the_maker_of_openvino(tmp_path):
    (tmp_path / "openvino_telemetry.py").write_text("print('reports')\n")
    code = """
from core.models import extractor, registry, runtime, weights
model = registry.get_model("squeezenet")
network = runtime.of_graph(model, weights.load(model, "untrained")[0])
extractor.Extractor(model, network, [model.layers[0].name], batch_size=1).warm_up()
import sys
print(sys.modules["openvino"].__name__)
"""
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert run.stdout.split() == ["openvino"]


@needs_openvino
def test_the_converter_of_openvino_is_imported_only_by_who_wants_it():
    code = """
import sys
from core.models import runtime
runtime.import_openvino()
print("openvino.tools.ovc" in sys.modules)
from openvino.tools.ovc import convert_model
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False"]


@needs_openvino
def test_what_no_output_needs_is_not_computed():
    import tensorflow as tf

    weight = tf.Variable([1.0, 2.0])

    @tf.function(input_signature=[tf.TensorSpec((1, 2), tf.uint8)], autograph=False)
    def forward(values):
        values = tf.cast(values, tf.float32) * weight
        tf.nn.silu(values)
        return [values + 1.0]

    concrete = forward.get_concrete_function()
    kept = runtime._with_constants(concrete)
    assert [node.name for node in kept.node if node.op == "Placeholder"] == ["values"]
    assert {"Sigmoid", "IdentityN"} & {node.op for node in concrete.graph.as_graph_def().node}
    assert not {"Sigmoid", "IdentityN", "ReadVariableOp"} & {node.op for node in kept.node}
