"""The comparison page: which configuration to use, and why."""

from collections.abc import Callable, Sequence

import streamlit as st

from dashboard.components import explain, opening, pickers, state
from dashboard.components.data import DatasetGrid
from dashboard.components.state import Address
from dashboard.views import (
    compare_classes,
    compare_cost,
    compare_factors,
    compare_leaderboard,
    compare_overview,
    compare_pair,
    compare_pictures,
    compare_recipe,
)
from dashboard.views.compare_scene import Scene, leave, make_scene

_SECTIONS: dict[str, tuple[str, Callable[[Scene], None]]] = {
    "overview": ("Overview", compare_overview.show),
    "leaderboard": ("Leaderboard", compare_leaderboard.show),
    "cost": ("Quality and cost", compare_cost.show),
    "factors": ("What matters", compare_factors.show),
    "pair": ("Side by side", compare_pair.show),
    "pictures": ("Pictures", compare_pictures.show),
    "classes": ("Classes", compare_classes.show),
    "use": ("Use it", compare_recipe.show),
}


def show() -> None:
    """The page from top to bottom."""
    leave()
    compare_leaderboard.keep_filters()
    st.title("Compare")
    st.markdown(
        "Which configuration should I use? Every experiment of a dataset, held against all others: how good, how dear, how sure."
    )
    opening.page(_compare)


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
        on_change=lambda: state.change(section=st.session_state["section"]),
    )
    notices = st.container()
    if scene.table is None:
        st.error(
            f"No experiment of {state.quoted(grid.dataset.title)} can be read, so there is nothing to compare.",
            icon=":material/error:",
        )
    else:
        if scene.table.attainable < 100:
            st.caption(explain.attainable(scene.table.attainable, scene.table.k))
        _SECTIONS[section][1](scene)
    unreadable = [*grid.notices, *(scene.table.notices if scene.table else ())]
    opening.tell(notices, address.notices, unreadable)
    state.write(
        scene.shown
        | {"untrained": 1 if scene.untrained else None}
        | {"section": section if section != "overview" else None}
    )


show()
