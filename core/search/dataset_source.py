"""A dataset of the grid under one configuration, as a :class:`core.data.source.Source`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from core import projection
from core.cache import Shared
from core.data.datasets import Dataset
from core.data.source import Capability, ChartImages, Neighbor, Projection, SourceItem
from core.errors import GridError
from core.experiments.store import Configuration, DatasetGrid, StoredProjection, StoredRun
from core.imaging.transform import Box, Reduction
from core.metrics import pairwise
from core.models import registry
from core.progress import Progress
from core.search.engine import Engine

# A projection of more images takes longer to judge than a page may.
_MOST_JUDGED = 2000
_continuities = Shared(256)


class DatasetSource:
    """A dataset, searched in its stored vectors."""

    url_key, item_key = "dataset", "query"
    capabilities = frozenset(
        {Capability.CONFIGURATIONS, Capability.ACTIVATIONS, Capability.LAYER_PROJECTIONS}
    )

    def __init__(
        self, engine: Engine, dataset: Dataset, configuration: Configuration, grid: DatasetGrid | None = None
    ):
        self.dataset = dataset
        self.name, self.key, self.ids = dataset.name, dataset.fingerprint, range(len(dataset))
        self.configuration: Mapping[str, str] = vars(configuration)
        self.params: Mapping[str, str] = {self.url_key: self.name, **self.configuration}
        self._engine, self._configuration, self._grid = engine, configuration, grid

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def grid(self) -> DatasetGrid:
        """Its experiments."""
        return self._grid or self._engine.grid.load(self.name)

    @property
    def labels(self) -> Mapping[str, int]:
        return Counter(self.dataset.labels)

    @property
    def most_neighbors(self) -> int:
        return self.grid.run(self._configuration).about.top

    def item(self, item_id: int) -> SourceItem:
        return self.dataset.item(item_id)

    def sample(self, most: int) -> list[SourceItem]:
        return self.dataset.sample(most)

    def prepare(self, progress: Progress) -> None:
        self._engine.check(self.dataset, self._configuration)
        progress.stage("Loading the model", 0)
        self._engine.network(self._configuration)
        progress.stage(f"Preparing the {len(self):,} images to search", 0)
        self._engine.index(self.dataset, self._configuration)

    def reduction(self, crop: Box | None) -> Reduction:
        model = registry.get_model(self._configuration.model)
        return Reduction(model.input_size, model.resample, crop)

    def embed(self, image: Image.Image) -> np.ndarray:
        return self._engine.embed(image, self._configuration)

    def nearest(
        self, vector: np.ndarray, k: int, where: Sequence[str] = ()
    ) -> tuple[list[Neighbor], tuple[str, ...]]:
        index = self._engine.index(self.dataset, self._configuration)
        found = zip(*self._engine.nearest(index, vector, k), strict=True)
        return [Neighbor(self.dataset.item(int(i)), float(distance)) for i, distance in found], ()

    def nearest_to(self, item_id: int, k: int) -> list[Neighbor]:
        try:
            lists = self.grid.neighbors(self._configuration)
        except GridError as error:
            raise GridError(f"The neighbors can't be shown: {error}") from None
        row = int(np.searchsorted(lists.queries, item_id))
        if row == len(lists.queries) or lists.queries[row] != item_id:
            raise GridError("This image was left out of the experiment.")
        distances = [None] * k if lists.distances is None else lists.distances[row, :k].tolist()
        items = map(self.dataset.item, lists.ids[row, :k].tolist())
        return [Neighbor(item, distance) for item, distance in zip(items, distances, strict=False)]

    def nearest_to_mean(self, item_ids: Sequence[int], k: int) -> list[Neighbor]:
        ids, vectors = self._engine.index(self.dataset, self._configuration)
        own = np.flatnonzero(np.isin(ids, item_ids))
        if not len(own):
            raise GridError("These images were left out of the experiment.")
        places, distances = vectors.search(vectors.mean(own)[None], k + len(own))
        near = [one for one in zip(places[0], distances[0], strict=True) if one[0] not in own][:k]
        return [Neighbor(self.dataset.item(int(ids[place])), float(distance)) for place, distance in near]

    def metadata(self) -> Mapping[int, Mapping[str, Any]]:
        return {}

    def projection(self, method: str, dimensions: int) -> Projection | None:
        one = self._configuration
        stored = self.grid.projections(one.model, one.weights, one.pooling, method, dimensions)
        if not stored:
            return None
        ids, coordinates = _checked(stored, len(self))
        parts = (self.name, one.model, one.weights, one.pooling, method, str(dimensions))
        return Projection(
            images=chart_images(self.dataset),
            layers=tuple(layer.layer for layer in stored),
            numbers=ids,
            coordinates=coordinates,
            trustworthiness=tuple(_known(layer.trustworthiness) for layer in stored),
            silhouette=tuple(_known(layer.silhouette) for layer in stored),
            parameters=tuple(self._parameters(layer) for layer in stored),
            total=len(self),
            by_id={item_id: item_id for item_id in ids.tolist()},
            path="/".join(quote(part, safe="") for part in parts),
            version=self.grid.run(one).about.files.get("projections", ""),
        )

    def _parameters(self, stored: StoredProjection) -> dict[str, Any]:
        """What is stored of a projection; with the continuity at the layer of the configuration, where older grids lack it."""
        if stored.layer != self._configuration.layer or "continuity" in stored.parameters:
            return stored.parameters
        run = self.grid.run(self._configuration)
        known = stored.pooling == "avg" and "vectors" in run.about.files
        if not known or stored.trustworthiness is None or len(stored.ids) > _MOST_JUDGED:
            return stored.parameters
        key = (run.file("projections"), stored.layer, stored.method, stored.dimensions)
        return stored.parameters | {"continuity": _continuities.get(key, lambda: _continuity(run, stored))}

    def compute_projection(self, method: str, dimensions: int, progress: Progress) -> None:
        raise GridError("The projections of a dataset are computed with its experiments.")

    def activation(self, image: Image.Image) -> np.ndarray:
        return self._engine.activation(image, self._configuration)


def _continuity(run: StoredRun, stored: StoredProjection) -> float | None:
    """By the stored vectors; None where they can't be read or are not those of the projected images."""
    try:
        ids, vectors = run.vectors(stored.layer)
    except GridError:
        return None
    if not np.array_equal(ids, stored.ids):
        return None
    return projection.continuity(pairwise("cosine", vectors.astype(np.float32)), stored.coordinates)


def chart_images(dataset: Dataset) -> ChartImages:
    """The items of a dataset; their numbers are their ids."""
    before, after = dataset.address(0).rsplit("/0?", 1)
    return ChartImages(
        key=dataset.fingerprint,
        classes=dataset.classes,
        labels=dataset.labels,
        item=dataset.item,
        path=quote(dataset.name, safe=""),
        version=dataset.fingerprint[:12],
        thumbnails=(f"{before}/", f"?{after}"),
    )


def _checked(stored: Sequence[StoredProjection], n_images: int) -> tuple[np.ndarray, np.ndarray]:
    """The ids (n,) and coordinates (n_layers, n, dimensions) of projections of one model.

    Raises
    ------
    GridError : they don't show the same images, or have numbers that can't be coordinates.
    """
    ids = stored[0].ids
    shapes = {one.coordinates.shape for one in stored}
    if shapes != {(len(ids), stored[0].dimensions)} or not all(
        np.array_equal(one.ids, ids) for one in stored
    ):
        raise GridError("The projections of this model's layers do not show the same images.")
    coordinates = np.stack([one.coordinates for one in stored])
    if not len(ids) or ids.min() < 0 or ids.max() >= n_images or len(np.unique(ids)) < len(ids):
        raise GridError("The projections of this model show images that the dataset does not have.")
    if not np.isfinite(coordinates).all():
        raise GridError("The projections of this model have coordinates that are not finite.")
    return ids, coordinates


def _known(number: float | None) -> float | None:
    return None if number is None or not np.isfinite(number) else float(number)
