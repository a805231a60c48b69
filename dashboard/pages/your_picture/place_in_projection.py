"""Where an image would be in the stored projection of its source."""

import numpy as np
import streamlit as st

from core.errors import GridError
from core.search.query import Answer
from dashboard.widgets import markdown, palette, plotly_charts
from dashboard.widgets.sources import GridSource


def show(source: GridSource, answer: Answer) -> None:
    """A star among the points of the stored projection."""
    grid, chosen = source.grid, source.chosen
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
