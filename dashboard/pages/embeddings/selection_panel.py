"""Beside the chart of the embeddings page: the picture that was clicked, or those that were enclosed."""

import csv
import io
from collections.abc import Callable
from html import escape

import numpy as np
import streamlit as st

from core.data.datasets import Dataset
from core.experiments.query_scores import Evaluation
from core.experiments.store import Configuration, DatasetGrid, Summary
from core.server.projections import Stack
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.widgets import glossary, markdown, palette, pickers

_PER_PAGE = 40
_SELECTION = "embeddings-selection"
_PANEL = "embeddings-panel"
_PAGE = "embeddings-selection-page"


def show(
    grid: DatasetGrid,
    chosen: Summary,
    points: Stack | None,
    method: str,
    picked: int | None,
    found: Evaluation | None,
    trouble: str,
    selected: np.ndarray,
    k: int,
    most: int,
) -> None:
    """The picture that was clicked, or those that were enclosed: the newer of the two, or what is chosen."""
    if shows_selection(selected):
        show_selected(grid.dataset, chosen, points, method, picked, selected, pick)
    else:
        with st.container(horizontal=True):
            pickers.metric(grid, chosen)
            pickers.neighbors(k, most)
        _picture(grid, chosen, picked, found, trouble)


def shows_selection(selected: np.ndarray) -> bool:
    """Choose between the picture and the selection; whether the latter is to be shown."""
    panels = {
        "picture": "Picture",
        "selection": f"Selection · {len(selected):,}" if len(selected) else "Selection",
    }
    st.session_state.setdefault(_PANEL, "picture")
    st.segmented_control(
        "Show",
        tuple(panels),
        format_func=panels.__getitem__,
        key=_PANEL,
        required=True,
        label_visibility="collapsed",
    )
    return st.session_state[_PANEL] == "selection"


def _picture(
    grid: DatasetGrid, chosen: Summary, picked: int | None, found: Evaluation | None, trouble: str
) -> None:
    if picked is None:
        st.markdown("Click a point to see its picture and what is nearest to it.")
        return
    item = grid.dataset.item(picked)
    about, buttons = st.columns([2, 3], vertical_alignment="center")
    with about:
        gallery.show(
            [gallery.tile(item, title=item.name, lines=(f"class: {item.label}",))],
            key="embeddings-picked",
            size=110,
            columns=1,
            label="The picture that was chosen",
        )
    with buttons:
        if st.button("Open on the Search page", icon=":material/image_search:", key="open-search"):
            k = found.k if found is not None else None
            url.open_page(url.SEARCH, url.configuration(chosen) | {url.QUERY: picked, url.K: k})
        st.button(
            "Clear",
            icon=":material/close:",
            on_click=lambda: url.change({url.QUERY: None}),
            key="clear-picture",
        )
    if found is None:
        st.warning(markdown.plain(trouble), icon=":material/warning:")
        return
    row = found.row(picked)
    if row is None:
        st.warning("This picture was left out of the experiment.")
        return
    agree = int(found.same[row, : found.k].sum())
    st.markdown(
        f"**{agree} of the {found.k} nearest** are of the same class ({chosen.metric} distance of the full vectors)."
    )
    gallery.show(
        [
            gallery.tile(
                grid.dataset.item(int(found.ids[row, place])),
                rank=place + 1,
                mark=palette.mark(bool(found.same[row, place])),
                lines=_distance(found, row, place),
            )
            for place in range(found.k)
        ],
        key="embeddings-neighbors",
        on_pick=pick,
        size=110,
        label=f"The {found.k} nearest pictures, nearest first",
    )
    yes, no = palette.mark(True), palette.mark(False)
    st.caption(f"{yes.sign} {yes.words}, solid line  ·  {no.sign} {no.words}, dashed line")


def _distance(found: Evaluation, row: int, place: int) -> tuple[str, ...]:
    if found.distances is None:
        return ()
    return (f"distance {glossary.distance(float(found.distances[row, place]))}",)


def show_selected(
    dataset: Dataset,
    chosen: Configuration | Summary,
    points: Stack | None,
    method: str,
    picked: int | None,
    selected: np.ndarray,
    on_pick: Callable[[int], None],
) -> None:
    """The pictures that were enclosed, by class and one by one."""
    if not len(selected):
        st.markdown(
            "Draw around points with **Lasso** or **Box** to see their pictures and count their classes. "
            "Points can be enclosed in two dimensions."
        )
        return
    st.markdown(f"**{len(selected):,} of {len(dataset):,} pictures** are enclosed.")
    _class_counts(dataset, selected)
    with st.container(horizontal=True):
        if points is not None:
            st.download_button(
                "Save as CSV",
                lambda: _csv(dataset, chosen, points, selected),
                file_name=f"{dataset.name}-{chosen.model}-{chosen.layer}-{chosen.pooling}-{method}.csv",
                mime="text/csv",
                icon=":material/download:",
                on_click="ignore",
                help="Number, class, title, file and place in the chart of each picture.",
            )
        st.button(
            "Clear",
            icon=":material/close:",
            key="clear-selection",
            on_click=lambda: select(dataset, np.empty(0, np.int64)),
        )
    pages = -(-len(selected) // _PER_PAGE)
    # Each selection has pages of its own, so that a new one begins at its first.
    turn = f"{_PAGE}-{st.session_state.get(_PAGE, 0)}"
    page = min(st.session_state.get(turn, 1), pages)
    gallery.show(
        [
            gallery.tile(item, title=item.name, selected=item.id == picked)
            for item in map(dataset.item, selected[(page - 1) * _PER_PAGE : page * _PER_PAGE].tolist())
        ],
        key="embeddings-selected",
        on_pick=on_pick,
        size=76,
        label=f"Enclosed pictures, page {page} of {pages}",
    )
    if pages > 1:
        st.pagination(pages, key=turn, max_visible_pages=5)


def _class_counts(dataset: Dataset, selected: np.ndarray) -> None:
    """How many of each class are enclosed, most first."""
    places = {name: place for place, name in enumerate(dataset.classes)}
    counts = np.bincount([places[dataset.items[item].label] for item in selected], minlength=len(places))
    styles = palette.class_styles(dataset.classes)
    lines = ""
    for place in np.argsort(-counts, kind="stable"):
        if counts[place]:
            name = dataset.classes[place]
            lines += (
                f'<span>{escape(name)}</span><i style="width: {100 * counts[place] / counts.max():.1f}%; '
                f'background: {styles[name].color}"></i><b>{counts[place]:,}</b>'
            )
    st.html(f'<div class="class-counts">{lines}</div>')


def rows(
    dataset: Dataset, chosen: Configuration | Summary, points: Stack, ids: np.ndarray
) -> tuple[list[str], list[list[object]]]:
    """Names of columns, and a row for each of the images that the chart shows."""
    layer = points.layers.index(chosen.layer) if chosen.layer in points.layers else 0
    order = np.argsort(points.ids, kind="stable")
    at = np.minimum(np.searchsorted(points.ids[order], ids), len(order) - 1)
    places = order[at]
    shown = points.ids[places] == ids
    axes = ["x", "y", "z"][: points.coordinates.shape[2]]
    found = []
    for item, place in zip(ids[shown].tolist(), places[shown].tolist(), strict=True):
        one = dataset.items[item]
        where = [round(float(value), 5) for value in points.coordinates[layer, place]]
        # Where the files of a collection lie is nobody else's business.
        file = one.title if dataset.collection else one.file
        found.append([item, one.label, one.title, file, *where])
    return ["id", "label", "title", "file", *axes], found


def _csv(dataset: Dataset, chosen: Configuration | Summary, points: Stack, ids: np.ndarray) -> bytes:
    names, found = rows(dataset, chosen, points, ids)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows(found)
    return text.getvalue().encode()


def pick(item: int) -> None:
    """Choose a picture, from a callback."""
    show_picture()
    url.change({url.QUERY: item})


def show_picture() -> None:
    """Go from the selection to the picture, from a callback."""
    st.session_state[_PANEL] = "picture"


def select(dataset: Dataset, ids: np.ndarray) -> None:
    """Enclose pictures, none to let go of them, from a callback."""
    st.session_state[_SELECTION] = (dataset.fingerprint, ids)
    st.session_state[_PAGE] = st.session_state.get(_PAGE, 0) + 1
    if len(ids):
        st.session_state[_PANEL] = "selection"


def selection(dataset: Dataset) -> np.ndarray:
    """Ids of the enclosed images, in the order of classes; none when another dataset is shown."""
    fingerprint, ids = st.session_state.get(_SELECTION, ("", None))
    if ids is None or fingerprint != dataset.fingerprint:
        return np.empty(0, np.int64)
    return ids
