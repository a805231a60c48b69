"""All images of the dataset, to choose another query from."""

import numpy as np
import streamlit as st

from core.data.datasets import Dataset
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.url import Address
from dashboard.widgets import class_names, pager, pickers

PER_PAGE = 48
_MAX_SHUFFLE = 9999
_LONGEST_NAME = 32


def show(address: Address, dataset: Dataset, query: int) -> dict[url.Key, object]:
    """All images to choose from; the entries of the address for them."""
    order = address.choice(url.ORDER)
    shuffle = address.number(url.SHUFFLE, 1, _MAX_SHUFFLE, 1)
    label = address.choice(url.CLASS, ("", *dataset.classes), shown="all classes")
    ids = _ordered(dataset, order, shuffle, label)
    pages = max(1, -(-len(ids) // PER_PAGE))
    page = address.number(url.GALLERY_PAGE, 1, pages, 1)

    # Classes whose names begin alike can be told apart in the list.
    short = dict(zip(dataset.classes, class_names.apart(dataset.classes, _LONGEST_NAME), strict=True))
    st.header("Choose another image")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.selectbox(
            "Class",
            ("", *dataset.classes),
            **pickers.bind(
                "browse-class", label, lambda to: url.change({url.GALLERY_PAGE: None, url.CLASS: to})
            ),
            format_func=lambda name: short.get(name, f"All {len(dataset.classes)} classes"),
            label_visibility="collapsed",
            width=300,
        )
        titles = {"class": "By class", "shuffled": "Shuffled"}
        pickers.segments("Order", titles, order, lambda to: _order(to, shuffle), "browse-order", hidden=True)
        if order == "shuffled":
            st.button(
                "Shuffle again",
                icon=":material/shuffle:",
                on_click=lambda: url.change(
                    {url.SHUFFLE: shuffle % _MAX_SHUFFLE + 1, url.GALLERY_PAGE: None}
                ),
            )
        if pages > 1:
            pager.show(pages, page, url.GALLERY_PAGE)
    shown = ids[(page - 1) * PER_PAGE : page * PER_PAGE]
    gallery.show(
        [
            gallery.tile(item, title=item.name, selected=item.id == query)
            for item in map(dataset.item, shown.tolist())
        ],
        key="browse",
        on_pick=lambda item: url.change({url.QUERY: item}),
        size=88,
        label=f"Images of {dataset.title}, page {page} of {pages}",
        to_top=True,
    )
    return {
        url.ORDER: order,
        url.SHUFFLE: shuffle if order == "shuffled" else None,
        url.CLASS: label,
        url.GALLERY_PAGE: page,
    }


def _order(order: str | None, shuffle: int) -> None:
    url.change(
        {url.ORDER: order, url.SHUFFLE: shuffle if order == "shuffled" else None, url.GALLERY_PAGE: None}
    )


def _ordered(dataset: Dataset, order: str, shuffle: int, label: str) -> np.ndarray:
    places = {name: place for place, name in enumerate(dataset.classes)}
    codes = np.array([places[name] for name in dataset.labels])
    if order == "shuffled":
        ids = np.random.default_rng(shuffle).permutation(len(dataset))
    else:
        ids = np.argsort(codes, kind="stable")
    return ids[codes[ids] == places[label]] if label else ids
