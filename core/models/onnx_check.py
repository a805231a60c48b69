"""Checks an ONNX file in a process of its own, with limits on memory and time: the graph may be a stranger's.

:func:`inspect` and :func:`verify` start the process; ``python -m core.models.onnx_check`` is what runs in it. It reads a request as JSON
from its standard input and answers with JSON: what it found, or a sentence.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from core import process_limits
from core.errors import OnnxError, first_problem
from core.models.onnx_weights import Tap
from core.models.preprocessing import Preprocessing
from core.settings import settings

_ROOT = Path(__file__).resolve().parents[2]
_COMMAND = (sys.executable, "-P", "-m", "core.models.onnx_check")
_MOST_REPLY_BYTES = 50_000_000
_MOST_SIDE = 2048
# The outputs of a batch may differ by so much from those of single images, relative to the largest.
_TOLERANCE = 1e-3
_LONGEST_NAME = 200

Count = Annotated[int, Field(ge=0, lt=2**60)]
Name = Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME)]


@checked(frozen=True)
class FoundTensor:
    """A tensor of a graph, as :class:`core.models.onnx_graph.Tensor` and :class:`core.models.architecture.NetworkLayer` say."""

    name: Name
    type: Name
    shape: tuple[Count, Count, Count]
    layout: Literal["NCHW", "NHWC", "NLC", "NCL", "NC"]
    prefix: Count
    kernel: tuple[Count, Count] | None
    stride: tuple[Count, Count] | None
    own_parameters: Count
    own_multiply_adds: Count
    parameters: Count
    multiply_adds: Count
    path: Count
    receptive_field: tuple[Count, Count] | None
    spacing: tuple[Count, Count] | None
    sees_all: bool
    inputs: tuple[Name, ...]


@checked(frozen=True)
class Inspection:
    """What an ONNX file computes.

    Parameters
    ----------
    external : names of the files beside it that it needs.
    layout : of its input.
    size : of its images: the one that was asked for, or the file's own.
    tensors : in the order of the graph, the image first.
    proposed : names of tensors that are worth comparing.
    """

    producer: Annotated[str, Field(max_length=100)]
    external: tuple[Name, ...]
    layout: Literal["NCHW", "NHWC"]
    size: Count
    tensors: tuple[FoundTensor, ...]
    proposed: tuple[Name, ...]


@checked(frozen=True)
class Verification:
    """batched : whether the graph gives several images at a time the same vectors as each alone."""

    batched: bool


@dataclass(frozen=True)
class Reading:
    """How a file is read: ``layout`` and ``size`` of its input, None for the file's own."""

    path: Path
    layout: str | None
    size: int | None
    usual_size: int = 224
    most_layers: int = 8


def inspect(reading: Reading) -> Inspection:
    """What a file computes; nothing of it runs.

    Raises
    ------
    OnnxError : it can't be used, or takes more memory or time than allowed; a sentence says why.
    """
    request = {"task": "inspect", **asdict(reading), "path": str(reading.path)}
    found: Inspection = _asked(reading.path.name, request, TypeAdapter(Inspection))
    return found


def verify(path: Path, layout: str, size: int, preprocessing: Preprocessing, taps: Sequence[Tap]) -> bool:
    """Run a file on images; returns whether it takes several at a time.

    Raises
    ------
    OnnxError : it can't be run, gives numbers that are not finite, or takes more memory or time than allowed.
    """
    request = {
        "task": "verify",
        "path": str(path),
        "layout": layout,
        "size": size,
        "preprocessing": asdict(preprocessing),
        "taps": [asdict(tap) for tap in taps],
    }
    answer = TypeAdapter(Verification)
    _asked(path.name, {**request, "images": 1}, answer)
    try:
        return bool(_asked(path.name, {**request, "images": settings.BATCH_SIZE}, answer).batched)
    except OnnxError:
        # A graph that was exported for one image, or that ends OpenVINO when it gets several.
        return False


def _asked(name: str, request: dict[str, Any], reply: TypeAdapter[Any]) -> Any:
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "LANG", "TMPDIR")
    limits = ("MAX_ONNX_BYTES", "ONNX_MEMORY_BYTES", "ONNX_SECONDS")
    environment = {one: os.environ[one] for one in kept if one in os.environ}
    environment |= {f"PLAYGROUND_{one}": str(getattr(settings, one)) for one in limits}
    path = os.pathsep.join(part for part in (str(_ROOT), os.environ.get("PYTHONPATH")) if part)
    process = subprocess.Popen(
        _COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Libraries print there what a file provokes.
        stderr=subprocess.DEVNULL,
        cwd=_ROOT,
        env=environment | {"PYTHONPATH": path, "MALLOC_ARENA_MAX": "2"},
    )
    try:
        out, _ = process.communicate(json.dumps(request).encode(), timeout=settings.ONNX_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise OnnxError(
            f"Checking {name} takes more than the {settings.ONNX_SECONDS} s allowed (PLAYGROUND_ONNX_SECONDS)."
        ) from None
    except BaseException:
        process.kill()
        process.communicate()
        raise
    try:
        if len(out) > _MOST_REPLY_BYTES:
            raise ValueError("it describes too many tensors")
        answer = json.loads(out)
        if "refused" in answer:
            raise OnnxError("".join(filter(str.isprintable, str(answer["refused"])))[:1000])
        return reply.validate_python(answer)
    except ValidationError as error:
        raise OnnxError(f"{name} can't be used: {first_problem(error)}.") from None
    except (ValueError, TypeError):
        raise OnnxError(
            f"{name} can't be used: the process that checked it had to be stopped. It takes more memory than the "
            f"{settings.ONNX_MEMORY_BYTES / 1e9:.1f} GB allowed (PLAYGROUND_ONNX_MEMORY_BYTES), or is damaged."
        ) from None


# In the process


def main() -> None:
    """Answer one request."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(1), "wb") as replies:
        # Whatever a library prints must not get into the reply.
        os.dup2(2, 1)
        request = json.loads(sys.stdin.buffer.read())
        process_limits.limit(settings.ONNX_MEMORY_BYTES)
        # It ends itself where its parent is gone.
        signal.alarm(settings.ONNX_SECONDS + 5)
        try:
            answer = _inspect(request) if request["task"] == "inspect" else _verify(request)
        except OnnxError as error:
            answer = {"refused": str(error)}
        except MemoryError:
            answer = None
        replies.write(json.dumps(answer).encode())


def _inspect(request: dict[str, Any]) -> dict[str, Any]:
    from core.models import onnx_file, onnx_graph, onnx_network

    path = Path(request["path"])
    file = onnx_file.read(path)
    graph = onnx_network.read(path)
    if len(graph.inputs) != 1:
        raise OnnxError(f"{path.name} has {len(graph.inputs)} inputs; a model here takes one image.")
    value = graph.inputs[0]
    sides = [None if side.is_dynamic else side.get_length() for side in value.get_partial_shape()]
    layout = request["layout"] or onnx_graph.input_layout(sides)
    if layout is None or len(sides) != 4 or sides[1 if layout == "NCHW" else 3] not in (3, None):
        raise OnnxError(
            f"{path.name} takes {_sizes(sides)}; a model here takes RGB images: N x 3 x height x width or N x height x width x 3."
        )
    if not value.get_element_type().is_real():
        raise OnnxError(
            f"{path.name} takes {value.get_element_type().get_type_name()}; a model here takes numbers of float."
        )
    height, width = sides[2:] if layout == "NCHW" else sides[1:3]
    size = request["size"] or height or request["usual_size"]
    if not request["size"] and height != width and None not in (height, width):
        raise OnnxError(
            f"{path.name} takes {height} x {width}; a model here takes square images. Give input_size."
        )
    if not 8 <= size <= _MOST_SIDE:
        raise OnnxError(f"{path.name} takes images of {size} x {size}; from 8 to {_MOST_SIDE} can be used.")
    try:
        onnx_network.fix_size(graph, layout, size, 2)
    except OnnxError:
        onnx_network.fix_size(graph, layout, size, 1)
    tensors = [
        tensor
        for tensor in onnx_graph.describe(graph, layout)
        if len(tensor.row.name) <= _LONGEST_NAME and tensor.row.name.isprintable()
    ]
    names = {tensor.row.name for tensor in tensors}
    proposed = onnx_graph.propose(tensors, request["most_layers"])
    fields = FoundTensor.__dataclass_fields__
    rows = []
    for tensor in tensors:
        values = asdict(tensor.row) | {"layout": tensor.layout, "prefix": tensor.prefix}
        values["inputs"] = [name for name in tensor.row.inputs if name in names]
        rows.append({name: values[name] for name in fields})
    return {
        "producer": file.producer,
        "external": file.external,
        "layout": layout,
        "size": size,
        "tensors": rows,
        "proposed": [tensor.row.name for tensor in proposed],
    }


def _sizes(sides: Sequence[int | None]) -> str:
    return " x ".join("any" if side is None else str(side) for side in sides) or "a number"


def _verify(request: dict[str, Any]) -> dict[str, Any]:
    from core.models import onnx_network
    from core.models.runtime import import_openvino

    path, size = Path(request["path"]), request["size"]
    values = request["preprocessing"]
    preprocessing = Preprocessing(
        values["description"], tuple(values["mean"]), tuple(values["scale"]), values["reverse"]
    )
    taps = [Tap(**{**tap, "shape": tuple(tap["shape"])}) for tap in request["taps"]]
    count = request["images"]
    images = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)

    def run(pixels: np.ndarray) -> list[np.ndarray]:
        network = onnx_network.convert(path, request["layout"], size, preprocessing, taps, len(pixels))
        try:
            compiled = import_openvino().Core().compile_model(network, "CPU", onnx_network.PROPERTIES)
            found = compiled([pixels])
            return [np.array(found[place]) for place in range(len(taps))]
        except RuntimeError as error:
            raise OnnxError(f"OpenVINO can't run {path.name} ({onnx_network.reason(error)}).") from None

    found = run(images)
    for tap, value in zip(taps, found, strict=True):
        if value.shape != (count, *tap.shape):
            raise OnnxError(
                f"The tensor {tap.tensor!r} of {path.name} has the shape {value.shape[1:]} and not {tap.shape}."
            )
        if not np.isfinite(value).all():
            raise OnnxError(
                f"The tensor {tap.tensor!r} of {path.name} has values that are not finite; export the model again."
            )
    if count == 1:
        return {"batched": False}
    last = run(images[-1:])
    return {"batched": all(_close(value[-1:], alone) for value, alone in zip(found, last, strict=True))}


def _close(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.allclose(one, other, rtol=0, atol=_TOLERANCE * float(np.abs(other).max() + 1e-12)))


if __name__ == "__main__":
    main()
