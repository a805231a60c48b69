"""Choosing a page of a gallery."""

import streamlit as st

from dashboard import url


def show(pages: int, page: int, key: url.Number) -> None:
    """Choose one of some pages; ``key`` is its number in the address."""
    # The widget takes its page only when it is created, so another address needs a new one.
    version = st.session_state.get(f"turned-{key}", 0)
    if st.session_state.get(f"{key}-{version}", page) != page:
        version += 1
        st.session_state[f"turned-{key}"] = version
    widget = f"{key}-{version}"
    st.pagination(
        pages, default=page, key=widget, on_change=lambda: url.change({key: st.session_state[widget]})
    )
