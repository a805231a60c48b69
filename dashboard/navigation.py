"""The pages and what they share; run by Streamlit for every page."""

from pathlib import Path

import streamlit as st

from dashboard.components import read_only, style

_HERE = Path(__file__).resolve().parent

_PAGES = (
    ("search", "Search", ":material/image_search:"),
    ("embeddings", "Embeddings", ":material/scatter_plot:"),
    ("compare", "Compare", ":material/compare:"),
    ("live", "Your picture", ":material/add_photo_alternate:"),
    ("images", "Your images", ":material/photo_library:"),
    ("models", "Models", ":material/network_node:"),
)

st.set_page_config(
    page_title="Embedding Playground",
    page_icon=str(_HERE / "icon.svg"),
    layout="wide",
    initial_sidebar_state="collapsed",
)
style.apply()
page = st.navigation(
    [
        st.Page(
            _HERE / "views" / f"{name}.py", title=title, icon=icon, url_path=name, default=name == "search"
        )
        for name, title, icon in _PAGES
        if (_HERE / "views" / f"{name}.py").is_file()
    ],
    position="top",
)
read_only.notice()
page.run()
