"""The live page: a reader's own picture, and what is nearest to it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from core.data.datasets import Dataset
from core.errors import GridError
from core.experiments.store import DatasetGrid, Summary
from core.imaging import decode
from core.search import query, shared_engine
from core.search.dataset_source import DatasetSource
from core.search.query import Answer
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.pages.your_picture import collection_part, query_panel, why_similar
from dashboard.pages.your_picture.query_panel import Question
from dashboard.url import Address
from dashboard.widgets import (
    glossary,
    image_input,
    markdown,
    page_frame,
    palette,
    pickers,
    plotly_charts,
    warmup,
)


def show() -> None:
    """The page from top to bottom."""
    st.title("Your picture")
    st.markdown(
        "Search a dataset, or your own images, with a picture of your own, and see what made the results similar."
    )
    page_frame.page(url.YOUR_PICTURE, _live, collection=collection_part.show)


def _live(address: Address, names: Sequence[str], grid: DatasetGrid) -> None:
    dataset = grid.dataset
    usable = _usable(grid)
    if not usable.summaries:
        pickers.dataset(names, dataset.name)
        st.info(_nothing_to_search_under(grid), icon=":material/info:")
        page_frame.tell(st.container(), address.notices, grid.notices)
        url.write(url.YOUR_PICTURE, {url.DATASET: dataset.name})
        return
    best = usable.summaries[0]
    chosen = address.configuration(usable.summaries, default=best)
    k = page_frame.number_of_neighbors(address, min(pickers.MAX_NEIGHBORS, len(dataset)))
    untrained = address.switch(url.SHOW_UNTRAINED)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        pickers.dataset(names, dataset.name)
        pickers.configuration(usable, chosen, untrained)
        pickers.neighbors(k)
    st.caption(_why(usable, chosen, best))
    source = DatasetSource(shared_engine.engine(), dataset, chosen.configuration)
    loading = warmup.start(source)
    notices = st.container()
    image_input.show(lambda: image_input.samples_of(dataset))
    picture = image_input.current()
    if picture is None:
        st.info(
            "Nothing to search with yet: bring a picture of your own, or begin with one of these.",
            icon=":material/add_photo_alternate:",
        )
        image_input.samples_of(dataset)
    else:
        answered = query_panel.show(
            picture,
            loading,
            usable.run(chosen).about.title,
            (dataset.fingerprint, chosen.configuration, k),
            lambda question: query.search(source, picture.image, k, question.box),
            lambda question, answer: _results(dataset, question, answer),
        )
        if answered is not None:
            _more(usable, chosen, *answered)
    page_frame.tell(notices, address.notices, grid.notices)
    url.write(url.YOUR_PICTURE, url.configuration(chosen) | {url.K: k, url.SHOW_UNTRAINED: untrained})


def _nothing_to_search_under(grid: DatasetGrid) -> str:
    if all(one.weights == glossary.PUBLISHED for one in grid.summaries):
        return (
            "Of this dataset there are published results alone, without the vectors that a new picture would be compared with. "
            f"This computes some: `playground grid run --dataset {grid.dataset.name} --model efficientnet-lite0`"
        )
    return "No model with weights on this machine has experiments on this dataset, so there is nothing to search under."


def _usable(grid: DatasetGrid) -> DatasetGrid:
    """The experiments that a new picture can be searched under here, the best first."""
    found = _searchable(grid.key, grid)
    keys = {(one.model, one.weights) for one in found}
    return replace(grid, summaries=found, runs={key: run for key, run in grid.runs.items() if key in keys})


# For a minute: installing a package with weights needs no new start.
@st.cache_data(show_spinner=False, ttl=60, max_entries=8)
def _searchable(key: str, _grid: DatasetGrid) -> tuple[Summary, ...]:
    return tuple(shared_engine.engine().searchable(_grid.dataset))


def _why(grid: DatasetGrid, chosen: Summary, best: Summary) -> str:
    name = pickers.model_name(grid.run(best).about)
    if chosen.configuration == best.configuration:
        return (
            f"This is the best configuration on {markdown.plain(grid.dataset.title)} that works on this machine without a download: "
            f"{best.score_10:.1f} of 100 at k = 10."
        )
    return (
        f"The best here without a download is {markdown.plain(name)}, layer {markdown.plain(best.layer)}, {best.pooling}, {best.metric}: "
        f"{best.score_10:.1f} of 100 at k = 10; this one has {chosen.score_10:.1f}."
    )


def _results(dataset: Dataset, question: Question, answer: Answer) -> None:
    st.header(f"The {len(answer.neighbors)} nearest")
    votes = " · ".join(f"**{markdown.plain(vote.label)}** {vote.count}" for vote in answer.votes)
    st.markdown(f"They vote: {votes}")
    gallery.show(
        [
            gallery.tile(
                dataset,
                one.item.id,
                rank=rank,
                lines=(one.item.title, f"distance {glossary.distance(one.distance or 0.0)}"),
            )
            for rank, one in enumerate(answer.neighbors, 1)
        ],
        key="live-results",
        on_pick=lambda item: image_input.from_dataset(dataset, item),
        columns=5,
        label="Pictures of the dataset, nearest first",
        announce=f"{len(answer.neighbors)} results for {question.picture.name}",
    )
    query_panel.times(question.picture, answer.features_ms, answer.search_ms)


def _more(grid: DatasetGrid, chosen: Summary, question: Question, answer: Answer) -> None:
    dataset = grid.dataset
    ids = [one.item.id for one in answer.neighbors]
    table = pd.DataFrame(
        {
            "rank": range(1, len(ids) + 1),
            "id": ids,
            "label": [dataset.items[i].label for i in ids],
            "title": [dataset.items[i].title for i in ids],
            "distance": [one.distance for one in answer.neighbors],
        }
    )
    st.download_button(
        "Download the results (CSV)",
        table.to_csv(index=False),
        "results.csv",
        "text/csv",
        icon=":material/download:",
    )
    parts = ["Why these?", "Where is it?", "Use the API"]
    st.session_state.setdefault("live-part", parts[0])
    part = st.segmented_control("More about this search", parts, key="live-part", required=True)
    if part == parts[0]:
        why_similar.show(
            [_reason(dataset, item) for item in ids],
            chosen.configuration,
            decode.crop(question.picture.image, question.box),
            question.key,
        )
    elif part == parts[1]:
        _place(grid, chosen, answer)
    else:
        fields = url.link(url.YOUR_PICTURE, url.configuration(chosen))
        query_panel.snippet([*fields.items(), ("k", str(len(ids)))], question.box)


def _reason(dataset: Dataset, item: int) -> why_similar.Result:
    about = dataset.items[item]
    return why_similar.Result(
        (dataset.fingerprint, item),
        about.title or about.label,
        gallery.alt(about),
        lambda: dataset.path(item),
    )


def _place(grid: DatasetGrid, chosen: Summary, answer: Answer) -> None:
    """A star among the points of the stored layout."""
    try:
        layouts = grid.projections(chosen.model, chosen.weights, chosen.pooling, "umap", 2)
    except GridError as error:
        st.warning(markdown.plain(str(error)), icon=":material/warning:")
        return
    layout = next((one for one in layouts if one.layer == chosen.layer), None)
    if layout is None:
        st.info("There is no layout of this layer and pooling; running the grid again makes one.")
        return
    import plotly.graph_objects as go

    rows = {int(item): row for row, item in enumerate(layout.ids)}
    near = [(rows[one.item.id], one.distance or 0.0) for one in answer.neighbors if one.item.id in rows]
    if not near:
        st.info("None of the nearest pictures stands in the layout, so there is no place to show.")
        return
    # A distance of zero may come out a little below it.
    weights = np.array([1.0 / (max(distance, 0.0) + 1e-6) for _, distance in near])
    star = np.average(layout.coordinates[[row for row, _ in near]], axis=0, weights=weights)
    labels = np.array([grid.dataset.items[i].label for i in layout.ids])
    figure = go.Figure()
    for name, style in palette.class_styles(grid.dataset.classes).items():
        x, y = layout.coordinates[labels == name].T
        figure.add_scatter(
            x=x,
            y=y,
            name=plotly_charts.words(name),
            mode="markers",
            marker={"color": style.color, "symbol": style.symbol, "size": 8},
            hovertext=plotly_charts.words(name),
            hovertemplate="%{hovertext}<extra></extra>",
        )
    ink = "#ffffff" if palette.is_dark() else "#000000"
    figure.add_scatter(
        x=[star[0]],
        y=[star[1]],
        name="your picture",
        mode="markers",
        marker={"symbol": "star", "size": 22, "color": "#ffd500", "line": {"width": 2, "color": ink}},
    )
    figure.update_layout(
        height=460, margin={"l": 0, "r": 0, "t": 10, "b": 0}, legend={"orientation": "h", "y": -0.05}
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    st.plotly_chart(figure, key="live-place", config={"displayModeBar": False})
    st.caption(
        f"The star stands at the mean place of the {len(near)} nearest pictures, the nearer ones counting for more. "
        "It is not a projection of the picture itself."
    )


show()
