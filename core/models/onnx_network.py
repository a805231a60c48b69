"""An ONNX file as a network that OpenVINO runs: from pixels to the activations of its tensors."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import OnnxError, WeightsError
from core.models import architecture
from core.models.definition import Model
from core.models.onnx_weights import INSTALL, OnnxWeights, Tap
from core.models.preprocessing import Preprocessing
from core.models.runtime import IMAGES_PER_PASS, Finish, OpenVINONetwork, Run, import_openvino
from core.threads import native_calls

# One batch after the other on all cores, in float32 also where the processor has a faster, less precise type.
PROPERTIES = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}


def read(path: Path) -> Any:
    """The ``openvino.Model`` of an ONNX file; raises OnnxError where it can't be read."""
    try:
        core = import_openvino().Core()
    except ImportError:
        raise OnnxError(f"ONNX files need OpenVINO, which is not installed; {INSTALL}.") from None
    try:
        return core.read_model(path)
    except (RuntimeError, OSError) as error:
        raise OnnxError(f"OpenVINO can't read {path.name} ({reason(error)}).") from None


def reason(error: BaseException) -> str:
    """The line of an error of OpenVINO that says what is wrong, not where in its code."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Exception from", "Check '", "[", "While"))]
    text = "".join(filter(str.isprintable, (told or lines or [type(error).__name__])[-1]))
    return text[:200].rstrip(" .")


def fix_size(graph: Any, layout: str, size: int, batch: int) -> None:
    """Set the shape of the input of a graph; raises OnnxError where it can't have that."""
    shape = [batch, 3, size, size] if layout == "NCHW" else [batch, size, size, 3]
    try:
        graph.reshape({graph.inputs[0]: shape})
    except RuntimeError as error:
        raise OnnxError(f"The graph takes no images of {size} x {size} ({reason(error)}).") from None


def convert(
    path: Path, layout: str, size: int, preprocessing: Preprocessing, taps: Sequence[Tap], batch: int
) -> Any:
    """An ``openvino.Model`` from pixels (batch, size, size, 3) uint8 to the layers, each a result of its name.

    Parameters
    ----------
    layout : ``"NCHW"`` or ``"NHWC"``, of the input.
    batch : images at a time.

    Returns
    -------
    model : its outputs are (batch, height, width, channels) float32 in the order of the taps.

    Raises
    ------
    OnnxError : OpenVINO can't read the file, or it has no such tensor.
    """
    graph = read(path)
    ov = import_openvino()
    ops = importlib.import_module("openvino.opset13")
    fix_size(graph, layout, size, batch)
    pixels = ops.parameter([batch, size, size, 3], ov.Type.u8, "pixels")
    # Cut before the input is replaced: names move with it.
    outputs = {name: op.output(0) for op in graph.get_ordered_ops() for name in _names(op)}
    wanted = [_tap(ops, outputs, tap) for tap in taps]
    old = graph.get_parameters()[0].output(0)
    prepared = _prepared(ops, pixels, preprocessing)
    if layout == "NCHW":
        prepared = ops.transpose(prepared, np.array([0, 3, 1, 2]))
    old.replace(ops.convert(prepared, old.get_element_type()).output(0))
    results = [ops.result(one) for one in wanted]
    for result, tap in zip(results, taps, strict=True):
        result.set_friendly_name(tap.layer)
    return ov.Model(results, [pixels])


def _names(op: Any) -> set[str]:
    return (
        set(op.output(0).get_names())
        if op.get_output_size() == 1 and op.get_type_name() != "Result"
        else set()
    )


def _prepared(ops: Any, pixels: Any, preprocessing: Preprocessing) -> Any:
    """:class:`Preprocessing` on a node."""
    x = ops.convert(pixels, "f32")
    if preprocessing.reverse:
        x = ops.gather(x, np.array([2, 1, 0]), np.array(3))
    x = ops.subtract(x, np.array(preprocessing.mean, np.float32))
    return ops.divide(x, np.array(preprocessing.scale, np.float32))


def _tap(ops: Any, outputs: dict[str, Any], tap: Tap) -> Any:
    """The layer (batch, height, width, channels) float32 from its tensor."""
    if tap.tensor not in outputs:
        raise OnnxError(f"The graph has no tensor {tap.tensor[:100]!r}.")
    x = ops.convert(outputs[tap.tensor], "f32")
    if tap.layout == "NHWC":
        return x
    if tap.layout == "NCHW":
        return ops.transpose(x, np.array([0, 2, 3, 1]))
    if tap.layout == "NCL":
        x = ops.transpose(x, np.array([0, 2, 1]))
    # A zero keeps the size of the batch.
    form = np.array([0, *tap.shape])
    if tap.layout == "NC":
        return ops.reshape(x, form, True)
    start, stop = (tap.prefix, 2**31) if tap.token is None else (tap.token, tap.token + 1)
    tokens = ops.slice(x, np.array([start]), np.array([stop]), np.array([1]), np.array([1]))
    return ops.reshape(tokens, form, True)


class OnnxNetwork:
    """The network of an added model."""

    runs_side_by_side = True

    def __init__(self, model: Model, weights: OnnxWeights):
        self._model, self._weights = model, weights
        self._taps = {tap.layer: tap for tap in weights.taps}

    def compile(self, layers: Sequence[str], finish: Finish, batch_size: int, side_by_side: int = 1) -> Run:
        """As :meth:`core.models.runtime.Network.compile`; raises WeightsError where OpenVINO can't run the file."""
        for layer in layers:
            architecture.check_positions(self._model, layer, dict.fromkeys(self._taps, 4))
        taps = [self._taps[layer] for layer in dict.fromkeys(layers)]
        images = min(batch_size, IMAGES_PER_PASS) if self._weights.batched else 1
        model, weights = self._model, self._weights
        try:
            with native_calls:
                graph = convert(
                    weights.path, weights.layout, model.input_size, model.preprocessing, taps, images
                )
                return OpenVINONetwork(model, graph, images).compile(layers, finish, batch_size, side_by_side)
        except (OnnxError, RuntimeError) as error:
            raise WeightsError(f"{model.title} can't be run: {reason(error)}.") from None
