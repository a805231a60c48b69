"""The chart of the page Embeddings, with what its two lines say and its numbers as tables."""

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st

from core.data.source import Neighbor, Projection, Source
from core.errors import UserError
from core.server import projections
from dashboard import url
from dashboard.frontend.scatter import scatter
from dashboard.pages.embeddings import point_groups
from dashboard.pages.embeddings import selection_panel as panel
from dashboard.url import Address
from dashboard.widgets import glossary, markdown, sources
from dashboard.widgets.sources import GridSource


def show(
    address: Address,
    source: Source,
    projection: Projection,
    method: str,
    picked: int | None,
    neighbors: Sequence[Neighbor],
    selected: np.ndarray,
    color: tuple[str, int],
    pick: Callable[[int], None],
) -> None:
    """The points with everything that moves them.

    Parameters
    ----------
    picked : id of an image, whose neighbors are joined to it with lines.
    color : what the points are colored by, and the k of their scores.
    pick : takes the id of the image that was clicked.
    """
    images, by_id = projection.images, projection.by_id
    several = sources.experiments(source)
    layers = _layers(source, projection)
    layer = _shown(source, layers)
    if several and layers[layer].name != several.chosen.layer:
        address.notices.append(
            f"There are no points for the layer {markdown.quoted(several.chosen.layer)}; "
            f"these are of {markdown.quoted(layers[layer].name)}."
        )
    if len(images) < projection.total:
        st.caption(
            f"These are {len(images):,} of {projection.total:,} different images, drawn at random and always the same."
        )
    groups = None
    try:
        groups = point_groups.of(color[0], source, projection, layer, color[1])
    except UserError as error:
        st.warning(
            f"{markdown.plain(str(error))} The points have the colors of their classes.",
            icon=":material/warning:",
        )
    item = None if picked is None else source.item(picked)
    label = item.label if item else None
    scatter.show(
        projection,
        layers,
        layer,
        None if picked is None else by_id.get(picked),
        {by_id[one.item.id]: one.item.label == label for one in neighbors if one.item.id in by_id},
        selected,
        groups,
        f"Scatter chart of {len(projection.numbers):,} images in {len(images.classes)} classes: "
        f"{projections.METHODS[method]} in {projection.dimensions} dimensions of what {sources.model_title(source)} answers "
        f"at {layers[layer].text}."
        + (" The table below the chart holds the same numbers." if several else ""),
        scatter.Events(
            layer=lambda name: _go(several, name) if several else None,
            picked=lambda number: pick(images.item(number).id),
            selected=lambda numbers: panel.select(projection, numbers),
        ),
        key="scatter",
    )


def explain(source: Source, projection: Projection, method: str, pick: Callable[[int], None]) -> None:
    """What the lines below the points say, and the numbers of the chart as tables."""
    layers = _layers(source, projection)
    layer = _shown(source, layers)
    _explanation(projection, layers, method, layer)
    if sources.experiments(source):
        _tables(projection, layers, layer, pick)


def _shown(source: Source, layers: Sequence[scatter.ChartLayer]) -> int:
    """The index of the layer nearest to the chosen one."""
    several = sources.experiments(source)
    if several is None:
        return 0
    return min(range(len(layers)), key=lambda place: abs(layers[place].depth - several.chosen.depth))


def _layers(source: Source, projection: Projection) -> list[scatter.ChartLayer]:
    several = sources.experiments(source)
    found = []
    for name, *judged in zip(
        projection.layers, projection.trustworthiness, projection.silhouette, strict=True
    ):
        if several is None:
            found.append(scatter.ChartLayer(name, 1, f"{sources.model_title(source)} · {name}", *judged))
            continue
        about = several.grid.run(several.chosen).about
        one = about.layer(name)
        shape = "×".join(map(str, one.shape))
        text = f"{glossary.layer_of(one.depth, about.layers)} · {name} · {shape}"
        found.append(scatter.ChartLayer(name, one.depth, text, *judged))
    return found


def _go(source: GridSource, layer: str) -> None:
    """Show another layer, from a callback."""
    chosen = source.chosen
    wanted = {"model": chosen.model, "weights": chosen.weights, "layer": layer}
    near = url.closest(source.grid.summaries, wanted, like=chosen)
    url.change({url.LAYER: near.layer, url.POOLING: near.pooling, url.METRIC: near.metric})


def _explanation(
    projection: Projection, layers: Sequence[scatter.ChartLayer], method: str, shown: int
) -> None:
    """What the two lines below the points say, and at which layer the classes are farthest apart."""
    known = [(value, place) for place, value in enumerate(projection.silhouette) if value is not None]
    about_both = f"{glossary.TRUSTWORTHINESS}\n\n{glossary.SILHOUETTE}"
    if len(known) > 1:
        best, place = max(known)
        low, first = known[0]
        where = f"**layer {layers[place].depth} ({markdown.plain(layers[place].name)})**"
        st.markdown(
            f"The classes are farthest apart at {where}, with a silhouette of {_signed(best)}"
            + ("." if place == first else f"; at the first layer it is {_signed(low)}."),
            help=about_both,
        )
    elif known:
        st.caption("Trustworthiness and silhouette are those of this layer.", help=about_both)
    elif all(value is None for value in projection.trustworthiness):
        st.caption(glossary.UNJUDGED)
    elif len(projection.images.classes) > 1:
        st.caption("The silhouette is known where every image has a label.", help=glossary.TRUSTWORTHINESS)
    else:
        st.caption("Trustworthiness is that of this layer.", help=glossary.TRUSTWORTHINESS)
    about = projection.parameters[shown]
    if isinstance(kept := about.get("continuity"), float):
        st.caption(f"Continuity at this layer: {kept:.2f}.", help=glossary.CONTINUITY)
    if method == "pca" and isinstance(share := about.get("explained_variance"), float):
        st.caption(
            f"PCA: {projection.dimensions} components hold {glossary.percent(share)} of the variance at this layer."
        )
    if isinstance(reason := about.get("fallback"), str):
        st.caption(markdown.plain(reason))


def _continuities(projection: Projection) -> dict[str, list[object]]:
    """A column of the table, where some layer has it."""
    known: list[object] = [one.get("continuity") for one in projection.parameters]
    return {} if known.count(None) == len(known) else {"continuity": known}


def _signed(number: float) -> str:
    return f"{number:.2f}".replace("-", "−")


def _tables(
    projection: Projection, layers: Sequence[scatter.ChartLayer], layer: int, pick: Callable[[int], None]
) -> None:
    """The charts as tables, computed only where they are open."""
    tables = st.expander("The charts as tables", key="embeddings-tables", on_change="rerun")
    if not tables.open:
        return
    with tables:
        st.dataframe(
            {
                "depth": [one.depth for one in layers],
                "layer": [one.name for one in layers],
                "trustworthiness": [one.trustworthiness for one in layers],
                "silhouette": [one.silhouette for one in layers],
            }
            | _continuities(projection),
            hide_index=True,
            alt="Trustworthiness and silhouette of every layer",
        )
        key = "embeddings-rows"
        names, rows = panel.rows(projection, layer, projection.numbers)

        def rows_chosen() -> None:
            chosen = st.session_state[key].selection.rows
            if chosen and chosen[0] < len(projection.numbers):
                pick(projection.images.item(int(projection.numbers[chosen[0]])).id)

        st.dataframe(
            dict(zip(names, zip(*rows, strict=True), strict=True)),
            hide_index=True,
            height=320,
            key=key,
            on_select=rows_chosen,
            selection_mode="single-row",
            alt="Every image with its place in the chart",
        )
        st.caption("Choose a row to see its neighbors.")
