"""Loaded models, compiled layers and indexes, shared by all searches of a process.

Models are loaded once, and indexes are built when they are first needed. Several threads may use an :class:`Engine`.
"""

import threading
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from core.cache import Shared
from core.data.datasets import Dataset
from core.errors import GridError, UnknownNameError, UserError, WeightsError
from core.exact_index import Index
from core.experiments import vector_import
from core.experiments.store import Configuration, DatasetGrid, Grid, Summary
from core.imaging import transform
from core.models import extractor, networks, registry, weights
from core.models.intermediate_model import IntermediateModel
from core.models.query_extractor import QueryExtractor
from core.models.runtime import Network
from core.published.names import WEIGHTS as PUBLISHED
from core.search import recommendation
from core.search.recommendation import Recommendation
from core.settings import settings

if TYPE_CHECKING:
    import keras

    from core.collections import Collection
    from core.collections.state import About
    from core.models.image_embedder import ModelEmbedder


class Engine:
    """Searches the datasets of a grid, and opens collections.

    Parameters
    ----------
    grid : has the datasets and their stored vectors.
    """

    def __init__(self, grid: Grid):
        self.grid = grid
        self._graphs = Shared(settings.LIVE_MODELS)
        self._loaded = Shared(settings.LIVE_MODELS)
        self._networks = Shared(settings.LIVE_MODELS * 4)
        self._indexes = Shared(settings.LIVE_INDEXES)
        self._searchable = Shared(settings.LIVE_INDEXES)
        self._recommended = Shared(settings.LIVE_INDEXES)
        self._collections = Shared(settings.LIVE_INDEXES)
        # More forward passes at a time than there are cores only take memory.
        self._passes = threading.BoundedSemaphore(settings.LIVE_PASSES)

    def searchable(self, dataset: Dataset) -> list[Summary]:
        """The experiments of a dataset that an image can be searched under, the best first.

        Those whose weights are on this machine and whose vectors are short enough to be kept. Weights that come later count
        within a minute.
        """
        key = (dataset.fingerprint, self.grid.version(dataset.name), monotonic() // 60)
        return self._searchable.get(key, lambda: self._list_searchable(self.grid.load(dataset.name)))

    def recommended(self, dataset: Dataset) -> Recommendation | None:
        """The configuration to search a dataset under, of those of :meth:`searchable` that are trained; None where there is none."""

        found = self.searchable(dataset)

        def recommend() -> Recommendation | None:
            trained = [one.configuration for one in found if one.weights != weights.UNTRAINED]
            among = trained or [one.configuration for one in found]
            return recommendation.recommend([self.grid.load(dataset.name)], among) if among else None

        runs = frozenset((one.model, one.weights) for one in found)
        key = (dataset.fingerprint, self.grid.version(dataset.name), runs)
        return self._recommended.get(key, recommend)

    def _list_searchable(self, grid: DatasetGrid) -> list[Summary]:
        limit = settings.LIVE_INDEX_BYTES / (4 * len(grid.dataset))
        # Looking for weights takes a while.
        here = {key for key in grid.runs if _weights_here(*key)}
        found = [
            row for row in grid.summaries if row.dimensions <= limit and (row.model, row.weights) in here
        ]
        return sorted(found, key=lambda row: (row.weights == weights.UNTRAINED, row.best_first))

    def embed(self, image: Image.Image, configuration: Configuration | Summary) -> np.ndarray:
        """(dimensions,) float32: the vector of an image.

        Raises
        ------
        UnknownNameError, WeightsError : there is no such model, layer or pooling, or its weights can't be had.
        """
        network = self.network(configuration)
        with self._passes:
            pixels = transform.resize(image, network.model.input_size, network.model.resample)[None]
            return np.asarray(network(pixels)[configuration.layer, configuration.pooling][0])

    def nearest(
        self, index: tuple[np.ndarray, Index], vector: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ids and distances (k,) of the images nearest to a vector (dimensions,), in an index from :meth:`index`."""
        ids, vectors = index
        places, distances = vectors.search(vector[None], k)
        return ids[places[0]], distances[0]

    def collection(self, name: str) -> "Collection":
        """The collection of that name, searched with the networks that are loaded already.

        Raises
        ------
        UnknownNameError : there is none of that name.
        CollectionError : it can't be read.
        """
        from core import collections

        known = collections.names()
        if name not in known:
            raise UnknownNameError("collection", name, known)
        # A collection that was deleted and created again is another one.
        created = (settings.COLLECTIONS_DIR / name / "collection.json").stat().st_mtime_ns
        return self._collections.get(
            (name, created), lambda: collections.Collection.open(name, load=self._embedder)
        )

    def close(self) -> None:
        """Close the files and connections of collections; the next use opens them again."""
        for opened in self._collections.clear():
            opened.close()

    def _embedder(self, about: "About") -> "ModelEmbedder":
        from core.collections import embedder
        from core.models.image_embedder import ModelEmbedder

        embedder.check(about)
        if not weights.has_name(about.weights):
            return embedder.load(about)
        wanted = Configuration(about.model, about.weights, about.layer, about.pooling, "cosine")
        return ModelEmbedder(self.network(wanted), about.layer, about.pooling)

    def activation(self, image: Image.Image, configuration: Configuration | Summary) -> np.ndarray:
        """(height, width, channels) float32: the activation of the layer before pooling; raises as :meth:`embed`.

        Any layer of the network that has height and width, as ``core.models.architecture`` names them; UserError of others.
        """
        model, slug, layer = configuration.model, configuration.weights, configuration.layer
        defined = registry.get_model(model)

        def compile_layer() -> IntermediateModel:
            compiled = IntermediateModel(defined, self.loaded(model, slug), [layer], 1)
            compiled.warm_up()
            return compiled

        network = self._networks.get((model, slug, layer), compile_layer)
        with self._passes:
            pixels = transform.resize(image, defined.input_size, defined.resample)[None]
            return np.asarray(network(pixels)[0][0])

    def graph(self, model: str, slug: str) -> "keras.Model":
        """The graph of a model, loaded at the first call; raises UnknownNameError, WeightsError."""
        defined = registry.get_model(model)
        return self._graphs.get((model, slug), lambda: weights.load(defined, _loadable(defined, slug))[0])

    def loaded(self, model: str, slug: str) -> Network:
        """The network of a model, loaded at the first call; raises UnknownNameError, WeightsError."""
        defined = registry.get_model(model)
        return self._loaded.get((model, slug), lambda: networks.load(defined, _loadable(defined, slug)))

    def network(self, configuration: Configuration | Summary) -> extractor.Extractor:
        """The compiled model of a configuration for one image at a time; loaded at the first call."""
        model = registry.get_model(configuration.model)
        model.layer(configuration.layer)
        key = (configuration.model, configuration.weights)
        part = (*key, configuration.layer, configuration.pooling)

        def compile_layer() -> extractor.Extractor:
            loaded = self.loaded(*key)
            layers, poolings = [configuration.layer], [configuration.pooling]
            network = QueryExtractor(model, loaded, layers, poolings, settings.LIVE_PASSES)
            network.warm_up()
            return network

        return self._networks.get(part, compile_layer)

    def index(self, dataset: Dataset, configuration: Configuration | Summary) -> tuple[np.ndarray, Index]:
        """Ids (n,) and index of a dataset's images; from the stored vectors, or computed where none are stored.

        Raises
        ------
        UserError : there are no vectors to be had; a sentence says why.
        """
        self.check(dataset, configuration)
        key = (dataset.fingerprint, configuration.model, configuration.weights)
        part = (*key, configuration.layer, configuration.pooling, configuration.metric)

        def build() -> tuple[np.ndarray, Index]:
            ids, vectors = self._vectors(dataset, configuration)
            return ids, Index(vectors, configuration.metric)

        return self._indexes.get(part, build)

    def check(self, dataset: Dataset, configuration: Configuration | Summary) -> None:
        """Raises UserError where the experiments of a configuration were published without vectors, or have no model here."""
        if configuration.weights.startswith(vector_import.SLUG):
            raise UserError(
                f"The vectors of {configuration.model} were computed elsewhere: this configuration has no model here, so a new image can't be "
                "compared with them. Choose another configuration, or search with an image of the set."
            )
        if configuration.weights == PUBLISHED:
            raise UserError(
                f"The results of {configuration.model} on {dataset.name} were published without vectors, so a new image can't be "
                "compared with them; choose other weights."
            )

    def _vectors(
        self, dataset: Dataset, configuration: Configuration | Summary
    ) -> tuple[np.ndarray, np.ndarray]:
        try:
            run = self.grid.run(dataset, configuration.model, configuration.weights)
            return run.vectors(configuration.layer, configuration.pooling)
        except GridError:
            return self._extract(dataset, configuration)

    def _extract(
        self, dataset: Dataset, configuration: Configuration | Summary
    ) -> tuple[np.ndarray, np.ndarray]:
        model = registry.get_model(configuration.model)
        size = (
            4
            * len(dataset)
            * extractor.dimensions(model.layer(configuration.layer).shape, configuration.pooling)
        )
        if size > settings.LIVE_INDEX_BYTES:
            raise UserError(
                f"The vectors of this layer and pooling take {size / 1e6:.0f} MB for {len(dataset)} images, "
                f"more than the {settings.LIVE_INDEX_BYTES / 1e6:.0f} MB allowed; choose another layer or pooling."
            )
        network = self.network(configuration)
        ids, rows = [], []
        for batch in network.batches([dataset.path(item.id) for item in dataset.items]):
            for place, pixels in zip(batch.places, batch.pixels, strict=True):
                with self._passes:
                    rows.append(network(pixels[None])[configuration.layer, configuration.pooling][0])
                ids.append(place)
        if not rows:
            raise UserError(f"None of the images of {dataset.name!r} can be read.")
        return np.array(ids), np.stack(rows)


def _loadable(model: registry.Model, slug: str) -> str:
    """The weights as ``core.models.weights`` names them, if they can be loaded without a download."""
    names = weights.names(model)
    if slug not in names:
        raise UnknownNameError("weights", slug, names)
    here, sentence = weights.availability(model)
    if slug != weights.UNTRAINED and not here:
        raise WeightsError(f"The trained weights of {model.title} are not on this machine. {sentence}")
    return slug


def _weights_here(model: str, slug: str) -> bool:
    if model not in registry.MODELS:
        return False
    defined = registry.MODELS[model]
    return slug in weights.names(defined) and (slug == weights.UNTRAINED or weights.availability(defined)[0])
