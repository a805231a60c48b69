"""The frame of every page of experiments: its dataset or collection, or what to do where there is none."""

from collections.abc import Callable, Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import collections
from core.collections import labelled_dataset
from core.data.source import Source
from core.errors import UserError
from core.experiments.store import DatasetGrid, Grid
from dashboard import url
from dashboard.url import Address
from dashboard.widgets import markdown, pickers, sources
from dashboard.widgets.error_box import show_error
from dashboard.widgets.sources import GridSource

_MOST_NOTICES = 8
_NO_DATASETS = "There are no datasets here yet. This computes experiments on a folder of class-named folders:"


def head(title: str) -> DeltaGenerator:
    """The title of a page; beside it the caller puts what the whole page depends on, its dataset first."""
    key = f"page-head-{title.lower().replace(' ', '-')}"
    top = st.container(horizontal=True, vertical_alignment="center", gap="small", key=key)
    top.title(title, width="content", anchor=False)
    return top


def page(
    page: url.Page,
    draw: Callable[[Address, Sequence[str], DatasetGrid], None],
    otherwise: Callable[[DatasetGrid], None] = lambda grid: None,
) -> None:
    """Read the address and the experiments of its dataset, and draw the page with them.

    Parameters
    ----------
    draw : given the address, the names for :func:`pickers.dataset`, and the grid, which has experiments.
    otherwise : drawn below the sentence that says that a dataset has no experiments.
    """
    address, datasets = url.read(page), Grid().dataset_names()
    if datasets:
        _dataset(page, address, datasets, datasets, draw, otherwise)
    else:
        _how_to_begin()


def source_page(
    page: url.Page,
    draw: Callable[[Address, Sequence[str], Source], None],
    choose: Callable[[Address, DatasetGrid], GridSource | str],
) -> None:
    """Read the address, and draw the page with the source in it, which has images.

    Parameters
    ----------
    draw : given the address, the names for :func:`pickers.dataset`, and the source.
    choose : which experiment of a dataset to show, or a sentence of Markdown that says why none can be.
    """
    address, datasets = url.read(page), Grid().dataset_names()
    try:
        found = collections.names()
    except UserError as error:
        show_error(error)
        found = []
    names = [*datasets, *(labelled_dataset.PREFIX + name for name in found)]

    def draw_grid(address: Address, names: Sequence[str], grid: DatasetGrid) -> None:
        source = choose(address, grid)
        if isinstance(source, GridSource):
            draw(address, names, source)
            return
        pickers.dataset(names, grid.dataset.name, hidden=True)
        st.info(source, icon=":material/info:")
        show_notices(st.container(), address.notices, grid.notices)
        url.write(page, {url.DATASET: grid.dataset.name})

    if not names:
        _how_to_begin()
    elif chosen := address.collection(found) or ("" if datasets else found[0]):
        _collection(page, address, names, chosen, draw)
    else:
        _dataset(page, address, names, datasets, draw_grid)


def _dataset(
    page: url.Page,
    address: Address,
    names: Sequence[str],
    datasets: Sequence[str],
    draw: Callable[[Address, Sequence[str], DatasetGrid], None],
    otherwise: Callable[[DatasetGrid], None] = lambda grid: None,
) -> None:
    name = address.dataset(datasets)
    try:
        grid = Grid().load(name)
    except UserError as error:
        pickers.dataset(names, name, hidden=True)
        show_error(error)
        url.write(page, {url.DATASET: name})
        return
    if grid.summaries:
        draw(address, names, grid)
        return
    pickers.dataset(names, name, hidden=True)
    _how_to_begin(
        f"No experiments of {markdown.quoted(grid.dataset.title)} can be shown yet. This computes them:", name
    )
    show_notices(st.container(), address.notices, grid.notices)
    url.write(page, {url.DATASET: name})
    otherwise(grid)


def _collection(
    page: url.Page,
    address: Address,
    names: Sequence[str],
    name: str,
    draw: Callable[[Address, Sequence[str], Source], None],
) -> None:
    try:
        source = sources.load(name)
    except UserError as error:
        pickers.dataset(names, labelled_dataset.PREFIX + name, hidden=True)
        show_error(error)
    else:
        if len(source):
            try:
                draw(address, names, source)
            except UserError as error:
                # Its storage went away after it was opened.
                show_error(error)
            return
        pickers.source(names, source, hidden=True)
        st.info(
            f"There are no images in the collection {markdown.quoted(name)} yet. Add some on the page *Your images*, or with:",
            icon=":material/hourglass_empty:",
        )
        st.code(f"playground collection add {name} FOLDER", language="bash", wrap_lines=True)
    if st.button("Your images", icon=":material/photo_library:", key="open-images"):
        url.open_page(url.YOUR_IMAGES, {url.COLLECTION: name})
    show_notices(st.container(), address.notices, ())
    url.write(page, {url.COLLECTION: name})


def number_of_neighbors(address: Address, most: int) -> int:
    """The k of the address, at most the number of neighbors that there are."""
    least, usual = (min(number, most) for number in (pickers.MIN_NEIGHBORS, pickers.DEFAULT_NEIGHBORS))
    return address.number(url.K, least, most, usual)


def show_notices(place: DeltaGenerator, missing: Sequence[str], unreadable: Sequence[str]) -> None:
    """Show which values of the address do not exist, and which experiments can't be read."""
    if missing:
        _listed(place, "Not everything in the address exists:", missing)
    if unreadable:
        sentences = [markdown.plain(sentence) for sentence in unreadable]
        _listed(place, "Some experiments are left out; all others work:", sentences)


def _listed(place: DeltaGenerator, first: str, sentences: Sequence[str]) -> None:
    more = [f"and {len(sentences) - _MOST_NOTICES} more"] if len(sentences) > _MOST_NOTICES else []
    lines = [first, *(f"- {one}" for one in [*sentences[:_MOST_NOTICES], *more])]
    place.warning("\n".join(lines), icon=":material/warning:")


def _how_to_begin(sentence: str = _NO_DATASETS, dataset: str = "FOLDER") -> None:
    st.info(sentence, icon=":material/hourglass_empty:")
    st.code(f"playground grid run --dataset {dataset} --model MODEL", language="bash", wrap_lines=True)
    st.caption("`playground models` lists the models there are.")
