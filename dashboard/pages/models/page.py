"""The models page: what a network is made of, what excites its channels, what it makes of a picture."""

from collections.abc import Callable

import streamlit as st

from core.errors import UserError
from dashboard import url
from dashboard.pages.models import architecture_section, channels_section, image_activations, model_context
from dashboard.pages.models.model_context import Scene
from dashboard.widgets import markdown, page_frame

_PARTS: dict[str, tuple[str, Callable[[Scene], None]]] = {
    "architecture": ("Architecture", architecture_section.show),
    "channels": ("What excites it", channels_section.show),
    "picture": ("Your picture through it", image_activations.show),
}


def show() -> None:
    """The page from top to bottom."""
    st.title("Models")
    st.markdown(
        "What a network is made of, what its channels look for, and what it makes of a picture of yours."
    )
    address = url.read(url.MODELS)
    chosen = model_context.choice(address)
    try:
        scene = model_context.make(address, chosen)
    except UserError as error:
        model_context.model_picker(chosen, None)
        st.error(markdown.plain(str(error)), icon=":material/error:")
        url.write(url.MODELS, chosen.entries)
        return
    part = address.choice(url.MODELS_PART)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        model_context.model_picker(chosen, scene.layer)
        model_context.layer_picker(scene)
        model_context.untrained_switch(chosen)
    st.session_state["inspect-part"] = part
    st.segmented_control(
        "Part",
        list(_PARTS),
        format_func=lambda one: _PARTS[one][0],
        key="inspect-part",
        required=True,
        label_visibility="collapsed",
        on_change=lambda: url.change({url.MODELS_PART: st.session_state["inspect-part"]}),
    )
    notices = st.container()
    if part != "architecture":
        model_context.tell_control(scene)
    _PARTS[part][1](scene)
    page_frame.tell(notices, address.notices, [])
    url.write(url.MODELS, scene.shown | {url.MODELS_PART: part})


show()
