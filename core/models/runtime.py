"""What runs a network: OpenVINO where it is installed and turned on, TensorFlow everywhere else.

Both give the same vectors up to the rounding of float32. ``python -m benchmarks --only forward`` compares their speed.
"""

import importlib
import importlib.util
import logging
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from core.models import architecture
from core.models.definition import Model
from core.settings import settings
from core.threads import native_calls

if TYPE_CHECKING:
    import keras
    import openvino as ov
    import tensorflow as tf
    from tensorflow.types.experimental import ConcreteFunction

Run = Callable[[np.ndarray], list[np.ndarray]]
"""Pixels (n, size, size, 3) uint8 -> the outputs in order, each with n rows. Can be called from several threads."""

IMAGES_PER_PASS = 2
"""Images of one pass of OpenVINO, where several passes share the cores: their activations stay in the cache of a core."""

_CONVERTER = "openvino.tools.ovc"
_importing = threading.Lock()
_log = logging.getLogger(__name__)


class Operations(Protocol):
    """What can be computed from an activation (batch, height, width, channels) float32 inside a network."""

    def mean(self, x: Any) -> Any:
        """Over all positions: (batch, channels)."""

    def largest(self, x: Any) -> Any:
        """Over all positions: (batch, channels)."""

    def at_least(self, x: Any, floor: float) -> Any:
        """The larger of each number and ``floor``."""

    def power(self, x: Any, exponent: float) -> Any:
        """Each number to a power."""

    def flatten(self, x: Any) -> Any:
        """(batch, height * width * channels)."""

    def same(self, x: Any) -> Any:
        """The activation itself."""


Finish = Callable[[Operations, Any], list[Any]]
"""Operations and an activation -> the outputs that are wanted of it."""


class Network(Protocol):
    """A network with weights that can be cut at its layers.

    runs_side_by_side : whether it can be compiled for several passes at a time.
    """

    runs_side_by_side: bool

    def compile(self, layers: Sequence[str], finish: Finish, batch_size: int, side_by_side: int = 1) -> Run:
        """A function from pixels to what ``finish`` makes of each layer.

        Parameters
        ----------
        layers : as ``core.models.architecture`` names them.
        batch_size : the most images that it takes.
        side_by_side : calls at a time, each on its share of the cores. One call has all cores.

        Raises
        ------
        UnknownNameError : there is no such layer.
        UserError : it has no height and width.
        """
        ...


def name() -> str:
    """What runs networks that are loaded now: ``"openvino"`` or ``"tensorflow"``."""
    return "openvino" if settings.OPENVINO and importlib.util.find_spec("openvino") else "tensorflow"


def of_graph(model: Model, graph: "keras.Model") -> Network:
    """The network of a Keras graph, run by OpenVINO where that can read it."""
    if name() == "openvino":
        import tensorflow as tf

        try:
            return OpenVINONetwork(model, convert(model, graph))
        except (ImportError, RuntimeError, OSError, tf.errors.OpError):
            _log.warning("OpenVINO can't run this network; TensorFlow does.", exc_info=True)
    return TensorFlowNetwork(model, graph)


class TensorFlowNetwork:
    """A Keras graph, run by TensorFlow.

    Parameters
    ----------
    graph : from preprocessed images to the last feature map, as ``core.models.weights.load`` gives it.
    """

    runs_side_by_side = False

    def __init__(self, model: Model, graph: "keras.Model"):
        self._model, self._graph = model, graph

    def compile(self, layers: Sequence[str], finish: Finish, batch_size: int, side_by_side: int = 1) -> Run:
        """As :meth:`Network.compile`; TensorFlow shares the cores as it likes."""
        import tensorflow as tf

        layers_ = [architecture.output(self._graph, self._model, layer) for layer in layers]
        forward = _traced(
            self._model, self._graph, layers_, lambda x: finish(_TensorFlowOperations(), x), batch_size
        )
        return _padded(
            lambda pixels: [output.numpy() for output in forward(tf.constant(pixels))],
            batch_size,
        )


class OpenVINONetwork:
    """A network that OpenVINO runs in float32, also where the processor has a faster, less precise type.

    Parameters
    ----------
    network : from pixels (batch, size, size, 3) uint8 to the outputs of its layers, each a result whose friendly name is
        that of the layer. It takes any size of batch. Layers with four dimensions are (batch, height, width, channels)
        float32 and can be compiled.
    images_per_pass : of a batch, which is split into passes that run side by side. A pass that all cores share is slower: they
        wait for each other at every layer.
    """

    runs_side_by_side = True

    def __init__(self, model: Model, network: "ov.Model", images_per_pass: int = IMAGES_PER_PASS):
        self.network, self._model, self._images_per_pass = network, model, images_per_pass

    def compile(self, layers: Sequence[str], finish: Finish, batch_size: int, side_by_side: int = 1) -> Run:
        """As :meth:`Network.compile`."""
        with native_calls:
            return self._compile(layers, finish, batch_size, side_by_side)

    def _compile(self, layers: Sequence[str], finish: Finish, batch_size: int, side_by_side: int) -> Run:
        ov = import_openvino()
        # A copy, which shares the weights: its batch gets a fixed size.
        whole = self.network.clone()
        results = {result.get_friendly_name(): result for result in whole.results}
        ranks = {name: len(result.output(0).partial_shape) for name, result in results.items()}
        outputs = []
        for layer in layers:
            architecture.check_positions(self._model, layer, ranks)
            outputs += finish(_OpenVINOOperations(), results[layer].input_value(0))
        cut = ov.Model(outputs, whole.get_parameters())
        images = min(batch_size, self._images_per_pass)
        cut.reshape([images, *[side.get_length() for side in list(whole.input(0).partial_shape)[1:]]])
        passes = -(-batch_size // images)
        at_a_time = passes * side_by_side
        hints = (
            {"PERFORMANCE_HINT": "LATENCY"}
            if at_a_time == 1
            else {"PERFORMANCE_HINT": "THROUGHPUT", "PERFORMANCE_HINT_NUM_REQUESTS": at_a_time}
        )
        compiled = ov.Core().compile_model(cut, "CPU", {"INFERENCE_PRECISION_HINT": "f32", **hints})
        return _in_passes(compiled, images)


class _TensorFlowOperations:
    """:class:`Operations` on tensors."""

    def mean(self, x: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        return tf.reduce_mean(x, axis=(1, 2))

    def largest(self, x: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        return tf.reduce_max(x, axis=(1, 2))

    def at_least(self, x: "tf.Tensor", floor: float) -> "tf.Tensor":
        import tensorflow as tf

        return tf.maximum(x, floor)

    def power(self, x: "tf.Tensor", exponent: float) -> "tf.Tensor":
        import tensorflow as tf

        return tf.pow(x, exponent)

    def flatten(self, x: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        return tf.reshape(x, (tf.shape(x)[0], -1))

    def same(self, x: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        # A layer that passes its input on would share the tensor of another without the identity.
        return tf.identity(x)


class _OpenVINOOperations:
    """:class:`Operations` on outputs of nodes."""

    def __init__(self) -> None:
        import_openvino()
        self._ops = importlib.import_module("openvino.opset13")

    def mean(self, x: "ov.Output") -> "ov.Output":
        return self._ops.reduce_mean(x, np.array([1, 2]), False).output(0)

    def largest(self, x: "ov.Output") -> "ov.Output":
        return self._ops.reduce_max(x, np.array([1, 2]), False).output(0)

    def at_least(self, x: "ov.Output", floor: float) -> "ov.Output":
        return self._ops.maximum(x, np.float32(floor)).output(0)

    def power(self, x: "ov.Output", exponent: float) -> "ov.Output":
        return self._ops.power(x, np.float32(exponent)).output(0)

    def flatten(self, x: "ov.Output") -> "ov.Output":
        # A zero keeps the size of the batch.
        return self._ops.reshape(x, np.array([0, -1]), True).output(0)

    def same(self, x: "ov.Output") -> "ov.Output":
        return x


def import_openvino() -> ModuleType:
    """The package; raises ImportError where it can't be imported."""
    with _importing:
        # With this package, it reports each import to its maker.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        if "openvino" not in sys.modules:
            # Its converter of other formats takes half of the time, and nothing here uses it.
            sys.modules.setdefault(_CONVERTER, None)  # type: ignore[arg-type]
        try:
            return importlib.import_module("openvino")
        finally:
            # Whoever wants it imports it later.
            if sys.modules.get(_CONVERTER, True) is None:
                del sys.modules[_CONVERTER]


def convert(model: Model, graph: "keras.Model") -> "ov.Model":
    """A Keras graph as :class:`OpenVINONetwork` takes it, with all of its layers.

    Raises
    ------
    RuntimeError : OpenVINO can't read or compile it, or the graph is of another model.
    """
    layers = architecture.layers_by_name(graph)
    model.outputs(graph, [layer.name for layer in model.layers])
    tensors = [layer.output for layer in layers.values()]
    forward = _traced(model, graph, tensors, lambda x: [_TensorFlowOperations().same(x)], None)
    core = import_openvino().Core()
    with tempfile.TemporaryDirectory(dir=settings.SCRATCH_DIR, ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "network.pb"
        file.write_bytes(_with_constants(forward).SerializeToString())
        with native_calls:
            network = core.read_model(file)
    # A layer that passes its input on shares that one's output, but has a result of its own.
    results = {result.get_friendly_name(): result for result in network.results}
    for layer, output in zip(layers, forward.outputs, strict=True):
        results[output.name].set_friendly_name(layer)
    # Now, while TensorFlow can still run it instead.
    with native_calls:
        core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return network


def _traced(
    model: Model,
    graph: "keras.Model",
    outputs: "Sequence[keras.KerasTensor]",
    finish: "Callable[[tf.Tensor], list[tf.Tensor]]",
    batch_size: int | None,
) -> "ConcreteFunction":
    """A function from pixels to what ``finish`` makes of each output of a graph."""
    import keras
    import tensorflow as tf

    cut = keras.Model(graph.input, outputs)

    def forward(pixels: tf.Tensor) -> list[tf.Tensor]:
        found = cut(model.preprocessing(tf.cast(pixels, tf.float32)), training=False)
        found = found if isinstance(found, list | tuple) else [found]
        return [output for one in found for output in finish(one)]

    shape = (batch_size, model.input_size, model.input_size, 3)
    function = tf.function(forward, input_signature=[tf.TensorSpec(shape, tf.uint8)], autograph=False)
    return function.get_concrete_function()


def _in_passes(compiled: "ov.CompiledModel", images: int) -> Run:
    """A function for any number of images from a network for ``images``: its passes run side by side, also those of several callers."""
    shapes = [tuple(output.shape)[1:] for output in compiled.outputs]
    threads = ThreadPoolExecutor(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"), "pass")
    # Requests that no thread uses now; a request refuses a second one.
    free: deque[ov.InferRequest] = deque()

    def run(pixels: np.ndarray) -> list[np.ndarray]:
        found = [np.empty((len(pixels), *shape), np.float32) for shape in shapes]

        def infer(start: int) -> None:
            part = pixels[start : start + images]
            with native_calls:
                try:
                    request = free.pop()
                except IndexError:
                    request = compiled.create_infer_request()
                try:
                    # Behind the last image are those of an earlier pass, which nobody looks at.
                    request.get_input_tensor().data[: len(part)] = part
                    request.infer(share_outputs=True)
                    for place, output in enumerate(found):
                        output[start : start + images] = request.get_output_tensor(place).data[: len(part)]
                finally:
                    free.append(request)

        if len(pixels) <= images:
            infer(0)
        else:
            list(threads.map(infer, range(0, len(pixels), images)))
        return found

    return run


def _padded(run: Run, batch_size: int) -> Run:
    """A function for at most ``batch_size`` images from one for exactly as many."""

    def run_padded(pixels: np.ndarray) -> list[np.ndarray]:
        padding = np.zeros((batch_size - len(pixels), *pixels.shape[1:]), np.uint8)
        return [output[: len(pixels)] for output in run(np.concatenate([pixels, padding]))]

    return run_padded


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
