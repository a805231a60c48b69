"""The page Search: an image of a dataset, its neighbors, and the score of that search."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from core.data.datasets import Dataset
from core.errors import GridError
from core.evaluation import scoring
from core.evaluation.calibration import Share
from core.experiments.query_scores import Evaluation, evaluate
from core.experiments.store import DatasetGrid, Summary
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.pages.search import channel_preview
from dashboard.url import Address
from dashboard.widgets import glossary, markdown, page_frame, pager, palette, pickers, svg_charts, tie_notice

_PER_PAGE = 48
_MAX_SHUFFLE = 9999
_SIDE, _WIDE = 245, 330
# A class is named beside all of them where its share differs by more than this.
_NOTABLE = 0.1


def show() -> None:
    """The page from top to bottom."""
    st.title("Search")
    st.markdown(
        "Choose an image and see which others a network takes for similar; then change how it looks at them."
    )
    page_frame.page(url.SEARCH, _search, _images)


def _search(address: Address, names: Sequence[str], grid: DatasetGrid) -> None:
    dataset = grid.dataset
    chosen = address.configuration(grid.summaries)
    about = grid.run(chosen).about
    most = min(pickers.MAX_NEIGHBORS, about.top)
    k = page_frame.number_of_neighbors(address, most)
    query = address.number(url.QUERY, 0, len(dataset) - 1, 0)
    untrained = address.switch(url.SHOW_UNTRAINED)

    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        pickers.dataset(names, dataset.name)
        pickers.configuration(grid, chosen, untrained)
        pickers.neighbors(k, most)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        _cost(grid, chosen)
        channel_preview.show(chosen)
        pickers.untrained(grid, untrained)
    if chosen.weights in glossary.CAVEATS:
        st.info(glossary.CAVEATS[chosen.weights], icon=":material/science:")
    tie_notice.show(grid, chosen, k)
    notices = st.container()
    _results(grid, chosen, query, k)
    browsing = _browse(address, dataset, query)
    page_frame.show_notices(notices, address.notices, grid.notices)
    url.write(
        url.SEARCH,
        url.configuration(chosen) | {url.K: k, url.QUERY: query, url.SHOW_UNTRAINED: untrained} | browsing,
    )


def _results(grid: DatasetGrid, chosen: Summary, query: int, k: int) -> None:
    """The query with its neighbors and their score."""
    found, trouble = None, ""
    try:
        found = evaluate(grid, chosen.configuration, k)
    except GridError as error:
        trouble = str(error)
    row = found.row(query) if found else None
    outer = st.container(horizontal=True, gap="medium", key="search")
    with outer.container(horizontal=True, width=_SIDE, key="search-query"):
        with st.container(width=_SIDE):
            _query(grid.dataset, query)
        if found and row is not None:
            with st.container(width=_SIDE):
                _standing(found, row)
    with outer.container(key="search-results"):
        st.header(f"The {found.k if found else k} nearest")
        if found is None:
            st.error(
                f"This experiment can't be shown: {markdown.plain(trouble)} All others still work; choose another above.",
                icon=":material/error:",
            )
        elif row is None:
            st.warning("This image was left out of the experiment. Choose another.")
        else:
            _neighbors(grid, chosen, found, row)


def _query(dataset: Dataset, query: int) -> None:
    item = dataset.item(query)
    st.header("Query image")
    gallery.show(
        [gallery.tile(item, title=item.name, lines=(f"class: {item.label}",))],
        key="query",
        size=160,
        columns=1,
        label="The image that is searched for",
    )


def _standing(found: Evaluation, row: int) -> None:
    score = found.scores[row]
    st.metric(f"Score of this search at k = {found.k}", f"{score:.0f} of 100", help=glossary.SCORE)
    sentence = _place(*found.standing(row))
    svg_charts.strip(
        found.scores,
        score,
        found.mean,
        (found.low, found.high),
        f"Scores of all {len(found.scores)} images from 0 to 100; this one has {score:.0f}, the mean is {found.mean:.0f}. {sentence}",
    )
    st.markdown(sentence)
    if found.ties is not None and found.ties.rows(np.array([row])).undecided(found.k):
        st.caption(
            "Some images are as far as the last of these, so the score is the mean over all their orders.",
            help=glossary.TIES,
        )
    st.caption(
        f"Over all {len(found.scores):,} images this configuration scores {found.mean:.1f} on average "
        f"(95% interval {found.low:.1f} to {found.high:.1f}).",
        help=glossary.INTERVAL,
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


def _neighbors(grid: DatasetGrid, chosen: Summary, found: Evaluation, row: int) -> None:
    lines = _distances(grid, chosen, found, row)
    tiles = [
        gallery.tile(
            grid.dataset.item(int(found.ids[row, place])),
            rank=place + 1,
            mark=palette.mark(bool(found.same[row, place])),
            lines=lines[place],
        )
        for place in range(found.k)
    ]
    gallery.show(
        tiles,
        key="results",
        on_pick=lambda item: url.change({url.QUERY: item}),
        size=172,
        columns=5,
        label=f"The {found.k} nearest images, nearest first",
        announce=f"Nearest to {grid.dataset.item(int(found.queries[row])).alt}: "
        f"{int(found.same[row, : found.k].sum())} of {found.k} are of its class.",
    )
    yes, no = palette.mark(True), palette.mark(False)
    st.caption(
        f"{yes.sign} {yes.words} as the query image  ·  {no.sign} {no.words}  ·  Click an image to search for it.",
        help=glossary.DISTANCE if found.distances is not None else glossary.NO_DISTANCES,
    )


def _distances(grid: DatasetGrid, chosen: Summary, found: Evaluation, row: int) -> list[tuple[str, ...]]:
    """What is said of the distance of each neighbor; nothing where no distances are known."""
    if found.distances is None:
        return [()] * found.k
    try:
        quantiles = grid.pair_quantiles(chosen.configuration)
    except GridError as error:
        quantiles = None
        st.warning(markdown.plain(str(error)), icon=":material/warning:")
    lines_of = []
    everywhere, own = found.calibrations(row) if len(found.queries) > 1 else (None, None)
    label = grid.dataset.labels[int(found.queries[row])]
    for distance in map(float, found.distances[row, : found.k]):
        lines = [f"distance {glossary.distance(distance)}"]
        if quantiles is not None:
            lines.append(
                f"closer than {glossary.percent(scoring.share_farther(distance, quantiles))} of pairs"
            )
        if everywhere is not None:
            share = everywhere.at(distance)
            lines.append(f"same class {_of_100(share)}")
            if own is not None and abs((of_class := own.at(distance)).value - share.value) > _NOTABLE:
                lines.append(f"of {label}: {_of_100(of_class)}")
        lines_of.append(tuple(lines))
    return lines_of


def _of_100(share: Share) -> str:
    # A word joiner, so that no line ends at the dash.
    return f"{100 * share.value:.0f} of 100 ({100 * share.low:.0f}–\u2060{100 * share.high:.0f})"


def _browse(address: Address, dataset: Dataset, query: int) -> dict[url.Key, object]:
    """All images to choose from; the entries of the address for them."""
    order = address.choice(url.ORDER)
    shuffle = address.number(url.SHUFFLE, 1, _MAX_SHUFFLE, 1)
    label = address.choice(url.CLASS, ("", *dataset.classes), shown="all classes")
    ids = _ordered(dataset, order, shuffle, label)
    pages = max(1, -(-len(ids) // _PER_PAGE))
    page = address.number(url.GALLERY_PAGE, 1, pages, 1)

    st.header("Choose another image")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.selectbox(
            "Class",
            ("", *dataset.classes),
            **pickers.bind(
                "browse-class", label, lambda to: url.change({url.GALLERY_PAGE: None, url.CLASS: to})
            ),
            format_func=lambda name: name or f"All {len(dataset.classes)} classes",
            label_visibility="collapsed",
            width=220,
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
    shown = ids[(page - 1) * _PER_PAGE : page * _PER_PAGE]
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


def _cost(grid: DatasetGrid, chosen: Summary) -> None:
    about = grid.run(chosen).about
    layer = about.layer(chosen.layer)
    parts = [
        glossary.layer_of(layer.depth, about.layers),
        f"{glossary.count(layer.parameters)} of the model's {glossary.count(about.parameters)} parameters"
        if about.parameters
        else "vectors computed elsewhere",
        f"{chosen.dimensions:,} numbers per vector ({glossary.size(4 * chosen.dimensions)})",
    ]
    if layer.ms_per_image is not None:
        parts.append(f"{layer.ms_per_image:.3g} ms per image")
    st.caption("  ·  ".join(parts), help=glossary.COST, width="stretch")


def _images(grid: DatasetGrid) -> None:
    st.header("The images")
    gallery.show(
        [gallery.tile(grid.dataset.item(place)) for place in range(min(_PER_PAGE, len(grid.dataset)))],
        key="browse",
        size=88,
        label="Images of the dataset",
    )


show()
