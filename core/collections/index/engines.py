"""The index engines, by name: one module ``<name>_index`` each."""

import pkgutil
from importlib import import_module

from core.collections import index
from core.collections.index.index_engine import Engine
from core.errors import UnknownNameError

DEFAULT = "faiss"
_SUFFIX = "_index"


def names() -> list[str]:
    """The names of all engines, the default first."""
    found = [module.name for module in pkgutil.iter_modules(index.__path__)]
    engines = [name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX)]
    return sorted(engines, key=lambda name: (name != DEFAULT, name))


def with_metric(metric: str) -> list[str]:
    """The names of the engines that have a metric, the default first."""
    return [name for name in names() if metric in get(name).metrics]


def get(name: str) -> type[Engine]:
    """The engine of a name.

    Raises
    ------
    UnknownNameError : there is none.
    """
    if name not in (known := names()):
        raise UnknownNameError("index engine", name, known)
    engine: type[Engine] = import_module(f"{index.__name__}.{name}{_SUFFIX}").ENGINE
    return engine
