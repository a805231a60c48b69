"""The page Search: an image of a dataset, its neighbors under one configuration or two, and the score of that search."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.data.datasets import Dataset
from core.experiments.store import DatasetGrid
from core.search import recommendation
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.pages.search import channel_preview, new_neighbors, query_gallery, result_list, two_results
from dashboard.pages.search.result_list import Results
from dashboard.url import Address
from dashboard.widgets import configuration_bar, glossary, page_frame, pickers, svg_charts


def show() -> None:
    """The page from top to bottom."""
    page_frame.page(url.SEARCH, partial(_search, page_frame.head("Search")), _images)


def _search(top: DeltaGenerator, address: Address, names: Sequence[str], grid: DatasetGrid) -> None:
    dataset = grid.dataset
    chosen = address.configuration(grid.summaries, default=lambda: recommendation.of_dataset(grid))
    second = two_results.second(address, grid, chosen)
    most = min(pickers.MAX_NEIGHBORS, *(grid.run(one).about.top for one in filter(None, (chosen, second))))
    k = page_frame.number_of_neighbors(address, most)
    query = address.number(url.QUERY, 0, len(dataset) - 1, 0)
    untrained = address.switch(url.SHOW_UNTRAINED)

    def more() -> None:
        pickers.neighbors(k, most)
        pickers.untrained(grid, untrained)

    with top:
        pickers.dataset(names, dataset.name, hidden=True)
        two_results.switch(second is not None)
    notices = st.container()
    results = result_list.read(grid, chosen, k, query)
    with st.container(key="side" if second else "single"), st.container(key="search"):
        with st.container(key="search-query"):
            _query(dataset, query)
            if second is None and results.row is not None:
                _standing(results)
        with st.container(key="search-results"):
            if second is None:
                configuration_bar.show(grid, chosen, k, untrained, more=more)
                result_list.show(results, new_neighbors.since(results))
            else:
                two_results.show(results, result_list.read(grid, second, k, query), untrained, more)
        if second is None:
            with st.container(key="search-more"):
                channel_preview.show(chosen)
    browsing = query_gallery.show(address, dataset, query)
    page_frame.show_notices(notices, address.notices, grid.notices)
    url.write(
        url.SEARCH,
        url.configuration(chosen)
        | {url.K: k, url.QUERY: query, url.SHOW_UNTRAINED: untrained}
        | two_results.entries(address, second)
        | browsing,
    )


def _query(dataset: Dataset, query: int) -> None:
    item = dataset.item(query)
    gallery.show(
        [gallery.tile(item, title=item.name, lines=(f"class: {item.label}",))],
        key="query",
        size=112,
        columns=1,
        label="The image that is searched for",
    )


def _standing(results: Results) -> None:
    """How the score of this search compares with those of all others."""
    found, row = results.found, results.row
    assert found is not None and row is not None
    score = found.scores[row]
    sentence = _place(*found.standing(row))
    with st.container(key="search-standing"):
        svg_charts.strip(
            found.scores,
            score,
            found.mean,
            (found.low, found.high),
            f"Scores of all {len(found.scores):,} images from 0 to 100; this one has {score:.0f}, the mean is {found.mean:.0f}. {sentence}",
        )
        st.markdown(sentence)
        if found.ties is not None and found.ties.rows(np.array([row])).undecided(found.k):
            st.caption(
                "Some images are as far as the last of these, so the score is the mean over all their orders.",
                help=glossary.TIES,
            )
        if (most := float(found.attainable.mean())) < 100:
            own = found.attainable[row]
            here = f" This search can have at most {own:.0f}." if own < 100 else ""
            st.caption(glossary.attainable(most, found.k) + here)


def _place(lower: float, equal: float) -> str:
    """How a score compares with those of the other images."""
    if equal == 1.0:
        return "All images score the same."
    if lower == 0.0:
        return f"No other image scores lower{f'; {glossary.percent(equal)} score the same' if equal else ''}."
    also = f"; {glossary.percent(equal)} score the same" if equal else ""
    return f"Better than {glossary.percent(lower)} of the other images{also}."


def _images(grid: DatasetGrid) -> None:
    st.header("The images")
    gallery.show(
        [
            gallery.tile(grid.dataset.item(place))
            for place in range(min(query_gallery.PER_PAGE, len(grid.dataset)))
        ],
        key="browse",
        size=88,
        label="Images of the dataset",
    )


show()
