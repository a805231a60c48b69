"""The models page: the architecture of a network, what its channels respond to, its activations for an image."""

from collections.abc import Callable

import streamlit as st

from core.errors import UserError
from dashboard import url
from dashboard.pages.models import architecture_section, channels_section, image_activations, model_context
from dashboard.pages.models.model_context import ModelContext
from dashboard.widgets import configuration_bar, page_frame, pickers
from dashboard.widgets.error_box import show_error

_SECTIONS: dict[str, tuple[str, Callable[[ModelContext], None]]] = {
    "architecture": ("Architecture", architecture_section.show),
    "channels": ("Channels", channels_section.show),
    "picture": ("Your image", image_activations.show),
}


def show() -> None:
    """The page from top to bottom."""
    page_frame.head("Models")
    address = url.read(url.MODELS)
    chosen = model_context.choice(address)
    try:
        context = model_context.read(address, chosen)
    except UserError as error:
        with configuration_bar.line(model_context.title(chosen), "inspect"):
            model_context.model_picker(chosen, None)
        show_error(error)
        url.write(url.MODELS, chosen.entries)
        return
    part = address.choice(url.MODELS_PART)
    model_context.bar(context)
    titles = {name: title for name, (title, _) in _SECTIONS.items()}
    pickers.segments("Part", titles, part, url.MODELS_PART, "inspect-part", hidden=True)
    notices = st.container()
    if part != "architecture":
        model_context.control_notice(context)
    _SECTIONS[part][1](context)
    page_frame.show_notices(notices, address.notices, [])
    url.write(url.MODELS, context.shown | {url.MODELS_PART: part})


show()
