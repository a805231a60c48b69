"""Collections as the pages need them: read once for every state, and their pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from core import collections
from core.collections import Collection, Info, embedder, image_sources, labelled_dataset
from core.collections.collection_projection import CollectionLayout
from core.collections.labelled_dataset import Labelled
from core.collections.state import About
from core.data.datasets import Dataset, Item
from core.errors import CollectionError
from core.experiments.store import Configuration
from core.models import registry
from core.search import collection_source, shared_engine
from core.server import projections
from core.settings import settings
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.frontend.gallery.gallery import Tile
from dashboard.widgets import glossary, image_input, markdown


@dataclass(frozen=True)
class Sample(Dataset):
    """Images of a collection as the dataset that the parts of a page show."""

    addresses: tuple[str, ...] = field(repr=False, default=())

    def address(self, item_id: int) -> str:
        return self.addresses[item_id]


@dataclass(frozen=True)
class Overview:
    """What a page says of a collection.

    version : counts the changes of its content; info : all counts and sizes.
    """

    about: About
    metric: str
    version: int
    info: Info

    @property
    def images(self) -> int:
        """How many there are."""
        return self.info.images

    @property
    def labels(self) -> Mapping[str, int]:
        """How many images have each label."""
        return self.info.labels

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the images came from."""
        return self.info.sources

    @property
    def configuration(self) -> Configuration:
        """Its configuration, as experiments name theirs."""
        about = self.about
        return Configuration(
            about.model, embedder.weights_slug(about), about.layer, about.pooling, self.metric
        )

    def describe(self) -> str:
        """The configuration and the size in a line of Markdown."""
        about = self.about
        model = registry.MODELS.get(about.model)
        title = model.title if model else about.model
        shape = f" · {'×'.join(map(str, model.layer(about.layer).shape))}" if model else ""
        parts = [
            f"**{markdown.plain(title)}**",
            markdown.plain(glossary.weights(self.configuration.weights)),
            f"layer {markdown.plain(about.layer)}{shape}",
            f"{about.pooling} pooling",
            f"{self.metric} distance",
            f"{self.images:,} picture{'s' if self.images != 1 else ''}",
        ]
        return " · ".join(parts)


def names() -> list[str]:
    """The collections that there are."""
    return collections.names()


def load(name: str) -> tuple[Collection, Overview]:
    """A collection, open, and what is to be said of it.

    Raises
    ------
    UnknownNameError, CollectionError : there is none of that name, or it can't be read.
    """
    opened = shared_engine.engine().collection(name)
    return opened, _overview(str(settings.COLLECTIONS_DIR), opened.about.uuid, opened.state.version, opened)


def dataset_of(collection: Collection) -> Labelled:
    """The dataset that its labelled images are; raises DatasetError when they are none."""
    return _labelled(
        str(settings.COLLECTIONS_DIR), collection.about.uuid, collection.state.version, collection
    )


def laid_out(collection: Collection, layout: CollectionLayout) -> Sample:
    """The images of a layout, by their places in it."""
    about = collection.about
    return _laid_out(about.name, about.uuid, layout.version, len(layout.ids), layout)


def tile(collection: Collection, image: Any, **about: Any) -> Tile:
    """A stored image, a row of the catalog or a hit, to be shown; one whose file is gone as such."""
    name = image_sources.title(image.path, image.metadata)
    lines = about.pop("lines", ())
    try:
        collection.file(image.path)
        source = picture(collection.about.name, image.id, image.hash)
    except CollectionError as error:
        source, lines = gallery.MISSING, (*lines, str(error))
    alt = f"{name} ({image.label})" if image.label else name
    return Tile(id=image.id, src=source, alt=alt, lines=lines, **({"title": image.label or name} | about))


def picture(collection: str, image_id: int, content: str | None) -> str:
    """The address of the picture of a stored image, from :mod:`core.server.media`."""
    return gallery.address(collection_source.thumbnail(collection, image_id, content))


def search_with(collection: Collection, image: Any) -> None:
    """Search with a stored image, a row of the catalog or a hit, on the page *Your picture*."""
    image_input.from_file(
        image.hash or image.path,
        image_sources.title(image.path, image.metadata),
        lambda: collection.file(image.path),
    )


def sample(collection: Collection, most: int) -> list[Any]:
    """Some of the stored images, spread over all of them, as rows of the catalog."""
    rows = collection.state.rows
    wanted = sorted({(2 * place + 1) * rows // (2 * most) for place in range(most)} if rows else ())
    return [image for _, image in sorted(collection.first_of_rows(wanted).items())]


def link(name: str) -> None:
    """The way to the page where a collection is filled."""
    if st.button("Your images", icon=":material/photo_library:", key="open-images"):
        url.open_page(url.YOUR_IMAGES, {url.COLLECTION: name})


@st.cache_resource(show_spinner=False, max_entries=8)
def _laid_out(name: str, uuid: str, version: int, count: int, _layout: CollectionLayout) -> Sample:
    classes, shown = projections.classes_of(_layout)
    items = tuple(
        Item(place, title, label, title)
        for place, (title, label) in enumerate(zip(_layout.titles, shown, strict=True))
    )
    return Sample(
        name,
        name,
        "",
        classes,
        items,
        f"{uuid}-{version}-{count}",
        Path("/"),
        name,
        tuple(
            collection_source.thumbnail(name, image, content)
            for image, content in zip(_layout.ids, _layout.hashes, strict=True)
        ),
    )


@st.cache_data(show_spinner=False, max_entries=64)
def _overview(folder: str, uuid: str, version: int, _collection: Collection) -> Overview:
    return Overview(_collection.about, _collection.state.metric, version, _collection.info())


# For a minute: files may go without the catalog's knowing.
@st.cache_resource(show_spinner=False, ttl=60, max_entries=8)
def _labelled(folder: str, uuid: str, version: int, _collection: Collection) -> Labelled:
    return labelled_dataset.dataset(_collection)
