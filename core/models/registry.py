"""The table of models: those of all families, by name.

Each module of ``core.models.families`` is a family, and models that a user has added come after them. Listing them imports neither Keras
nor TensorFlow.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from core.errors import UnknownNameError
from core.models import added_folder, added_models, combinations, families
from core.models.definition import Layer, Model
from core.models.keras_weights import KerasWeights
from core.settings import settings

__all__ = [
    "APPLICATIONS",
    "FAMILIES",
    "MODELS",
    "N_LAYERS",
    "Layer",
    "Model",
    "discover",
    "folder",
    "get_model",
]

N_LAYERS = 8
"""Layers of a model that are compared; those that a user has added may have fewer."""


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


class Models(Mapping[str, Model]):
    """The models of families, and those and the combinations that are added at the moment."""

    def __init__(self, families: Mapping[str, Model]):
        self._families = families

    def __getitem__(self, name: str) -> Model:
        if name in self._families:
            return self._families[name]
        if name in added_models.names():
            return added_models.get(name)
        if name in combinations.names():
            return combinations.get(name, self)
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return name in self._families or name in added_models.names() or name in combinations.names()

    def __iter__(self) -> Iterator[str]:
        yield from self._families
        for model in (*added_models.readable(), *combinations.readable(self)):
            if model.name not in self._families:
                yield model.name

    def __len__(self) -> int:
        return sum(1 for _ in self)


FAMILIES = discover()
"""The models of this project by their names, those of keras.applications first."""

MODELS: Mapping[str, Model] = Models(FAMILIES)
"""Every model by its name, those that a user has added last."""

APPLICATIONS = {
    name: model.weights.application
    for name, model in FAMILIES.items()
    if isinstance(model.weights, KerasWeights)
}
"""Models whose weights Keras downloads -> function of ``keras.applications``."""


def get_model(name: str) -> Model:
    """The model of that name; raises UnknownNameError, and OnnxError or CombinationError where an added one can't be read."""
    if name not in MODELS:
        raise UnknownNameError("model", name, MODELS)
    return MODELS[name]


def folder(name: str) -> Path:
    """Where the architecture of a model is and what is computed of it."""
    added = name in added_models.names() or name in combinations.names()
    return added_folder.folder(name) if added else settings.MODELS_DIR / name
