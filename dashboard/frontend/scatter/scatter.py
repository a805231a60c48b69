"""A scatter chart of all images of a dataset that moves from layer to layer of a model.

It is drawn by Plotly in the browser. The page says what to show; moving through the layers,
hovering and switching classes happen in the browser alone, and the page hears of a layer that was
gone to, a picture that was clicked and pictures that were enclosed.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from core.data.datasets import Dataset
from core.experiments.store import StoredRun
from core.server import plotly_js, projections
from dashboard.frontend.bundle import bundle
from dashboard.frontend.gallery import gallery
from dashboard.widgets import palette

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "playground_scatter",
    html=(_HERE / "scatter.html").read_text("utf-8"),
    css=(_HERE / "scatter.css").read_text("utf-8"),
    js=bundle(_HERE / "scatter.js"),
    # Plotly puts its rules and what follows the mouse into the document.
    isolate_styles=False,
)


@dataclass(frozen=True)
class Layer:
    """A layer to go to; text : its name with what is to be known of it, in a line."""

    name: str
    depth: int
    text: str
    trustworthiness: float | None
    silhouette: float | None


@dataclass(frozen=True)
class Points:
    """Where the browser gets what it draws.

    source, about : addresses of the points and of what is said of their pictures; pictures : what stands before and after a picture's
    number in its address, unless ``about`` has that; dimensions : 2 or 3.
    """

    source: str
    about: str
    pictures: tuple[str, str]
    dimensions: int


def of_run(dataset: Dataset, run: StoredRun, pooling: str, method: str, dimensions: int) -> Points:
    """The points of all layers of a model."""
    before, after = gallery.source(dataset, 0).rsplit("/0?", 1)
    return Points(
        projections.source(run, pooling, method, dimensions),
        projections.pictures_source(dataset),
        (f"{before}/", f"?{after}"),
        dimensions,
    )


@dataclass(frozen=True)
class Events:
    """What the page does when something happens in the chart."""

    layer: Callable[[str], None]
    picked: Callable[[int], None]
    selected: Callable[[np.ndarray], None]


def show(
    dataset: Dataset,
    points: Points,
    layers: Sequence[Layer],
    layer: int,
    picked: int | None,
    links: Mapping[int, bool],
    selected: np.ndarray,
    description: str,
    events: Events,
    key: str,
) -> None:
    """Show the chart.

    Parameters
    ----------
    dataset : whose images are the points, by their place in it.
    layer : place in ``layers`` of the one to show.
    picked : the image that is marked, with lines to the images of ``links``, each with whether it is of the same class.
    selected : ids of the images that stand out, all when there are none.
    description : what is to be seen, in words.
    """

    def said(what: str) -> object:
        return st.session_state[key].get(what)

    # It comes from the browser: anything may stand there.
    def went() -> None:
        if (name := said("layer")) in [one.name for one in layers]:
            events.layer(str(name))

    def clicked() -> None:
        item = said("picked")
        if type(item) is int and 0 <= item < len(dataset):
            events.picked(item)

    def enclosed() -> None:
        ids = _unpacked(said("selected"), len(dataset))
        if ids is not None:
            events.selected(ids)

    styles = palette.class_styles(dataset.classes)
    marks = {name: palette.mark(same) for name, same in (("same", True), ("other", False))}
    _component(
        key=key,
        data={
            "plotly": plotly_js.source(),
            "points": points.source,
            "about": points.about,
            "pictures": list(points.pictures),
            "classes": [{"name": name, **asdict(style)} for name, style in styles.items()],
            "dimensions": points.dimensions,
            "layers": [asdict(one) for one in layers],
            "layer": layer,
            "picked": picked,
            "links": [{"id": item, "same": same} for item, same in links.items()],
            "marks": {name: {"color": mark.color, "dashed": mark.dashed} for name, mark in marks.items()},
            "selected": projections.packed(selected, "u4"),
            "description": description,
            "dark": palette.is_dark(),
        },
        on_layer_change=went,
        on_picked_change=clicked,
        on_selected_change=enclosed,
        # The run that it starts is all that is wanted: it draws everything in the new theme's colors.
        on_theme_change=lambda: None,
    )


def _unpacked(text: object, n_images: int) -> np.ndarray | None:
    """Ids as the browser packs them, in ascending order; None when it is not that."""
    if not isinstance(text, str):
        return None
    try:
        ids = np.unique(np.frombuffer(base64.b64decode(text, validate=True), "<u4"))
    except (binascii.Error, ValueError):
        return None
    return ids.astype(np.int64) if not len(ids) or ids[-1] < n_images else None
