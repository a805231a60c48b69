"""What runs a compiled network: OpenVINO where it is installed and turned on, TensorFlow everywhere else.

Both give the same vectors up to the rounding of float32. ``python -m benchmarks --only forward`` compares their speed.
"""

import importlib.util
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from core.models.definition import Model
from core.settings import settings

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from tensorflow.types.experimental import ConcreteFunction

Network = Callable[[np.ndarray], list[np.ndarray]]
"""A batch of the shape that it was compiled for -> the outputs in order. Can be called from several threads."""

_log = logging.getLogger(__name__)


def name() -> str:
    """What runs networks that are compiled now: ``"openvino"`` or ``"tensorflow"``."""
    return "openvino" if settings.OPENVINO and importlib.util.find_spec("openvino") else "tensorflow"


def compile(forward: "ConcreteFunction") -> Network:
    """A function from one tensor to a list of tensors, ready to run.

    TensorFlow runs a network that OpenVINO can't read, such as one with a custom operation.
    """
    if name() == "openvino":
        import tensorflow as tf

        try:
            return with_openvino(forward)
        except (ImportError, RuntimeError, OSError, tf.errors.OpError):
            _log.warning("OpenVINO can't run this network; TensorFlow does.", exc_info=True)
    return with_tensorflow(forward)


def compile_batches(
    model: Model,
    cut: "keras.Model",
    finish: "Callable[[tf.Tensor], list[tf.Tensor]]",
    batch_size: int,
    compile: "Callable[[ConcreteFunction], Network]" = compile,
) -> Network:
    """A function from pixels (n, size, size, 3) uint8 to what ``finish`` makes of each output of a network.

    It runs for exactly ``batch_size`` images: a smaller batch is padded.

    Parameters
    ----------
    cut : from preprocessed images to some layers of the model.
    """
    import tensorflow as tf

    shape = (batch_size, model.input_size, model.input_size, 3)

    def forward(pixels: tf.Tensor) -> list[tf.Tensor]:
        activations = cut(model.preprocessing(tf.cast(pixels, tf.float32)), training=False)
        activations = activations if isinstance(activations, list | tuple) else [activations]
        return [output for activation in activations for output in finish(activation)]

    function = tf.function(forward, input_signature=[tf.TensorSpec(shape, tf.uint8)], autograph=False)
    run = compile(function.get_concrete_function())

    def run_padded(pixels: np.ndarray) -> list[np.ndarray]:
        padding = np.zeros((batch_size - len(pixels), *shape[1:]), np.uint8)
        return [output[: len(pixels)] for output in run(np.concatenate([pixels, padding]))]

    return run_padded


def import_openvino() -> ModuleType:
    """The package; raises ImportError where it can't be imported."""
    # With this package, it reports each import to its maker.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module("openvino")


def with_tensorflow(forward: "ConcreteFunction") -> Network:
    """Run by TensorFlow."""
    import tensorflow as tf

    return lambda pixels: [output.numpy() for output in forward(tf.constant(pixels))]


def with_openvino(forward: "ConcreteFunction") -> Network:
    """Run by OpenVINO in float32, also where the processor has a faster, less precise type.

    Raises
    ------
    RuntimeError : OpenVINO can't read or compile the network.
    """
    ov = import_openvino()
    with tempfile.TemporaryDirectory(dir=settings.SCRATCH_DIR, ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "network.pb"
        file.write_bytes(_with_constants(forward).SerializeToString())
        core = ov.Core()
        network = core.compile_model(
            core.read_model(file),
            "CPU",
            # One batch after the other on all cores.
            {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"},
        )
    names = [output.name for output in forward.outputs]

    def run(pixels: np.ndarray) -> list[np.ndarray]:
        # A shared request refuses a second thread.
        outputs = network.infer_new_request([pixels])
        return [outputs[name] for name in names]

    return run


def _with_constants(forward: "ConcreteFunction") -> "tf.compat.v1.GraphDef":
    """The graph of a function with the values of its variables in it, as OpenVINO reads it.

    OpenVINO reads saved models too, but TensorFlow takes a second or more to write one.
    """
    import tensorflow as tf

    variables = {id(variable.handle): variable for variable in forward.variables}
    captured = forward.inputs[-len(forward.captured_inputs) :] if forward.captured_inputs else []
    values = {
        inner.op.name: variables[id(outer)]
        for outer, inner in zip(forward.captured_inputs, captured, strict=True)
        if id(outer) in variables
    }
    graph = forward.graph.as_graph_def()
    nodes = {node.name: node for node in graph.node}
    kept = tf.compat.v1.GraphDef(versions=graph.versions, library=graph.library)
    # Only what the outputs need: OpenVINO would compute every other end, such as those for gradients, as an output.
    waiting, seen = [output.op.name for output in forward.outputs], set(values)
    while waiting:
        node = nodes[waiting.pop()]
        if node.name in seen:
            continue
        seen.add(node.name)
        added = kept.node.add()
        if node.op == "ReadVariableOp" and node.input[0] in values:
            value = tf.make_tensor_proto(values[node.input[0]].numpy())
            added.name, added.op = node.name, "Const"
            added.attr["dtype"].type = value.dtype
            added.attr["value"].tensor.CopyFrom(value)
        else:
            added.CopyFrom(node)
            # An input is a node's name, with ^ before it or : and a number behind it.
            waiting += [source.lstrip("^").partition(":")[0] for source in node.input]
    return kept
