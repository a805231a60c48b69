"""The pages and what they share; run by Streamlit for every page."""

from pathlib import Path

import streamlit as st

from dashboard import url
from dashboard.widgets import read_only_notice

_HERE = Path(__file__).resolve().parent

_PAGES = (
    ("home", "Home", ":material/home:"),
    ("search", "Search", ":material/image_search:"),
    ("embeddings", "Embeddings", ":material/scatter_plot:"),
    ("compare", "Compare", ":material/compare:"),
    ("your_picture", "Your picture", ":material/add_photo_alternate:"),
    ("your_images", "Your images", ":material/photo_library:"),
    ("models", "Models", ":material/network_node:"),
)

st.set_page_config(
    page_title="Embedding Playground",
    page_icon=str(_HERE.parent / "icon.svg"),
    layout="wide",
    initial_sidebar_state="collapsed",
)
page = st.navigation(
    [
        st.Page(
            _HERE / folder / "page.py",
            title=title,
            icon=icon,
            url_path=url.PATHS[folder],
            default=folder == url.HOME.folder,
        )
        for folder, title, icon in _PAGES
    ],
    position="top",
)
read_only_notice.notice()
page.run()
