"""A scatter chart of all images of a dataset that moves from layer to layer of a model.

Plotly draws it in the browser. Moving through the layers, hovering and hiding classes happen in the browser alone; the page
gets an event when a layer is chosen, an image is clicked or images are selected.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from core.data.source import Projection
from core.server import plotly_js, projections
from dashboard.frontend.bundle import component
from dashboard.frontend.gallery import gallery
from dashboard.widgets import class_names, palette

_LONGEST_NAME = 22  # on the chart and in its legend

# Plotly adds its style sheet, and elements that follow the mouse, to the document.
_component = component(__file__, Path(__file__).with_suffix(".html").read_text("utf-8"), isolate_styles=False)


@dataclass(frozen=True)
class ChartLayer:
    """A layer to go to; text : its name and size in one line."""

    name: str
    depth: int
    text: str
    trustworthiness: float | None
    silhouette: float | None


@dataclass(frozen=True)
class Groups:
    """What the points are colored by, instead of their classes.

    styles : the name of each group with its style; codes : (n_images,) the group of each image by its number; named : how many of
    them, from the first, have their names on the chart; what is in none of them lies anywhere.
    """

    styles: Sequence[tuple[str, palette.ClassStyle]]
    codes: np.ndarray
    named: int


@dataclass(frozen=True)
class Events:
    """What the page does when a layer, an image or several images are chosen in the chart."""

    layer: Callable[[str], None]
    picked: Callable[[int], None]
    selected: Callable[[np.ndarray], None]


def show(
    projection: Projection,
    layers: Sequence[ChartLayer],
    layer: int,
    picked: int | None,
    links: Mapping[int, bool],
    selected: np.ndarray,
    groups: Groups | None,
    description: str,
    events: Events,
    key: str,
) -> None:
    """Show the chart.

    Parameters
    ----------
    projection : of the images, which have ids of their own here: their numbers in it.
    layer : index in ``layers`` of the one to show.
    picked : id of the highlighted image, if any.
    links : ids of its neighbors, each with whether its class is the same.
    selected : ids of the selected images; the others are faint unless it is empty.
    groups : what the points are colored by, None for their classes.
    description : the chart in words, for screen readers.
    """
    images = projection.images
    before, after = images.thumbnails

    # Values come from the browser and can be anything.
    def value(name: str) -> object:
        return st.session_state[key].get(name)

    def change_layer() -> None:
        if (name := value("layer")) in [one.name for one in layers]:
            events.layer(str(name))

    def pick() -> None:
        item = value("picked")
        if type(item) is int and 0 <= item < len(images):
            events.picked(item)

    def select() -> None:
        ids = _unpacked(value("selected"), len(images))
        if ids is not None:
            events.selected(ids)

    styles = palette.class_styles(images.classes)
    marks = {name: palette.mark(same) for name, same in (("same", True), ("other", False))}
    _component(
        key=key,
        data={
            "plotly": plotly_js.source(),
            "points": projections.url(projection),
            "about": projections.url(images),
            "pictures": [gallery.address(before), after],
            "classes": _listed(styles.items()),
            "groups": groups
            and {
                "styles": _listed(groups.styles),
                "codes": projections.packed(groups.codes, "u2"),
                "named": groups.named,
            },
            "dimensions": projection.dimensions,
            "layers": [asdict(one) for one in layers],
            "layer": layer,
            "picked": picked,
            "links": [{"id": item, "same": same} for item, same in links.items()],
            "marks": {name: {"color": mark.color, "dashed": mark.dashed} for name, mark in marks.items()},
            "selected": projections.packed(selected, "u4"),
            "description": description,
            "dark": palette.is_dark(),
        },
        on_layer_change=change_layer,
        on_picked_change=pick,
        on_selected_change=select,
        # Any handler starts a run, which draws everything in the colors of the new theme.
        on_theme_change=lambda: None,
    )


def _listed(styles: Iterable[tuple[str, palette.ClassStyle]]) -> list[dict[str, str]]:
    """Each with its name, and a short one for places where the whole is in the tooltip."""
    listed = list(styles)
    short = class_names.apart([name for name, _ in listed], _LONGEST_NAME)
    return [
        {"name": name, "short": cut, **asdict(style)}
        for (name, style), cut in zip(listed, short, strict=True)
    ]


def _unpacked(text: object, n_images: int) -> np.ndarray | None:
    """Ids that the browser packed, in ascending order, or None if the value is not valid."""
    if not isinstance(text, str):
        return None
    try:
        ids = np.unique(np.frombuffer(base64.b64decode(text, validate=True), "<u4"))
    except (binascii.Error, ValueError):
        return None
    return ids.astype(np.int64) if not len(ids) or ids[-1] < n_images else None
