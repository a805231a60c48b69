"""The page Home: what this is, the decision for a dataset, and where to go from here."""

from collections.abc import Sequence

import streamlit as st

from core.evaluation.measures import MEASURES
from core.experiments import experiment_table
from core.experiments.store import DatasetGrid
from dashboard import url
from dashboard.url import Address
from dashboard.widgets import decision_card, machine, markdown, page_frame, pickers

_DOORS: tuple[tuple[str, str, url.Page, str], ...] = (
    (
        "Compare everything",
        ":material/compare:",
        url.COMPARE,
        "All configurations: quality, cost, and how certain the differences are.",
    ),
    (
        "Try your picture",
        ":material/add_photo_alternate:",
        url.YOUR_PICTURE,
        "Search with an image of yours, and see what each region adds to the similarity.",
    ),
    (
        "Bring your images",
        ":material/photo_library:",
        url.YOUR_IMAGES,
        "Make a collection of your own images, search it and find mistakes in its labels.",
    ),
)


def show() -> None:
    """The page from top to bottom."""
    st.title("How should your images become vectors?")
    st.markdown(
        "Search by similarity takes a network, a layer of it, a pooling and a distance. Here all of them are compared on labeled images."
    )
    _doors()
    page_frame.page(url.HOME, _home)


def _home(address: Address, names: Sequence[str], grid: DatasetGrid) -> None:
    asked = decision_card.read(address)
    k = min(pickers.DEFAULT_NEIGHBORS, *(run.about.top for run in grid.runs.values()))
    measured_on = machine.read(address)
    known = experiment_table.known_measures(grid, untrained=False)
    by = address.choice(url.BY, known)
    table = experiment_table.load(grid, k, untrained=False, measured=measured_on.measured, by=by)
    with st.container(horizontal=True, vertical_alignment="center", key="page-head-choices"):
        pickers.dataset(names, grid.dataset.name, hidden=True)
        pickers.measure(known, by, hidden=True)
        decision_card.limits(asked, MEASURES[by])
    notices = st.container()
    if table is None:
        st.error(
            f"No experiment of {markdown.quoted(grid.dataset.title)} can be read, so there is nothing to compare.",
            icon=":material/error:",
        )
    else:
        decision_card.show(grid, table, asked, measured_on, {url.K: k, url.BY: by})
    page_frame.show_notices(notices, address.notices, [*grid.notices, *(table.notices if table else ())])
    shown: dict[url.Key, object] = {
        url.DATASET: grid.dataset.name,
        url.BY: by,
        url.MACHINE: measured_on.runtime,
    }
    url.write(url.HOME, shown | asked)


def _doors() -> None:
    """To other pages, which go on with the dataset that is shown here."""
    with st.container(horizontal=True, gap="small", key="doors"):
        for place, (label, icon, page, words) in enumerate(_DOORS):
            st.button(
                label,
                icon=icon,
                key=f"door-{place}",
                help=words,
                on_click=lambda page=page: url.open_page_next(page, {}),
            )


show()
