"""Sources as the pages have them: datasets with their experiments, and collections read once for every state."""

from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from core.collections import Collection, Info, labelled_dataset
from core.collections.collection_projection import CollectionLayout
from core.collections.labelled_dataset import Labelled
from core.data.datasets import Dataset, Item
from core.data.source import Source, SourceItem
from core.errors import UnknownNameError
from core.experiments.store import DatasetGrid, Grid, Summary
from core.models import registry
from core.search import collection_source, shared_engine
from core.search.collection_source import CollectionSource
from core.search.dataset_source import DatasetSource
from core.server import projections
from core.settings import settings
from dashboard import url
from dashboard.widgets import glossary, markdown


@dataclass(frozen=True)
class Sample(Dataset):
    """Images of a collection as the dataset that the parts of a page show."""

    addresses: tuple[str, ...] = field(repr=False, default=())

    def address(self, item_id: int) -> str:
        return self.addresses[item_id]


class GridSource(DatasetSource):
    """A dataset under one of its experiments.

    grid : those to choose from; chosen : the one.
    """

    def __init__(self, grid: DatasetGrid, chosen: Summary):
        super().__init__(shared_engine.engine(), grid.dataset, chosen.configuration)
        self.grid, self.chosen = grid, chosen


def experiments(source: Source) -> GridSource | None:
    """A source with several configurations, together with those; None of other sources."""
    return source if isinstance(source, GridSource) else None


def entries(source: Source) -> dict[url.Key, object]:
    """The keys of an address that name a source and its configuration."""
    return {
        key: source.params[key] for key in (url.DATASET, url.COLLECTION, *url.PARTS) if key in source.params
    }


def model_title(source: Source) -> str:
    """The title of its model; the name of one that is not here."""
    name = source.configuration["model"]
    return registry.MODELS[name].title if name in registry.MODELS else name


def describe(source: Source) -> str:
    """The configuration and the size in a line of Markdown."""
    configuration = source.configuration
    model, layer = registry.MODELS.get(configuration["model"]), configuration["layer"]
    shape = f" · {'×'.join(map(str, model.layer(layer).shape))}" if model else ""
    parts = [
        f"**{markdown.plain(model_title(source))}**",
        markdown.plain(glossary.weights(configuration["weights"])),
        f"layer {markdown.plain(layer)}{shape}",
        f"{configuration['pooling']} pooling",
        f"{configuration['metric']} distance",
        f"{len(source):,} picture{'s' if len(source) != 1 else ''}",
    ]
    return " · ".join(parts)


def load(name: str) -> CollectionSource:
    """A collection with its counts, which are read once for every state.

    Raises
    ------
    UnknownNameError, CollectionError : there is none of that name, or it can't be read.
    """
    engine = shared_engine.engine()
    opened = engine.collection(name)
    info = _info(str(settings.COLLECTIONS_DIR), opened.about.uuid, opened.state.version, opened)
    return CollectionSource(engine, opened, info)


def item(place: str) -> SourceItem | None:
    """The image of ``"dataset/NAME/NUMBER"`` or ``"collection/NAME/NUMBER"``; None of other texts.

    Raises
    ------
    UserError : there is no such image.
    """
    kind, _, rest = place.partition("/")
    name, _, text = rest.rpartition("/")
    if kind not in ("dataset", "collection") or not text.isascii() or not text.isdigit() or len(text) > 9:
        return None
    number = int(text)
    if kind == "dataset":
        dataset = Grid().dataset(name)
        found = dataset.item(number) if number < len(dataset) else None
    else:
        source = load(name)
        row = source.collection.image(number)
        found = None if row is None else source.item(row)
    if found is None:
        raise UnknownNameError("image", text, ())
    return found


def labelled(source: CollectionSource) -> Labelled:
    """The dataset that its labelled images are; raises DatasetError when they are none."""
    return _labelled(str(settings.COLLECTIONS_DIR), source.about.uuid, source.version, source.collection)


def laid_out(collection: Collection, layout: CollectionLayout) -> Sample:
    """The images of a layout, by their places in it."""
    about = collection.about
    return _laid_out(about.name, about.uuid, layout.version, len(layout.ids), layout)


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
def _info(folder: str, uuid: str, version: int, _collection: Collection) -> Info:
    return _collection.info()


# For a minute: files may go without the catalog's knowing.
@st.cache_resource(show_spinner=False, ttl=60, max_entries=8)
def _labelled(folder: str, uuid: str, version: int, _collection: Collection) -> Labelled:
    return labelled_dataset.dataset(_collection)
