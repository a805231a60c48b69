"""Collections as the pages need them: read once for every state, and their pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from core import pictures, settings
from core.datasets import Dataset, Item
from core.errors import CollectionError
from core.experiments.store import Configuration
from core.models import zoo
from core.search import collection as collections
from core.search import shared
from core.search.collection import Collection, Info, embedder, labelled, sources
from core.search.collection.labelled import Labelled
from core.search.collection.layout import CollectionLayout
from core.search.collection.state import About
from dashboard.components import explain, gallery, intake, layouts, state
from dashboard.components.gallery import Tile


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
        model = zoo.MODELS.get(about.model)
        title = model.title if model else about.model
        shape = f" · {'×'.join(map(str, model.layer(about.layer).shape))}" if model else ""
        parts = [
            f"**{state.plain(title)}**",
            state.plain(explain.weights(self.configuration.weights)),
            f"layer {state.plain(about.layer)}{shape}",
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
    opened = shared.engine().collection(name)
    return opened, _overview(str(settings.COLLECTIONS_DIR), opened.about.uuid, opened.state.version, opened)


def labelled_dataset(collection: Collection) -> Labelled:
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
    name = sources.title(image.path, image.metadata)
    lines = about.pop("lines", ())
    try:
        collection.file(image.path)
        source = picture(collection.about.name, image.id, image.hash)
    except CollectionError as error:
        source, lines = gallery.MISSING, (*lines, str(error))
    alt = f"{name} ({image.label})" if image.label else name
    return Tile(id=image.id, src=source, alt=alt, lines=lines, **({"title": image.label or name} | about))


def picture(collection: str, image_id: int, content: str | None) -> str:
    """The address of the picture of a stored image, from :mod:`core.pictures`."""
    return gallery.address(pictures.collection_address(collection, image_id, content))


def search_with(collection: Collection, image: Any) -> None:
    """Search with a stored image, a row of the catalog or a hit, on the page *Your picture*."""
    intake.from_file(
        image.hash or image.path,
        sources.title(image.path, image.metadata),
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
        st.switch_page("views/images.py", query_params=state.collection_params(name))


@st.cache_resource(show_spinner=False, max_entries=8)
def _laid_out(name: str, uuid: str, version: int, count: int, _layout: CollectionLayout) -> Sample:
    classes, shown = layouts.classes_of(_layout)
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
            pictures.collection_address(name, image, content)
            for image, content in zip(_layout.ids, _layout.hashes, strict=True)
        ),
    )


@st.cache_data(show_spinner=False, max_entries=64)
def _overview(folder: str, uuid: str, version: int, _collection: Collection) -> Overview:
    return Overview(_collection.about, _collection.state.metric, version, _collection.info())


# For a minute: files may go without the catalog's knowing.
@st.cache_resource(show_spinner=False, ttl=60, max_entries=8)
def _labelled(folder: str, uuid: str, version: int, _collection: Collection) -> Labelled:
    return labelled.dataset(_collection)
