"""Does a choice carry over? How alike other datasets rank the configurations."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.errors import UserError
from core.evaluation import agreement, comparison
from core.evaluation.agreement import Correlation
from core.experiments import experiment_table
from core.experiments.experiment_table import ExperimentTable
from core.experiments.store import Grid
from dashboard.pages.compare.comparison_context import ComparisonContext, Group, Section
from dashboard.widgets import download_button, glossary, markdown

_FEWEST = 3
_HELP = (
    "**Spearman** is the rank correlation of the means of the same configurations on both datasets: 1 when both rank them alike, 0 when the rankings "
    "have nothing in common, −1 when one is the reverse of the other. **Kendall** counts pairs: both datasets prefer the same of two configurations in "
    "(1 + Kendall) / 2 of all pairs. The 95% intervals are for other sets of as many images of the same classes."
)


@dataclass(frozen=True)
class Agreement:
    """How another dataset ranks the configurations of this one.

    configurations : that both have; rank : that the best of this dataset has there, of these; lost : points that it scores below the best there.
    """

    title: str
    configurations: int
    spearman: Correlation
    kendall: Correlation
    rank: int
    lost: float


def show(context: ComparisonContext) -> None:
    """A row for each other dataset, and a sentence."""
    st.header("Does a choice carry over?")
    st.markdown(
        f"The same configurations on other datasets, by their {context.noun}: are those that are good here good there?",
        help=_HELP,
    )
    names = [name for name in Grid().dataset_names() if name != context.grid.dataset.name]
    found = [one for one in (_with(context, name) for name in names) if one is not None]
    if not found:
        st.info(
            f"No other dataset has {_FEWEST} or more of these configurations with lists of {context.table.k} neighbors.",
            icon=":material/info:",
        )
        return
    st.markdown(sentence(found))
    numbers = table(found)
    st.dataframe(numbers, hide_index=True, column_config=_columns())
    download_button.show(
        "Download the table (CSV)",
        lambda: download_button.csv(numbers),
        f"{context.grid.dataset.name}-other-datasets.csv",
    )


def _with(context: ComparisonContext, name: str) -> Agreement | None:
    """The agreement with another dataset; None where it can't be read or has too little in common."""
    try:
        grid = Grid().load(name)
        other = experiment_table.load(grid, context.k, context.untrained, by=context.by)
    except UserError:
        return None
    if other is None:
        return None
    here = (context.grid.key, context.k, context.untrained, context.by)
    return _agree(here, grid.key, grid.dataset.title, context.table, other)


@st.cache_resource(show_spinner=False, max_entries=16)
def _agree(
    here_key: tuple[str, int, bool, str],
    there_key: str,
    title: str,
    _here: ExperimentTable,
    _there: ExperimentTable,
) -> Agreement | None:
    return agree(_here, _there, title)


def agree(here: ExperimentTable, there: ExperimentTable, title: str) -> Agreement | None:
    """The agreement of two datasets on the configurations that both have; None where these are too few."""
    places = [
        (place, other)
        for place, one in enumerate(here.experiments)
        if (other := there.place(one.configuration)) is not None
    ]
    if len(places) < _FEWEST:
        return None
    a, b = np.array(places).T
    spearman, kendall = (
        agreement.correlate(
            statistic, here.means[a], here.contributed[a], there.means[b], there.contributed[b]
        )
        for statistic in (agreement.spearman, agreement.kendall)
    )
    best = int(comparison.best_first(here.means[a], here.costs["size"][a])[0])
    scores = there.means[b]
    rank = 1 + int((scores > scores[best] + 1e-9).sum())
    return Agreement(title, len(places), spearman, kendall, rank, float(scores.max() - scores[best]))


def sentence(found: list[Agreement]) -> str:
    """What the rows say."""
    parts = []
    for one in found:
        pairs = glossary.percent((1 + one.kendall.value) / 2)
        best = (
            "the best configuration of this dataset is the best there too"
            if one.rank == 1
            else f"the best configuration of this dataset has rank {one.rank} there, {one.lost:.1f} points below the best"
        )
        parts.append(
            f"**{markdown.plain(one.title)}** prefers the same of two configurations in {pairs} of all pairs of {one.configurations} "
            f"(rank correlation {one.spearman.value:.2f}, 95% interval {one.spearman.low:.2f} to {one.spearman.high:.2f}); {best}."
        )
    return "\n".join(f"- {part}" for part in parts)


def table(found: list[Agreement]) -> pd.DataFrame:
    """The rows in numbers, as they are shown and downloaded."""
    return pd.DataFrame(
        {
            "dataset": [one.title for one in found],
            "configurations": [one.configurations for one in found],
            "spearman": [one.spearman.value for one in found],
            "spearman_low_95": [one.spearman.low for one in found],
            "spearman_high_95": [one.spearman.high for one in found],
            "kendall": [one.kendall.value for one in found],
            "kendall_low_95": [one.kendall.low for one in found],
            "kendall_high_95": [one.kendall.high for one in found],
            "rank_of_best": [one.rank for one in found],
            "points_lost": [one.lost for one in found],
        }
    )


def _columns() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    return {
        "configurations": number("configurations", width=110),
        "spearman": number("Spearman", format="%.2f", width=85),
        "spearman_low_95": number("95% from", format="%.2f", width=80),
        "spearman_high_95": number("to", format="%.2f", width=60),
        "kendall": number("Kendall", format="%.2f", width=80),
        "kendall_low_95": number("95% from", format="%.2f", width=80),
        "kendall_high_95": number("to", format="%.2f", width=60),
        "rank_of_best": number("rank of the best", width=115),
        "points_lost": number("points lost", format="%.1f", width=90),
    }


SECTION = Section(Group.HOLDS, "carry", "Other datasets", 2, show)
