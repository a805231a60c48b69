"""What every set of images that is searched and shown can do, be it a dataset or a collection."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from core.imaging.transform import Box, Reduction
from core.progress import Progress


class Capability(Enum):
    """What only some sources can do.

    CONFIGURATIONS : there are experiments under several configurations to choose from. CONDITIONS : a search can be limited to images
    whose label and metadata meet conditions. ACTIVATIONS : the activations of its model can be computed. LAYER_PROJECTIONS : projections
    of all layers are stored; of other sources :meth:`Source.compute_projection` computes one.
    """

    CONFIGURATIONS = auto()
    CONDITIONS = auto()
    ACTIVATIONS = auto()
    LAYER_PROJECTIONS = auto()


@dataclass(frozen=True)
class SourceItem:
    """An image of a source.

    id : its number in the source; label : None where it has none; title : its name, which may be empty; content : changes with the
    image; path : its file as users may see it; thumbnail : its path below the server's base path; file : locates its file or raises a
    UserError;
    facts : what else is known of it, by the field of the API; details : the same as lines to show; missing : why its file can't be
    shown, empty where it can.
    """

    id: int
    label: str | None
    title: str
    content: str
    path: str
    thumbnail: str
    file: Callable[[], Path] = field(repr=False, compare=False)
    facts: Mapping[str, Any] = field(default_factory=dict)
    details: tuple[str, ...] = ()
    missing: str = ""

    @property
    def name(self) -> str:
        """Its title, or its label where it has none; of a title that is a path only what comes after the folders."""
        title = self.title.rpartition("/")[2] if self.title == self.path else self.title
        return title or self.label or ""

    @property
    def alt(self) -> str:
        """The image in words."""
        return (
            f"{self.title} ({self.label})"
            if self.label and self.title not in ("", self.label)
            else self.title or self.name
        )


@dataclass(frozen=True)
class Neighbor:
    """A search result; distance : None where it is not known; copies : how many other images have the same content."""

    item: SourceItem
    distance: float | None
    copies: int = 0


@dataclass(frozen=True)
class ChartImages:
    """The images that a chart shows, by their numbers in it.

    key : changes with them; classes : names, in the order of their colors; labels : the class of each image; item : an image by its number;
    path, version : of what the server says of them; thumbnails : what comes before and after an image's number in the path of its
    thumbnail, or before and after its reference where it has one.
    """

    key: str
    classes: tuple[str, ...]
    labels: Sequence[str]
    item: Callable[[int], SourceItem]
    path: str
    version: str
    thumbnails: tuple[str, str]
    references: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Projection:
    """Images in two or three dimensions, under each of some layers.

    layers : names, by depth; numbers : (n,) of the images; coordinates : (n_layers, n, dimensions) float32;
    trustworthiness, silhouette : one for each layer, None where it is not known; parameters : of each layer's projection;
    total : how many images the source has; by_id : the numbers of those images by their ids; path, version : of the points on the server.
    """

    images: ChartImages
    layers: tuple[str, ...]
    numbers: np.ndarray
    coordinates: np.ndarray
    trustworthiness: tuple[float | None, ...]
    silhouette: tuple[float | None, ...]
    parameters: tuple[Mapping[str, Any], ...]
    total: int
    by_id: Mapping[int, int]
    path: str
    version: str

    @property
    def dimensions(self) -> int:
        """2 or 3."""
        return int(self.coordinates.shape[2])


class Source(Protocol):
    """Images under one configuration, to be searched and shown.

    url_key, name : of the source in URLs and in the API; item_key, ids : of its images in URLs, and the ids that there can be;
    key : changes with its images and their vectors; configuration : model, weights, layer, pooling and metric; params : the entries of a
    URL and the fields of the API that name the source with its configuration.
    """

    url_key: str
    name: str
    item_key: str
    ids: range
    key: str
    configuration: Mapping[str, str]
    params: Mapping[str, str]
    capabilities: frozenset[Capability]

    def __len__(self) -> int:
        """How many images there are."""

    @property
    def labels(self) -> Mapping[str, int]:
        """How many images have each label."""

    @property
    def most_neighbors(self) -> int:
        """The largest k of :meth:`nearest_to`."""

    def item(self, item_id: int) -> SourceItem | None:
        """An image; None where there is none of that number any more."""

    def sample(self, most: int) -> list[SourceItem]:
        """At most ``most`` images, spread over all of them."""

    def prepare(self, progress: Progress) -> None:
        """Load the model and the index, so that a search needs not; raises UserError when they can't be had."""

    def reduction(self, crop: Box | None) -> Reduction:
        """How to decode an image, or a region of it, for :meth:`embed`; raises UserError when the model can't be had."""

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

    def nearest_to(self, item_id: int, k: int) -> list[Neighbor]:
        """The images nearest to one of them, nearest first; raises UserError where they are not known."""

    def nearest_to_mean(self, item_ids: Sequence[int], k: int) -> list[Neighbor]:
        """The images nearest to the mean vector of some of them, without these; raises UserError where there are no vectors."""

    def metadata(self) -> Mapping[int, Mapping[str, Any]]:
        """What is stored beside each image, by its id; empty where there is nothing."""

    def projection(self, method: str, dimensions: int) -> Projection | None:
        """Its images in two or three dimensions, None where that was not computed; raises GridError when it is damaged.

        Parameters
        ----------
        method : ``"umap"`` | ``"pca"``.
        """

    def compute_projection(self, method: str, dimensions: int, progress: Progress) -> None:
        """Compute and store a projection, of sources without :attr:`Capability.LAYER_PROJECTIONS`; raises UserError."""

    def activation(self, image: Image.Image) -> np.ndarray:
        """(height, width, channels) float32 of the layer before pooling; of sources with :attr:`Capability.ACTIVATIONS`."""
