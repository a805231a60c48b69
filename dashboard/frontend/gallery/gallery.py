"""A gallery of images, to look at or to choose from.

Every image is in a button, so that mouse, keyboard and screen reader reach it. Tiles have a fixed shape and images load when
they come into view, so nothing jumps.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

import streamlit as st

from core.data.source import SourceItem
from core.features.channel_files import Visualization
from dashboard.frontend.bundle import component
from dashboard.widgets.palette import Mark

_component = component(
    __file__, '<div class="gallery" role="group"></div><p class="unseen" role="status"></p>'
)

# Shown in place of an image that can't be loaded; its colors suit light and dark pages.
MISSING = "data:image/svg+xml," + quote(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="240" height="240" fill="none" stroke="#888" '
    'stroke-linecap="round"><path stroke-width=".6" d="M6 7.5h12v9H6zM6 14l3.4-3 2.6 2.4 2.6-1.9 3.4 3M5 5l14 14"/></svg>'
)


RESULTS = 5
"""Results in a row of a wide window."""
LARGE, LARGE_NARROW = 110, 130
"""Sizes of results: five in a row beside the query, and two in the window of a phone."""


@dataclass(frozen=True)
class Tile:
    """One image.

    alt : the image in words. title : the line below it. lines : smaller lines below that. detail : lines over the image while it is
    hovered over or has the focus. dot : what a dot in its corner means, none where it is empty.
    rank : a number in its corner. mark : a sign before the title and a line along the top.
    fills : it is no cut-out and needs no margin. selected : whether it is the one shown elsewhere on the page.
    frame : left, top, right and bottom of a region to frame, as shares of width and height.
    """

    id: int
    src: str
    alt: str
    title: str = ""
    lines: tuple[str, ...] = ()
    detail: tuple[str, ...] = ()
    dot: str = ""
    rank: int | None = None
    mark: Mark | None = None
    selected: bool = False
    fills: bool = False
    frame: tuple[float, float, float, float] | None = None


def amount(results: int) -> str:
    """How a key of results begins: the style sheet of all pages reserves two rows for many of them."""
    return "many" if results > RESULTS else "few"


def tile(item: SourceItem, **about: Any) -> Tile:
    """An image of a source, titled with its label; one whose file can't be shown says why."""
    about = {"title": item.label or item.title, "lines": ()} | about
    src = address(item.thumbnail)
    if item.missing:
        src, about["lines"] = MISSING, (*about["lines"], item.missing)
    return Tile(item.id, src, item.alt, **about)


def show(
    tiles: Sequence[Tile],
    key: str,
    on_pick: Callable[[int], None] | None = None,
    size: int = 120,
    label: str = "",
    columns: int | None = None,
    narrow: int = 0,
    announce: str = "",
    to_top: bool = False,
) -> None:
    """Show images; with ``on_pick`` each is a button that calls it with the image's id.

    Parameters
    ----------
    size : least width of a tile, in CSS pixels; a row has as many tiles as fit.
    label : what these images are, for screen readers.
    columns : greatest number of tiles in a row.
    narrow : least width in a window as narrow as that of a phone, where it is greater.
    announce : read out by screen readers whenever it changes.
    to_top : scroll to the top of the page when an image is chosen.
    """
    ids = {one.id for one in tiles}

    def picked() -> None:
        chosen = st.session_state[key].get("picked")
        # The value comes from the browser and can be anything.
        if on_pick and type(chosen) is int and chosen in ids:
            on_pick(chosen)

    _component(
        key=key,
        data={
            "tiles": [asdict(one) for one in tiles],
            "size": size,
            "label": label,
            "columns": columns or 0,
            "narrow": narrow,
            "pick": on_pick is not None,
            "announce": announce,
            "toTop": to_top,
            "missing": MISSING,
        },
        on_picked_change=picked,
    )


def channel_source(model: str, weights: str, layer: str, picture: Visualization) -> str:
    """URL of an image that ships for a channel, from :mod:`core.server.media`."""
    path = "/".join(quote(part, safe="") for part in (model, weights, layer))
    return address(f"channels/{path}/{picture.channel}.webp?v={picture.version}")


def address(path: str) -> str:
    """URL of a path on the server, relative to the page.

    All pages are directly below the server's base path, so this works below a prefix that a reverse proxy strips, too.
    """
    return f"./{path}"
