"""HDF5 files as Keras 2 wrote them: weights alone, or a whole model."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py
    import keras

WHOLE_MODEL = "model_weights"
# Layers that change images, and those whose computation is unknown.
_INPUT_LAYERS = (
    "Rescaling",
    "Normalization",
    "Resizing",
    "CenterCrop",
    "Lambda",
    "TFOpLambda",
    "SlicingOpLambda",
)


def kind(file: "h5py.File") -> str | None:
    """A description of the file; None where Keras 2 did not write it."""
    if WHOLE_MODEL in file and "layer_names" in file[WHOLE_MODEL].attrs:
        return "a whole model saved by Keras 2 (HDF5)"
    if "layer_names" in file.attrs:
        return "weights saved by Keras 2 (HDF5)"
    return None


def fill(graph: "keras.Model", path: Path) -> bool:
    """Load the file's weights into the graph, by the order of the layers; False if they don't fit."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path) as file:
        try:
            legacy_h5_format.load_weights_from_hdf5_group(file.get(WHOLE_MODEL, file), graph)
        except (ValueError, KeyError):
            return False
    return True


def input_difference(file: "h5py.File", graph: "keras.Model", size: int) -> str | None:
    """What a whole model does with its input that the graph does not; None for weights alone, which don't tell.

    This is read from the model's description. Building the model could run code from the file.
    """
    text = file.attrs.get("model_config")
    if text is None:
        return None
    model = json.loads(text)
    layers = list(_layers(model))
    if len(inputs := _inputs(model)) > 1:
        return f"it has {len(inputs)} inputs, where one image is given"
    for layer in layers:
        shape = layer["config"].get("batch_input_shape", (None, None, None, None))[1:]
        if reason := shape_difference(shape, size):
            return reason
    own = [type(layer).__name__ for layer in graph.layers]
    for name in _INPUT_LAYERS:
        found = [layer for layer in layers if layer["class_name"].rpartition(">")[2] == name]
        if len(found) > own.count(name):
            return f"its layer {found[0]['config'].get('name', name)} ({name}) is not part of the model used here"
    return None


def shape_difference(shape: Sequence[int | None], size: int) -> str | None:
    """What is wrong with an input of (height, width, channels); None where it takes RGB images of a size."""
    if len(shape) == 3 and all(a in (None, b) for a, b in zip(shape, (size, size, 3), strict=True)):
        return None
    given = " x ".join("any" if side is None else str(side) for side in shape)
    return f"its input is {given}, where images of {size} x {size} x 3 are given"


def _inputs(model: dict[str, Any]) -> list[Any]:
    inputs = model["config"].get("input_layers", [0]) if isinstance(model["config"], dict) else [0]
    # One input is written without the list around it by some versions.
    return inputs if inputs and isinstance(inputs[0], list) else [inputs]


def _layers(model: dict[str, Any]) -> Iterator[dict[str, Any]]:
    config = model["config"]
    for layer in config["layers"] if isinstance(config, dict) else config:
        if "layers" in layer["config"]:
            yield from _layers(layer)
        else:
            yield layer
