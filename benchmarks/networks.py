"""Networks to hold ours against: the same graph and weights, run by what others would run it with."""

import tempfile
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from core.models import networks as ours
from core.models import registry, runtime, weights
from core.models.package_weights import PackageWeights

if TYPE_CHECKING:
    import keras

Network = Callable[[np.ndarray], np.ndarray]
"""(batch, size, size, 3) uint8 to (batch, channels) float32: the mean over the last feature map."""


@cache
def load(name: str) -> "keras.Model":
    """The graph of a model: with ImageNet weights where a package has them, else with random ones, as fast."""
    return weights.load(registry.get_model(name), _weights(name))[0]


def of(name: str) -> runtime.Network:
    """The same network as ours has it."""
    return ours.load(registry.get_model(name), _weights(name))


def _weights(name: str) -> str:
    return "imagenet" if isinstance(registry.get_model(name).weights, PackageWeights) else "untrained"


def pixels(name: str, batch: int) -> np.ndarray:
    """(batch, size, size, 3) uint8 noise."""
    size = registry.get_model(name).input_size
    return np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), np.uint8)


def keras_predict(name: str, batch: int) -> Network:
    """``keras.Model.predict``, as most tutorials do it."""
    whole = _whole(name)
    return lambda images: whole.predict(images, batch_size=batch, verbose=0)


def compiled(name: str, batch: int) -> Network:
    """A compiled TensorFlow function of a fixed shape."""
    import tensorflow as tf

    whole = _whole(name)
    size = registry.get_model(name).input_size

    @tf.function(input_signature=[tf.TensorSpec((batch, size, size, 3), tf.uint8)], autograph=False)
    def forward(images: "tf.Tensor") -> "tf.Tensor":
        return whole(images, training=False)

    return lambda images: forward(tf.constant(images)).numpy()


def openvino(name: str, batch: int) -> Network | None:
    """OpenVINO in float32; None where it is not installed."""
    try:
        ov = runtime.import_openvino()
    except ImportError:
        return None
    size = registry.get_model(name).input_size
    with tempfile.TemporaryDirectory() as folder:
        _whole(name).export(folder, verbose=False)
        core = ov.Core()
        graph = core.read_model(folder)
        graph.reshape([batch, size, size, 3])
        network = core.compile_model(
            graph, "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        )
    return lambda images: network([images])[0]


def fastest(name: str, batch: int) -> tuple[str, Network]:
    """The network to beat: OpenVINO where it is installed, else the compiled function."""
    network = openvino(name, batch)
    return ("OpenVINO", network) if network else ("compiled TensorFlow", compiled(name, batch))


@cache
def _whole(name: str) -> "keras.Model":
    """Preprocessing, graph and pooling in one model, so that all runtimes do the same from pixels to vector."""
    import keras

    model, graph = registry.get_model(name), load(name)
    inputs = keras.Input((model.input_size, model.input_size, 3), dtype="uint8")
    floats = keras.ops.cast(inputs, "float32")
    rule = model.preprocessing
    channels = keras.ops.flip(floats, axis=-1) if rule.reverse else floats
    scaled = (channels - np.array(rule.mean, np.float32)) / np.array(rule.scale, np.float32)
    last = keras.Model(graph.input, model.outputs(graph, [model.layers[-1].name])[0])
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(last(scaled)))
