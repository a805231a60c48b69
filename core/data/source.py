"""What every set of images that is searched and shown can do, be it a dataset or a collection."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from PIL import Image

from core.progress import Progress


class Capability(Enum):
    """What only some sources can do.

    CONFIGURATIONS : there are experiments under several configurations to choose from. CONDITIONS : a search can be limited to images
    whose label and metadata meet conditions. ACTIVATIONS : the activations of its model can be computed.
    """

    CONFIGURATIONS = auto()
    CONDITIONS = auto()
    ACTIVATIONS = auto()


@dataclass(frozen=True)
class SourceItem:
    """An image of a source.

    id : its number in the source; label : None where it has none; title : its name, which may be empty; content : changes with the
    image; thumbnail : its path below the server's base path; file : locates its file or raises a UserError;
    facts : what else is known of it, by the field of the API; details : the same as lines to show; missing : why its file can't be
    shown, empty where it can.
    """

    id: int
    label: str | None
    title: str
    content: str
    thumbnail: str
    file: Callable[[], Path] = field(repr=False, compare=False)
    facts: Mapping[str, Any] = field(default_factory=dict)
    details: tuple[str, ...] = ()
    missing: str = ""

    @property
    def name(self) -> str:
        """Its title, or its label where it has none."""
        return self.title or self.label or ""

    @property
    def alt(self) -> str:
        """The image in words."""
        return (
            f"{self.title} ({self.label})" if self.label and self.title not in ("", self.label) else self.name
        )


@dataclass(frozen=True)
class Neighbor:
    """A search result; distance : None where it is not known; copies : how many other images have the same content."""

    item: SourceItem
    distance: float | None
    copies: int = 0


class Source(Protocol):
    """Images under one configuration, to be searched and shown.

    url_key : what its name is called in URLs and in the API; name : in those; key : changes with its images and their vectors;
    configuration : model, weights, layer, pooling and metric; params : the entries of a URL and the fields of the API that name it
    together with its configuration; labels : how many images have each label; input_size, resample : as for
    :func:`core.imaging.decode.resize`.
    """

    url_key: ClassVar[str]

    @property
    def name(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def configuration(self) -> Mapping[str, str]: ...
    @property
    def params(self) -> Mapping[str, str]: ...
    @property
    def labels(self) -> Mapping[str, int]: ...
    @property
    def capabilities(self) -> frozenset[Capability]: ...
    @property
    def input_size(self) -> int: ...
    @property
    def resample(self) -> str: ...

    def __len__(self) -> int:
        """How many images there are."""

    def sample(self, most: int) -> list[SourceItem]:
        """At most ``most`` images, spread over all of them."""

    def prepare(self, progress: Progress) -> None:
        """Load the model and the index, so that a search needs not; raises UserError when they can't be had."""

    def embed(self, image: Image.Image) -> np.ndarray:
        """(dimensions,) float32: the vector of an image; raises UserError when the model can't be had."""

    def nearest(
        self, vector: np.ndarray, k: int, where: Sequence[str] = ()
    ) -> tuple[list[Neighbor], tuple[str, ...]]:
        """The images nearest to a vector (dimensions,), nearest first, and sentences about those that conditions can't compare.

        Raises
        ------
        ConditionError : a condition can't be used.
        UserError : the vectors can't be had.
        """

    def activation(self, image: Image.Image) -> np.ndarray:
        """(height, width, channels) float32 of the layer before pooling; of sources with :attr:`Capability.ACTIVATIONS`."""
