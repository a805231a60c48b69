"""A button that reads an image from the clipboard."""

from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent

paste = st.components.v2.component(
    "playground_paste",
    html='<button type="button" class="paste"></button>',
    css=(_HERE / "paste.css").read_text("utf-8"),
    js=(_HERE / "paste.js").read_text("utf-8"),
)
