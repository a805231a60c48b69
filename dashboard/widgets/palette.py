"""Colors and symbols that can be distinguished with any color vision.

Class colors differ in lightness as well as in hue, each against the page's background by at least
3 : 1 (WCAG 2.2, 1.4.11), and every class has a symbol too, since ten colors that everybody can
tell apart do not exist.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
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
# From low to high: one hue, each at least 3 : 1 against the background, without a symbol of its own.
_LIGHT_STEPS = ("#7595c2", "#5478ad", "#365c95", "#1f4274", "#0c2547")
_DARK_STEPS = ("#4f77a8", "#6c95c7", "#8db3de", "#b4d0ee", "#e4f0fc")
_LIGHT_NONE, _DARK_NONE = "#8c8c8c", "#7f8791"
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


def ordered_styles(names: Sequence[str], dark: bool | None = None) -> dict[str, ClassStyle]:
    """A style for each of at most five groups in order, from faint to strong."""
    steps = _DARK_STEPS if (is_dark() if dark is None else dark) else _LIGHT_STEPS
    spread = np.linspace(0, len(steps) - 1, len(names)).round().astype(int)
    return {
        name: ClassStyle(steps[place], "circle", "circle") for name, place in zip(names, spread, strict=True)
    }


def no_group(dark: bool | None = None) -> ClassStyle:
    """The style of what is in no group."""
    return ClassStyle(
        _DARK_NONE if (is_dark() if dark is None else dark) else _LIGHT_NONE, "circle", "circle"
    )


def mark(same: bool, dark: bool | None = None) -> Mark:
    """The mark of a neighbor of the same class as the query, or of another."""
    dark = is_dark() if dark is None else dark
    if same:
        return Mark("✓", "same class", "#56b4e9" if dark else "#0072b2", dashed=False)
    return Mark("✗", "another class", "#e69f00" if dark else "#b35200", dashed=True)
