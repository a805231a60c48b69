"""Collections as the pages need them: read once for every state, and their pictures."""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from core import settings
from core.search import collection as collections
from core.search import shared
from core.search.collection import Collection, labelled
from core.search.collection.labelled import Labelled
from core.search.collection.state import About


@dataclass(frozen=True)
class Overview:
    """What a page says of a collection.

    images : how many there are; labels : how many have each; version : counts the changes of its content.
    """

    about: About
    metric: str
    images: int
    labels: Mapping[str, int]
    version: int


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


@st.cache_data(show_spinner=False, max_entries=64)
def _overview(folder: str, uuid: str, version: int, _collection: Collection) -> Overview:
    info = _collection.info()
    return Overview(_collection.about, _collection.state.metric, info.images, info.labels, version)


# For a minute: files may go without the catalog's knowing.
@st.cache_resource(show_spinner=False, ttl=60, max_entries=8)
def _labelled(folder: str, uuid: str, version: int, _collection: Collection) -> Labelled:
    return labelled.dataset(_collection)
