"""Interactive charts: drawn with Plotly, described in a sentence, with their numbers as a table on request.

Plotly comes with the first chart; nothing of it is imported before.
"""

import textwrap
from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from dashboard.widgets import class_names, markdown, palette

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

# One hue that only gets darker (lighter on a dark page): reads the same with every kind of color vision.
_LIGHT = ("#eef4fa", "#b9d3ea", "#6fa3d0", "#2f6ea8", "#0d3a66")
_DARK = ("#1d2836", "#27486c", "#3a72a8", "#6ea9df", "#c4e1ff")
# Sizes of text, in px: those of style.css, which charts do not read.
SMALL, NORMAL = 12, 14
_CONFIG = {"displayModeBar": False, "scrollZoom": False, "doubleClick": False}
_ROW = 38
_WIDE_COLUMNS = 12
_LONGEST_HEAD = 36
_GAP = 0.03


def show(
    figure: "go.Figure",
    key: str,
    alt: str,
    table: Callable[[], "pd.DataFrame"] | None = None,
    columns: dict[str, Any] | None = None,
    clickable: bool = True,
    on_click: Callable[[Any], None] | None = None,
    wide: bool = False,
) -> Any:
    """Draw a chart with its description and, on request, its numbers.

    Parameters
    ----------
    alt : describes the chart in a sentence, which is below it too.
    table : returns the numbers when the table is opened; ``columns`` configures it.
    on_click : a callback, given ``customdata`` of the mark that was clicked. Without it the
        click is returned, in every run until another one.
    wide : move it sideways in a narrow window. Its numbers, which take the focus, are in the same box, so that the arrow keys move it too.

    Returns
    -------
    clicked : ``customdata`` of the mark that was clicked in this run, or None.
    """
    figure.update_layout(dragmode=False, hoverlabel={"font": {"color": ink()}})
    # Streamlit's own grey for axes falls short of 4.5 : 1.
    # A name that lies slanted or in two lines beside another one can't be read.
    figure.update_xaxes(tickfont_color=ink(), title_font_color=ink(), autotickangles=[0, 90])
    figure.update_yaxes(tickfont_color=ink(), title_font_color=ink())

    def picked() -> None:
        marks = st.session_state[key].selection.points
        # The value comes from the browser and can be anything.
        if on_click and marks and (data := marks[0].get("customdata")) is not None:
            on_click(data)

    how = picked if on_click else "rerun"
    more: dict[str, Any] = {"on_select": how, "selection_mode": "points"} if clickable else {}
    box = st.container(key=f"wide-{key}" if wide else None)
    event = box.plotly_chart(figure, key=key, config=_CONFIG, alt=alt, **more)
    box.caption(markdown.plain(alt))
    if table is not None:
        expander = box.expander("The numbers", icon=":material/table:", on_change="rerun", key=f"{key}-table")
        if expander.open:
            expander.dataframe(table(), hide_index=True, column_config=columns)
    points = event.selection.points if clickable else []
    return points[0].get("customdata") if points else None


def words(text: str) -> str:
    """Text of others as Plotly shows it literally: it takes some HTML for markup."""
    return escape(text, quote=False)


def wrapped(text: str, width: int = 12) -> str:
    """:func:`words` in several lines, for the narrow columns of a chart."""
    return "<br>".join(words(line) for line in textwrap.wrap(text, width)) or words(text)


def short(texts: Sequence[str], most: int = 24) -> list[str]:
    """:func:`words` of at most so many characters each, for an axis; the whole texts belong into the tooltips."""
    return [words(text) for text in class_names.apart(texts, most)]


def heads(texts: Sequence[str]) -> list[str]:
    """Names of columns: in several lines where there is room for them, otherwise short ones, which Plotly turns."""
    if len(texts) <= _WIDE_COLUMNS:
        return [wrapped(text) for text in class_names.apart(texts, _LONGEST_HEAD)]
    return short(texts, 16)


def heat_map(
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    texts: Sequence[Sequence[str]],
    hover: Sequence[Sequence[str]],
    data: Sequence[Sequence[Any]],
    legend: str,
    across: str = "",
    low: float | None = None,
    high: float | None = None,
    down: str = "",
) -> "go.Figure":
    """Cells of a matrix, colored by value, with the value written in each; every cell can be clicked.

    Parameters
    ----------
    values : (rows, columns); not a number for a cell that does not exist.
    rows, columns : their names; text of others through :func:`words`.
    texts, hover, data : the text of each cell, its tooltip, and the data of a click.
    legend : what the color means; across, down : what the columns and rows are.
    low, high : of the color scale; the values' own by default.
    """
    import plotly.graph_objects as go

    scale = hues()
    there = [(r, c) for r, c in np.argwhere(np.isfinite(values)).tolist()]
    shown = np.array([values[cell] for cell in there])
    low = float(shown.min()) if low is None else low
    high = float(shown.max()) if high is None else high
    if high <= low:
        low, high = low - 1.0, high + 1.0
    # Plotly reports no clicks on its own heat maps; bars that start and end where a cell does look
    # the same and can be clicked.
    figure = go.Figure(
        go.Bar(
            orientation="h",
            base=[c - 0.5 + _GAP for _, c in there],
            x=[1.0 - 2 * _GAP] * len(there),
            y=[r for r, _ in there],
            width=1.0 - 2 * _GAP,
            marker={
                "color": shown,
                "colorscale": [[i / (len(scale) - 1), color] for i, color in enumerate(scale)],
                "cmin": low,
                "cmax": high,
                "line": {"width": 0},
                "colorbar": {
                    "title": {"text": legend, "side": "right", "font": {"color": ink()}},
                    "tickfont": {"color": ink()},
                    "thickness": 12,
                    "outlinewidth": 0,
                    "len": 1.0,
                },
            },
            text=[texts[r][c] for r, c in there],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            constraintext="inside",
            insidetextfont={"color": _inks(shown, low, high, scale), "size": SMALL},
            customdata=[data[r][c] for r, c in there],
            hovertext=[hover[r][c] for r, c in there],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    )
    axis = {"showgrid": False, "zeroline": False, "fixedrange": True, "automargin": True}
    figure.update_layout(
        barmode="overlay",
        height=_ROW * len(rows) + 95,
        margin={"l": 0, "r": 0, "t": 8, "b": 8},
        xaxis={
            "tickvals": list(range(len(columns))),
            "ticktext": list(columns),
            "range": [-0.5, len(columns) - 0.5],
            "title": {"text": across},
            **axis,
        },
        yaxis={
            "tickvals": list(range(len(rows))),
            "ticktext": list(rows),
            "range": [len(rows) - 0.5, -0.5],
            "title": {"text": down},
            **axis,
        },
        # The numbers that have no room are left out.
        uniformtext={"minsize": SMALL, "mode": "hide"},
        showlegend=False,
    )
    return figure


def hues() -> tuple[str, ...]:
    """Colors for low to high: of one hue, and the farther from the page's ground the higher."""
    return _DARK if palette.is_dark() else _LIGHT


def paper_colors(values: np.ndarray, low: float, high: float) -> tuple[list[list[str]], list[list[str]]]:
    """The colors of cells (rows, columns) on white, from low to high, and of the text on them."""
    flat = np.ravel(values)
    rgb = np.rint(255 * _colors(flat, low, high, _LIGHT)).astype(int)
    fills = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in rgb.tolist()]
    inks, width = _inks(flat, low, high, _LIGHT), values.shape[1]
    rows = range(0, len(flat), width)
    return [fills[row : row + width] for row in rows], [inks[row : row + width] for row in rows]


def ink() -> str:
    """The color of text in charts, that of the page."""
    return "#e4e9ef" if palette.is_dark() else "#1c2530"


def _inks(values: np.ndarray, low: float, high: float, scale: Sequence[str]) -> list[str]:
    """For text on cells: black or white, whichever stands out more (WCAG 2.2, contrast ratio)."""
    rgb = _colors(values, low, high, scale)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    # Where the contrasts with black and with white are the same: (L + .05)**2 = .05 * 1.05.
    return ["#ffffff" if one < 0.179 else "#101820" for one in luminance]


def _colors(values: np.ndarray, low: float, high: float, scale: Sequence[str]) -> np.ndarray:
    """(n, 3) red, green and blue, 0..1, of values (n,) on a scale."""
    stops = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in scale]) / 255
    at = np.clip((values - low) / (high - low), 0, 1) * (len(stops) - 1)
    return np.stack([np.interp(at, range(len(stops)), stops[:, c]) for c in range(3)], axis=1)
