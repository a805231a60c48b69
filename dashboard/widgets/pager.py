"""Choosing a page of a gallery."""

import streamlit as st

from dashboard import url


def show(pages: int, page: int, key: url.Number) -> None:
    """Choose one of some pages; ``key`` is its number in the address."""
    # The widget takes its page when it is made: a new one is made when the address says another.
    made = st.session_state.get(f"turned-{key}", 0)
    if st.session_state.get(f"{key}-{made}", page) != page:
        made += 1
        st.session_state[f"turned-{key}"] = made
    widget = f"{key}-{made}"
    st.pagination(
        pages, default=page, key=widget, on_change=lambda: url.change({key: st.session_state[widget]})
    )
