"""Beside the chart of the page Embeddings: the image that was clicked, or those that were selected."""

from collections.abc import Callable, Sequence
from html import escape

import numpy as np
import streamlit as st

from core.data.source import ChartImages, Neighbor, Projection, Source
from core.errors import UserError
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.pages.embeddings import selection_collection
from dashboard.url import Address
from dashboard.widgets import class_names, download_button, glossary, markdown, palette, pickers, sources

_PER_PAGE = 40
_MOST_CLASSES, _LONGEST_NAME = 40, 36
_PICKED = 130  # pixels
_SELECTION = "embeddings-selection"
_PANEL = "embeddings-panel"
_PAGE = "embeddings-selection-page"


def show(
    panel: str,
    source: Source,
    projection: Projection | None,
    method: str,
    picked: int | None,
    neighbors: Sequence[Neighbor],
    trouble: str,
    selected: np.ndarray,
    similar: bool,
    pick: Callable[[int], None],
    k: tuple[int, int],
) -> None:
    """The image that was clicked, or those that were selected.

    Parameters
    ----------
    panel : which of the two, of :data:`url.PANEL`.
    picked : id of an image; neighbors : of it; trouble : why they are not known.
    similar : show the images that are most like the selected ones.
    pick : takes the id of an image that is clicked.
    k : how many neighbors there are, and may be.
    """
    panels = {
        "image": "Image",
        "selection": f"Selection · {len(selected):,}" if len(selected) else "Selection",
    }
    pickers.segments("Show", panels, panel, url.PANEL, _PANEL, hidden=True)
    if panel == "selection":
        if projection is None or not len(selected):
            st.markdown(
                "Draw around points with **Lasso** or **Box** to see their images and count their classes. "
                "Points can be selected in two dimensions."
            )
        else:
            _selected(source, projection, method, picked, selected, k[0] if similar else 0, pick)
        return
    if picked is None:
        st.markdown("Click a point to see its image and what is nearest to it.")
    else:
        _image(source, picked, neighbors, trouble, pick)
    pickers.neighbors(*k)


def _image(
    source: Source, picked: int, neighbors: Sequence[Neighbor], trouble: str, pick: Callable[[int], None]
) -> None:
    item, several = source.item(picked), sources.experiments(source)
    if item is None:
        st.warning(markdown.plain(trouble), icon=":material/warning:")
        return
    row = st.container(horizontal=True, vertical_alignment="center")
    with row.container(width=_PICKED):
        gallery.show(
            [
                gallery.tile(
                    item, title=item.name, lines=(f"class: {item.label}",) if item.label is not None else ()
                )
            ],
            key="embeddings-picked",
            size=110,
            columns=1,
            label="The image that was chosen",
        )
    with row.container(width="content"):
        if several:
            if st.button("Open in Search", icon=":material/image_search:", key="open-search"):
                k = len(neighbors) or None
                url.open_page(url.SEARCH, url.configuration(several.chosen) | {url.QUERY: picked, url.K: k})
        elif st.button("Search with it", icon=":material/image_search:", key="open-live"):
            place = f"{source.url_key}/{source.name}/{picked}"
            url.open_page(url.YOUR_PICTURE, sources.entries(source) | {url.INPUT: place})
        st.button(
            "Clear",
            icon=":material/close:",
            on_click=lambda: url.change({url.QUERY: None, url.IMAGE: None}),
            key="clear-picture",
        )
    if trouble:
        st.warning(markdown.plain(trouble), icon=":material/warning:")
        return
    marked = item.label is not None
    if marked:
        agree = sum(one.item.label == item.label for one in neighbors)
        st.markdown(
            f"**{agree} of the {len(neighbors)} nearest** have the same label "
            f"({source.configuration['metric']} distance of the full vectors)."
        )
    gallery.show(
        [
            gallery.tile(
                one.item,
                title=one.item.name,
                rank=rank,
                mark=palette.mark(one.item.label == item.label) if marked else None,
                detail=(
                    *((f"class: {one.item.label}",) if marked else ()),
                    *glossary.distance_lines(one.distance),
                ),
            )
            for rank, one in enumerate(neighbors, 1)
        ],
        key="embeddings-neighbors",
        on_pick=pick,
        size=110,
        label=f"The {len(neighbors)} nearest images, nearest first",
    )
    if marked:
        yes, no = palette.mark(True), palette.mark(False)
        st.caption(f"{yes.sign} {yes.words}  ·  {no.sign} {no.words}")


def _selected(
    source: Source,
    projection: Projection,
    method: str,
    picked: int | None,
    selected: np.ndarray,
    k: int,
    pick: Callable[[int], None],
) -> None:
    """The images that were selected, by class and one by one, and the ``k`` that are most like them."""
    images = projection.images
    st.markdown(f"**{len(selected):,} of {len(images):,} images** are selected.")
    st.html(class_counts(images, selected))
    parts = source.configuration
    layer = projection.layers.index(parts["layer"]) if parts["layer"] in projection.layers else 0
    with st.container(horizontal=True):
        download_button.show(
            "Save as CSV",
            lambda: _csv(projection, layer, selected),
            f"{source.name}-{parts['model']}-{parts['layer']}-{parts['pooling']}-{method}.csv",
            help="Number, class, title, file and place in the chart of each image.",
        )
        st.button(
            "Hide those like these" if k else "More like these",
            icon=":material/image_search:",
            key="similar",
            help="Search with the mean of their vectors",
            on_click=lambda: url.change({url.SIMILAR: not k}),
        )
        selection_collection.show(source, [images.item(number) for number in selected.tolist()])
        st.button(
            "Clear",
            icon=":material/close:",
            key="clear-selection",
            on_click=lambda: select(projection, np.empty(0, np.int64)),
        )
    if k:
        _similar(source, projection, selected, k, pick)
        st.subheader("The selection")
    pages = -(-len(selected) // _PER_PAGE)
    # Each selection has pages of its own, so that a new one begins at its first.
    turn = f"{_PAGE}-{st.session_state.get(_PAGE, 0)}"
    page = min(st.session_state.get(turn, 1), pages)
    gallery.show(
        [
            gallery.tile(item, title=item.name, selected=item.id == picked)
            for item in map(images.item, selected[(page - 1) * _PER_PAGE : page * _PER_PAGE].tolist())
        ],
        key="embeddings-selected",
        on_pick=pick,
        size=76,
        label=f"Selected images, page {page} of {pages}",
    )
    if pages > 1:
        st.pagination(pages, key=turn, max_visible_pages=5)


def _similar(
    source: Source, projection: Projection, selected: np.ndarray, k: int, pick: Callable[[int], None]
) -> None:
    """The images nearest to the mean of the selected ones."""
    st.subheader("More like these")
    ids = [projection.images.item(number).id for number in selected.tolist()]
    try:
        found = source.nearest_to_mean(ids, k)
    except UserError as error:
        st.warning(markdown.plain(str(error)), icon=":material/warning:")
        return
    gallery.show(
        [
            gallery.tile(
                one.item, title=one.item.name, rank=rank, detail=glossary.distance_lines(one.distance)
            )
            for rank, one in enumerate(found, 1)
        ],
        key="embeddings-similar",
        on_pick=pick,
        size=76,
        label=f"The {len(found)} images nearest to the mean of the selected ones, nearest first",
    )


def class_counts(images: ChartImages, selected: np.ndarray) -> str:
    """How many of each class are selected, most first, as HTML; the rest of very many classes in one line."""
    places = {name: place for place, name in enumerate(images.classes)}
    counts = np.bincount([places[images.labels[number]] for number in selected], minlength=len(places))
    styles = palette.class_styles(images.classes)
    found = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    shown = [images.classes[place] for place in found[:_MOST_CLASSES]]
    lines = ""
    for place, name, short in zip(found, shown, class_names.apart(shown, _LONGEST_NAME), strict=False):
        lines += (
            f'<span title="{escape(name)}">{escape(short)}</span><i style="width: {100 * counts[place] / counts.max():.1f}%; '
            f'background: {styles[name].color}"></i><b>{counts[place]:,}</b>'
        )
    if len(rest := found[_MOST_CLASSES:]):
        others = f"{len(rest):,} other {'class' if len(rest) == 1 else 'classes'}"
        lines += f"<span>{others}</span><i></i><b>{counts[rest].sum():,}</b>"
    return f'<div class="class-counts">{lines}</div>'


def rows(projection: Projection, layer: int, numbers: np.ndarray) -> tuple[list[str], list[list[object]]]:
    """Names of columns, and a row for each of some images that have a point."""
    places = {number: place for place, number in enumerate(projection.numbers.tolist())}
    found: list[list[object]] = []
    for number in numbers.tolist():
        if number in places:
            item = projection.images.item(number)
            where = [round(float(value), 5) for value in projection.coordinates[layer, places[number]]]
            found.append([item.id, item.label, item.title, item.path, *where])
    return ["id", "label", "title", "file", *"xyz"[: projection.dimensions]], found


def _csv(projection: Projection, layer: int, numbers: np.ndarray) -> bytes:
    import pandas as pd

    names, found = rows(projection, layer, numbers)
    return download_button.csv(pd.DataFrame(found, columns=names))


def select(projection: Projection, numbers: np.ndarray) -> None:
    """Select images, none to clear the selection, from a callback."""
    chosen = set(numbers.tolist())
    ids = [item for item, number in projection.by_id.items() if number in chosen]
    changed: dict[url.Key, object] = {url.SELECTED: ids, url.SIMILAR: None}
    if ids:
        changed[url.PANEL] = "selection"
    url.change(changed)
    # The session keeps what is too long for an address.
    st.session_state[_SELECTION] = None if url.SELECTED.text(ids) else (projection.images.key, numbers)
    st.session_state[_PAGE] = st.session_state.get(_PAGE, 0) + 1


def selection(address: Address, projection: Projection) -> tuple[np.ndarray, list[int]]:
    """Numbers of the selected images, in order, and their ids where the address has them."""
    ids = address.numbers(url.SELECTED, projection.by_id)
    if ids:
        return np.sort(np.array([projection.by_id[item] for item in ids], np.int64)), ids
    key, numbers = st.session_state.get(_SELECTION) or ("", None)
    if numbers is None or key != projection.images.key:
        return np.empty(0, np.int64), ids
    return numbers, ids
