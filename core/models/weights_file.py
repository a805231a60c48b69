"""Load the weights of a file that a user has saved with Keras into a model."""

import json
import os
import re
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import UnknownNameError, WeightsError
from core.models import keras2_file, keras_weights, saved_model_check
from core.models.definition import Model
from core.models.keras_weights import KerasWeights

if TYPE_CHECKING:
    import keras

_SUFFIXES = (".h5", ".keras")
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)  # keras.applications.efficientnet.IMAGENET_STDDEV_RGB


def check(weights: str | os.PathLike[str]) -> Path:
    """The path of a file of weights.

    Raises
    ------
    UnknownNameError : it is the name of no file.
    WeightsError : there is no such file, or it is of another kind.
    """
    path = Path(weights).expanduser()
    if not path.name.endswith(_SUFFIXES):
        if not path.suffix and not path.exists():
            raise UnknownNameError(
                "weights", str(weights), ("imagenet", "untrained", "a .weights.h5 or .keras file")
            )
        raise _unknown(path)
    if not path.is_file():
        raise WeightsError(f"There is no file {path.name}; check the path of the weights.")
    return path


def load(model: Model, path: Path) -> "keras.Model":
    """The graph of a model with the weights of a file; raises WeightsError where it can't be read or does not fit."""
    try:
        if path.name.endswith(".keras"):
            return _load_keras_file(model, path)
        return _load_weights_file(model, path)
    except WeightsError:
        raise
    except (OSError, RuntimeError) as error:  # of h5py, for a damaged file
        raise _unreadable(path) from error


def _unknown(path: Path) -> WeightsError:
    return WeightsError(
        f"{path.name} is not a file of weights that can be read; save it from Keras with "
        "model.save_weights('name.weights.h5') or model.save('name.keras')."
    )


def _unreadable(path: Path) -> WeightsError:
    return WeightsError(f"{path.name} can't be read, it may be cut short or damaged; save or copy it again.")


def _misfit(model: Model, path: Path, kind: str | None = None) -> WeightsError:
    what = f" ({kind})" if kind else ""
    return WeightsError(
        f"The weights in {path.name}{what} do not fit {model.title}; choose the model they were saved from, "
        f"built for {model.input_size} x {model.input_size} RGB images."
    )


def _load_weights_file(model: Model, path: Path) -> "keras.Model":
    """Weights of the model without its classifier, or else with it."""
    import h5py

    with h5py.File(path) as file:  # OSError if it is no HDF5
        scaled = "layers/rescaling_1" in file
        legacy = keras2_file.kind(file)
        names = list(file["layers"]) if "layers" in file else []
        graph = model.build_graph()
        try:
            reason = keras2_file.input_difference(file, graph, model.input_size) if legacy else None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            # From a description that Keras did not write.
            raise _unreadable(path) from error
    if legacy is None and not path.name.endswith(".weights.h5"):
        raise _unknown(path)
    if reason:
        raise _other_input(model, path, f"it is {legacy} and {reason}")
    if own := _own_input_layers(names, graph):
        raise _other_input(
            model, path, f"it has weights of a layer {own}, which does not say what it computes"
        )
    fill = keras2_file.fill if legacy else _fill
    misfit = _misfit(model, path, legacy)
    if not fill(graph, path):
        if not isinstance(model.weights, KerasWeights):
            raise misfit
        whole = keras_weights.build(model.weights.application, model.input_size, classifier=True)
        if not fill(whole, path):
            raise misfit
        _copy(whole.weights, graph)
    return _scale_input(graph) if scaled else graph


def _own_input_layers(names: list[str], graph: "keras.Model") -> str | None:
    """The name of an input layer in a file of weights that neither the graph nor its ImageNet variant has."""
    own = [type(layer).__name__.lower() for layer in graph.layers]
    for kind, siblings in (("rescaling", "normalization" in own), ("normalization", 0), ("resizing", 0)):
        found = [name for name in names if re.fullmatch(rf"{kind}(_\d+)?", name)]
        if len(found) > own.count(kind) + siblings:
            return found[-1]
    return None


def _other_input(model: Model, path: Path, reason: str) -> WeightsError:
    return WeightsError(
        f"{path.name} would give other vectors than the model it was saved from: {reason}. A model must take "
        f"RGB images of {model.input_size} x {model.input_size} from 0 to 255 and preprocess them in the same way "
        f"({model.preprocessing.description}), or take preprocessed images."
    )


def _fill(graph: "keras.Model", path: Path) -> bool:
    """Load the file into the graph; False if it doesn't fit."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about each layer that doesn't fit
            graph.load_weights(path)
    except (ValueError, KeyError):
        return False
    return True


def _load_keras_file(model: Model, path: Path) -> "keras.Model":
    """The weights of a saved model that begins with this one."""
    import keras

    try:
        saved = keras.models.load_model(path, compile=False, safe_mode=True)
    except OSError:
        raise
    except Exception as error:
        if not zipfile.is_zipfile(path) or isinstance(
            error, zipfile.BadZipFile | KeyError | json.JSONDecodeError
        ):
            raise _unreadable(path) from error
        raise WeightsError(
            f"{path.name} needs Python code of its own, such as a Lambda layer, and no code of a file is run; save the weights "
            "alone with model.save_weights('name.weights.h5')."
        ) from error
    graph = model.build_graph()
    shapes = [weight.shape for weight in graph.weights]
    given = [weight.shape for weight in saved.weights]
    # Layers for the input may have weights of their own, which come first.
    starts = [i for i in range(len(given) - len(shapes) + 1) if given[i : i + len(shapes)] == shapes]
    if not starts:
        raise _misfit(model, path)
    _copy(saved.weights[starts[0] :], graph)
    if any(_is_scaling(layer) for layer in saved_model_check.nested_layers(saved)):
        _scale_input(graph)
    if reason := saved_model_check.difference(model, graph, saved):
        raise _other_input(model, path, reason)
    return graph


def _copy(weights: list[Any], graph: "keras.Model") -> None:
    """Copy the first weights into the graph."""
    import keras

    for target, value in zip(graph.weights, weights, strict=False):
        target.assign(value)
    for layer in graph.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with copies of its weights


def _is_scaling(layer: Any) -> bool:
    import keras

    return isinstance(layer, keras.layers.Rescaling) and np.size(layer.scale) > 1


def _scale_input(graph: "keras.Model") -> "keras.Model":
    """Replace the layer by which keras.applications divides by sqrt(deviation) in its ImageNet EfficientNets.

    The graph built without weights lacks it. Dividing by the square root of a larger variance is equivalent.
    """
    import keras

    for layer in graph.layers:
        if isinstance(layer, keras.layers.Normalization):
            mean, variance, count = layer.get_weights()
            layer.set_weights([mean, variance * np.array(_IMAGENET_DEVIATION, np.float32), count])
            layer.finalize_state()
    return graph
