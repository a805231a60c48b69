"""Sources as the pages have them: datasets with their experiments, and collections read once for every state."""

import streamlit as st

from core.collections import Collection, Info, labelled_dataset
from core.collections.labelled_dataset import Labelled
from core.data.source import Capability, Source, SourceItem
from core.errors import UserError
from core.experiments.store import DatasetGrid, Grid, Summary
from core.models import registry
from core.search import shared_engine
from core.search.collection_source import CollectionSource
from core.search.dataset_source import DatasetSource
from core.settings import settings
from dashboard import url
from dashboard.widgets import glossary, markdown


class GridSource(DatasetSource):
    """A dataset under one of its experiments.

    grid : those to choose from; chosen : that one.
    """

    def __init__(self, grid: DatasetGrid, chosen: Summary):
        super().__init__(shared_engine.engine(), grid.dataset, chosen.configuration, grid)
        self.chosen = chosen


def experiments(source: Source) -> GridSource | None:
    """A source as one with several experiments; None where it has one configuration."""
    if Capability.CONFIGURATIONS not in source.capabilities:
        return None
    assert isinstance(source, GridSource)
    return source


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
        f"{len(source):,} image{'s' if len(source) != 1 else ''}",
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
        found = load(name).item(number)
    if found is None:
        raise UserError(f"{kind} {name!r} has no image {number}.")
    return found


def labelled(source: CollectionSource) -> Labelled:
    """The dataset that its labeled images are; raises DatasetError when they are none."""
    return _labelled(str(settings.COLLECTIONS_DIR), source.about.uuid, source.version, source.collection)


@st.cache_data(show_spinner=False, max_entries=64)
def _info(folder: str, uuid: str, version: int, _collection: Collection) -> Info:
    return _collection.info()


# For a minute: files may go without the catalog's knowing.
@st.cache_resource(show_spinner=False, ttl=60, max_entries=8)
def _labelled(folder: str, uuid: str, version: int, _collection: Collection) -> Labelled:
    return labelled_dataset.dataset(_collection)
