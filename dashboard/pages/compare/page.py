"""The comparison page: which configuration to use, and why."""

from collections.abc import Callable, Sequence

import streamlit as st

from core.experiments.store import DatasetGrid
from dashboard import url
from dashboard.pages.compare import (
    classes,
    configuration_pair,
    cost_tradeoff,
    factors,
    leaderboard,
    notable_images,
    overview,
    production_code,
)
from dashboard.pages.compare.comparison_context import Scene, leave, make_scene
from dashboard.url import Address
from dashboard.widgets import glossary, markdown, page_frame, pickers

_SECTIONS: dict[str, tuple[str, Callable[[Scene], None]]] = {
    "overview": ("Overview", overview.show),
    "leaderboard": ("Leaderboard", leaderboard.show),
    "cost": ("Quality and cost", cost_tradeoff.show),
    "factors": ("What matters", factors.show),
    "pair": ("Side by side", configuration_pair.show),
    "pictures": ("Pictures", notable_images.show),
    "classes": ("Classes", classes.show),
    "use": ("Use it", production_code.show),
}


def show() -> None:
    """The page from top to bottom."""
    leave()
    leaderboard.keep_filters()
    st.title("Compare")
    st.markdown(
        "Which configuration should I use? Every experiment of a dataset, held against all others: how good, how dear, how sure."
    )
    page_frame.page(_compare)


def _compare(address: Address, names: Sequence[str], grid: DatasetGrid) -> None:
    scene = make_scene(address, grid)
    section = address.choice("section", list(_SECTIONS), "overview", shown="the overview")
    with st.container(horizontal=True, vertical_alignment="bottom", key="pickers"):
        pickers.dataset(names, grid.dataset.name)
        pickers.neighbors(scene.k, scene.most)
        pickers.untrained(grid, scene.untrained)
    st.session_state["section"] = section
    st.segmented_control(
        "Section",
        list(_SECTIONS),
        format_func=lambda one: _SECTIONS[one][0],
        key="section",
        required=True,
        label_visibility="collapsed",
        on_change=lambda: url.change(section=st.session_state["section"]),
    )
    notices = st.container()
    if scene.table is None:
        st.error(
            f"No experiment of {markdown.quoted(grid.dataset.title)} can be read, so there is nothing to compare.",
            icon=":material/error:",
        )
    else:
        if scene.table.attainable < 100:
            st.caption(glossary.attainable(scene.table.attainable, scene.table.k))
        _SECTIONS[section][1](scene)
    unreadable = [*grid.notices, *(scene.table.notices if scene.table else ())]
    page_frame.tell(notices, address.notices, unreadable)
    url.write(
        scene.shown
        | {"untrained": 1 if scene.untrained else None}
        | {"section": section if section != "overview" else None}
    )


show()
