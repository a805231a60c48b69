"""What an ONNX file says before anything reads its graph: operators, weights, and the files that it takes more weights from.

Only the messages and fields of the format that are needed are known here (https://github.com/onnx/onnx, ``onnx.proto``). They are
data: parsing runs nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import OnnxError
from core.settings import settings

_DOMAINS = ("", "ai.onnx", "com.microsoft")
_FLOATS = {1: "<f4", 10: "<f2", 11: "<f8"}
# Message -> its fields: number, type and whether there are many. Numbers of types are those of protobuf.
_INT64, _INT32, _STRING, _BYTES, _FLOAT, _DOUBLE = "INT64", "INT32", "STRING", "BYTES", "FLOAT", "DOUBLE"
_MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
    "Entry": {"key": (1, _STRING, False), "value": (2, _STRING, False)},
    "Tensor": {
        "dims": (1, _INT64, True),
        "data_type": (2, _INT32, False),
        "float_data": (4, _FLOAT, True),
        "name": (8, _STRING, False),
        "raw_data": (9, _BYTES, False),
        "double_data": (10, _DOUBLE, True),
        "external_data": (13, "Entry", True),
    },
    "SparseTensor": {"values": (1, "Tensor", False), "indices": (2, "Tensor", False)},
    "Attribute": {
        "t": (5, "Tensor", False),
        "g": (6, "Graph", False),
        "tensors": (10, "Tensor", True),
        "graphs": (11, "Graph", True),
        "sparse_tensor": (22, "SparseTensor", False),
        "sparse_tensors": (23, "SparseTensor", True),
    },
    "Node": {
        "op_type": (4, _STRING, False),
        "attribute": (5, "Attribute", True),
        "domain": (7, _STRING, False),
    },
    "Graph": {
        "node": (1, "Node", True),
        "initializer": (5, "Tensor", True),
        "sparse_initializer": (15, "SparseTensor", True),
    },
    "Function": {"name": (1, _STRING, False), "node": (7, "Node", True), "domain": (10, _STRING, False)},
    "Model": {
        "producer_name": (2, _STRING, False),
        "producer_version": (3, _STRING, False),
        "graph": (7, "Graph", False),
        "functions": (25, "Function", True),
    },
}


@dataclass(frozen=True)
class OnnxFile:
    """An ONNX file.

    Parameters
    ----------
    path : of it.
    producer : what wrote it, such as ``"pytorch 2.9.0"``.
    external : names of the files beside it that have the rest of its weights.
    """

    path: Path
    producer: str
    external: tuple[str, ...]


def read(path: Path) -> OnnxFile:
    """Check an ONNX file.

    Raises
    ------
    OnnxError : it is missing, no ONNX file, too large, has custom operators or weights that are not numbers, or takes weights
        from anywhere but files of its own folder.
    """
    model = parse(path)
    external = _external(path, model)
    _check_operators(path, model)
    for tensor in _tensors(model):
        if np.isnan(_floats(tensor)).any():
            raise OnnxError(
                f"The weights {tensor.name[:80]!r} in {path.name} are not numbers (NaN); export the model again."
            )
    producer = f"{model.producer_name} {model.producer_version}".strip()[:80]
    return OnnxFile(path, "".join(filter(str.isprintable, producer)), external)


def initializers(path: Path) -> "dict[str, np.ndarray[Any, Any]]":
    """The float arrays that a file holds itself, by their names; raises OnnxError."""
    found = {}
    for tensor in parse(path).graph.initializer:
        values = _floats(tensor)
        if values.size:
            found[tensor.name] = values.reshape(tuple(tensor.dims))
    return found


def parse(path: Path) -> Any:
    """The message in a file; raises OnnxError where it is missing, too large or no ONNX file."""
    from google.protobuf.message import DecodeError

    try:
        size = path.stat().st_size
        if not path.is_file():
            raise OnnxError(f"There is no file {path.name}; check its path.")
        if size > settings.MAX_ONNX_BYTES:
            raise OnnxError(
                f"{path.name} has {size / 1e6:,.0f} MB, more than the {settings.MAX_ONNX_BYTES / 1e6:,.0f} MB allowed "
                "(PLAYGROUND_MAX_ONNX_BYTES); export large weights as external data."
            )
        model = _model_class()()
        model.ParseFromString(path.read_bytes())
    except FileNotFoundError:
        raise OnnxError(f"There is no file {path.name}; check its path.") from None
    except OSError as error:
        raise OnnxError(f"{path.name} can't be read ({error.strerror}).") from None
    except DecodeError:
        raise OnnxError(
            f"{path.name} is no ONNX file, or cut short or damaged; copy or export it again."
        ) from None
    if not model.graph.node:
        raise OnnxError(f"{path.name} is no ONNX file: it has no graph.")
    return model


def _check_operators(path: Path, model: Any) -> None:
    own = {function.domain for function in model.functions}
    custom = sorted(
        {
            f"{node.domain}.{node.op_type}"[:80]
            for node in _nodes(model)
            if node.domain not in _DOMAINS and node.domain not in own
        }
    )
    if custom:
        raise OnnxError(
            f"{path.name} has custom operators ({', '.join(custom[:5])}), which are programs of their own; export the model with standard "
            "ONNX operators only."
        )


def _external(path: Path, model: Any) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for tensor in _tensors(model):
        for entry in tensor.external_data:
            if entry.key == "location":
                found[entry.value] = None
    total = path.stat().st_size
    for name in found:
        beside = path.parent / name
        if not name or Path(name).name != name or "\\" in name or name.startswith(".") or beside.is_symlink():
            raise OnnxError(
                f"{path.name} takes weights from {name[:80]!r}; only plain files of the folder that it lies in are read. Export it again, "
                "or with its weights inside."
            )
        if not beside.is_file():
            raise OnnxError(
                f"{path.name} takes weights from {name[:80]!r}, which is not beside it; copy it there."
            )
        total += beside.stat().st_size
    if total > settings.MAX_ONNX_BYTES:
        raise OnnxError(
            f"{path.name} has {total / 1e6:,.0f} MB with its weights, more than the {settings.MAX_ONNX_BYTES / 1e6:,.0f} MB allowed "
            "(PLAYGROUND_MAX_ONNX_BYTES)."
        )
    return tuple(sorted(found))


def _floats(tensor: Any) -> "np.ndarray[Any, Any]":
    """The numbers that a tensor holds itself; none where they are of another type, or in another file."""
    if tensor.data_type not in _FLOATS or tensor.external_data:
        return np.empty(0)
    kind = np.dtype(_FLOATS[tensor.data_type])
    if tensor.raw_data:
        if len(tensor.raw_data) % kind.itemsize:
            raise OnnxError(f"The weights {tensor.name[:80]!r} are cut short; export the model again.")
        return np.frombuffer(tensor.raw_data, kind)
    return np.array(tensor.float_data or tensor.double_data, kind)


def _nodes(message: Any) -> Iterator[Any]:
    return (one for one in _messages(message) if one.DESCRIPTOR.name == "Node")


def _tensors(message: Any) -> Iterator[Any]:
    return (one for one in _messages(message) if one.DESCRIPTOR.name == "Tensor")


def _messages(message: Any) -> Iterator[Any]:
    """A message and all that are in it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else [value]:
                yield from _messages(inner)


@cache
def _model_class() -> type:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    package = "playground_onnx"
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, many) in fields.items():
            label = descriptor_pb2.FieldDescriptorProto.Label.Value(
                "LABEL_REPEATED" if many else "LABEL_OPTIONAL"
            )
            added = message.field.add(name=field, number=number, label=label)
            if kind in _MESSAGES:
                added.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
                added.type_name = f".{package}.{kind}"
            else:
                added.type = descriptor_pb2.FieldDescriptorProto.Type.Value(f"TYPE_{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found: type = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Model"))
    return found
