"""Pictures to look at and to choose from: one component for a whole gallery.

Every picture is a button with an image in it, so that mouse, keyboard and screen reader all reach
it. Boxes have a fixed shape and images load when they come into view, so nothing jumps.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

import streamlit as st

from core.data.datasets import Dataset, Item
from core.features.channel_files import ChannelPicture
from dashboard.widgets.palette import Mark

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "playground_gallery",
    html='<div class="gallery" role="group"></div><p class="unseen" role="status"></p>',
    css=(_HERE / "gallery.css").read_text("utf-8"),
    js=(_HERE / "gallery.js").read_text("utf-8"),
)


# Stands where a picture can't be shown; its colors do on light and on dark pages.
MISSING = "data:image/svg+xml," + quote(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="240" height="240" fill="none" stroke="#888" '
    'stroke-linecap="round"><path stroke-width=".6" d="M6 7.5h12v9H6zM6 14l3.4-3 2.6 2.4 2.6-1.9 3.4 3M5 5l14 14"/></svg>'
)


@dataclass(frozen=True)
class Tile:
    """One picture.

    alt : what is to be seen, in words. title : the line below it. lines : smaller lines below that.
    rank : a number in its corner. mark : a sign before the title and a line along the top.
    selected : the one that is shown elsewhere on the page. frame : left, top, right and bottom of a region of it to be
    framed, as shares of its width and height.
    """

    id: int
    src: str
    alt: str
    title: str = ""
    lines: tuple[str, ...] = ()
    rank: int | None = None
    mark: Mark | None = None
    selected: bool = False
    frame: tuple[float, float, float, float] | None = None


def tile(dataset: Dataset, item_id: int, **about: object) -> Tile:
    """A picture of a dataset, titled with its label."""
    item = dataset.items[item_id]
    return Tile(id=item_id, src=source(dataset, item_id), alt=alt(item), **({"title": item.label} | about))


def show(
    tiles: Sequence[Tile],
    key: str,
    on_pick: Callable[[int], None] | None = None,
    size: int = 120,
    label: str = "",
    columns: int | None = None,
    announce: str = "",
    to_top: bool = False,
) -> None:
    """Show pictures; each is a button that calls ``on_pick`` with its id, if there is one.

    Parameters
    ----------
    size : smallest width of a picture, in CSS pixels; as many stand in a row as fit.
    label : what these pictures are, for screen readers.
    columns : at most so many in a row.
    announce : said aloud by screen readers whenever it changes.
    to_top : go to the top of the page once a picture is chosen, where it will be shown.
    """
    ids = {one.id for one in tiles}

    def picked() -> None:
        chosen = st.session_state[key].get("picked")
        # It comes from the browser: anything may stand there.
        if on_pick and type(chosen) is int and chosen in ids:
            on_pick(chosen)

    _component(
        key=key,
        data={
            "tiles": [asdict(one) for one in tiles],
            "size": size,
            "label": label,
            "columns": columns or 0,
            "pick": on_pick is not None,
            "announce": announce,
            "toTop": to_top,
            "missing": MISSING,
        },
        on_picked_change=picked,
    )


def alt(item: Item) -> str:
    """A picture of a dataset in words."""
    return f"{item.title} ({item.label})" if item.title and item.title != item.label else item.label


def channel_source(model: str, weights: str, layer: str, picture: ChannelPicture) -> str:
    """The address of a picture that ships for a channel, from :mod:`core.server.media`."""
    path = "/".join(quote(part, safe="") for part in (model, weights, layer))
    return address(f"channels/{path}/{picture.channel}.webp?v={picture.version}")


def source(dataset: Dataset, item_id: int) -> str:
    """The address of a picture, from :mod:`core.server.media`."""
    return address(dataset.address(item_id))


def address(path: str) -> str:
    """The address of what the server has at a path, relative to the page.

    All pages lie directly below the server's base path, so the browser finds it there, also below a prefix that a reverse proxy strips
    and that the server knows nothing of.
    """
    return f"./{path}"
