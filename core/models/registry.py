"""The table of models: those of all families, by name.

Each module of ``core.models.families`` is a family. The table is static: listing it imports neither Keras nor TensorFlow.
"""

import importlib
import pkgutil

from core.errors import UnknownNameError
from core.models import families
from core.models.definition import Layer, Model
from core.models.keras_weights import KerasWeights

__all__ = ["APPLICATIONS", "MODELS", "N_LAYERS", "Layer", "Model", "discover", "get_model"]

N_LAYERS = 8
"""Layers of every model that are compared."""


def discover() -> dict[str, Model]:
    """The models of all modules in the package ``core.models.families``, by name and in the order of their positions.

    Raises ValueError where two models have one name, or one has other than eight layers.
    """
    found: dict[str, Model] = {}
    for module in pkgutil.iter_modules(families.__path__, f"{families.__name__}."):
        for model in importlib.import_module(module.name).MODELS:
            if model.name in found:
                raise ValueError(f"{module.name}: there is a model {model.name} already.")
            if len({layer.name for layer in model.layers}) != N_LAYERS or len(model.layers) != N_LAYERS:
                raise ValueError(f"{module.name}: {model.name} needs {N_LAYERS} layers of different names.")
            found[model.name] = model
    return dict(sorted(found.items(), key=lambda item: item[1].position))


MODELS = discover()
"""Every model by its name, those of keras.applications first."""

APPLICATIONS = {
    name: model.weights.application
    for name, model in MODELS.items()
    if isinstance(model.weights, KerasWeights)
}
"""Models whose weights Keras downloads -> function of ``keras.applications``."""


def get_model(name: str) -> Model:
    """The model of that name; raises UnknownNameError."""
    if name not in MODELS:
        raise UnknownNameError("model", name, MODELS)
    return MODELS[name]
