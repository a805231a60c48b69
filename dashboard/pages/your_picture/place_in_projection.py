"""Where an image would be in the stored projection of its source."""

from collections.abc import Sequence, Set

import numpy as np
import streamlit as st

from core.data.source import Source
from core.errors import GridError
from core.search.query import Answer
from dashboard.widgets import markdown, palette, plotly_charts

_MOST_CLASSES = 40


def show(source: Source, answer: Answer) -> None:
    """A star among the points of the stored projection."""
    layer = source.configuration["layer"]
    try:
        projection = source.projection("umap", 2)
    except GridError as error:
        st.warning(markdown.plain(str(error)), icon=":material/warning:")
        return
    if projection is None or layer not in projection.layers:
        st.info("There is no projection of this layer and pooling; running the grid again computes one.")
        return
    import plotly.graph_objects as go

    images, coordinates = projection.images, projection.coordinates[projection.layers.index(layer)]
    rows = {number: row for row, number in enumerate(projection.numbers.tolist())}
    near = [
        (rows[projection.by_id[one.item.id]], one.distance or 0.0)
        for one in answer.neighbors
        if one.item.id in projection.by_id
    ]
    if not near:
        st.info("The projection has none of the nearest images, so there is no place to show.")
        return
    # A distance of zero may come out a little below it.
    weights = np.array([1.0 / (max(distance, 0.0) + 1e-6) for _, distance in near])
    star = np.average(coordinates[[row for row, _ in near]], axis=0, weights=weights)
    labels = [images.labels[number] for number in projection.numbers.tolist()]
    figure = go.Figure()
    for name, style, mine in _groups(labels, images.classes, {labels[row] for row, _ in near}):
        figure.add_scatter(
            x=coordinates[mine, 0],
            y=coordinates[mine, 1],
            name=name,
            mode="markers",
            marker={"color": style.color, "symbol": style.symbol, "size": 8},
            hovertext=[plotly_charts.wrapped(labels[row], 60) for row in mine],
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
        f"The star is at the mean place of the {len(near)} nearest images, the nearer ones counting for more. "
        "It is not a projection of the image itself."
    )


def _groups(
    labels: Sequence[str], classes: Sequence[str], near: Set[str]
) -> list[tuple[str, palette.ClassStyle, list[int]]]:
    """Name in the legend, style and rows of each class; of very many classes, of those of the nearest images, and of all others together."""
    shown = [name for name in classes if name in near or len(classes) <= _MOST_CLASSES]
    rows: dict[str, list[int]] = {name: [] for name in shown}
    others: list[int] = []
    for row, label in enumerate(labels):
        rows.get(label, others).append(row)
    groups = [("other classes", palette.no_group(), others)] if others else []
    styles = palette.class_styles(tuple(shown))
    for name, short in zip(shown, plotly_charts.short(shown), strict=True):
        groups.append((short, styles[name], rows[name]))
    return groups
