"""Colors and symbols that can be distinguished with any color vision.

Class colors differ in lightness as well as in hue, each against the page's background by at least
3 : 1 (WCAG 2.2, 1.4.11), and every class has a symbol too, since ten colors that everybody can
tell apart do not exist.
"""

from dataclasses import dataclass

import streamlit as st

_LIGHT = (
    "#0072b2",
    "#c75f00",
    "#00795a",
    "#b0307a",
    "#6b6ecf",
    "#7a4a12",
    "#3c8fb5",
    "#8a7a00",
    "#332288",
    "#5f6b7a",
)
_DARK = (
    "#56b4e9",
    "#e69f00",
    "#2bbf91",
    "#f27fbf",
    "#a6a1ff",
    "#c49a6c",
    "#a5e3f5",
    "#f0e442",
    "#7f7bff",
    "#b6c2cf",
)
# Plotly's names; the flat charts know more than the ones with depth.
_SYMBOLS = (
    "circle",
    "square",
    "diamond",
    "cross",
    "x",
    "triangle-up",
    "star",
    "triangle-down",
    "hexagon",
    "bowtie",
)
_SYMBOLS_3D = ("circle", "square", "diamond", "cross", "x", "circle-open", "square-open", "diamond-open")


@dataclass(frozen=True)
class ClassStyle:
    """How a class is drawn: a color, and a Plotly symbol for flat charts and for those with depth."""

    color: str
    symbol: str
    symbol_3d: str


@dataclass(frozen=True)
class Mark:
    """Whether a neighbor is of the query's class: a sign, words and a line."""

    sign: str
    words: str
    color: str
    dashed: bool


def is_dark() -> bool:
    """Whether the reader sees the page in a dark theme."""
    return st.context.theme.type == "dark"


def background() -> str:
    """The page's own color, as in the settings of the theme."""
    return "#0f141a" if is_dark() else "#ffffff"


def class_styles(classes: tuple[str, ...], dark: bool | None = None) -> dict[str, ClassStyle]:
    """A style for every class, the same for the same order of classes; no two are alike up to 40 classes."""
    colors = _DARK if (is_dark() if dark is None else dark) else _LIGHT
    return {
        name: ClassStyle(
            color=colors[place % len(colors)],
            symbol=_SYMBOLS[(place + place // len(colors)) % len(_SYMBOLS)],
            symbol_3d=_SYMBOLS_3D[place % len(_SYMBOLS_3D)],
        )
        for place, name in enumerate(classes)
    }


def mark(same: bool, dark: bool | None = None) -> Mark:
    """The mark of a neighbor of the same class as the query, or of another."""
    dark = is_dark() if dark is None else dark
    if same:
        return Mark("✓", "same class", "#56b4e9" if dark else "#0072b2", dashed=False)
    return Mark("✗", "another class", "#e69f00" if dark else "#b35200", dashed=True)
