"""The same query under two configurations side by side."""

from collections.abc import Callable

import streamlit as st

from core.evaluation.uncertainty import Difference
from core.experiments.query_scores import difference, values
from core.experiments.store import DatasetGrid, Summary
from dashboard import url
from dashboard.pages.search import result_list
from dashboard.pages.search.result_list import Dots, Results
from dashboard.url import Address
from dashboard.widgets import configuration_bar, glossary


def second(address: Address, grid: DatasetGrid, chosen: Summary) -> Summary | None:
    """The configuration to compare with: the one in the address, or the best of another model; None where there is one result list."""
    if not address.switch(url.SIDE):
        return None
    others = [one for one in grid.summaries if one.model != chosen.model] or grid.summaries
    return address.configuration(grid.summaries, url.SECOND, lambda: url.closest(others, {}))


def entries(address: Address, second: Summary | None) -> dict[url.Key, object]:
    """The entries of the address for it; where there is none, what another page shows is kept."""
    if second is None:
        return dict(address.as_asked(url.SECOND))
    return {url.SIDE: True} | url.configuration(second, url.SECOND)


def switch(on: bool) -> None:
    """A button that shows or hides the second configuration."""
    st.button(
        "Only A" if on else "Side by side",
        icon=":material/close:" if on else ":material/splitscreen_right:",
        on_click=lambda: url.change({url.SIDE: not on}),
        help=None if on else "Search for the same image with another configuration too",
        key="side-by-side",
    )


def show(a: Results, b: Results, untrained: bool, more: Callable[[], None]) -> None:
    """Both result lists with what they share, and how the configurations differ over all images."""
    for place, letter, own, other, keys in zip(
        st.columns(2, gap="medium"), "AB", (a, b), (b, a), (url.PARTS, url.SECOND), strict=True
    ):
        with place:
            configuration_bar.show(
                own.grid, own.chosen, own.k, untrained, keys, letter, more if own is a else None
            )
            only = Dots(frozenset(own.ids) - set(other.ids), f"only under {letter}") if other.ids else Dots()
            result_list.show(own, only, narrow=True, suffix="" if letter == "A" else "2")
    if a.found is None or b.found is None:
        return
    shared = len(set(a.ids) & set(b.ids))
    gap = difference(values(a.grid, a.chosen, a.k), values(b.grid, b.chosen, b.k))
    st.markdown(
        f"**{shared} of {a.k}** neighbors are in both lists. {_verdict(gap)}", help=glossary.DIFFERENCE
    )
    if st.button("Compare these two in full", icon=":material/compare:", type="tertiary", key="open-pair"):
        here = url.configuration(a.chosen) | url.configuration(b.chosen, url.SECOND)
        url.open_page(url.COMPARE, here | {url.K: a.k, url.QUERY: a.query, url.SECTION: "pair"})


def _verdict(gap: Difference) -> str:
    """The difference over all images in a sentence."""
    higher, size = ("A", gap.mean) if gap.mean >= 0 else ("B", -gap.mean)
    low, high = sorted((abs(gap.low), abs(gap.high)))
    if not gap.certain:
        return "Over all images these configurations can't be told apart."
    return f"Over all images {higher} scores {size:.1f} higher (95% interval {low:.1f} to {high:.1f})."
