"""Where an image would be in the stored projection of its source."""

import numpy as np
import streamlit as st

from core.data.source import Source
from core.errors import GridError
from core.search.query import Answer
from dashboard.widgets import markdown, palette, plotly_charts


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
    labels = np.array([images.labels[number] for number in projection.numbers])
    figure = go.Figure()
    for name, style in palette.class_styles(images.classes).items():
        x, y = coordinates[labels == name].T
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
        f"The star is at the mean place of the {len(near)} nearest images, the nearer ones counting for more. "
        "It is not a projection of the image itself."
    )
