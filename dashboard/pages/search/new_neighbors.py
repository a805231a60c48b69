"""Which neighbors a change of the configuration brought."""

import streamlit as st

from core.errors import GridError
from core.experiments.query_scores import evaluate
from core.experiments.store import Configuration, DatasetGrid
from dashboard.pages.search.result_list import Dots, Results
from dashboard.widgets import glossary

_LAST = "search-last"


def since(results: Results) -> Dots:
    """The neighbors that the configuration shown before, for the same image, did not have; none where there was none."""
    grid, now = results.grid, results.chosen.configuration
    search = (grid.dataset.name, results.query)
    was_search, was, before = st.session_state.get(_LAST, (None, None, None))
    if was_search != search:
        before = None
    elif was != now:
        before = was
    st.session_state[_LAST] = (search, now, before)
    if before is None or before == now or results.found is None or results.row is None:
        return Dots()
    try:
        earlier = evaluate(grid, before, results.k)
    except GridError:
        return Dots()
    row = earlier.row(results.query)
    if row is None:
        return Dots()
    known = set(earlier.ids[row, : results.k].tolist())
    return Dots(frozenset(results.ids) - known, f"new since {_difference(grid, before, now)}")


def _difference(grid: DatasetGrid, before: Configuration, now: Configuration) -> str:
    """What the configuration before had that it does not have now, in words."""
    about = grid.run(before).about
    if (before.model, before.weights) != (now.model, now.weights):
        return about.title
    if before.layer != now.layer:
        return f"layer {glossary.depth(about.layer(before.layer).depth)}"
    if before.pooling != now.pooling:
        return f"{before.pooling} pooling"
    return f"{before.metric} distance"
