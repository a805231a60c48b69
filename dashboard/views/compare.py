"""The comparison page: which configuration to use, and why."""

from collections.abc import Callable, Sequence

import streamlit as st

from core.errors import UserError
from dashboard.components import data, pickers, state
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
_MOST_TOLD = 8


def show() -> None:
    """The page from top to bottom."""
    leave()
    compare_leaderboard.keep_filters()
    st.title("Compare")
    st.markdown(
        "Which configuration should I use? Every experiment of a dataset, held against all others: how good, how dear, how sure."
    )
    address = state.read()
    names = data.dataset_names()
    if not names:
        st.info(
            "There are no datasets here yet. This computes experiments on a folder of class-named folders of pictures:",
            icon=":material/hourglass_empty:",
        )
        st.code("python -m core grid run --dataset FOLDER --model MODEL", language="bash")
        return
    name = address.dataset(names)
    try:
        grid = data.load(name)
    except UserError as error:
        pickers.dataset(names, name)
        st.error(state.plain(str(error)), icon=":material/error:")
        return
    if grid.summaries:
        _compare(address, names, grid)
        return
    pickers.dataset(names, name)
    st.info(
        f"There is nothing to compare on {state.quoted(grid.dataset.title)} yet. This computes experiments:",
        icon=":material/hourglass_empty:",
    )
    st.code(f"python -m core grid run --dataset {name} --model MODEL", language="bash")
    _tell(st.container(), address.notices, grid.notices)


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
        _SECTIONS[section][1](scene)
    unreadable = [*grid.notices, *(scene.table.notices if scene.table else ())]
    _tell(notices, address.notices, unreadable)
    state.write(
        scene.shown
        | {"untrained": 1 if scene.untrained else None}
        | {"section": section if section != "overview" else None}
    )


def _tell(place: st.delta_generator.DeltaGenerator, asked: Sequence[str], unreadable: Sequence[str]) -> None:
    if asked:
        _listed(place, "The address asks for something that can't be had:", asked)
    if unreadable:
        opening = "Something is left out; everything else works:"
        _listed(place, opening, [state.plain(one) for one in unreadable])


def _listed(place: st.delta_generator.DeltaGenerator, opening: str, sentences: Sequence[str]) -> None:
    more = [f"and {len(sentences) - _MOST_TOLD} more"] if len(sentences) > _MOST_TOLD else []
    lines = [opening, *(f"- {one}" for one in [*sentences[:_MOST_TOLD], *more])]
    place.warning("\n".join(lines), icon=":material/warning:")


show()
