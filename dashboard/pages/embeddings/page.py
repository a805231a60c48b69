"""The embeddings page: all images of a dataset as points that move from layer to layer of a model."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from core.data.source import Source
from core.errors import GridError
from core.experiments.query_scores import Evaluation, evaluate
from core.experiments.store import DatasetGrid, Summary
from core.server import projections
from core.server.projections import Stack
from dashboard import url
from dashboard.frontend.scatter import scatter
from dashboard.pages.embeddings import collection_points
from dashboard.pages.embeddings import selection_panel as panel
from dashboard.url import Address
from dashboard.widgets import glossary, markdown, page_frame, pickers, sources
from dashboard.widgets.sources import GridSource

# Chart and details stand side by side where there is room for both.
_RULES = """<style>
@media (max-width: 1000px) {
  .st-key-embeddings-main > [data-testid="stLayoutWrapper"] > [data-testid="stHorizontalBlock"]
    > [data-testid="stColumn"] { min-width: 100%; }
}
.st-key-pickers [data-testid="stButtonGroup"] button { min-height: 2.5rem; }
.st-key-pickers [data-testid="stButtonGroup"] [data-testid="stWidgetLabel"] { height: 1.5rem; white-space: nowrap; }
.class-counts { display: grid; grid-template-columns: max-content 1fr max-content; gap: .15rem .6rem;
  align-items: center; font-size: .875rem; margin: 0; max-height: 16rem; overflow: auto; }
.class-counts i { display: block; height: .6rem; border-radius: 2px; }
.class-counts b { font-weight: 600; font-variant-numeric: tabular-nums; text-align: right; }
</style>"""


def show() -> None:
    """The page from top to bottom."""
    st.html(_RULES)
    st.title("Embeddings")
    page_frame.source_page(
        url.EMBEDDINGS,
        _page,
        lambda address, grid: GridSource(grid, address.configuration(grid.summaries, default=_first(grid))),
    )


def _page(address: Address, names: Sequence[str], source: Source) -> None:
    several = sources.experiments(source)
    if several is None:
        collection_points.show(address, names, source)
        return
    grid, chosen = several.grid, several.chosen
    st.markdown(
        "Every point is a picture; those that a layer takes for similar lie together. "
        "Press **Play** to go through the layers and see the classes come apart."
    )
    dataset = grid.dataset
    most = min(pickers.MAX_NEIGHBORS, grid.run(chosen).about.top)
    k = page_frame.number_of_neighbors(address, most)
    picked = address.number_or_none(url.QUERY, 0, len(dataset) - 1)
    method = address.choice(url.METHOD)
    dimensions = int(address.choice(url.DIMENSIONS))
    untrained = address.switch(url.SHOW_UNTRAINED)

    with st.container(horizontal=True, vertical_alignment="bottom", key="pickers"):
        pickers.dataset(names, dataset.name)
        pickers.model(grid, chosen, untrained)
        pickers.pooling(grid, chosen)
        pickers.projection(method, dimensions)
        pickers.untrained(grid, untrained)
    if chosen.weights in glossary.CAVEATS:
        st.info(glossary.CAVEATS[chosen.weights], icon=":material/science:")
    notices = st.container()
    selected = panel.selection(dataset)
    found, trouble = _neighbors(grid, chosen, k)
    with st.container(key="embeddings-main"):
        left, right = st.columns([62, 38], gap="medium")
        with left:
            points = _chart(address, grid, chosen, method, dimensions, picked, found, selected)
            if points is not None:
                _explanation(grid, chosen, points, method)
                _table(grid, chosen, points)
        with right:
            panel.show(grid, chosen, points, method, picked, found, trouble, selected, k, most)
    page_frame.tell(notices, address.notices, grid.notices)
    url.write(
        url.EMBEDDINGS,
        url.configuration(chosen)
        | {
            url.K: k,
            url.QUERY: picked,
            url.METHOD: method,
            url.DIMENSIONS: str(dimensions),
            url.SHOW_UNTRAINED: untrained,
        },
    )


def _first(grid: DatasetGrid) -> Summary | None:
    """What is shown when nothing is asked for: the best trained experiment of a model that has layouts."""
    placed = [one for one in grid.summaries if grid.run(one).about.files.get("projections")]
    return url.closest(placed, {}) if placed else None


# -- The chart -------------------------------------------------------------------------------------


def _chart(
    address: Address,
    grid: DatasetGrid,
    chosen: Summary,
    method: str,
    dimensions: int,
    picked: int | None,
    found: Evaluation | None,
    selected: np.ndarray,
) -> Stack | None:
    """The points with everything that moves them; None, with a sentence, where there are none."""
    dataset, run = grid.dataset, grid.run(chosen)
    try:
        stored = grid.projections(chosen.model, chosen.weights, chosen.pooling, method, dimensions)
        points = projections.stack(stored, len(dataset)) if stored else None
    except GridError as error:
        st.error(
            f"These points can't be shown: {markdown.plain(str(error))} Everything else still works. "
            "This computes them again:",
            icon=":material/error:",
        )
        st.code(_command(chosen), language="bash")
        return None
    if points is None:
        _no_layouts(grid, chosen, method, dimensions)
        return None

    depths = [run.about.layer(name).depth for name in points.layers]
    layer = min(range(len(depths)), key=lambda place: abs(depths[place] - chosen.depth))
    if points.layers[layer] != chosen.layer:
        address.notices.append(
            f"There are no points for the layer {markdown.quoted(chosen.layer)}; these are of {markdown.quoted(points.layers[layer])}."
        )
    links: dict[int, bool] = {}
    row = found.row(picked) if found is not None and picked is not None else None
    if found is not None and row is not None:
        links = dict(
            zip(found.ids[row, : found.k].tolist(), found.same[row, : found.k].tolist(), strict=True)
        )

    def go(name: str) -> None:
        wanted = {"model": chosen.model, "weights": chosen.weights, "layer": name}
        near = url.closest(grid.summaries, wanted, like=chosen)
        url.change({url.LAYER: near.layer, url.POOLING: near.pooling, url.METRIC: near.metric})

    scatter.show(
        dataset,
        scatter.of_run(dataset, run, chosen.pooling, method, dimensions),
        [
            scatter.Layer(name, depth, _named(grid, chosen, name), trust, silhouette)
            for name, depth, trust, silhouette in zip(
                points.layers, depths, points.trustworthiness, points.silhouette, strict=True
            )
        ],
        layer,
        picked,
        links,
        selected,
        f"Scatter chart of {len(points.ids):,} pictures in {len(dataset.classes)} classes: {projections.METHODS[method]} in "
        f"{dimensions} dimensions of what {run.about.title} answers at {_named(grid, chosen, points.layers[layer])}. "
        "The table below the chart holds the same numbers.",
        scatter.Events(layer=go, picked=panel.pick, selected=lambda ids: panel.select(dataset, ids)),
        key="scatter",
    )
    return points


def _named(grid: DatasetGrid, chosen: Summary, layer: str) -> str:
    about = grid.run(chosen).about
    one = about.layer(layer)
    return f"{glossary.layer_of(one.depth, about.layers)} · {one.name} · {'×'.join(map(str, one.shape))}"


def _no_layouts(grid: DatasetGrid, chosen: Summary, method: str, dimensions: int) -> None:
    there = []
    for pooling in dict.fromkeys(one.pooling for one in grid.summaries if _same_run(one, chosen)):
        try:
            if grid.projections(chosen.model, chosen.weights, pooling, method, dimensions):
                there.append(pooling)
        except GridError:
            continue
    title = grid.run(chosen).about.title
    if chosen.weights == glossary.PUBLISHED:
        st.info(
            f"Of {markdown.plain(title)} nothing but UMAP in two dimensions was published.",
            icon=":material/info:",
        )
        st.button(
            "Show UMAP in 2-D",
            on_click=lambda: url.change({url.METHOD: None, url.DIMENSIONS: None}),
            key="show-published",
        )
        return
    st.info(
        f"There are no points of {markdown.plain(title)} with {chosen.pooling} pooling yet. This computes them:",
        icon=":material/hourglass_empty:",
    )
    st.code(_command(chosen), language="bash")
    for pooling in there:
        st.button(
            f"Show {pooling} pooling instead",
            on_click=lambda pooling=pooling: _change_pooling(grid, chosen, pooling),
        )


def _change_pooling(grid: DatasetGrid, chosen: Summary, pooling: str) -> None:
    wanted = {
        "model": chosen.model,
        "weights": chosen.weights,
        "layer": chosen.layer,
        "pooling": pooling,
    }
    near = url.closest(grid.summaries, wanted, like=chosen)
    url.change({url.LAYER: near.layer, url.POOLING: near.pooling, url.METRIC: near.metric})


def _same_run(one: Summary, other: Summary) -> bool:
    return (one.model, one.weights) == (other.model, other.weights)


def _command(chosen: Summary) -> str:
    """What computes the points of a configuration."""
    command = (
        f"playground grid run --dataset {chosen.dataset} --model {chosen.model} --pooling {chosen.pooling}"
    )
    if chosen.weights == "imagenet":
        return command
    return f"{command} --weights {'untrained' if chosen.weights == url.UNTRAINED else 'FILE'}"


def _explanation(grid: DatasetGrid, chosen: Summary, points: Stack, method: str) -> None:
    """What the two lines below the points say, and at which layer they say it best."""
    known = [(value, place) for place, value in enumerate(points.silhouette) if value is not None]
    if len(known) > 1:
        best, place = max(known)
        low, first = known[0]
        depth = grid.run(chosen).about.layer(points.layers[place]).depth
        where = f"**layer {depth} ({markdown.plain(points.layers[place])})**"
        st.markdown(
            f"The classes are farthest apart at {where}, with a silhouette of {_signed(best)}"
            + ("." if place == first else f"; at the first layer it is {_signed(low)}.")
        )
    if known or any(value is not None for value in points.trustworthiness):
        st.caption(f"{glossary.TRUSTWORTHINESS} {glossary.SILHOUETTE}")
    else:
        st.caption(glossary.UNJUDGED)
    shown = points.layers.index(chosen.layer) if chosen.layer in points.layers else 0
    about = points.parameters[shown]
    if method == "pca" and isinstance(share := about.get("explained_variance"), float):
        st.caption(
            f"PCA at this layer: {points.coordinates.shape[2]} components hold {glossary.percent(share)} of the variance."
        )
    if isinstance(reason := about.get("fallback"), str):
        st.caption(markdown.plain(reason))


def _signed(number: float) -> str:
    return f"{number:.2f}".replace("-", "−")


def _table(grid: DatasetGrid, chosen: Summary, points: Stack) -> None:
    """The charts as tables, made only once they are asked for."""
    tables = st.expander("The charts as tables", key="embeddings-tables", on_change="rerun")
    if not tables.open:
        return
    about = grid.run(chosen).about
    with tables:
        st.dataframe(
            {
                "depth": [about.layer(name).depth for name in points.layers],
                "layer": list(points.layers),
                "trustworthiness": list(points.trustworthiness),
                "silhouette": list(points.silhouette),
            },
            hide_index=True,
            alt="Trustworthiness and silhouette of every layer",
        )
        key = "embeddings-rows"

        def rows_chosen() -> None:
            rows = st.session_state[key].selection.rows
            if rows and rows[0] < len(points.ids):
                panel.pick(int(points.ids[rows[0]]))

        names, rows = panel.rows(grid.dataset, chosen, points, points.ids)
        st.dataframe(
            dict(zip(names, zip(*rows, strict=True), strict=True)),
            hide_index=True,
            height=320,
            key=key,
            on_select=rows_chosen,
            selection_mode="single-row",
            alt="Every picture with its place in the chart",
        )
        st.caption("Choose a row to see its neighbors.")


def _neighbors(grid: DatasetGrid, chosen: Summary, k: int) -> tuple[Evaluation | None, str]:
    """The result lists of the configuration, or a sentence about why there are none."""
    try:
        return evaluate(grid, chosen.configuration, k), ""
    except GridError as error:
        return None, f"The neighbors can't be shown: {error}"


show()
