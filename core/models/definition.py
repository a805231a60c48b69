"""What defines a model: the fields of a row of ``core.models.registry``."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from core.errors import UnknownNameError, WeightsError
from core.models.preprocessing import Preprocessing
from core.progress import Progress

if TYPE_CHECKING:
    import keras

    from core.models.runtime import Network


@dataclass(frozen=True)
class Layer:
    """A layer that is compared.

    Parameters
    ----------
    name : Keras's own name. Where Keras only counts its layers, their place among those of their kind in the graph,
        from 1: ``"conv2d_23"``.
    shape : (height, width, channels) of its output at the model's input size.
    parameters : of the intermediate model that ends in it.
    index : place in ``keras.Model.layers``, for layers that Keras names with a counter.
    """

    name: str
    shape: tuple[int, int, int]
    parameters: int
    index: int | None = None


@dataclass(frozen=True)
class WeightsFile:
    """A file of ImageNet weights, which need not be on this machine.

    Parameters
    ----------
    origin : the package and its version, or the URL.
    source : the same in a sentence.
    about : a sentence that says where it is, or how to get it.
    path : where it is, or is downloaded to; None where the package that has it is not installed.
    license : of the weights, in a few words; empty where nothing is known of it.
    published_hash : what Keras publishes, with its algorithm; None where none is published.
    """

    origin: str
    source: str
    about: str
    path: Path | None
    license: str = ""
    published_hash: str | None = None

    @property
    def here(self) -> bool:
        """Whether it is on this machine."""
        return self.path is not None and self.path.is_file()


class WeightsSource(Protocol):
    """Where the ImageNet weights of a model come from."""

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """That of the weights first, then others that stand for the same weights; none where they are not here."""
        ...

    def file(self, model: "Model") -> WeightsFile:
        """Their file."""
        ...

    def load(self, model: "Model", progress: Progress) -> "keras.Model":
        """The graph with these weights, downloaded if need be; raises WeightsError."""
        ...


OWN_KINDS = ("onnx", "combined")
"""The kinds of weights that belong to one model alone."""


class OwnNetwork(ABC):
    """Weights that come with a network of their own, and with no graph of Keras.

    Parameters
    ----------
    kind : of :data:`OWN_KINDS`; fingerprint : of all that the vectors depend on.
    """

    kind: ClassVar[str]
    fingerprint: str

    @property
    def slug(self) -> str:
        """How the weights are named: their kind and eight hex digits, such as ``"onnx-01234567"``."""
        return f"{self.kind}-{self.fingerprint[:8]}"

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """One, as :class:`WeightsSource` has them."""
        return (self.fingerprint,)

    @abstractmethod
    def file(self, model: "Model") -> WeightsFile:
        """As :class:`WeightsSource` has it."""

    @abstractmethod
    def check(self, model: "Model") -> None:
        """Raises WeightsError where something is missing, or is not what was added."""

    @abstractmethod
    def load(self, model: "Model", progress: Progress) -> "Network":
        """The network; raises as :meth:`check`."""


@dataclass(frozen=True)
class Model:
    """A network without its classifier, and what goes into it.

    Parameters
    ----------
    name : in URLs, files and commands.
    title : on pages.
    input_size : height and width of its input in pixels.
    resample : how an image is resized to that: ``"bilinear"`` | ``"bicubic"`` | ``"nearest"``.
    preprocessing : of the resized image.
    parameters : of the graph.
    layers : eight, from the image to the last feature map; of an added model up to eight.
    build : input size -> the randomly initialized graph; None for a model that is an ONNX file or a combination.
    weights : where its ImageNet weights come from; None where there are none.
    source : paper or origin.
    position : models are listed by it, lowest first, and those of one position by the names of their families.
    """

    name: str
    title: str
    input_size: int
    resample: str
    preprocessing: Preprocessing
    parameters: int
    layers: tuple[Layer, ...]
    build: Callable[[int], "keras.Model"] | None
    weights: WeightsSource | None
    source: str
    position: int = 1000

    def layer(self, name: str) -> Layer:
        """The layer of that name; raises UnknownNameError."""
        return self.layers[self.depth(name) - 1]

    def depth(self, layer_name: str) -> int:
        """Place of a layer, 1 next to the image to 8; raises UnknownNameError."""
        names = [layer.name for layer in self.layers]
        if layer_name not in names:
            raise UnknownNameError(f"layer of {self.name}", layer_name, names)
        return names.index(layer_name) + 1

    def build_graph(self) -> "keras.Model":
        """The graph without a classifier, randomly initialized.

        It maps preprocessed float32 images (batch, size, size, 3) to its last feature map (batch, h, w, channels).

        Raises
        ------
        WeightsError : the model is an ONNX file or a combination.
        """
        if self.build is None:
            raise WeightsError(
                f"{self.title} was added here: it has its own weights, and no graph that can be trained or built without them."
            )
        return self.build(self.input_size)

    def at_size(self, size: int) -> "Model":
        """This model for images of another size, with the shapes that its layers have then; builds its graph."""
        if size == self.input_size or self.build is None:
            return self
        graph = self.build(size)
        layers = (replace(layer, shape=tuple(_found(graph, layer).output.shape[1:])) for layer in self.layers)
        return replace(self, input_size=size, layers=tuple(layers))

    def outputs(self, graph: "keras.Model", layers: Iterable[str]) -> list["keras.KerasTensor"]:
        """The outputs of the named layers in a graph of this model, in the order of the names.

        Raises
        ------
        UnknownNameError : the model has no such layer.
        RuntimeError : the graph is of another model.
        """
        return [_output(graph, self.layer(name)) for name in layers]


def _found(graph: "keras.Model", layer: Layer) -> "keras.Layer":
    # Keras's counter runs on through the process; the place in the graph does not.
    return graph.get_layer(layer.name) if layer.index is None else graph.layers[layer.index]


def _output(graph: "keras.Model", layer: Layer) -> "keras.KerasTensor":
    import keras

    found = _found(graph, layer)
    if layer.index is not None and not isinstance(found, keras.layers.Conv2D):
        raise RuntimeError(
            f"{graph.name}: layer {layer.index} should be the convolution {layer.name}: {found}"
        )
    shape = tuple(found.output.shape[1:])
    if shape != layer.shape:
        raise RuntimeError(f"{graph.name}: {layer.name} should have the shape {layer.shape}, not {shape}")
    return found.output
