"""Robustness: which configurations still recognize images that have been turned, cropped, compressed or darkened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core.errors import GridError
from core.evaluation.robustness import K, Recognition
from core.experiments import robustness_file
from core.experiments.robustness_file import UNCHANGED
from core.experiments.store import Grid, Summary
from core.imaging.changes import CHANGES, STRENGTHS
from dashboard import url
from dashboard.pages.compare.comparison_context import ComparisonContext, Group, Section
from dashboard.widgets import download_button, glossary, markdown, pickers, plotly_charts

Found = Mapping[tuple[str, int], Recognition]

_MEASURES = {"recall": "Same image", "precision": "Same class"}
_ROWS = {"models": "Models", "layers": "Layers"}
_MEANS = {
    "recall": "of the changed images find their own original first",
    "precision": f"of the {K} nearest other images are of the same class",
}
_HELP = (
    f"Each image is changed and searched for among all unchanged images. **Same image**: how often its own original comes first "
    f"(same-image recall@1). **Same class**: how many of the {K} nearest other images share its class (label precision@{K})."
)


@dataclass(frozen=True)
class _Row:
    """A configuration with what is shown of it: a share for each column, the mean over all changes last."""

    one: Summary
    found: Found
    shares: tuple[float, ...]


def show(context: ComparisonContext) -> None:
    """The heat map, its sentence and its numbers."""
    st.header("Robustness")
    measure, strength, kind = (
        context.address.choice(key) for key in (url.MEASURE, url.STRENGTH, url.ROBUST_ROWS)
    )
    context.shown |= {url.MEASURE: measure, url.STRENGTH: strength, url.ROBUST_ROWS: kind}
    st.markdown(
        "Which configurations still recognize images after they have been turned, cropped, compressed or darkened?",
        help=_HELP,
    )
    try:
        tables = robustness_file.read(Grid().folder, context.grid.dataset)
    except GridError as error:
        st.error(markdown.plain(str(error)), icon=":material/error:")
        return
    by_configuration = robustness_file.by_configuration(tables)
    measured = {
        one: by_configuration[one.configuration]
        for one in context.table.experiments
        if one.configuration in by_configuration
    }
    if not measured:
        _nothing(context, "Robustness has not been measured")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        pickers.segments("Measure", _MEASURES, measure, url.MEASURE, "measure", help=_HELP)
        strengths = {"all": "Mean"} | {name: name.title() for name in STRENGTHS}
        pickers.segments("Strength", strengths, strength, url.STRENGTH, "strength")
        pickers.segments(
            "Rows",
            _ROWS,
            kind,
            url.ROBUST_ROWS,
            "robust-rows",
            help="Of each model the layer that is best here, or all layers of one model.",
        )
        if kind == "layers":
            pickers.model(context.grid, context.chosen, context.untrained)
    chosen = {
        one: found
        for one, found in measured.items()
        if kind == "models" or (one.model, one.weights) == (context.chosen.model, context.chosen.weights)
    }
    if not chosen:
        _nothing(context, "The robustness of the model has not been measured")
        return
    pooling, metric = _nearest_kind(context.chosen, list(chosen))
    rows = [
        _row(one, found, measure, strength)
        for one, found in chosen.items()
        if (one.pooling, one.metric) == (pooling, metric)
    ]
    if kind == "models":
        best: dict[tuple[str, str], _Row] = {}
        for row in sorted(rows, key=lambda row: (-row.shares[-1], row.one.dimensions)):
            best.setdefault((row.one.model, row.one.weights), row)
        rows = list(best.values())
    else:
        rows.sort(key=lambda row: row.one.depth)
    named = context.model_title if kind == "models" else lambda one: one.layer
    names = [f"{named(row.one)} · {glossary.depth(row.one.depth)}" for row in rows]
    _heat_map(context, rows, names, measure, strength)
    with st.container(horizontal=True, vertical_alignment="center"):
        download_button.show(
            "Download all results (CSV)",
            lambda: download_button.csv(results(measured)),
            f"{context.grid.dataset.name}-robustness.csv",
        )
        with st.expander("What the changes are"):
            st.markdown(
                "\n".join(
                    f"- **{change.title}** ({', '.join(change.words)}): {change.explanation}"
                    for change in CHANGES.values()
                )
            )


def results(measured: Mapping[Summary, Found]) -> pd.DataFrame:
    """Every result of some configurations, with 95% intervals."""
    rows = []
    for one, found in measured.items():
        for (change, strength), result in found.items():
            low, high = result.recall_interval
            rows.append(
                {
                    **{part: getattr(one, part) for part in ("dataset", *url.PARTS)},
                    "change": change,
                    "strength": strength,
                    "level": "" if change == UNCHANGED else CHANGES[change].words[strength - 1],
                    "images": result.n,
                    "recall@1": round(result.recall, 4),
                    "recall_low_95": round(low, 4),
                    "recall_high_95": round(high, 4),
                    f"precision@{K}": round(result.precision, 4),
                    "precision_low_95": round(result.precision_low, 4),
                    "precision_high_95": round(result.precision_high, 4),
                }
            )
    return pd.DataFrame(rows)


def _nothing(context: ComparisonContext, sentence: str) -> None:
    st.info(
        f"{sentence} on {markdown.quoted(context.grid.dataset.title)}. This command measures it:",
        icon=":material/info:",
    )
    st.code(f"playground grid robustness --dataset {context.dataset_option}", language=None, wrap_lines=True)


def _nearest_kind(chosen: Summary, measured: Sequence[Summary]) -> tuple[str, str]:
    """The pooling and metric to show: those of the chosen configuration, or else others that were measured."""
    kinds = list(dict.fromkeys((one.pooling, one.metric) for one in measured))
    return max(kinds, key=lambda kind: (kind[0] == chosen.pooling) + (kind[1] == chosen.metric))


def _row(one: Summary, found: Found, measure: str, strength: str) -> _Row:
    if strength == "all":
        shares = robustness_file.over_strengths(found, measure)
    else:
        level = STRENGTHS.index(strength) + 1
        shares = {change: getattr(found[change, level], measure) for change in CHANGES}
    unchanged = getattr(found[UNCHANGED, 0], measure)
    return _Row(one, found, (unchanged, *shares.values(), float(np.mean(list(shares.values())))))


def _heat_map(
    context: ComparisonContext, rows: Sequence[_Row], names: Sequence[str], measure: str, strength: str
) -> None:
    columns = ["Unchanged", *(change.title for change in CHANGES.values()), "All changes"]
    values = 100 * np.array([row.shares for row in rows])
    hover = [[_hover(context, row, column) for column in (UNCHANGED, *CHANGES, None)] for row in rows]
    figure = plotly_charts.heat_map(
        values,
        [plotly_charts.words(name) for name in names],
        [plotly_charts.wrapped(column) for column in columns],
        [[f"{value:.0f}" for value in line] for line in values],
        hover,
        [[place] * len(columns) for place in range(len(rows))],
        "%",
        across="change",
        low=0.0,
        high=100.0,
        down="model · layer" if len({row.one.model for row in rows}) > 1 else "layer",
    )
    best = max(rows, key=lambda row: row.shares[-1])
    changes = list(CHANGES.values())
    worst = changes[int(np.argmin(best.shares[1:-1]))]
    hardest = changes[int(np.argmin(values[:, 1:-1].mean(axis=0)))]
    how = "at all strengths" if strength == "all" else f"at the strength {strength}"
    n = best.found[UNCHANGED, 0].n
    others = (
        ""
        if len(rows) == 1
        else f"Over all rows, {hardest.title.lower()} hurts most, with {values[:, 1 + changes.index(hardest)].mean():.0f}% on average. "
    )
    sentence = (
        f"{context.name(best.one)} is the most robust here: on average over "
        f"{len(changes)} changes {how}, {glossary.percent(best.shares[-1])} {_MEANS[measure]}, "
        f"{glossary.percent(best.shares[0])} without a change. What hurts it most is {worst.title.lower()} "
        f"({glossary.percent(min(best.shares[1:-1]))}). {others}Measured with {n:,} images; among more, an image is harder to find. "
        "Click a cell to look at the results of its configuration."
    )

    def numbers() -> pd.DataFrame:
        return pd.DataFrame(values, columns=columns).assign(configuration=names)[["configuration", *columns]]

    clicked = plotly_charts.show(
        figure,
        "robustness",
        sentence,
        numbers,
        {column: st.column_config.NumberColumn(format="%.1f%%") for column in columns},
        wide=True,
    )
    if clicked is not None:
        context.open(rows[int(clicked)].one)


def _hover(context: ComparisonContext, row: _Row, change: str | None) -> str:
    """The results of a configuration under a change, at each strength."""
    title = plotly_charts.words(context.name(row.one))
    if change is None:
        return f"<b>{title}</b><br>mean over all changes: {100 * row.shares[-1]:.1f}%"
    levels = {0: "as it is"} if change == UNCHANGED else dict(enumerate(CHANGES[change].words, 1))
    lines = [f"<b>{title}</b>", "Unchanged" if change == UNCHANGED else CHANGES[change].title]
    for strength, words in levels.items():
        one = row.found[change, strength]
        low, high = one.recall_interval
        lines.append(
            f"{words}: same image {100 * one.recall:.0f}% ({100 * low:.0f} to {100 * high:.0f}), same class "
            f"{100 * one.precision:.0f}% ({100 * one.precision_low:.0f} to {100 * one.precision_high:.0f})"
        )
    return "<br>".join(lines)


SECTION = Section(Group.HOLDS, "robustness", "Robustness", 1, show)
