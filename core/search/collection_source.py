"""A collection as a :class:`core.data.source.Source`."""

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any, ClassVar
from urllib.parse import quote

import numpy as np
from PIL import Image

from core.collections import Collection, Info, embedder, filters, image_sources
from core.data.source import Capability, Neighbor, SourceItem
from core.errors import CollectionError, ConditionError, UnknownFieldError
from core.experiments.store import Configuration
from core.models import weights
from core.progress import Progress
from core.search.engine import Engine

_MOST_DETAILS = 4


class CollectionSource:
    """A collection, for users who may not know the machine: paths show nothing above the folder that was added.

    Parameters
    ----------
    info : its counts, where they are known already.

    Attributes
    ----------
    version : counts the changes of its content; metric : the distance that it is searched with.
    """

    url_key: ClassVar[str] = "collection"

    def __init__(self, engine: Engine, collection: Collection, info: Info | None = None):
        self.collection, self.about = collection, collection.about
        self._engine, self._info = engine, info
        state = collection.state
        self.version, self.metric = state.version, state.metric

    def __len__(self) -> int:
        return self.info.images

    @cached_property
    def info(self) -> Info:
        """Counts and sizes."""
        return self._info or self.collection.info()

    @property
    def name(self) -> str:
        return self.about.name

    @property
    def key(self) -> str:
        return f"{self.about.uuid}-{self.version}"

    @cached_property
    def _configuration(self) -> Configuration:
        # The weights without the path of a file.
        slug = embedder.weights_slug(self.about)
        return Configuration(self.about.model, slug, self.about.layer, self.about.pooling, self.metric)

    @property
    def configuration(self) -> Mapping[str, str]:
        return vars(self._configuration)

    @property
    def params(self) -> Mapping[str, str]:
        return {self.url_key: self.name}

    @property
    def labels(self) -> Mapping[str, int]:
        return self.info.labels

    @property
    def capabilities(self) -> frozenset[Capability]:
        known = self.about.weights in (weights.IMAGENET, weights.UNTRAINED)
        return frozenset({Capability.CONDITIONS, *([Capability.ACTIVATIONS] if known else [])})

    @property
    def input_size(self) -> int:
        return self.collection.embedder.size

    @property
    def resample(self) -> str:
        return self.collection.embedder.resample

    def sample(self, most: int) -> list[SourceItem]:
        rows = self.collection.state.rows
        wanted = sorted({(2 * place + 1) * rows // (2 * most) for place in range(most)} if rows else ())
        return [self.item(image) for _, image in sorted(self.collection.first_of_rows(wanted).items())]

    def item(self, image: Any) -> SourceItem:
        """A row of the catalog, or a hit."""
        path, label, metadata = image.path, image.label, image.metadata
        shown = image_sources.told_path(path, metadata, self._source_paths)
        facts = [f"{key}: {value}" for key, value in metadata.items() if key != image_sources.NAME]
        missing = ""
        try:
            self.collection.file(path)
        except CollectionError as error:
            missing = str(error)
        return SourceItem(
            image.id,
            label,
            image_sources.title(path, metadata),
            image.hash or path,
            thumbnail(self.name, image.id, image.hash),
            partial(self.collection.file, path),
            {"path": shown, "metadata": metadata},
            # Without a label it goes by its name.
            (*([shown] if label else []), *facts[:_MOST_DETAILS]),
            missing,
        )

    def prepare(self, progress: Progress) -> None:
        progress.stage("Starting TensorFlow and loading the model", 0)
        _ = self.collection.embedder
        progress.stage("Opening the index", 0)
        self.collection.snapshot()

    def embed(self, image: Image.Image) -> np.ndarray:
        return embedder.embed(self.collection.embedder, [image])[0]

    def nearest(
        self, vector: np.ndarray, k: int, where: Sequence[str] = ()
    ) -> tuple[list[Neighbor], tuple[str, ...]]:
        for condition in where:
            # By comparing, anybody could find out where the files of this machine are.
            if filters.parse(condition).field == "path":
                raise ConditionError(
                    f"The filter {condition!r} asks for a path, which only the command line may; use label or one of the metadata."
                )
        try:
            [hits] = self.collection.search_vectors(vector, k, where)
            notes = self.collection.notes(where)
        except UnknownFieldError as error:
            raise filters.unknown(error.field, [one for one in error.fields if one != "path"]) from None
        return [Neighbor(self.item(hit), hit.distance, len(hit.also)) for hit in hits], notes

    def activation(self, image: Image.Image) -> np.ndarray:
        return self._engine.activation(image, self._configuration)

    @cached_property
    def _source_paths(self) -> tuple[str, ...]:
        return self.collection.source_paths


def thumbnail(collection: str, image_id: int, content: str | None) -> str:
    """Where :mod:`core.server.media` serves a stored image, below the server's base path."""
    return f"collections/{quote(collection, safe='')}/{image_id}?v={(content or '')[:12]}"
