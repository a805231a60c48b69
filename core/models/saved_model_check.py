"""Compare a saved model of a user with the model of the table: do they preprocess images in the same way?"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.models import keras2_file
from core.models.definition import Model

if TYPE_CHECKING:
    import keras

# Features count as the same up to this share of the largest one: other orders of the same sums differ by less.
_TOLERANCE = 1e-3


def difference(model: Model, graph: "keras.Model", saved: "keras.Model") -> str | None:
    """What differs between a saved model and our graph with its weights; None when the features are the same.

    Two images go through both. The saved model may take them as they are or preprocessed. What its layers do before those of
    the graph then shows in the features of the model's eight layers.
    """
    shapes = [tuple(tensor.shape) for tensor in saved.inputs]
    if len(shapes) != 1:
        return f"it has {len(shapes)} inputs, where one image is given"
    if reason := keras2_file.shape_difference(shapes[0][1:], model.input_size):
        return reason
    images = _images(model.input_size)
    preprocessed = np.asarray(model.preprocessing(images), np.float32)
    ours = _ours(model, graph, preprocessed)
    for x in (preprocessed, images):
        seen = _activations(saved, x)
        if all(
            any(_same(feature, other) for other in seen if other.shape == feature.shape) for feature in ours
        ):
            return None
    first = ", ".join(_first_layers(saved)) or "no layer of its own"
    return (
        f"its input goes through other steps ({first}) than {model.preprocessing.description}, "
        "which is done here"
    )


def _images(size: int) -> np.ndarray:
    """(2, size, size, 3) float32 from 0 to 255: slopes of color with noise, one of them dark."""
    y, x = np.mgrid[:size, :size] / size
    noise = np.random.default_rng(0).uniform(0, 60, (size, size, 3))
    bright = np.stack([x, y, 1 - x], axis=-1) * 195 + noise
    return np.stack([bright, 0.3 * bright[::-1, :, ::-1]]).astype(np.float32)


def _ours(model: Model, graph: "keras.Model", x: np.ndarray) -> list[np.ndarray]:
    import keras

    features = model.outputs(graph, [layer.name for layer in model.layers])
    return [np.asarray(feature) for feature in keras.Model(graph.input, features)(x)]


def _activations(saved: "keras.Model", x: np.ndarray) -> list[np.ndarray]:
    """The outputs of all layers, those of nested models included; empty where the model can't take the images."""
    seen: list[Any] = []
    layers = list(nested_layers(saved))

    def watched(call: Any) -> Any:
        def watching(*args: Any, **kwargs: Any) -> Any:
            result = call(*args, **kwargs)
            seen.append(result)
            return result

        return watching

    for layer in layers:
        layer.call = watched(layer.call)
    try:
        saved(x, training=False)
    except Exception:
        # An unknown graph may raise any class.
        return []
    return [np.asarray(one) for one in seen if len(getattr(one, "shape", ())) == 4]


def _same(ours: np.ndarray, theirs: np.ndarray) -> bool:
    return np.allclose(theirs, ours, rtol=0, atol=_TOLERANCE * float(np.abs(ours).max()), equal_nan=True)


def nested_layers(model: "keras.Model") -> Iterator[Any]:
    """The layers of a model, and those of the models in it in place of these."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from nested_layers(layer)
        else:
            yield layer


def _first_layers(saved: "keras.Model") -> Iterator[str]:
    """Descriptions of the steps before the first layer with trainable weights."""
    for step in getattr(saved, "operations", saved.layers):
        kind = type(step).__name__
        if kind == "InputLayer":
            continue
        if getattr(step, "trainable_weights", None) or hasattr(step, "layers"):
            return
        given = [
            f"{name} {getattr(step, name)}"
            for name in ("scale", "offset", "mean", "variance")
            if hasattr(step, name)
        ]
        yield " ".join([kind, *(text for text in given if len(text) < 60)])
