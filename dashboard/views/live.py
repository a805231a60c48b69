"""The live page: a reader's own picture, and what is nearest to it."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from core.datasets import Dataset
from core.errors import GridError, UserError
from core.experiments.store import Summary
from core.search import query, shared
from core.search.query import Answer, Box
from dashboard.components import (
    data,
    explain,
    gallery,
    intake,
    opening,
    palette,
    pickers,
    reasons,
    region,
    state,
    warmup,
)
from dashboard.components.data import DatasetGrid
from dashboard.components.intake import Picture
from dashboard.components.state import Address

_SIDE = 330
_BOXES = "live-boxes"
_LAST = "live-answer"


def show() -> None:
    """The page from top to bottom."""
    st.title("Your picture")
    st.markdown("Search a dataset with a picture of your own, and see what made the results similar.")
    opening.page(_live)


def _live(address: Address, names: Sequence[str], grid: DatasetGrid) -> None:
    usable = _usable(grid)
    if not usable.summaries:
        pickers.dataset(names, grid.dataset.name)
        st.info(_nothing_to_search_under(grid), icon=":material/info:")
        opening.tell(st.container(), address.notices, grid.notices)
        state.write({"dataset": grid.dataset.name})
        return
    best = usable.summaries[0]
    chosen = address.configuration(usable.summaries, default=best)
    k = opening.number_of_neighbors(address, min(pickers.MAX_NEIGHBORS, len(grid.dataset)))
    untrained = address.choice("untrained", ("1", "0"), "0") == "1"
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        pickers.dataset(names, grid.dataset.name)
        pickers.configuration(usable, chosen, untrained)
        pickers.neighbors(k)
    st.caption(_why(usable, chosen, best))
    loading = warmup.start(grid.dataset, chosen.configuration)
    notices = st.container()
    intake.show(grid.dataset)
    picture = intake.current()
    if picture is None:
        st.info(
            "Nothing to search with yet: bring a picture of your own, or begin with one of these.",
            icon=":material/add_photo_alternate:",
        )
        intake.samples(grid.dataset)
    else:
        _queries(picture)
        _search(usable, chosen, picture, k, loading)
    opening.tell(notices, address.notices, grid.notices)
    state.write(state.query_params(chosen, k=k) | {"untrained": 1 if untrained else None})


def _nothing_to_search_under(grid: DatasetGrid) -> str:
    if all(one.weights == explain.PUBLISHED for one in grid.summaries):
        return (
            "Of this dataset there are published results alone, without the vectors that a new picture would be compared with. "
            f"This computes some: `python -m core grid run --dataset {grid.dataset.name} --model efficientnet-lite0`"
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
    return tuple(shared.engine().searchable(_grid.dataset))


def _why(grid: DatasetGrid, chosen: Summary, best: Summary) -> str:
    name = pickers.model_name(grid.run(best).about)
    if chosen.configuration == best.configuration:
        return (
            f"This is the best configuration on {grid.dataset.title} that works on this machine without a download: "
            f"{best.score_10:.1f} of 100 at k = 10."
        )
    return (
        f"The best here without a download is {name}, layer {best.layer}, {best.pooling}, {best.metric}: "
        f"{best.score_10:.1f} of 100 at k = 10; this one has {chosen.score_10:.1f}."
    )


def _queries(picture: Picture) -> None:
    """Switch between the pictures that came in."""
    kept = list(intake.pictures().values())
    if len(kept) < 2:
        return
    st.session_state["live-query"] = picture.key
    st.pills(
        "Search with",
        [one.key for one in kept],
        format_func=lambda key: state.plain(intake.pictures()[key].name[:40]),
        key="live-query",
        on_change=lambda: intake.choose(st.session_state["live-query"] or picture.key),
    )


def _search(grid: DatasetGrid, chosen: Summary, picture: Picture, k: int, loading: warmup.Warmup) -> None:
    boxes: dict[str, Box] = st.session_state.setdefault(_BOXES, {})
    box = boxes.get(picture.key, region.WHOLE)
    outer = st.container(horizontal=True, gap="medium", key="search")
    with outer.container(width=_SIDE, key="search-query"):
        st.header("Your picture")
        region.show(
            picture.image,
            f"Your picture {picture.name}",
            box,
            lambda drawn: boxes.update({picture.key: drawn}),
            "live-region",
        )
        st.caption("Draw a frame to search with a region; drag it, or use the arrow keys.")
        if box != region.WHOLE:
            st.button("Search with the whole picture", on_click=lambda: boxes.pop(picture.key, None))
    with outer.container(key="search-results"):
        if not loading.wait(0.3):
            warmup.watch(loading, grid.run(chosen).about.title)
            return
        if loading.error:
            st.error(state.plain(loading.error), icon=":material/error:")
            return
        try:
            answer = _answer(grid.dataset, chosen, picture, k, box)
        except UserError as error:
            st.error(state.plain(str(error)), icon=":material/error:")
            return
        _results(grid.dataset, picture, answer)
    _more(grid, chosen, picture, box, answer)


def _answer(dataset: Dataset, chosen: Summary, picture: Picture, k: int, box: Box) -> Answer:
    """The answer; the last one again when only what is told about it changes."""
    asked = (dataset.fingerprint, chosen.configuration, picture.key, k, box)
    last = st.session_state.get(_LAST)
    if last is None or last[0] != asked:
        found = query.answer(shared.engine(), dataset, chosen, picture.image, k, box)
        last = st.session_state[_LAST] = (asked, found)
    return last[1]


def _results(dataset: Dataset, picture: Picture, answer: Answer) -> None:
    st.header(f"The {len(answer.ids)} nearest")
    votes = " · ".join(f"**{state.plain(vote.label)}** {vote.count}" for vote in answer.votes)
    st.markdown(f"They vote: {votes}")
    gallery.show(
        [
            gallery.tile(
                dataset,
                int(item),
                rank=rank,
                lines=(dataset.items[item].title, f"distance {explain.distance(float(distance))}"),
            )
            for rank, (item, distance) in enumerate(zip(answer.ids, answer.distances, strict=True), 1)
        ],
        key="live-results",
        on_pick=lambda item: intake.from_dataset(dataset, item),
        columns=5,
        label="Pictures of the dataset, nearest first",
        announce=f"{len(answer.ids)} results for {picture.name}",
    )
    st.caption(
        f"Decoding {picture.decode_ms:.0f} ms · features {answer.features_ms:.0f} ms · search {answer.search_ms:.2f} ms. "
        "Click a result to search with it."
    )


def _more(grid: DatasetGrid, chosen: Summary, picture: Picture, box: Box, answer: Answer) -> None:
    table = pd.DataFrame(
        {
            "rank": range(1, len(answer.ids) + 1),
            "id": answer.ids,
            "label": [grid.dataset.items[i].label for i in answer.ids],
            "title": [grid.dataset.items[i].title for i in answer.ids],
            "distance": answer.distances,
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
        reasons.show(grid.dataset, chosen, query.crop(picture.image, box), f"{picture.key}{box}", answer)
    elif part == parts[1]:
        _place(grid, chosen, answer)
    else:
        _snippet(grid.dataset, chosen, box, len(answer.ids))


def _place(grid: DatasetGrid, chosen: Summary, answer: Answer) -> None:
    """A star among the points of the stored layout."""
    try:
        layouts = data.layouts(grid, chosen.model, chosen.weights, chosen.pooling, "umap", 2)
    except GridError as error:
        st.warning(state.plain(str(error)), icon=":material/warning:")
        return
    layout = next((one for one in layouts if one.layer == chosen.layer), None)
    if layout is None:
        st.info("There is no layout of this layer and pooling; running the grid again makes one.")
        return
    import plotly.graph_objects as go

    rows = {int(item): row for row, item in enumerate(layout.ids)}
    near = [
        (rows[int(i)], float(d)) for i, d in zip(answer.ids, answer.distances, strict=True) if int(i) in rows
    ]
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
            name=name,
            mode="markers",
            marker={"color": style.color, "symbol": style.symbol, "size": 8},
            hovertemplate=f"{name}<extra></extra>",
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


def _snippet(dataset: Dataset, chosen: Summary, box: Box, k: int) -> None:
    fields = {"dataset": dataset.name} | {part: getattr(chosen, part) for part in state.PARTS} | {"k": str(k)}
    if box != region.WHOLE:
        fields["crop"] = ",".join(f"{share:g}" for share in box)
    address = f"{(st.context.url or 'http://127.0.0.1:8501').split('?')[0].removesuffix('/live').rstrip('/')}/api/v1/search"
    words = " \\\n  ".join(f"-F {shlex.quote(f'{name}={value}')}" for name, value in fields.items())
    st.code(f"curl -F image=@picture.jpg \\\n  {words} \\\n  {address}", language="bash")
    lines = "".join(f"        {json.dumps(name)}: {json.dumps(value)},\n" for name, value in fields.items())
    st.code(
        "import requests\n\n"
        "answer = requests.post(\n"
        f'    "{address}",\n'
        '    files={"image": open("picture.jpg", "rb")},\n'
        f"    data={{\n{lines}    }},\n"
        ")\n"
        'print(answer.json()["results"])',
        language="python",
    )


show()
