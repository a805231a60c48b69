"""The comparison page: which configuration to use, and why."""

from collections.abc import Sequence
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.experiments.store import DatasetGrid
from dashboard import url
from dashboard.pages.compare import sections
from dashboard.pages.compare.comparison_context import Group, make_context
from dashboard.url import Address
from dashboard.widgets import configuration_bar, glossary, markdown, page_frame, pickers

_SECTIONS = {section.name: section for section in sections.ALL}


def show() -> None:
    """The page from top to bottom."""
    page_frame.page(url.COMPARE, partial(_compare, page_frame.head("Compare")))


def _compare(top: DeltaGenerator, address: Address, names: Sequence[str], grid: DatasetGrid) -> None:
    section = address.choice(url.SECTION, list(_SECTIONS), shown="the overview")
    context = make_context(address, grid, _SECTIONS[section])
    with top:
        pickers.dataset(names, grid.dataset.name, hidden=True)
    with st.container(horizontal=True, vertical_alignment="bottom", key="pickers"):
        pickers.neighbors(context.k, context.most)
        pickers.measure(context.known, context.by)
        pickers.untrained(grid, context.untrained)
        if _SECTIONS[section].halves:
            st.toggle(
                "Choose on one half",
                **pickers.bind("halves", context.halves and not context.measure.stored, url.HALVES),
                disabled=context.measure.stored,
                help=glossary.UNDIVIDED if context.measure.stored else glossary.HALVES,
            )
    groups = {
        group.value: {part.name: part.title for part in sections.ALL if part.group == group}
        for group in Group
    }
    pickers.sections(groups, section, url.SECTION, "section")
    notices = st.container()
    if context.compared is None:
        st.error(
            f"No experiment of {markdown.quoted(grid.dataset.title)} can be read, so there is nothing to compare.",
            icon=":material/error:",
        )
    else:
        if context.table.attainable < 100:
            st.caption(glossary.attainable(context.table.attainable, context.table.k, context.by))
        if _SECTIONS[section].configuration:
            configuration_bar.show(grid, context.chosen, context.k, context.untrained)
        _SECTIONS[section].show(context)
    unreadable = [*grid.notices, *(context.compared.notices if context.compared else ())]
    page_frame.show_notices(notices, address.notices, unreadable)
    url.write(url.COMPARE, context.shown | {url.SECTION: section})


show()
