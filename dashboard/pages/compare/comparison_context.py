"""What all sections of the comparison page work with: the experiments, what is chosen, ways to other pages."""

from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from core.experiments.store import DatasetGrid, Summary
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.pages.compare import experiment_table
from dashboard.pages.compare.experiment_table import Comparison
from dashboard.url import Address
from dashboard.widgets import glossary, page_frame, pickers

_LEAVE = "_compare_leave"


@dataclass
class Scene:
    """The page in this run.

    table : what is compared; None when nothing can be read. chosen : the configuration that the
    pages share; it may be an untrained control that the table leaves out. most : the largest k.
    shown : what the address is to say; sections add to it.
    """

    address: Address
    grid: DatasetGrid
    table: Comparison | None
    chosen: Summary
    k: int
    most: int
    query: int
    untrained: bool
    shown: dict[str, Any] = field(default_factory=dict)

    def name(self, one: Summary, model: bool = True) -> str:
        """A configuration in a line, as plain text."""
        return name(self.grid, one, model)

    def open(self, one: Summary, query: int | None = None) -> None:
        """Go to the search page with a configuration and a picture; ends this run of the page."""
        plan_search(self, one, query)
        leave()

    def tile(self, item: int, **about: Any) -> gallery.Tile:
        """A picture by its own name, which is shorter than that of its class; the class where it has none."""
        one = self.grid.dataset.items[item]
        return gallery.tile(self.grid.dataset, item, title=one.title or one.label, **about)

    def model_title(self, one: Summary) -> str:
        """The title of a configuration's model; says so when it is untrained or has other weights."""
        about = self.grid.run(one).about
        return about.title if one.weights == "imagenet" else f"{about.title} ({weights(one.weights)})"


def make_scene(address: Address, grid: DatasetGrid) -> Scene:
    """What the address asks for, checked."""
    untrained = address.choice("untrained", ("1", "0"), "0") == "1"
    chosen = address.configuration(grid.summaries)
    most = min(pickers.MAX_NEIGHBORS, grid.run(chosen).about.top)
    k = page_frame.number_of_neighbors(address, most)
    query = address.number("query", 0, len(grid.dataset) - 1, 0, "picture number")
    scene = Scene(address, grid, experiment_table.load(grid, k, untrained), chosen, k, most, query, untrained)
    scene.shown = url.query_params(chosen, k=k, query=query)
    # The second configuration is kept in the address while the reader looks at other sections.
    for part in url.PARTS:
        if part + "2" in address.asked:
            scene.shown[part + "2"] = address.asked[part + "2"]
    return scene


def name(grid: DatasetGrid, one: Summary, model: bool = True) -> str:
    """A configuration in a line, as plain text."""
    about = grid.run(one).about
    title = about.title if one.weights == "imagenet" else f"{about.title} ({weights(one.weights)})"
    parts = [title] if model else []
    return " · ".join([*parts, f"{glossary.depth(one.depth)} {one.layer}", one.pooling, one.metric])


def weights(slug: str) -> str:
    """The weights of a model in a word or two."""
    return "untrained" if slug == url.UNTRAINED else glossary.weights(slug)


def plan_search(scene: Scene, one: Summary, query: int | None = None) -> None:
    """Make the next run of this page go to the search page: for callbacks, which can't go there themselves."""
    control = scene.untrained or one.weights == url.UNTRAINED
    st.session_state[_LEAVE] = url.query_params(
        one, k=scene.k, query=scene.query if query is None else query, untrained=1 if control else None
    )


def leave() -> None:
    """Go to the search page if that was planned."""
    if params := st.session_state.pop(_LEAVE, None):
        st.switch_page("search/page.py", query_params=params)


def change_to(one: Summary, suffix: str = "", **others: object) -> None:
    """Choose a configuration, from a callback."""
    url.change(**{part + suffix: getattr(one, part) for part in url.PARTS}, **others)


def ratio(share: float) -> str:
    """A cost as a part of another, in words that are true: "about a quarter of"."""
    for value, words in (
        (1 / 2, "half"),
        (1 / 3, "a third of"),
        (1 / 4, "a quarter of"),
        (1 / 5, "a fifth of"),
        (1 / 10, "a tenth of"),
    ):
        if abs(share / value - 1.0) < 0.06:
            return f"about {words}"
    return f"{glossary.percent(share)} of" if share >= 0.001 else f"less than {1 / 1000:g} of"
