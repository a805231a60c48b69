"""How every page of experiments begins: with a dataset's grid, or with what to do when there is none."""

from collections.abc import Callable, Sequence

import streamlit as st

from core.collections import Collection, labelled_dataset
from core.errors import UserError
from core.experiments.store import DatasetGrid, Grid
from dashboard import url
from dashboard.url import Address
from dashboard.widgets import collection_view, markdown, pickers
from dashboard.widgets.collection_view import Overview

_MOST_TOLD = 8


def page(
    page: url.Page,
    draw: Callable[[Address, Sequence[str], DatasetGrid], None],
    otherwise: Callable[[DatasetGrid], None] = lambda grid: None,
    collection: Callable[[Address, Sequence[str], Collection, Overview], None] | None = None,
) -> None:
    """Read the address and the experiments of its dataset, and draw the page with them.

    Parameters
    ----------
    draw : given the address, the names for :func:`pickers.dataset`, and the grid, which has experiments.
    otherwise : drawn below the sentence that says that a dataset has no experiments.
    collection : draws the page with a collection that has pictures, where the page can show those too.
    """
    address = url.read(page)
    datasets = Grid().dataset_names()
    try:
        collections = collection_view.names() if collection is not None else []
    except UserError as error:
        st.error(markdown.plain(str(error)), icon=":material/error:")
        collections = []
    names = [*datasets, *(labelled_dataset.PREFIX + name for name in collections)]
    if not names:
        _how_to_begin(
            "There are no datasets here yet. This computes experiments on a folder of class-named folders:"
        )
        return
    if collection is not None:
        chosen = address.collection(collections) or ("" if datasets else collections[0])
        if chosen:
            _collection(page, address, names, chosen, collection)
            return
    name = address.dataset(datasets)
    try:
        grid = Grid().load(name)
    except UserError as error:
        pickers.dataset(names, name)
        st.error(markdown.plain(str(error)), icon=":material/error:")
        url.write(page, {url.DATASET: name})
        return
    if grid.summaries:
        draw(address, names, grid)
        return
    pickers.dataset(names, name)
    _how_to_begin(
        f"No experiments of {markdown.quoted(grid.dataset.title)} can be shown yet. This computes them:", name
    )
    tell(st.container(), address.notices, grid.notices)
    url.write(page, {url.DATASET: name})
    otherwise(grid)


def _collection(
    page: url.Page,
    address: Address,
    names: Sequence[str],
    name: str,
    draw: Callable[[Address, Sequence[str], Collection, Overview], None],
) -> None:
    trouble = None
    try:
        opened, overview = collection_view.load(name)
    except UserError as error:
        trouble = str(error)
    else:
        if overview.images:
            try:
                draw(address, names, opened, overview)
            except UserError as error:
                # Its storage went away after it was opened.
                st.error(markdown.plain(str(error)), icon=":material/error:")
            return
    pickers.dataset(names, labelled_dataset.PREFIX + name)
    if trouble is not None:
        st.error(markdown.plain(trouble), icon=":material/error:")
    else:
        st.info(
            f"There are no pictures in the collection {markdown.quoted(name)} yet. Add some on the page *Your images*, or so:",
            icon=":material/hourglass_empty:",
        )
        st.code(f"playground collection add {name} FOLDER", language="bash")
    collection_view.link(name)
    tell(st.container(), address.notices, ())
    url.write(page, {url.COLLECTION: name})


def number_of_neighbors(address: Address, most: int) -> int:
    """The k that the address asks for, of at most as many neighbors as there are."""
    least, usual = (min(number, most) for number in (pickers.MIN_NEIGHBORS, pickers.DEFAULT_NEIGHBORS))
    return address.number(url.K, least, most, usual)


def tell(place: st.delta_generator.DeltaGenerator, asked: Sequence[str], unreadable: Sequence[str]) -> None:
    """Put into a place what the address asked for in vain, and what could not be read."""
    if asked:
        _listed(place, "Not all that was asked for exists:", asked)
    if unreadable:
        sentences = [markdown.plain(sentence) for sentence in unreadable]
        _listed(place, "Some experiments are left out; all others work:", sentences)


def _listed(place: st.delta_generator.DeltaGenerator, opening: str, sentences: Sequence[str]) -> None:
    more = [f"and {len(sentences) - _MOST_TOLD} more"] if len(sentences) > _MOST_TOLD else []
    lines = [opening, *(f"- {one}" for one in [*sentences[:_MOST_TOLD], *more])]
    place.warning("\n".join(lines), icon=":material/warning:")


def _how_to_begin(sentence: str, dataset: str = "FOLDER") -> None:
    st.info(sentence, icon=":material/hourglass_empty:")
    st.code(f"playground grid run --dataset {dataset} --model MODEL", language="bash")
    st.caption("`playground models` lists the models there are.")
