"""The architecture of a model: every layer with its shape, its cost and its receptive field.

:func:`describe` computes it from the Keras graph. One small file per model ships, so that :func:`read` imports no
TensorFlow.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.cache import Shared, file_state
from core.errors import ModelDataError, UnknownNameError, UserError
from core.models import registry

if TYPE_CHECKING:
    import keras

FORMAT = 1
FILE = "architecture.json"

_kept = Shared(32)

# Layers that compute every position from that position alone.
_POINTWISE = {
    "Activation",
    "Add",
    "BatchNormalization",
    "Concatenate",
    "Dropout",
    "Identity",
    "InputLayer",
    "Multiply",
    "Normalization",
    "ReLU",
    "Rescaling",
    "Reshape",
}


@dataclass(frozen=True)
class NetworkLayer:
    """A layer of a network, and of the intermediate model that ends in it: that of its ancestors and itself.

    Multiply-adds are those of convolutions for one image at the model's input size, without biases; one of them
    counts as two floating point operations (FLOPs). Normalizations, activations and poolings are not counted.

    Parameters
    ----------
    name : ours, and stable: Keras's own name; where Keras only counts its layers, their place among those of their
        kind in the graph, from 1, such as ``"conv2d_23"``.
    type : the Keras class, such as ``"Conv2D"``.
    shape : (height, width, channels) of its output, or (channels,) where there are no positions any more.
    kernel, stride : (rows, columns) of the window; None without one.
    own_parameters, own_multiply_adds : of the layer alone.
    parameters, multiply_adds : of the intermediate model.
    path : layers on the longest path from the image, 0 for the image itself.
    receptive_field : (rows, columns) of the input that one position of the output is computed from, through windows
        alone; larger than the input where the windows reach over its edge. None where the whole input has been pooled
        to one position.
    spacing : (rows, columns) of the input between neighboring positions of the output; None as above.
    sees_all : whether it depends on a pooling of the whole input, such as squeeze-and-excitation, in addition to the
        receptive field.
    depth : place among the eight of the grid, 1 to 8; None for the others.
    inputs : names of the layers that it takes its input from.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    kernel: tuple[int, int] | None
    stride: tuple[int, int] | None
    own_parameters: int
    own_multiply_adds: int
    parameters: int
    multiply_adds: int
    path: int
    receptive_field: tuple[int, int] | None
    spacing: tuple[int, int] | None
    sees_all: bool
    depth: int | None
    inputs: tuple[str, ...]

    @property
    def spatial(self) -> bool:
        """Whether the output has positions: more than one, in height and width."""
        return len(self.shape) == 3 and self.shape[0] > 1 and self.shape[1] > 1

    @property
    def channels(self) -> int:
        return self.shape[-1]

    @property
    def flops(self) -> int:
        """Floating point operations of the intermediate model for one image: two for each multiply-add."""
        return 2 * self.multiply_adds


@dataclass(frozen=True)
class Architecture:
    """All layers of a model, in the order of its graph, the image first."""

    model: str
    layers: tuple[NetworkLayer, ...]

    @cached_property
    def _by_name(self) -> dict[str, NetworkLayer]:
        return {layer.name: layer for layer in self.layers}

    def layer(self, name: str) -> NetworkLayer:
        """The layer of that name; raises UnknownNameError that names the eight of the grid."""
        if name not in self._by_name:
            known = [layer.name for layer in self.grid_layers]
            raise UnknownNameError(
                f"layer of {self.model}", name, [*known, "or another layer of the network"]
            )
        return self._by_name[name]

    @property
    def grid_layers(self) -> tuple[NetworkLayer, ...]:
        """The eight of the grid, from the image."""
        return tuple(
            sorted((layer for layer in self.layers if layer.depth), key=lambda layer: layer.depth or 0)
        )

    @cached_property
    def trunk(self) -> tuple[NetworkLayer, ...]:
        """The layers that every path from the image to the end goes through."""
        places = {layer.name: place for place, layer in enumerate(self.layers)}
        last_use = dict.fromkeys(places, 0)
        for place, layer in enumerate(self.layers):
            for source in layer.inputs:
                last_use[source] = place
        found, reach = [], 0
        for place, layer in enumerate(self.layers):
            # An earlier layer that is used later still leads past this one.
            if reach <= place:
                found.append(layer)
            reach = max(reach, last_use[layer.name])
        return tuple(found)


def read(model: str, folder: Path | None = None) -> Architecture:
    """The stored description of a model; no TensorFlow is imported.

    Parameters
    ----------
    folder : of all models; where the model's own is by default.

    Raises
    ------
    UnknownNameError : there is no such model.
    ModelDataError : the file is missing, broken or of another format.
    """
    name = registry.get_model(model).name
    path = (folder / name if folder else registry.folder(name)) / FILE
    return _kept.get((path, file_state(path)), lambda: _read(model, path))


def _read(model: str, path: Path) -> Architecture:
    again = f"compute it again with: playground models describe {model}"
    try:
        data = json.loads(path.read_text("utf-8"))
        if data["format"] != FORMAT:
            raise ModelDataError(
                f"{model}/{FILE} has format {data['format']!r}, this version reads format {FORMAT}; "
                f"update the project or {again}."
            )
        columns = [field.name for field in fields(NetworkLayer)]
        if data["columns"] != columns or data["model"] != model:
            raise ValueError("it describes something else")
        layers = tuple(_layer(dict(zip(columns, row, strict=True))) for row in data["layers"])
        earlier: set[str] = set()
        for layer in layers:
            if layer.name in earlier or not earlier.issuperset(layer.inputs):
                raise ValueError(f"{layer.name} is in the wrong place")
            earlier.add(layer.name)
        if not layers:
            raise ValueError("it has no layers")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = "missing" if isinstance(error, FileNotFoundError) else f"damaged ({error})"
        raise ModelDataError(f"{model}/{FILE} is {reason}; {again}.") from None
    return Architecture(model, layers)


def text(architecture: Architecture) -> str:
    """The content of the file that :func:`read` reads, a line per layer."""
    head = {
        "format": FORMAT,
        "model": architecture.model,
        "columns": [field.name for field in fields(NetworkLayer)],
    }
    rows = ",\n".join(json.dumps(astuple(layer), separators=(",", ":")) for layer in architecture.layers)
    return f'{json.dumps(head)[:-1]}, "layers": [\n{rows}\n]}}\n'


def _layer(row: dict[str, Any]) -> NetworkLayer:
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in row.items()
    }
    layer = NetworkLayer(**values)
    numbers = (
        layer.own_parameters,
        layer.own_multiply_adds,
        layer.parameters,
        layer.multiply_adds,
        layer.path,
    )
    pairs = (layer.kernel, layer.stride, layer.receptive_field, layer.spacing)
    whole = (*numbers, *layer.shape, *(n for pair in pairs if pair for n in pair))
    words = (layer.name, layer.type, *layer.inputs)
    if not all(type(n) is int for n in whole) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{layer.name!r} has values of a wrong kind")
    if len(layer.shape) not in (1, 3) or any(pair is not None and len(pair) != 2 for pair in pairs):
        raise ValueError(f"{layer.name!r} has a wrong shape")
    return layer


# From Keras graphs


def describe(graph: "keras.Model", model: registry.Model) -> Architecture:
    """The description of a graph; its weights don't matter.

    Parameters
    ----------
    graph : as ``Model.build_graph`` returns it.

    Raises
    ------
    ValueError : the graph has a layer of a kind that can't be described.
    """
    named = layers_by_name(graph)
    names = {id(layer): name for name, layer in named.items()}
    depths = _depths(graph, model, names)
    found: dict[str, NetworkLayer] = {}
    cells: dict[str, tuple[_Cells, _Cells] | None] = {}
    ancestors: dict[str, frozenset[str]] = {}
    for name, layer in named.items():
        inputs = tuple(names[id(source)] for source in _inputs(layer))
        kind = type(layer).__name__
        before = [found[source] for source in inputs]
        window = _window(layer)
        cells[name] = _seen(layer, window, [cells[source] for source in inputs])
        ancestors[name] = frozenset({name}).union(*(ancestors[source] for source in inputs))
        own_parameters, own_multiply_adds = layer.count_params(), _multiply_adds(layer)
        intermediate = [found[other] for other in ancestors[name] if other != name]
        found[name] = NetworkLayer(
            name=name,
            type=kind,
            shape=_shape(layer),
            kernel=window[0] if window else None,
            stride=window[1] if window else None,
            own_parameters=own_parameters,
            own_multiply_adds=own_multiply_adds,
            parameters=own_parameters + sum(one.own_parameters for one in intermediate),
            multiply_adds=own_multiply_adds + sum(one.own_multiply_adds for one in intermediate),
            path=1 + max(one.path for one in before) if before else 0,
            receptive_field=_pair(cells[name], lambda axis: axis.last - axis.first + 1),
            spacing=_pair(cells[name], lambda axis: axis.spacing),
            sees_all=kind == "GlobalAveragePooling2D" or any(one.sees_all for one in before),
            depth=depths.get(name),
            inputs=inputs,
        )
    return Architecture(model.name, tuple(found.values()))


def layers_by_name(graph: "keras.Model") -> dict[str, "keras.Layer"]:
    """The layers of a graph in its order, by our names: those of Keras but for its counters.

    A counter of Keras runs on through the process, so two graphs of one model have different names; ours is the place
    among the counted layers of that kind, from 1, in the order of their construction.
    """
    counted: dict[str, list[int]] = {}
    for layer in graph.layers:
        if (number := _counter(layer)) is not None:
            counted.setdefault(type(layer).__name__, []).append(number)
    places = {kind: {n: place for place, n in enumerate(sorted(all_), 1)} for kind, all_ in counted.items()}

    def name(layer: "keras.Layer") -> str:
        number = _counter(layer)
        if number is None:
            return str(layer.name)
        return f"{_snake(type(layer).__name__)}_{places[type(layer).__name__][number]}"

    return {name(layer): layer for layer in graph.layers}


def output(graph: "keras.Model", model: registry.Model, layer: str) -> "keras.KerasTensor":
    """The output of a layer (batch, height, width, channels); raises as :func:`check_positions`."""
    outputs = {name: found.output for name, found in layers_by_name(graph).items()}
    check_positions(model, layer, {name: len(found.shape) for name, found in outputs.items()})
    return outputs[layer]


def check_positions(model: registry.Model, layer: str, ranks: Mapping[str, int]) -> None:
    """Check that a network has a layer with positions.

    Parameters
    ----------
    ranks : the number of dimensions of each layer's output, that of the batch included.

    Raises
    ------
    UnknownNameError : there is no such layer.
    UserError : it has no height and width.
    """
    if layer not in ranks:
        known = [one.name for one in model.layers]
        raise UnknownNameError(f"layer of {model.name}", layer, [*known, "or another layer of the network"])
    if ranks[layer] != 4:
        raise UserError(f"{layer} of {model.title} has no height and width; choose a layer that has.")


@dataclass(frozen=True)
class _Cells:
    """What of one axis of the input the first position of a layer sees: pixels ``first`` to ``last``, and the next
    position the same number of pixels, ``spacing`` farther on. Padding lies at pixels below zero."""

    first: int
    last: int
    spacing: int


def _seen(
    layer: Any, window: Any, sources: list[tuple[_Cells, _Cells] | None]
) -> tuple[_Cells, _Cells] | None:
    """Rows and columns that the first position of the layer sees; None when all are pooled to one."""
    kind = type(layer).__name__
    if kind == "InputLayer":
        return (_Cells(0, 0, 1), _Cells(0, 0, 1))
    # What has been pooled to one position has no place of its own: it goes wherever the rest is.
    placed = [source for source in sources if source is not None]
    if kind == "GlobalAveragePooling2D" or not placed:
        return None
    rows, columns = (_axis(layer, window, [source[axis] for source in placed], axis) for axis in (0, 1))
    return rows, columns


def _axis(layer: Any, window: Any, sources: list[_Cells], axis: int) -> _Cells:
    if len({source.spacing for source in sources}) != 1:
        raise ValueError(f"{layer.name} joins layers of different strides")
    spacing = sources[0].spacing
    first, last = min(one.first for one in sources), max(one.last for one in sources)
    if type(layer).__name__ == "ZeroPadding2D":
        before = layer.padding[axis][0] * spacing
        return _Cells(first - before, last - before, spacing)
    if window is None:
        return _Cells(first, last, spacing)
    kernel, stride = window[0][axis], window[1][axis]
    before = 0
    if layer.padding == "same":
        size, out = layer.input.shape[1 + axis], layer.output.shape[1 + axis]
        # TensorFlow puts the odd row and column of padding at the end.
        before = max((out - 1) * stride + kernel - size, 0) // 2
    return _Cells(first - before * spacing, last + (kernel - 1 - before) * spacing, spacing * stride)


def _window(layer: Any) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Kernel and stride of a layer that looks through a window."""
    kind = type(layer).__name__
    if kind in ("MaxPooling2D", "AveragePooling2D"):
        return tuple(layer.pool_size), tuple(layer.strides)
    if kind in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D"):
        if tuple(layer.dilation_rate) != (1, 1):
            raise ValueError(f"{layer.name} is dilated")
        return tuple(layer.kernel_size), tuple(layer.strides)
    if kind in _POINTWISE or kind in ("ZeroPadding2D", "GlobalAveragePooling2D"):
        return None
    raise ValueError(f"{layer.name} is a {kind}, which can't be described")


def _multiply_adds(layer: Any) -> int:
    """Of a convolution: as many as it has positions times weights of its kernels."""
    if type(layer).__name__ not in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D"):
        return 0
    _, height, width, _ = layer.output.shape
    kernels = [weight for weight in layer.weights if len(weight.shape) == 4]
    return int(height * width * sum(np.prod(kernel.shape) for kernel in kernels))


def _shape(layer: Any) -> tuple[int, ...]:
    return tuple(layer.output.shape[1:])


def _pair(cells: tuple[_Cells, _Cells] | None, of: Callable[[_Cells], int]) -> tuple[int, int] | None:
    return cells and (of(cells[0]), of(cells[1]))


def _inputs(layer: Any) -> Iterator[Any]:
    """The layers whose outputs go into this one."""
    for node in layer._inbound_nodes[:1]:
        for tensor in node.input_tensors:
            yield tensor._keras_history.operation


def _depths(graph: "keras.Model", model: registry.Model, names: dict[int, str]) -> dict[str, int]:
    """The eight of the grid, by our names."""
    points = model.outputs(graph, [layer.name for layer in model.layers])
    return {names[id(point._keras_history.operation)]: depth for depth, point in enumerate(points, 1)}


def _counter(layer: Any) -> int | None:
    """The number that Keras gave a layer which has no other name."""
    found = re.fullmatch(rf"{_snake(type(layer).__name__)}(?:_(\d+))?", layer.name)
    return found and int(found[1] or 0)


def _snake(kind: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower()
