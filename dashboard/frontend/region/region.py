"""An image with a frame around the region that is searched; mouse and keyboard change it."""

import base64
from collections.abc import Callable

import streamlit as st
from PIL import Image

from core.imaging import transform
from core.imaging.transform import Box
from dashboard.frontend.bundle import component

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
_LONGEST = 640
_component = component(__file__, '<div class="region"></div>')


def show(image: Image.Image, alt: str, box: Box, on_change: Callable[[Box], None], key: str) -> None:
    """Show the image with the frame; ``on_change`` gets the frame that the reader draws."""

    def changed() -> None:
        # The value comes from the browser and can be anything.
        drawn = st.session_state[key].get("box")
        if not (isinstance(drawn, list) and len(drawn) == 4 and all(type(x) in (int, float) for x in drawn)):
            return
        left, top, right, bottom = drawn
        if 0 <= left < right <= 1 and 0 <= top < bottom <= 1:
            on_change((left, top, right, bottom))

    _component(
        key=key, data={"src": data_url(image, _LONGEST), "alt": alt, "box": list(box)}, on_box_change=changed
    )


def data_url(image: Image.Image, longest: int) -> str:
    """A small copy of an image as a data URL."""
    return "data:image/webp;base64," + base64.b64encode(transform.thumbnail(image, longest)).decode()
