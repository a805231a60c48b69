"""The few rules that Streamlit's theme has no setting for."""

import streamlit as st

_RULES = """<style>
.block-container { padding-top: 4.25rem; padding-bottom: 3rem; max-width: 1500px; }
.block-container h1 { font-size: 1.9rem; padding: 0; }
.block-container h2 { font-size: 1.25rem; padding: .25rem 0 .4rem; }
.block-container h3 { font-size: 1.05rem; padding: .25rem 0 .3rem; }
/* Streamlit's own grey for captions falls short of 4.5 : 1. */
[data-testid="stCaptionContainer"] { color: inherit; opacity: .82; }
/* In a narrow window the query is above its neighbors, not beside them. */
@media (max-width: 900px) {
  [data-testid="stLayoutWrapper"]:has(> .st-key-search-query), .st-key-search-query { flex: 1 0 100% !important; width: 100% !important; }
}
[data-testid="stMetricValue"] { font-size: 1.9rem; }
/* It completes the address and shows nothing. */
.st-key-address { display: none; }
</style>"""


def apply() -> None:
    """Apply the rules to the page."""
    st.html(_RULES)
