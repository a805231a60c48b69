"""The page Embeddings: all images of a source as points."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.data.source import Neighbor, Source
from core.errors import GridError, UserError
from core.experiments.store import DatasetGrid, Summary
from core.search import recommendation
from dashboard import url
from dashboard.pages.embeddings import missing_projection, point_groups, projection_chart
from dashboard.pages.embeddings import selection_panel as panel
from dashboard.url import Address
from dashboard.widgets import configuration_bar, configuration_name, glossary, page_frame, pickers, sources
from dashboard.widgets.sources import GridSource


def show() -> None:
    """The page from top to bottom."""
    page_frame.source_page(url.EMBEDDINGS, partial(_page, page_frame.head("Embeddings")), _choose)


def _choose(address: Address, grid: DatasetGrid) -> GridSource:
    """The experiment in the address, or the recommended one; the best trained one that has projections where that one has none."""

    def default() -> Summary | None:
        placed = [one for one in grid.summaries if grid.run(one).about.files.get("projections")]
        recommended = recommendation.of_dataset(grid)
        return recommended if recommended in placed or not placed else url.closest(placed, {})

    return GridSource(grid, address.configuration(grid.summaries, default=default))


def _model(source: GridSource, untrained: bool) -> None:
    """The configuration without its layer, which opens the pickers that change it."""
    chosen = source.chosen
    name = f"{configuration_name.model_title(source.grid, chosen)} · {chosen.pooling} · {chosen.metric}"
    with configuration_bar.panel(name, "model"):
        pickers.configuration(source.grid, chosen, untrained)
        pickers.untrained(source.grid, untrained)


def _page(top: DeltaGenerator, address: Address, names: Sequence[str], source: Source) -> None:
    several = sources.experiments(source)
    layers = several.grid.run(several.chosen.configuration).about.layers if several else ()
    st.caption(
        "Images that a layer takes for similar lie together."
        + (" **Play** goes through the layers." if len(layers) > 1 else ""),
        help=glossary.PROJECTION,
    )
    most = min(pickers.MAX_NEIGHBORS, source.most_neighbors)
    k = page_frame.number_of_neighbors(address, most)
    item_key = url.QUERY if source.item_key == url.QUERY else url.IMAGE
    picked = address.number_or_none(item_key, source.ids.start, source.ids.stop - 1)
    method, dimensions = address.choice(url.METHOD), int(address.choice(url.DIMENSIONS))
    shown = sources.entries(source) | {url.K: k, item_key: picked, url.METHOD: method}
    side = address.choice(url.PANEL)
    shown |= {url.DIMENSIONS: str(dimensions), url.PANEL: side, url.SELECTED: address.asked.get(url.SELECTED)}
    shown[url.SIMILAR] = similar = address.switch(url.SIMILAR)
    with top:
        pickers.source(names, source, hidden=True)
        if several:
            shown[url.SHOW_UNTRAINED] = untrained = address.switch(url.SHOW_UNTRAINED)
            _model(several, untrained)
        pickers.projection(method, dimensions)
        shown[url.COLOR] = color = point_groups.choose(address, source)
    if not several:
        st.caption(sources.describe(source), width="stretch")
    elif several.chosen.weights in glossary.CAVEATS:
        st.info(glossary.CAVEATS[several.chosen.weights], icon=":material/science:")
    notices = st.container()
    projection, damage = None, None
    try:
        projection = source.projection(method, dimensions)
    except GridError as error:
        damage = error
    if projection is None and several is None:
        missing_projection.compute(source, method, dimensions)
    else:
        with st.container(key="embeddings-main"):
            left, right = st.columns([62, 38], gap="medium")
            neighbors, trouble = _neighbors(source, picked, k)
            selected = np.empty(0, np.int64)
            if projection is not None:
                selected, shown[url.SELECTED] = panel.selection(address, projection)

            def pick(item_id: int) -> None:
                url.change({item_key: item_id, url.PANEL: None})

            with left:
                if projection is None and several:
                    missing_projection.show(several, method, dimensions, damage)
                elif projection:
                    projection_chart.show(
                        address, source, projection, method, picked, neighbors, selected, (color, k), pick
                    )
            chosen = picked is not None if side == "image" else len(selected) > 0
            with right, st.container(key="embeddings-sheet" if chosen else None):
                panel.show(
                    side,
                    source,
                    projection,
                    method,
                    picked,
                    neighbors,
                    trouble,
                    selected,
                    similar,
                    pick,
                    (k, most),
                )
            if projection is not None:
                projection_chart.explain(source, projection, method, pick)
    page_frame.show_notices(notices, address.notices, several.grid.notices if several else ())
    url.write(url.EMBEDDINGS, shown)


def _neighbors(source: Source, picked: int | None, k: int) -> tuple[list[Neighbor], str]:
    """The neighbors of the picked image, or a sentence that says why they are not known."""
    if picked is None:
        return [], ""
    try:
        return source.nearest_to(picked, k), ""
    except UserError as error:
        return [], str(error)


show()
