"""What an ONNX graph computes: every tensor with its place in the image, its cost and its receptive field.

OpenVINO reads the graph. Nothing of it runs here.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.errors import OnnxError
from core.models.architecture import NetworkLayer

MOST_OPERATIONS = 10_000
_MOST_PREFIX = 16
_WINDOWS = {"Convolution", "GroupConvolution", "MaxPool", "AvgPool"}
_POOLINGS = {"ReduceMean", "ReduceMax", "ReduceSum", "ReduceL2"}
_ACTIVATIONS = {
    "Clamp",
    "Elu",
    "Gelu",
    "HSigmoid",
    "HSwish",
    "Mish",
    "PRelu",
    "Relu",
    "Selu",
    "SoftPlus",
    "Swish",
}


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph that has a value for each image.

    Parameters
    ----------
    row : its description; the name is the graph's own, and the shape (1, 1, channels) without positions.
    layout : ``"NCHW"``, ``"NHWC"``, ``"NLC"`` for tokens or ``"NC"``.
    prefix : tokens before those of the patches, such as the class token.
    """

    row: NetworkLayer
    layout: str
    prefix: int = 0


@dataclass(frozen=True)
class _Axis:
    """Pixels ``first`` to ``last`` of one axis of the image that the first position sees, and the spacing to the next."""

    first: int
    last: int
    spacing: int


@dataclass(frozen=True)
class _Place:
    """How the values of an output lie in the image; grid : rows and columns of positions."""

    layout: str
    grid: tuple[int, int]
    cells: tuple[_Axis, _Axis] | None
    prefix: int = 0


def input_layout(shape: Sequence[int | None]) -> str | None:
    """``"NCHW"`` or ``"NHWC"`` of an input that takes RGB images; None where it takes something else."""
    if len(shape) != 4:
        return None
    if shape[1] in (3, None) and (shape[1] == 3 or shape[3] != 3):
        return "NCHW"
    return "NHWC" if shape[3] == 3 else None


def describe(graph: Any, layout: str) -> list[Tensor]:
    """The tensors of a graph in its order, the image first.

    Values without a known place in the image, such as attention scores, are left out; their cost is that of the next tensor.

    Parameters
    ----------
    graph : an ``openvino.Model`` with one input of a static shape.
    layout : of the input.

    Raises
    ------
    OnnxError : the graph has more operations than are allowed, or an output of unknown size.
    """
    operations = [op for op in graph.get_ordered_ops() if op.get_type_name() != "Result"]
    if len(operations) > MOST_OPERATIONS:
        raise OnnxError(
            f"The graph has {len(operations):,} operations; at most {MOST_OPERATIONS:,} can be described."
        )
    batch = int(graph.inputs[0].get_shape()[0])
    described = _Description(batch, layout)
    for op in operations:
        described.add(op)
    return described.tensors


class _Description:
    def __init__(self, batch: int, layout: str):
        self.tensors: list[Tensor] = []
        self._batch, self._layout = batch, layout
        # Of operations that depend on the image, by their names: place in the order, what they are computed from, and how
        # their output lies.
        self._order: dict[str, int] = {}
        self._above: list[int] = []
        self._own: list[tuple[int, int]] = []
        self._places: dict[str, _Place | None] = {}
        self._all: dict[str, bool] = {}
        self._sources: dict[str, tuple[str, ...]] = {}
        self._paths: dict[str, int] = {}
        # Costs of operations that have no row yet.
        self._waiting: set[int] = set()

    def add(self, op: Any) -> None:
        kind, key = op.get_type_name(), op.get_name()
        sources = [value.get_node() for value in op.input_values()]
        above = [one for one in sources if one.get_name() in self._order]
        if kind != "Parameter" and not above:
            return
        output = op.output(0)
        if not output.get_element_type().is_real():
            return
        if output.get_partial_shape().is_dynamic:
            raise OnnxError(
                f"The graph has an output of unknown size ({_name(output) or kind}); export it with a fixed size."
            )
        shape = tuple(int(n) for n in output.get_shape())
        number = len(self._order)
        self._order[key] = number
        # Bit sets: one bit for each operation that this one depends on, and its own.
        bits = 1 << number
        for one in above:
            bits |= self._above[self._order[one.get_name()]]
        self._above.append(bits)
        self._own.append(_cost(op, shape, {one.get_name() for one in above}))
        place = self._place(op, kind, above, shape)
        self._places[key] = place
        mixes = kind == "Softmax" or (kind == "MatMul" and len(above) == 2)
        pooled = place is not None and place.cells is None
        self._all[key] = mixes or pooled or any(self._all[one.get_name()] for one in above)
        name = _name(output)
        found = dict.fromkeys(source for one in above for source in self._sources[one.get_name()])
        known = {tensor.row.name for tensor in self.tensors}
        if (
            place is None
            or name is None
            or name in known
            or (kind != "Parameter" and shape[0] != self._batch)
        ):
            self._sources[key] = tuple(found)
            self._waiting.add(number)
            return
        self._sources[key] = (name,)
        self.tensors.append(self._tensor(op, kind, name, place, shape, tuple(found)))

    def _tensor(
        self, op: Any, kind: str, name: str, place: _Place, shape: tuple[int, ...], inputs: tuple[str, ...]
    ) -> Tensor:
        number = self._order[op.get_name()]
        bits = self._above[number]
        mine = [one for one in self._waiting if bits >> one & 1] + [number]
        self._waiting.difference_update(mine)
        everything = [self._own[one] for one in _bits(bits)]
        window = _window(op, kind)
        self._paths[name] = 1 + max(self._paths[one] for one in inputs) if inputs else 0
        cells = place.cells
        channels = shape[1] if place.layout == "NCHW" else shape[-1]
        row = NetworkLayer(
            name=name,
            type="InputLayer" if kind == "Parameter" else kind,
            shape=(*place.grid, channels),
            kernel=window[0] if window else None,
            stride=window[1] if window else None,
            own_parameters=sum(self._own[one][0] for one in mine),
            own_multiply_adds=sum(self._own[one][1] for one in mine),
            parameters=sum(parameters for parameters, _ in everything),
            multiply_adds=sum(multiply_adds for _, multiply_adds in everything),
            path=self._paths[name],
            receptive_field=(cells[0].last - cells[0].first + 1, cells[1].last - cells[1].first + 1)
            if cells
            else None,
            spacing=(cells[0].spacing, cells[1].spacing) if cells else None,
            sees_all=self._all[op.get_name()],
            depth=None,
            inputs=inputs,
        )
        return Tensor(row, place.layout, place.prefix)

    def _place(self, op: Any, kind: str, above: Sequence[Any], shape: tuple[int, ...]) -> _Place | None:
        if kind == "Parameter":
            rows, columns = shape[2:] if self._layout == "NCHW" else shape[1:3]
            return _Place(self._layout, (rows, columns), (_Axis(0, 0, 1), _Axis(0, 0, 1)))
        placed = [
            (self._places[one.get_name()], tuple(int(n) for n in one.output(0).get_shape())) for one in above
        ]
        known = [(place, size) for place, size in placed if place is not None]
        if not known:
            return None
        # A smaller input is one that is broadcast, or a part that is joined.
        source, before = max(known, key=lambda one: (len(one[1]) == len(shape), math.prod(one[1])))
        if kind in _WINDOWS and len(shape) == 4:
            return _Place("NCHW", (shape[2], shape[3]), _seen(op, kind, source.cells))
        if kind == "Transpose":
            return _transposed(op, source, shape)
        if kind in ("Reshape", "Squeeze", "Unsqueeze"):
            return _reshaped(source, before, shape)
        if len(shape) == 2:
            return _Place("NC", (1, 1), None)
        if len(shape) != len(before):
            return None
        return _resized(source, shape, [place.cells for place, _ in known], kind)


def _transposed(op: Any, source: _Place, shape: tuple[int, ...]) -> _Place | None:
    order = _constant(op.input_value(1))
    if order is None or len(order) != len(source.layout):
        return None
    layout = "".join(source.layout[int(axis)] for axis in order)
    return replace(source, layout=layout) if layout in ("NCHW", "NHWC", "NLC", "NCL") else None


def _reshaped(source: _Place, before: tuple[int, ...], shape: tuple[int, ...]) -> _Place | None:
    if shape == before:
        return source
    rows, columns = source.grid
    tokens = source.prefix + rows * columns
    channels = before[1] if source.layout in ("NCHW", "NCL") else before[-1]
    forms: dict[str, dict[str, tuple[int, ...]]] = {
        "NCHW": {"NCL": (channels, tokens)},
        "NCL": {"NCHW": (channels, rows, columns)},
        "NHWC": {"NLC": (tokens, channels)},
        "NLC": {"NHWC": (rows, columns, channels)},
    }
    for layout, sizes in forms.get(source.layout, {}).items():
        if shape[1:] == sizes and not (source.prefix and len(sizes) == 3):
            return replace(source, layout=layout)
    if (rows, columns) == (1, 1) and shape[1:] == (channels,):
        return _Place("NC", (1, 1), None)
    return None


def _resized(
    source: _Place, shape: tuple[int, ...], cells: Sequence[tuple[_Axis, _Axis] | None], kind: str
) -> _Place | None:
    """What an operation makes of its input that keeps the number of axes."""
    joined = _joined(cells)
    if source.layout in ("NCHW", "NHWC"):
        rows, columns = shape[2:] if source.layout == "NCHW" else shape[1:3]
        if kind in _POOLINGS and (rows, columns) == (1, 1):
            joined = None
        return replace(source, grid=(rows, columns), cells=joined)
    if source.layout in ("NLC", "NCL"):
        count = shape[1] if source.layout == "NLC" else shape[2]
        rows, columns = source.grid
        prefix = count - rows * columns
        if not 0 <= prefix <= _MOST_PREFIX:
            return None
        return replace(source, prefix=prefix, cells=joined)
    return source


def _joined(cells: Sequence[tuple[_Axis, _Axis] | None]) -> tuple[_Axis, _Axis] | None:
    """What the first position sees through several inputs; None where they are spaced differently."""
    placed = [one for one in cells if one is not None]
    if not placed or len({(rows.spacing, columns.spacing) for rows, columns in placed}) != 1:
        return None
    rows, columns = (
        _Axis(
            min(one[axis].first for one in placed),
            max(one[axis].last for one in placed),
            placed[0][axis].spacing,
        )
        for axis in (0, 1)
    )
    return rows, columns


def _window(op: Any, kind: str) -> tuple[tuple[int, int], tuple[int, int]] | None:
    if kind not in _WINDOWS or len(op.output(0).get_shape()) != 4:
        return None
    attributes = op.get_attributes()
    if "Convolution" in kind:
        kernel = tuple(int(n) for n in op.input_value(1).get_shape())[-2:]
    else:
        kernel = tuple(int(n) for n in attributes["kernel"])
    rows, columns = (int(n) for n in attributes["strides"])
    return (kernel[0], kernel[1]), (rows, columns)


def _seen(op: Any, kind: str, cells: tuple[_Axis, _Axis] | None) -> tuple[_Axis, _Axis] | None:
    window = _window(op, kind)
    if cells is None or window is None:
        return None
    attributes = op.get_attributes()
    dilations = attributes.get("dilations", (1, 1))
    axes = []
    for axis, (one, size, stride) in enumerate(zip(cells, *window, strict=True)):
        # A window as large as all its input leaves one position.
        reach = (size - 1) * int(dilations[axis])
        before = int(attributes["pads_begin"][axis])
        axes.append(
            _Axis(
                one.first - before * one.spacing,
                one.last + (reach - before) * one.spacing,
                one.spacing * stride,
            )
        )
    return axes[0], axes[1]


def _cost(op: Any, shape: tuple[int, ...], above: set[str]) -> tuple[int, int]:
    """Parameters of an operation, and multiply-adds for one image of a convolution or a matrix product."""
    constants = [
        value
        for value in op.input_values()
        if value.get_node().get_name() not in above and value.get_element_type().is_real()
    ]
    sizes = [math.prod(int(n) for n in value.get_shape()) for value in constants if len(value.get_shape())]
    kind = op.get_type_name()
    multiply_adds = 0
    if kind in ("Convolution", "GroupConvolution") and len(shape) == 4:
        kernel = [int(n) for n in op.input_value(1).get_shape()]
        multiply_adds = shape[2] * shape[3] * math.prod(kernel)
    elif kind == "MatMul" and len(shape) > 1:
        first = op.input_value(0).get_shape()
        inner = first[-2] if op.get_attributes()["transpose_a"] else first[-1]
        multiply_adds = math.prod(shape[1:]) * int(inner)
    return sum(sizes), multiply_adds


def _constant(value: Any) -> "np.ndarray[Any, Any] | None":
    node = value.get_node()
    return np.asarray(node.data) if node.get_type_name() == "Constant" else None


def _bits(number: int) -> Iterator[int]:
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low


def _name(output: Any) -> str | None:
    """The tensor's name in the file; several that are one have the shortest."""
    names = sorted(output.get_names(), key=lambda name: (len(name), name))
    return names[0] if names else None


# The choice of layers


def propose(tensors: Sequence[Tensor], most: int) -> list[Tensor]:
    """Up to so many tensors that are worth comparing, in the order of the graph.

    Those that every path from the image goes through, with several positions, after an activation or where a residual block ends; where
    there are too many, spread evenly to the last. Classifiers and other tensors without positions are left out.
    """
    trunk = _trunk([tensor.row for tensor in tensors])
    spatial = [tensor for tensor in tensors if tensor.row.spatial]
    on_trunk = [tensor for tensor in spatial if tensor.row.name in trunk and tensor.row.type != "InputLayer"]
    shapes = {tensor.row.name: tensor.row.shape for tensor in tensors}

    def ends_block(tensor: Tensor) -> bool:
        row = tensor.row
        same = [one for one in row.inputs if shapes[one] == row.shape]
        return row.type in _ACTIVATIONS or (row.type in ("Add", "Multiply") and len(same) > 1)

    blocks = [tensor for tensor in on_trunk if ends_block(tensor)]
    if len(blocks) > most and blocks[-1].layout == "NLC":
        # The block of a transformer has two: after attention, and after the perceptron, where it ends.
        blocks = blocks[::-2][::-1]
    found = blocks or on_trunk or spatial[1:]
    if found and on_trunk and on_trunk[-1] not in found and on_trunk[-1].layout == "NLC":
        # The normalization after the last block of a transformer.
        found.append(on_trunk[-1])
    if len(found) <= most:
        return found
    places = np.linspace(0, len(found) - 1, most).round().astype(int)
    return [found[place] for place in places]


def _trunk(rows: Sequence[NetworkLayer]) -> set[str]:
    from core.models.architecture import Architecture

    return {row.name for row in Architecture("", tuple(rows)).trunk}
