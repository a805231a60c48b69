"""The weights of a model that a user has added: those in its ONNX file."""

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import WeightsError
from core.models import file_hash
from core.models.definition import Model, OwnNetwork, WeightsFile
from core.progress import Progress

if TYPE_CHECKING:
    from core.models.onnx_network import OnnxNetwork

INSTALL = "install it with: pip install --no-deps openvino"


@dataclass(frozen=True)
class Tap:
    """Where a layer is taken from a graph.

    Parameters
    ----------
    layer : its name here.
    tensor : its name in the graph.
    layout : ``"NCHW"``, ``"NHWC"``, ``"NLC"``, ``"NCL"`` or ``"NC"``.
    shape : (height, width, channels); (1, 1, channels) without positions.
    prefix : tokens before those of the patches.
    token : of these the one that is the layer, counted from 0; None for the patches.
    """

    layer: str
    tensor: str
    layout: str
    shape: tuple[int, int, int]
    prefix: int = 0
    token: int | None = None


@dataclass(frozen=True)
class OnnxWeights(OwnNetwork):
    """An ONNX file.

    Parameters
    ----------
    path : of it; the files with the rest of its weights are beside it.
    files : name and SHA-256 of each.
    fingerprint : of the files and of all else that the vectors depend on.
    layout : of its input, ``"NCHW"`` or ``"NHWC"``.
    batched : whether it takes several images at a time.
    taps : its layers, those that are compared first.
    about : a sentence on where it comes from.
    """

    path: Path
    files: tuple[tuple[str, str], ...]
    fingerprint: str
    layout: str
    batched: bool
    taps: tuple[Tap, ...] = field(repr=False)
    about: str
    license: str = ""
    kind = "onnx"

    def file(self, model: Model) -> WeightsFile:
        if importlib.util.find_spec("openvino") is None:
            about = f"{model.title} is an ONNX file, which needs OpenVINO; {INSTALL}."
            return WeightsFile(f"ONNX file {self.path.name}", "", about, None, self.license)
        source = f"{self.about} License: {self.license}." if self.license else self.about
        return WeightsFile(f"ONNX file {self.path.name}", source, self.about, self.path, self.license)

    def check(self, model: Model) -> None:
        if self.file(model).path is None:
            raise WeightsError(self.file(model).about)
        for name, digest in self.files:
            path = self.path.parent / name
            if not path.is_file() or file_hash.sha256(path) != digest:
                state = "has changed since it was added" if path.is_file() else "is missing"
                raise WeightsError(
                    f"The file {name} of the added model {model.name!r} {state}; remove the model and add it again."
                )

    def load(self, model: Model, progress: Progress) -> "OnnxNetwork":
        from core.models.onnx_network import OnnxNetwork

        self.check(model)
        return OnnxNetwork(model, self)
