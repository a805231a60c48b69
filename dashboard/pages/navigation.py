"""The pages and what they share; run by Streamlit for every page."""

from pathlib import Path

import streamlit as st

from dashboard import url
from dashboard.widgets import read_only_notice

_HERE = Path(__file__).resolve().parent

_ICON = str(_HERE.parent / "icon.svg")

# By task: which configuration to take, what one does, and images of one's own.
_SECTIONS = {
    "": (("home", "Home", ":material/home:"), ("compare", "Compare", ":material/compare:")),
    "Explore": (
        ("search", "Search", ":material/image_search:"),
        ("embeddings", "Embeddings", ":material/scatter_plot:"),
        ("models", "Models", ":material/network_node:"),
    ),
    "Your own": (
        ("your_picture", "Your picture", ":material/add_photo_alternate:"),
        ("your_images", "Your images", ":material/photo_library:"),
    ),
}

st.set_page_config(
    page_title="Embedding Playground", page_icon=_ICON, layout="wide", initial_sidebar_state="collapsed"
)
st.logo(_ICON, size="medium")
page = st.navigation(
    {
        section: [
            st.Page(
                _HERE / folder / "page.py",
                title=title,
                icon=icon,
                url_path=url.PATHS[folder],
                default=folder == url.HOME.folder,
            )
            for folder, title, icon in pages
        ]
        for section, pages in _SECTIONS.items()
    },
    position="top",
)
read_only_notice.notice()
page.run()
