"""A diagram of a network from left to right: sizes and channels of its layers, costs and receptive field up to each."""

import math
from typing import TYPE_CHECKING

from core.models.architecture import NetworkLayer
from dashboard.pages.models import model_context
from dashboard.pages.models.model_context import ModelContext
from dashboard.widgets import glossary, palette, plotly_charts

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Of the marks, as multiples of the size below them, so that marks of adjacent layers do not overlap.
_HEIGHTS = (1.4, 2.3, 3.8)
_LINES = (("parameters", "solid"), ("FLOPs", "dash"), ("receptive field", "dot"))


def show(context: ModelContext) -> None:
    """The diagram; a click on a mark chooses its layer."""
    from plotly.subplots import make_subplots

    architecture, ink = context.architecture, plotly_charts.ink()
    places = {layer.name: place for place, layer in enumerate(architecture.layers)}
    # Padding is no size of its own.
    trunk = [layer for layer in architecture.trunk if layer.spatial and layer.type != "ZeroPadding2D"]
    ends = [places[layer.name] + 0.5 for layer in trunk]
    starts = [-0.5, *ends[:-1]]
    size = architecture.layers[0].shape[0]

    figure = make_subplots(2, 1, shared_xaxes=True, row_heights=[0.56, 0.44], vertical_spacing=0.05)
    scale = plotly_charts.hues()
    channels = [math.log2(layer.channels) for layer in trunk]
    low, high = math.floor(min(channels)), math.ceil(max(channels))
    powers = range(low, high + 1, 1 if high - low < 4 else 3)
    figure.add_bar(
        x=[(start + end) / 2 for start, end in zip(starts, ends, strict=True)],
        y=[layer.shape[0] for layer in trunk],
        width=[end - start for start, end in zip(starts, ends, strict=True)],
        marker={
            "color": channels,
            "colorscale": [[i / (len(scale) - 1), color] for i, color in enumerate(scale)],
            # The faintest color is below the lowest value, which is more than nothing.
            "cmin": low - 1,
            "cmax": high,
            "line": {"width": 0},
            # Above, so that a narrow page keeps its width for the network.
            "colorbar": {
                "orientation": "h",
                "title": {
                    "text": "channels",
                    "side": "top",
                    "font": {"color": ink, "size": plotly_charts.SMALL},
                },
                "tickvals": list(powers),
                "ticktext": [f"{2**power:,}" for power in powers],
                "tickfont": {"color": ink},
                "tickangle": 0,
                "ypad": 0,
                "thickness": 9,
                "outlinewidth": 0,
                "len": 0.5,
                "x": 1,
                "xanchor": "right",
                "y": 1,
                "yanchor": "bottom",
            },
        },
        customdata=[layer.name for layer in trunk],
        hovertext=[_hover(layer) for layer in trunk],
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=False,
        row=1,
        col=1,
    )
    _marks(figure, context, places, trunk, ink)
    colors = palette.class_styles(tuple(name for name, _ in _LINES))
    end = architecture.layers[-1]
    for name, dash in _LINES:
        shares = [_share(name, layer, end, size) for layer in trunk]
        figure.add_scatter(
            x=[places[layer.name] for layer in trunk],
            y=shares,
            mode="lines",
            name=name,
            line={"color": colors[name].color, "dash": dash, "width": 2.5},
            customdata=[layer.name for layer in trunk],
            hovertext=[f"{name} up to {plotly_charts.words(layer.name)}" for layer in trunk],
            hovertemplate="%{hovertext}: %{y:.1f}%<extra></extra>",
            row=2,
            col=1,
        )
    sizes = sorted({layer.shape[0] for layer in trunk})
    lowest = sizes[0] / 1.7
    figure.update_yaxes(
        type="log",
        tickvals=_apart(sizes),
        ticktext=list(map(str, _apart(sizes))),
        range=[math.log10(lowest), math.log10(size * 1.25 * _HEIGHTS[-1])],
        title={"text": "pixels wide"},
        row=1,
        col=1,
    )
    figure.update_yaxes(range=[0, 104], ticksuffix="%", title={"text": "up to the layer"}, row=2, col=1)
    # Room for the marks of the first and the last layer.
    margin = 0.03 * len(architecture.layers)
    figure.update_xaxes(
        range=[-margin, len(architecture.layers) - 1 + margin], showgrid=False, zeroline=False
    )
    figure.update_xaxes(title={"text": "layer, counted from the image"}, row=2, col=1)
    figure.update_layout(
        height=560,
        bargap=0,
        margin={"l": 0, "r": 0, "t": 48, "b": 0},
        legend={"orientation": "h", "y": -0.14, "x": 0, "yanchor": "top"},
    )
    figure.update_xaxes(fixedrange=True)
    figure.update_yaxes(fixedrange=True)
    plotly_charts.show(
        figure,
        f"diagram-{context.model.name}",
        _alt(context, trunk),
        on_click=lambda name: model_context.choose_layer(context, name),
    )


def _marks(
    figure: "go.Figure", context: ModelContext, places: dict[str, int], trunk: list[NetworkLayer], ink: str
) -> None:
    """The eight with their numbers, at alternating heights, and the chosen layer."""

    def top(layer: NetworkLayer) -> int:
        # A branch such as squeeze-and-excitation is placed where it leaves the trunk.
        before = [one for one in trunk if places[one.name] <= places[layer.name]]
        return layer.shape[0] if layer.spatial else before[-1].shape[0]

    eight = list(context.architecture.grid_layers)
    marked = eight if context.layer.depth else [*eight, context.layer]
    here = [layer.name == context.layer.name for layer in marked]
    x = [places[layer.name] for layer in marked]
    y = [top(layer) * _HEIGHTS[place % len(_HEIGHTS)] for place, layer in enumerate(marked)]
    figure.add_scatter(
        x=[value for place in x for value in (place, place, None)],
        y=[value for layer, high in zip(marked, y, strict=True) for value in (top(layer), high, None)],
        mode="lines",
        line={"color": ink, "width": 1},
        hoverinfo="skip",
        showlegend=False,
        row=1,
        col=1,
    )
    background = "#0f141a" if palette.is_dark() else "#ffffff"
    strong = "#4d8ad0" if palette.is_dark() else "#1f5f99"
    figure.add_scatter(
        x=x,
        y=y,
        mode="markers+text",
        marker={
            "size": 21,
            "symbol": "circle",
            "color": [strong if one else background for one in here],
            "line": {"width": 2, "color": ink},
            "opacity": 1,
        },
        text=[str(layer.depth or "•") for layer in marked],
        textfont={"size": plotly_charts.SMALL, "color": ["#ffffff" if one else ink for one in here]},
        customdata=[layer.name for layer in marked],
        hovertext=[_hover(layer) for layer in marked],
        hovertemplate="%{hovertext}<extra></extra>",
        cliponaxis=False,
        showlegend=False,
        # Streamlit fades what is not selected, but a click here only chooses the layer.
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
        row=1,
        col=1,
    )


def _share(name: str, layer: NetworkLayer, end: NetworkLayer, size: int) -> float:
    if name == "parameters":
        return 100 * layer.parameters / end.parameters
    if name == "FLOPs":
        return 100 * layer.flops / end.flops
    return 100 * min(1.0, max(layer.receptive_field or (size,)) / size)


def _apart(sizes: list[int]) -> list[int]:
    """Sizes whose numbers do not overlap on a logarithmic axis."""
    kept: list[int] = []
    for one in reversed(sizes):
        if not kept or kept[-1] / one > 1.35:
            kept.append(one)
    return kept


def _hover(layer: NetworkLayer) -> str:
    lines = [
        f"<b>{plotly_charts.words(layer.name)}</b>{f' · {layer.depth} of those compared' if layer.depth else ''}",
        f"{layer.type} · {model_context.shape(layer)}",
        f"{glossary.count(layer.parameters)} parameters and {glossary.count(layer.flops)} FLOPs up to it",
    ]
    if layer.receptive_field:
        lines.append(f"sees {layer.receptive_field[0]} × {layer.receptive_field[1]} pixels")
    return "<br>".join(lines)


def _alt(context: ModelContext, trunk: list[NetworkLayer]) -> str:
    layers, last = context.architecture.layers, trunk[-1]
    size = layers[0].shape[0]
    half = next(layer for layer in trunk if layer.flops >= layers[-1].flops / 2)
    seen = next((layer for layer in trunk if min(layer.receptive_field or (size,)) >= size), None)
    parts = [
        f"Above, the output of each layer: {size} pixels shrink to {last.shape[0]} while 3 colors become "
        f"{last.channels:,} channels. Below, the parameters and FLOPs of a model cut there, and the part of the "
        f"image's width that one position sees. Half of the FLOPs are reached at {half.name}",
        f"; from {seen.name} on a position sees the whole image." if seen else ".",
        " Numbers mark the layers that are compared: click one, or a bar, to choose its layer.",
    ]
    return "".join(parts)
