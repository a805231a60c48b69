"""The models page: what a network is made of, what excites its channels, what it makes of a picture."""

from collections.abc import Callable

import streamlit as st

from core.errors import UserError
from dashboard.components import opening, state
from dashboard.views import models_architecture, models_channels, models_picture, models_scene
from dashboard.views.models_scene import Scene

_PARTS: dict[str, tuple[str, Callable[[Scene], None]]] = {
    "architecture": ("Architecture", models_architecture.show),
    "channels": ("What excites it", models_channels.show),
    "picture": ("Your picture through it", models_picture.show),
}


def show() -> None:
    """The page from top to bottom."""
    st.title("Models")
    st.markdown(
        "What a network is made of, what its channels look for, and what it makes of a picture of yours."
    )
    address = state.read()
    chosen = models_scene.choice(address)
    try:
        scene = models_scene.make(address, chosen)
    except UserError as error:
        models_scene.model_picker(chosen, None)
        st.error(state.plain(str(error)), icon=":material/error:")
        state.write(chosen.entries)
        return
    part = address.choice("part", list(_PARTS), "architecture", "part of the page")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        models_scene.model_picker(chosen, scene.layer)
        models_scene.layer_picker(scene)
        models_scene.untrained_switch(chosen)
    st.session_state["inspect-part"] = part
    st.segmented_control(
        "Part",
        list(_PARTS),
        format_func=lambda one: _PARTS[one][0],
        key="inspect-part",
        required=True,
        label_visibility="collapsed",
        on_change=lambda: state.change(part=st.session_state["inspect-part"]),
    )
    notices = st.container()
    if part != "architecture":
        models_scene.tell_control(scene)
    _PARTS[part][1](scene)
    opening.tell(notices, address.notices, [])
    state.write(scene.shown | {"part": part if part != "architecture" else None})


show()
