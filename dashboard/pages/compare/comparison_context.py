"""What all sections of the comparison page share: the experiments, the chosen configuration, links to Search."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import streamlit as st

from core.collections import labelled_dataset
from core.collections.index import engines
from core.evaluation.measures import MEASURES, Measure
from core.experiments import experiment_table
from core.experiments.experiment_table import ExperimentTable
from core.experiments.store import DatasetGrid, Summary
from core.search import recommendation
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.url import Address
from dashboard.widgets import configuration_name, glossary, machine, page_frame, pickers
from dashboard.widgets.machine import Machine


class Group(StrEnum):
    """What sections are for, in the order of the page."""

    DECIDE = "Decide"
    CLOSER = "Look closer"
    HOLDS = "Does it hold?"
    GO_ON = "Go on"


@dataclass(frozen=True)
class Section:
    """A section of the page.

    name : in the address; place : in its group, from 1; show : draws it; halves : whether it can choose on one half of the images and
    report on the other; configuration : whether it is about the chosen configuration, which the page then shows above it.
    """

    group: Group
    name: str
    title: str
    place: int
    show: Callable[["ComparisonContext"], None]
    halves: bool = False
    configuration: bool = False


@dataclass
class ComparisonContext:
    """The page in this run.

    compared : the experiments; None when none can be read. chosen : the configuration that the
    pages share; it may be an untrained control that the table leaves out. most : the largest k. by : the name of the measure to compare by, of those that are
    ``known``. cost : kind of cost to compare with;
    halves : choose on one half of the images, report on the other; classes_view : columns of the table of classes; engine : of the index that the
    code makes.
    shown : what the address is to say; sections add to it.
    """

    address: Address
    grid: DatasetGrid
    compared: ExperimentTable | None
    chosen: Summary
    k: int
    most: int
    query: int
    untrained: bool
    halves: bool
    by: str
    known: Sequence[str]
    cost: str
    classes_view: str
    engine: str
    machine: Machine
    shown: dict[url.Key, Any] = field(default_factory=dict)

    @property
    def table(self) -> ExperimentTable:
        """The experiments; sections are shown only where there are some."""
        assert self.compared is not None
        return self.compared

    @property
    def dataset_option(self) -> str:
        """The dataset as ``--dataset`` of commands that compute something takes it."""
        collection = self.grid.dataset.collection
        return f"{labelled_dataset.PREFIX}{collection}" if collection else self.grid.dataset.name

    @property
    def measure(self) -> Measure:
        """What configurations are compared by."""
        return MEASURES[self.by]

    @property
    def label(self) -> str:
        """The measure as the name of a column."""
        return self.measure.label_at(self.k)

    @property
    def noun(self) -> str:
        """The measure in a sentence."""
        return self.measure.noun_at(self.k)

    def name(self, one: Summary, model: bool = True) -> str:
        """A configuration in a line, as plain text."""
        return configuration_name.name(self.grid, self.compared, one, model)

    def open(self, one: Summary, query: int | None = None) -> None:
        """Go to the search page with a configuration and an image; ends this run of the page."""
        url.open_page(url.SEARCH, search_with(self, one, query))

    def tile(self, item: int, **about: Any) -> gallery.Tile:
        """An image with its title, or its class where it has none."""
        one = self.grid.dataset.item(item)
        return gallery.tile(one, title=one.name, **about)

    def model_title(self, one: Summary) -> str:
        """The title of a configuration's model; says so when it is untrained or has other weights."""
        return configuration_name.model_title(self.grid, one)


def make_context(address: Address, grid: DatasetGrid, section: Section) -> ComparisonContext:
    """The context of the page's address in one of its sections."""
    untrained = address.switch(url.SHOW_UNTRAINED)
    chosen = address.configuration(grid.summaries, default=lambda: recommendation.of_dataset(grid))
    most = min(pickers.MAX_NEIGHBORS, grid.run(chosen).about.top)
    k = page_frame.number_of_neighbors(address, most)
    query = address.number(url.QUERY, 0, len(grid.dataset) - 1, 0)
    halves = address.switch(url.HALVES)
    shown_machine = machine.read(address)
    known = experiment_table.known_measures(grid, untrained)
    by = address.choice(url.BY, known)
    table = experiment_table.load(grid, k, untrained, halves and section.halves, shown_machine.measured, by)
    kinds = table.known_costs if table else [*experiment_table.COSTS]
    cost, view = address.choice(url.COST, kinds, kinds[0]), address.choice(url.CLASSES_VIEW)
    engine = address.choice(url.ENGINE, engines.with_metric(chosen.metric))
    context = ComparisonContext(
        *(address, grid, table, chosen, k, most, query, untrained, halves),
        *(by, known, cost, view, engine, shown_machine),
    )
    # What belongs to one section is kept in the address while others are shown.
    kept = (*url.SECOND, *url.ROBUSTNESS, *url.FILTERS, *url.BUDGETS)
    context.shown |= address.as_asked(kept) | url.configuration(chosen)
    context.shown |= {url.K: k, url.QUERY: query, url.SHOW_UNTRAINED: untrained, url.HALVES: halves}
    context.shown[url.BY] = by
    context.shown |= {url.COST: cost if cost != kinds[0] else None, url.CLASSES_VIEW: view}
    context.shown |= {url.ENGINE: engine, url.MACHINE: shown_machine.runtime}
    return context


def search_with(context: ComparisonContext, one: Summary, query: int | None = None) -> dict[url.Key, object]:
    """The address of the search page with a configuration and an image."""
    return url.configuration(one) | {
        url.K: context.k,
        url.QUERY: context.query if query is None else query,
        url.SHOW_UNTRAINED: context.untrained or one.weights == url.UNTRAINED,
    }


def results_button(
    context: ComparisonContext, one: Summary, key: str, label: str = "Look at its results"
) -> None:
    """A button that shows a configuration on the search page."""
    icon = ":material/image_search:"
    st.button(label, icon=icon, key=key, on_click=lambda: open_search(context, one))


def section_button(label: str, icon: str, key: str, one: Summary, section: str) -> None:
    """A button that shows a configuration in a section."""
    st.button(label, icon=icon, key=key, on_click=lambda: change_to(one, section))


def open_search(context: ComparisonContext, one: Summary, query: int | None = None) -> None:
    """Go to the search page with a configuration and an image, from a callback."""
    url.open_page_next(url.SEARCH, search_with(context, one, query))


def change_to(one: Summary, section: str) -> None:
    """Show a configuration in a section, from a callback."""
    url.change(url.configuration(one) | {url.SECTION: section})


def ratio(share: float) -> str:
    """A share in words, such as "about a quarter of"."""
    for value, words in (
        (1 / 2, "half"),
        (1 / 3, "a third of"),
        (1 / 4, "a quarter of"),
        (1 / 5, "a fifth of"),
        (1 / 10, "a tenth of"),
    ):
        if abs(share / value - 1.0) < 0.06:
            return f"about {words}"
    return f"{glossary.percent(share)} of" if share >= 0.001 else f"less than {1 / 1000:g} of"
