"""Errors of ours on a page."""

import streamlit as st

from dashboard.widgets import markdown


def show_error(error: Exception) -> None:
    """The message of an error in a red box."""
    st.error(markdown.plain(str(error)), icon=":material/error:")
