"""A collection as a :class:`core.data.source.Source`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from core.cache import Shared
from core.collections import Collection, Hit, Info, collection_projection, embedder, filters
from core.collections.collection_projection import CollectionProjection
from core.data import image_sources
from core.data.source import Capability, ChartImages, Neighbor, Projection, SourceItem
from core.errors import CollectionError, ConditionError, UnknownFieldError
from core.experiments.store import Configuration
from core.imaging.transform import Box, Reduction
from core.models import image_embedder, weights
from core.progress import Progress
from core.search.engine import Engine

# What images without a label are called, and those of labels that are too rare to have a color of their own.
UNLABELLED, OTHERS = "no label", "other labels"
MOST_CLASSES = 40
_MOST_DETAILS = 4
_projections = Shared(8)


class CollectionSource:
    """A collection, for users who may not know the machine: paths show nothing above the folder that was added.

    Parameters
    ----------
    info : its counts, where they are known already.

    Attributes
    ----------
    version : counts the changes of its content; metric : the distance that it is searched with; engine : of its index.
    """

    url_key, item_key, ids = "collection", "image", range(1, 2**31)

    def __init__(self, engine: Engine, collection: Collection, info: Info | None = None):
        about, state = collection.about, collection.state
        self.collection, self.about = collection, about
        self.version, self.metric, self.engine = state.version, state.metric, state.engine
        self.name, self.key = about.name, f"{about.uuid}-{state.version}"
        # The weights without the path of a file.
        slug = embedder.weights_slug(about)
        self._configuration = Configuration(about.model, slug, about.layer, about.pooling, state.metric)
        self.configuration: Mapping[str, str] = vars(self._configuration)
        self.params: Mapping[str, str] = {self.url_key: self.name}
        shipped = weights.has_name(about.weights)
        self.capabilities = frozenset({Capability.CONDITIONS, *([Capability.ACTIVATIONS] if shipped else [])})
        self._engine, self._info = engine, info

    def __len__(self) -> int:
        return self.info.images

    @cached_property
    def info(self) -> Info:
        """Counts and sizes."""
        return self._info or self.collection.info()

    @property
    def labels(self) -> Mapping[str, int]:
        return self.info.labels

    @property
    def most_neighbors(self) -> int:
        return len(self)

    def item(self, item_id: int) -> SourceItem | None:
        row = self.collection.image(item_id)
        return None if row is None else self.of_row(row)

    def sample(self, most: int) -> list[SourceItem]:
        rows = self.collection.state.rows
        wanted = sorted({(2 * place + 1) * rows // (2 * most) for place in range(most)} if rows else ())
        return [self.of_row(image) for _, image in sorted(self.collection.first_of_rows(wanted).items())]

    def of_row(self, image: Any) -> SourceItem:
        """An image by its row of the catalog, or a hit."""
        path, label, metadata = image.path, image.label, image.metadata
        shown = image_sources.public_path(path, metadata, self._source_paths)
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
            shown,
            thumbnail(self.name, image.id, image.hash),
            partial(self.collection.file, path),
            {"path": shown, "metadata": metadata},
            # Without a label it goes by its name.
            (*([shown] if label else []), *facts[:_MOST_DETAILS]),
            missing,
        )

    def prepare(self, progress: Progress) -> None:
        progress.stage("Loading the model", 0)
        _ = self.collection.embedder
        progress.stage("Opening the index", 0)
        self.collection.snapshot()

    def reduction(self, crop: Box | None) -> Reduction:
        network = self.collection.embedder
        return Reduction(network.size, network.resample, crop)

    def embed(self, image: Image.Image) -> np.ndarray:
        return np.asarray(image_embedder.embed(self.collection.embedder, [image])[0])

    def nearest(
        self, vector: np.ndarray, k: int, where: Sequence[str] = ()
    ) -> tuple[list[Neighbor], tuple[str, ...]]:
        for condition in where:
            # By comparing, anybody could find out where the files of this machine are.
            if filters.parse(condition).field == "path":
                raise ConditionError(
                    f"The filter {condition!r} compares a path, which only the command line may do; use label or one of the metadata."
                )
        try:
            [hits] = self.collection.search_vectors(vector, k, where)
            notes = self.collection.notes(where)
        except UnknownFieldError as error:
            raise filters.unknown(error.field, [one for one in error.fields if one != "path"]) from None
        return [self._neighbor(hit) for hit in hits], notes

    def nearest_to(self, item_id: int, k: int) -> list[Neighbor]:
        return [self._neighbor(hit) for hit in self.collection.nearest_to(item_id, k)]

    def nearest_to_mean(self, item_ids: Sequence[int], k: int) -> list[Neighbor]:
        return [self._neighbor(hit) for hit in self.collection.nearest_to_mean(item_ids, k)]

    def metadata(self) -> Mapping[int, Mapping[str, Any]]:
        return {
            row.id: {key: value for key, value in row.metadata.items() if key != image_sources.NAME}
            for row in self.collection.images()
        }

    def _neighbor(self, hit: Hit) -> Neighbor:
        return Neighbor(self.of_row(hit), hit.distance, len(hit.also))

    def projection(self, method: str, dimensions: int) -> Projection | None:
        stored = collection_projection.read(self.collection, method, dimensions)
        if stored is None:
            return None
        key = (self.about.uuid, self.name, stored.version, len(stored.ids), method, dimensions)
        return _projections.get(key, lambda: self._projection(stored, method))

    def _projection(self, stored: CollectionProjection, method: str) -> Projection:
        classes, labels = classes_of(stored.labels)
        path = f"of/{quote(self.name, safe='')}/{method}/{stored.coordinates.shape[1]}"
        thumbnails = [
            thumbnail(self.name, image, content)
            for image, content in zip(stored.ids, stored.hashes, strict=True)
        ]
        before = thumbnail(self.name, 0, None).rsplit("/", 1)[0] + "/"

        def item(number: int) -> SourceItem:
            image, content, title = stored.ids[number], stored.hashes[number], stored.titles[number]

            file = partial(self._file, image)
            return SourceItem(image, labels[number], title, content or title, title, thumbnails[number], file)

        images = ChartImages(
            key=f"{self.about.uuid}-{stored.version}-{len(stored.ids)}",
            classes=classes,
            labels=labels,
            item=item,
            path=f"{path}/pictures",
            version=str(stored.version),
            thumbnails=(before, ""),
            references=[one.removeprefix(before) for one in thumbnails],
        )
        return Projection(
            images=images,
            layers=(self.about.layer,),
            numbers=np.arange(len(stored.ids)),
            coordinates=stored.coordinates[None],
            trustworthiness=(stored.trustworthiness,),
            silhouette=(stored.silhouette,),
            parameters=(stored.parameters,),
            total=stored.total,
            by_id={image: number for number, image in enumerate(stored.ids)},
            path=path,
            version=str(stored.version),
        )

    def _file(self, item_id: int) -> Path:
        item = self.item(item_id)
        if item is None:
            raise CollectionError("The collection has no image of that number any more.")
        return item.file()

    def compute_projection(self, method: str, dimensions: int, progress: Progress) -> None:
        collection_projection.compute(self.collection, method, dimensions, progress)

    def activation(self, image: Image.Image) -> np.ndarray:
        return self._engine.activation(image, self._configuration)

    @cached_property
    def _source_paths(self) -> tuple[str, ...]:
        return self.collection.source_paths


def thumbnail(collection: str, image_id: int, content: str | None) -> str:
    """Where :mod:`core.server.media` serves a stored image, below the server's base path."""
    return f"collections/{quote(collection, safe='')}/{image_id}?v={(content or '')[:12]}"


def classes_of(labels: Sequence[str | None]) -> tuple[tuple[str, ...], list[str]]:
    """Names of the classes that images are shown in, in alphabetical order, and that of each image.

    The labels, but where there are more of them than distinguishable colors, the rarer ones together.
    """
    counts = Counter(label for label in labels if label)
    most = {label for label, _ in counts.most_common(MOST_CLASSES)}
    shown = [UNLABELLED if not label else label if label in most else OTHERS for label in labels]
    last = [name for name in (OTHERS, UNLABELLED) if name in shown and name not in most]
    return (*sorted(most), *last), shown
