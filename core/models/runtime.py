"""What runs a compiled network: OpenVINO where it is installed and wanted, TensorFlow everywhere else.

Both give the same vectors up to the rounding of float32; ``python -m benchmarks --only forward`` tells what OpenVINO brings.
"""

import importlib.util
import logging
import sys
import tempfile
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from core import settings

if TYPE_CHECKING:
    import tensorflow as tf
    from tensorflow.types.experimental import ConcreteFunction

Network = Callable[[np.ndarray], list[np.ndarray]]
"""A batch of the one shape it was compiled for, to the outputs in order. Can be called from several threads."""

_log = logging.getLogger(__name__)


def name() -> str:
    """``"openvino"`` or ``"tensorflow"``: what networks compiled now are run by."""
    return "openvino" if settings.OPENVINO and importlib.util.find_spec("openvino") else "tensorflow"


def compile(forward: "ConcreteFunction") -> Network:
    """A function of one tensor that answers a list of tensors, ready to run.

    A network that OpenVINO can't take, such as one with an operation of the user's own, is run by TensorFlow.
    """
    if name() == "openvino":
        import tensorflow as tf

        try:
            return with_openvino(forward)
        except (ImportError, RuntimeError, OSError, tf.errors.OpError):
            _log.warning("OpenVINO can't run this network; TensorFlow does.", exc_info=True)
    return with_tensorflow(forward)


def import_openvino() -> ModuleType:
    """The package; raises ImportError where it can't be imported."""
    # It reports its import to its maker when this package of theirs is there, which is not needed otherwise.
    sys.modules.setdefault("openvino_telemetry", None)
    return importlib.import_module("openvino")


def with_tensorflow(forward: "ConcreteFunction") -> Network:
    """Run by TensorFlow."""
    import tensorflow as tf

    return lambda pixels: [output.numpy() for output in forward(tf.constant(pixels))]


def with_openvino(forward: "ConcreteFunction") -> Network:
    """Run by OpenVINO, in float32 whatever the processor could do in less.

    Raises
    ------
    RuntimeError : OpenVINO can't read or compile the network.
    """
    import tensorflow as tf

    ov = import_openvino()
    spec = forward.structured_input_signature[0][0]
    names = [f"output{i}" for i in range(len(forward.structured_outputs))]

    @tf.function(input_signature=[spec], autograph=False)
    def named(pixels: "tf.Tensor") -> dict[str, "tf.Tensor"]:
        return dict(zip(names, forward(pixels), strict=True))

    module = tf.Module()
    module.variables_ = list(forward.variables)
    # OpenVINO reads a folder by itself; for graphs in memory it has a slower converter in Python.
    with tempfile.TemporaryDirectory(dir=settings.SCRATCH_DIR, ignore_cleanup_errors=True) as folder:
        tf.saved_model.save(module, folder, signatures=named.get_concrete_function())
        core = ov.Core()
        network = core.compile_model(
            core.read_model(folder),
            "CPU",
            # One batch after the other on all cores: callers wait for an answer, or have the next batch ready.
            {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"},
        )

    def run(pixels: np.ndarray) -> list[np.ndarray]:
        # A request of its own: one that is shared refuses a second thread.
        answer = network.infer_new_request([pixels])
        return [answer[output] for output in names]

    return run
