"""The decision: which configuration to take within some limits, and which others are as good."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core.errors import GridError
from core.evaluation import decision
from core.evaluation.measures import Measure
from core.experiments.experiment_table import ExperimentTable
from core.experiments.query_scores import evaluate
from core.experiments.store import DatasetGrid, Summary
from core.search import recommendation
from core.search.recommendation import Costs
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.url import Address
from dashboard.widgets import (
    configuration_bar,
    configuration_name,
    glossary,
    machine,
    markdown,
    palette,
    pickers,
)
from dashboard.widgets.machine import Machine

_FEWEST, _MOST = 100, 1_000_000_000
_SHOWN = 5
_SIZE = 84
_KINDS = {
    "weak": "A quarter of all searches score no higher.",
    "typical": "Half of all searches score no higher.",
    "strong": "A quarter of all searches score no lower.",
}


@dataclass(frozen=True)
class _Limit:
    """A number to choose; 0 is no limit."""

    key: url.Key
    label: str
    choices: tuple[float, ...]
    text: Callable[[float], str]
    help: str


_LIMITS = (
    _Limit(
        url.PICTURES,
        "Images to search",
        (1e3, 1e4, 1e5, 1e6, 1e7, 1e8),
        lambda value: f"{value:,.0f}",
        glossary.IMAGES_TO_SEARCH,
    ),
    _Limit(
        url.MOST_MS,
        "Longest query",
        (0, 5, 10, 15, 20, 50),
        lambda value: f"{value:g} ms",
        glossary.QUERY_TIME,
    ),
    _Limit(
        url.MOST_VECTOR,
        "Largest vector",
        (0, 256, 1024, 4096, 16_384),
        lambda value: glossary.size(int(value)),
        glossary.COST,
    ),
    _Limit(
        url.MOST_GB,
        "Largest index",
        (0, 0.01, 0.1, 1, 10, 100),
        lambda value: glossary.size(int(1e9 * value)),
        glossary.INDEX,
    ),
)


def read(address: Address) -> dict[url.Key, float]:
    """The number of images and the limits of an address, 0 for no limit."""
    limits: dict[url.Key, float] = {key: address.limit(key) for key in url.LIMITS}
    return {url.PICTURES: address.number(url.PICTURES, _FEWEST, _MOST, recommendation.IMAGES)} | limits


def show(
    grid: DatasetGrid,
    table: ExperimentTable,
    asked: Mapping[url.Key, float],
    measured_on: Machine,
    shared: Mapping[url.Key, object],
) -> None:
    """The configuration to take within the limits, with three searches, and those that can't be told from it.

    Parameters
    ----------
    asked : what :func:`read` found; measured_on : where the times of the table are from; shared : entries of the address that other pages take over, such as the number of neighbors.
    """
    images = int(asked[url.PICTURES])
    costs = recommendation.costs(table, images)
    with st.container(border=True, key="decision"):
        found = _decide(table, costs, asked)
        if found is None:
            _nothing(table, costs)
        else:
            one = table.experiments[found.taken]
            _taken(grid, table, costs, found, images)
            _searches(grid, table, one, shared)
            with st.container(horizontal=True):
                _buttons(one, None, "taken", shared)
            if len(found.alike) > 1:
                _alike(grid, table, costs, found, shared)
        machine.show(grid, measured_on)


def _decide(table: ExperimentTable, costs: Costs, asked: Mapping[url.Key, float]) -> decision.Decision | None:
    within = recommendation.separating(table)
    for key, cost in (
        (url.MOST_MS, costs.ms),
        (url.MOST_VECTOR, table.costs["size"]),
        (url.MOST_GB, costs.index_bytes / 1e9),
    ):
        if asked[key]:
            within &= cost <= asked[key]
    within &= table.means >= asked[url.LEAST_SCORE]
    return table.decide(within, costs.whole)


def limits(asked: Mapping[url.Key, float], measure: Measure) -> None:
    """A button that names the limits and opens their pickers; what is not among the choices but in the address is one of them."""
    lowest = _Limit(
        url.LEAST_SCORE,
        f"Lowest {glossary.small(measure.title)}" if len(measure.title) < 10 else "Lowest accuracy",
        (0, 30, 40, 50, 60, 70, 80, 90),
        lambda value: f"{value:g}",
        glossary.MEASURES[measure.name],
    )
    chosen = [one for one in (*_LIMITS[1:], lowest) if asked[one.key]]
    within = [f"{glossary.small(one.label)} {one.text(asked[one.key])}" for one in chosen] or ["no limits"]
    with configuration_bar.panel(f"{asked[url.PICTURES]:,.0f} images, {', '.join(within)}", "limits"):
        for limit in (*_LIMITS, lowest):
            _limit(limit, float(asked[limit.key]))


def _limit(limit: _Limit, value: float) -> None:
    def chosen(to: float) -> None:
        url.change({limit.key: int(to) if limit.key == url.PICTURES else to})

    st.selectbox(
        limit.label,
        sorted({*limit.choices, value}),
        format_func=lambda one: limit.text(one) if one else "Any",
        **pickers.bind(f"decide-{limit.key}", value, chosen),
        help=limit.help,
    )


def _nothing(table: ExperimentTable, costs: Costs) -> None:
    fastest = (
        "" if not np.isfinite(costs.ms).any() else f"a query takes at least {np.nanmin(costs.ms):.3g} ms, "
    )
    st.info(
        f"No configuration is within these limits. On their own, {fastest}a vector has at least {glossary.size(int(table.costs['size'].min()))}, "
        f"an index at least {glossary.size(int(costs.index_bytes.min()))}, and the highest {table.measure.noun_at(table.k)} is {table.means.max():.1f}.",
        icon=":material/filter_alt_off:",
    )


def _taken(
    grid: DatasetGrid,
    table: ExperimentTable,
    costs: Costs,
    found: decision.Decision,
    images: int,
) -> None:
    place = found.taken
    one, index = table.experiments[place], costs.indexes[place]
    low, high = table.intervals
    st.header(f"Take {markdown.plain(configuration_name.name(grid, table, one))}", anchor=False)
    with st.container(horizontal=True, gap="medium", key="decision-figures"):
        st.metric(
            glossary.capital(table.measure.noun_at(table.k)),
            f"{table.means[place]:.1f}",
            help=f"{glossary.MEASURES[table.measure.name]}\n\n{glossary.INTERVAL}",
            width="content",
        )
        st.metric(
            "95% interval", f"{low[place]:.1f} to {high[place]:.1f}", help=glossary.INTERVAL, width="content"
        )
        time = f"{costs.ms[place]:.3g} ms" if np.isfinite(costs.ms[place]) else "not measured"
        st.metric("A query", time, help=glossary.QUERY_TIME, width="content")
        st.metric(
            "A vector", glossary.size(int(table.costs["size"][place])), help=glossary.COST, width="content"
        )
        st.metric(f"Index of {images:,}", glossary.size(index.bytes), help=glossary.INDEX, width="content")
        st.metric(
            f"Index recall ({index.kind})",
            f"{index.recall:.2f}",
            help=glossary.RECALL,
            width="content",
        )
    st.markdown(_reason(grid, table, found), help=glossary.BEST)


def _reason(grid: DatasetGrid, table: ExperimentTable, found: decision.Decision) -> str:
    """Why this one and not the one with the highest mean."""
    others = len(found.alike) - 1
    if not others:
        return "Any other within these limits is lower, by more than chance would explain."
    few = f"{others} {'other' if others == 1 else 'others'} within these limits"
    if found.taken == found.best:
        return f"It has the highest {table.measure.noun_at(table.k)}, and none of the {few} that can't be told from it is cheaper."
    best = table.experiments[found.best]
    name = markdown.plain(configuration_name.name(grid, table, best))
    lead = (table.means if table.chosen_on is None else table.chosen_on)[found.best]
    half = "" if table.chosen_on is None else " on the half that it was chosen on"
    larger = table.costs["size"][found.best] / table.costs["size"][found.taken]
    size = f", with a vector {larger:.0f} times as large" if larger >= 2 else ""
    return (
        f"It is the cheapest of those that can't be told from the highest {table.measure.noun_at(table.k)}: {name} has {lead:.1f}{half}{size}. "
        f"These images do not show that this is more than luck."
    )


def _searches(
    grid: DatasetGrid, table: ExperimentTable, one: Summary, shared: Mapping[url.Key, object]
) -> None:
    """A weak, a typical and a strong search."""
    try:
        found = evaluate(grid, one.configuration, table.k)
    except GridError as error:
        st.error(markdown.plain(str(error)), icon=":material/error:")
        return
    rows = decision.examples(found.scores, found.codes[found.queries])
    for column, (kind, which), row in zip(
        st.columns(len(_KINDS), gap="medium"), _KINDS.items(), rows, strict=True
    ):
        query = grid.dataset.item(int(found.queries[row]))
        tiles = [gallery.tile(query, title=query.name, lines=("searched for",), selected=True)]
        for place, item in enumerate(found.ids[row, :_SHOWN].tolist()):
            near = grid.dataset.item(item)
            mark = palette.mark(bool(found.same[row, place]))
            tiles.append(gallery.tile(near, title=near.name, rank=place + 1, mark=mark))
        with column:
            st.markdown(
                f"A {kind} search: **{found.scores[row]:.0f}** of 100",
                help=f"{which} Click an image to search for it.\n\n{glossary.SCORE}",
            )
            gallery.show(
                tiles,
                key=f"decision-gallery-{kind}",
                on_pick=lambda picked: url.open_page_next(
                    url.SEARCH, _entries(url.SEARCH, shared, url.configuration(one) | {url.QUERY: picked})
                ),
                size=_SIZE,
                columns=(1 + _SHOWN) // 2,
                label=f"A {kind} search: the image that is searched for and its nearest",
            )


def _alike(
    grid: DatasetGrid,
    table: ExperimentTable,
    costs: Costs,
    found: decision.Decision,
    shared: Mapping[url.Key, object],
) -> None:
    """The others that can't be told from the best, to click."""
    places = found.alike[1:]
    low, high = table.intervals
    st.markdown(f"**As good, as far as these images can tell** ({len(places):,}), the cheapest first")
    event = st.dataframe(
        pd.DataFrame(
            {
                "configuration": [
                    configuration_name.name(grid, table, table.experiments[p]) for p in places.tolist()
                ],
                "score": table.means[places],
                "interval": [f"{low[p]:.1f} to {high[p]:.1f}" for p in places],
                "ms": costs.ms[places],
                "vector": [glossary.size(int(size)) for size in table.costs["size"][places]],
                "index": [glossary.size(int(size)) for size in costs.index_bytes[places]],
            }
        ),
        hide_index=True,
        height=min(458, 38 + 35 * len(places)),
        column_config={
            "configuration": st.column_config.TextColumn("configuration", width=380),
            "score": st.column_config.NumberColumn(table.measure.label_at(table.k), format="%.1f", width=90),
            "interval": st.column_config.TextColumn("95% interval", width=110),
            "ms": st.column_config.NumberColumn("ms", format="%.1f", width=60),
            "vector": st.column_config.TextColumn("vector", width=90),
            "index": st.column_config.TextColumn("index", width=90),
        },
        on_select="rerun",
        selection_mode="single-row",
        key=f"decision-alike-{hash(tuple(found.alike.tolist()))}",
    )
    if rows := [row for row in event.selection.rows if row < len(places)]:
        one = table.experiments[places[rows[0]]]
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{markdown.plain(configuration_name.name(grid, table, one))}**", width="content")
            _buttons(one, table.experiments[found.taken], "alike", shared)


def _entries(
    page: url.Page, shared: Mapping[url.Key, object], entries: Mapping[url.Key, object]
) -> dict[url.Key, object]:
    """An address of a page, with those of the shared entries that it has."""
    return {key: value for key, value in shared.items() if key in page.keys} | dict(entries)


def _buttons(one: Summary, other: Summary | None, key: str, shared: Mapping[url.Key, object]) -> None:
    """Where to go with a configuration; side by side with another one where there is one."""
    entries = url.configuration(one)
    targets = [
        ("Look at its results", ":material/image_search:", url.SEARCH, entries),
        ("Use it on my own images", ":material/code:", url.COMPARE, entries | {url.SECTION: "use"}),
    ]
    if other is not None:
        second = url.configuration(one, url.SECOND)
        beside = {**url.configuration(other), **second, url.SECTION: "pair"}
        targets.insert(1, ("Compare with the one above", ":material/compare_arrows:", url.COMPARE, beside))
    for place, (label, icon, page, target) in enumerate(targets):
        st.button(
            label,
            icon=icon,
            key=f"decision-{key}-{place}",
            on_click=lambda page=page, target=target: url.open_page_next(
                page, _entries(page, shared, target)
            ),
        )
