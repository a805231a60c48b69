"""The leaderboard: every configuration in numbers, to sort, filter and download."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.evaluation.measures import MEASURES, SCORE
from core.experiments.experiment_table import ExperimentTable
from core.experiments.store import Summary
from dashboard import url
from dashboard.pages.compare.comparison_context import (
    ComparisonContext,
    Group,
    Section,
    results_button,
    section_button,
)
from dashboard.widgets import download_button, glossary, machine, markdown, pickers

_PARTS = (
    ("weights", "Weights", url.ONLY_WEIGHTS),
    ("model", "Model", url.ONLY_MODEL),
    ("pooling", "Pooling", url.ONLY_POOLING),
    ("metric", "Distance", url.ONLY_METRIC),
)
_LIMITS: tuple[tuple[str, str, url.Limit, Callable[[float], str]], ...] = (
    ("size", "Largest vector", url.MOST_BYTES, lambda value: glossary.size(int(value))),
    ("time", "Longest time", url.MOST_TIME, lambda value: f"{value:.3g} ms"),
    ("parameters", "Most parameters", url.MOST_PARAMETERS, glossary.count),
)


def show(context: ComparisonContext) -> None:
    """Filters, table, and what to do with a row."""
    table = context.table
    st.header("All configurations")
    chosen = _filter(context)
    places = table.order[chosen[table.order]]
    numbers = frame(context, places)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{len(places):,}** of {len(table.experiments):,} configurations")
        download_button.show(
            "Download the table (CSV)",
            lambda: download_button.csv(numbers),
            f"{context.grid.dataset.name}-k{table.k}.csv",
            disabled=not len(places),
        )
    if not len(places):
        st.info("No configuration passes all filters. Allow more above.", icon=":material/filter_alt_off:")
        return
    one_kind = len({one.weights for one in table.experiments}) == 1
    # The depth is part of the layer's name here, so that the column sorts by it.
    shown = numbers.assign(
        model=[context.grid.run(table.experiments[place]).about.title for place in places],
        layer=[f"{glossary.depth(d)} {name}" for d, name in zip(numbers.depth, numbers.layer, strict=True)],
        **{name: 100 * numbers[name] for name in _shares(context)},
    )
    shown = shown.drop(columns=["dataset", "depth", *(["weights"] if one_kind else [])])
    # So that a narrow window has the score too.
    first = ["rank", context.label]
    event = st.dataframe(
        shown[[*first, *shown.columns.drop(first)]],
        hide_index=True,
        height=min(560, 38 + 35 * len(numbers)),
        column_config=_columns(context),
        on_select="rerun",
        selection_mode="single-row",
        key=f"leaderboard-{hash(tuple(places.tolist()))}",
    )
    rows = [row for row in event.selection.rows if row < len(places)]
    if rows:
        _act(context, table.experiments[places[rows[0]]])
    else:
        st.caption(
            "Click a column's name to sort by it, or the box at the start of a row to use that configuration."
        )
    if table.n_unknown_ties:
        st.caption(
            f"Ties unknown: {table.n_unknown_ties} configurations have searches that end among equally far images, and how many more are as far was "
            "not stored. Their scores count those in the lists only."
        )
    machine.show(context.grid, context.machine)
    with st.expander("What the columns mean"):
        st.markdown(
            "".join(
                f"- **{MEASURES[name].label_at(table.k)}**: {glossary.MEASURES[name]}\n"
                for name in table.quality
            )
            + f"- **95% from, to**: {glossary.INTERVAL}\n"
            f"- **best**, **like best**: {glossary.BEST}\n"
            f"- **tied**: {glossary.TIES}\n"
            f"- **AP@{table.k}**: average precision, the mean of the precision at each neighbor of the same class: high when "
            "those come first.\n"
            "- **bytes**: of one vector, 4 for each number.\n"
            "- **params**, **ms**: parameters of the model up to the layer, and time for one image on the machine named above.\n"
            "- **hubness**: skewness of how often each image is among the neighbors of others. Near 0 all are about "
            "equally often; high where a few images are in very many results."
        )


def frame(context: ComparisonContext, places: np.ndarray) -> pd.DataFrame:
    """The numbers of some experiments, best first, as they are shown and downloaded."""
    table: ExperimentTable = context.table
    some = [table.experiments[p] for p in places]
    low, high = table.intervals
    return pd.DataFrame(
        {
            "rank": np.arange(1, len(places) + 1),
            "dataset": [one.dataset for one in some],
            "model": [one.model for one in some],
            "weights": [one.weights for one in some],
            "depth": [one.depth for one in some],
            "layer": [one.layer for one in some],
            "pooling": [one.pooling for one in some],
            "metric": [one.metric for one in some],
            context.label: (table.means[places] / context.measure.whole).round(4),
            "low_95": (low[places] / context.measure.whole).round(4),
            "high_95": (high[places] / context.measure.whole).round(4),
            "probability_best": table.certainty.probability[places].round(4),
            "like_best": table.certainty.alike[places],
            "tied": table.tied[places].round(4),
            **{
                MEASURES[name].label_at(table.k): (table.quality[name][places] / MEASURES[name].whole).round(
                    4
                )
                for name in _others(context)
            },
            f"AP@{table.k}": table.average_precision[places].round(4),
            "bytes_per_vector": table.costs["size"][places].astype(np.int64),
            "parameters": pd.Series(table.costs["parameters"][places]).astype("Int64"),
            "ms_per_image": table.costs["time"][places],
            "hubness": table.hubness[places].round(4),
        }
    )


def _others(context: ComparisonContext) -> list[str]:
    """The measures beside the one that configurations are compared by."""
    return [name for name in context.table.quality if name != context.by]


def _shares(context: ComparisonContext) -> list[str]:
    """The columns that are shares in files and percentages on the page."""
    k, compared = context.table.k, [] if context.by == SCORE else [context.label, "low_95", "high_95"]
    others = [MEASURES[name].label_at(k) for name in _others(context) if name != SCORE]
    return ["probability_best", "tied", *compared, *others, f"AP@{k}"]


def _columns(context: ComparisonContext) -> dict[str, Any]:
    k = context.table.k
    number = st.column_config.NumberColumn
    text = st.column_config.TextColumn
    return {
        "rank": number("", width=45),
        "model": text("model", width=135),
        "weights": text("weights", width=90),
        "layer": text("layer", width=135),
        "pooling": text("pooling", width=75),
        "metric": text("distance", width=95),
        "low_95": number("95% from", format="%.1f", width=80),
        "high_95": number("to", format="%.1f", width=60),
        "probability_best": number("best", format="%.0f%%", width=60),
        "like_best": st.column_config.CheckboxColumn("like best", width=75),
        "tied": number("tied", format="%.0f%%", width=60),
        **{
            (label := MEASURES[name].label_at(k)): number(label, format="%.1f", width=30 + 8 * len(label))
            for name in _others(context)
        },
        context.label: st.column_config.ProgressColumn(
            context.label, format="%.1f", min_value=0, max_value=100, width=110
        ),
        f"AP@{k}": number(f"AP@{k}", format="%.1f", width=75),
        "bytes_per_vector": number("bytes", format="localized", width=90),
        "parameters": number("params", format="compact", width=70),
        "ms_per_image": number("ms", format="%.1f", width=60),
        "hubness": number("hubness", format="%.2f", width=80),
    }


def _filter(context: ComparisonContext) -> np.ndarray:
    """Draw the filters; returns which experiments pass."""
    table = context.table
    passing = np.ones(len(table.experiments), bool)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        titles = {one.model: context.grid.run(one).about.title for one in table.experiments}
        for part, label, key in _PARTS:
            options = sorted({getattr(one, part) for one in table.experiments})
            wanted = _values(context, label, key, options, titles if part == "model" else {})
            if wanted:
                passing &= np.array([getattr(one, part) in wanted for one in table.experiments])
        for kind, label, limit, text in _LIMITS:
            passing &= _at_most(context, label, limit, text, table.costs[kind])
        passing &= _at_least(context)
    return passing


def _values(
    context: ComparisonContext, label: str, key: url.Several, options: list[str], titles: Mapping[str, str]
) -> list[str]:
    """The values that are let through, none for all of them; shown by their titles where they have some."""
    context.shown[key] = wanted = context.address.several(key, options)
    if len(options) > 1:
        st.multiselect(
            label,
            options,
            **pickers.bind(str(key), wanted, key),
            format_func=lambda name: titles.get(name, name),
            placeholder="All",
            width=180,
        )
    return wanted


def _at_most(
    context: ComparisonContext, label: str, key: url.Limit, text: Callable[[float], str], cost: np.ndarray
) -> np.ndarray:
    """(experiments,) bool: costs at most as much as the address says; all where it does not."""
    known = np.unique(cost[np.isfinite(cost)]).tolist()
    context.shown[key] = most = context.address.limit(key)
    if len(known) > 1 or most:
        st.selectbox(
            label,
            # Streamlit takes None for a choice that is yet to be made.
            sorted({0.0, most, *known}),
            format_func=lambda value: text(value) if value else "Any",
            **pickers.bind(str(key), most, key),
            width=130,
        )
    return cost <= most if most else np.ones(len(cost), bool)


def _at_least(context: ComparisonContext) -> np.ndarray:
    """(experiments,) bool: the measures are at least what the address says; those that were not measured pass where it says nothing."""
    table, passing = context.table, np.ones(len(context.table.experiments), bool)
    lowest = {name: context.address.limit(url.LOWEST[name]) for name in table.quality}
    asked = [f"{MEASURES[name].label_at(table.k)} ≥ {least:g}" for name, least in lowest.items() if least]
    with st.popover(", ".join(asked) or "Lowest quality", icon=":material/filter_alt:"):
        st.caption("Only configurations with at least so much of 100; 0 lets all through.")
        columns = st.columns(2)
        for place, (name, least) in enumerate(lowest.items()):
            context.shown[url.LOWEST[name]] = least
            columns[place % 2].number_input(
                MEASURES[name].label_at(table.k),
                0.0,
                100.0,
                step=5.0,
                format="%g",
                **pickers.bind(str(url.LOWEST[name]), min(least, 100.0), url.LOWEST[name]),
                help=glossary.MEASURES[name],
            )
            if least:
                passing &= table.quality[name] >= least
    return passing


def _act(context: ComparisonContext, one: Summary) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{markdown.plain(context.name(one))}**")
        results_button(context, one, "row-open")
        section_button("Compare with another", ":material/compare_arrows:", "row-compare", one, "pair")
        section_button("Use it", ":material/code:", "row-use", one, "use")


SECTION = Section(Group.DECIDE, "leaderboard", "Leaderboard", 2, show, halves=True)
