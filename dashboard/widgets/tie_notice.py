"""What to know of a configuration under which images are equally far."""

import streamlit as st

from core.errors import GridError
from core.experiments.query_scores import evaluate
from core.experiments.store import DatasetGrid, Summary
from dashboard.widgets import glossary


def show(grid: DatasetGrid, chosen: Summary, k: int) -> None:
    """Say that distances do not separate the images, or that ties are not known; nothing where neither is so, or it can't be read."""
    try:
        found = evaluate(grid, chosen.configuration, k)
    except GridError:
        return
    if found.ties is None:
        return
    if found.saturated:
        st.warning(glossary.unseparated(found.ties.undecided(found.k), found.k), icon=":material/join_inner:")
    if unknown := found.ties.n_unknown(found.k):
        st.info(glossary.ties_unknown(unknown, len(found.queries)), icon=":material/help:")
