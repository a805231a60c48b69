"""What matters more: how the variation of a measure divides among model, layer, pooling and metric."""

import numpy as np
import pandas as pd
import streamlit as st

from core.evaluation import comparison
from core.experiments.store import Summary
from dashboard.pages.compare.comparison_context import ComparisonContext, Group, Section
from dashboard.widgets import glossary, markdown, palette, plotly_charts

_NAMES = {"model": "Model", "layer": "Layer (depth)", "pooling": "Pooling", "metric": "Distance"}
_SHORT = _NAMES | {"layer": "Layer"}


def show(context: ComparisonContext) -> None:
    """What a change of one choice loses, and shares of the variance as bars and in a sentence."""
    table = context.table
    _changes(context)
    st.header("What matters more?")
    st.markdown(
        f"Configurations differ. How much of that is due to the model, how much to the layer, the pooling, the "
        f"distance? Each bar is a share of all the variance of the {context.noun}: what is explained by this choice alone, and, "
        "below, by two choices together.",
        help="Analysis of variance, one factor at a time: the share is eta squared, the sum of squares between a factor's "
        "levels divided by the total sum of squares. It describes these experiments and is no promise for others.",
    )
    rows = [((one.model, one.weights), one.depth, one.pooling, one.metric) for one in table.experiments]
    places = comparison.balanced_part(rows)
    columns = dict(zip(_NAMES, zip(*(rows[p] for p in places), strict=True), strict=True))
    found = comparison.variation(table.means[places], columns)
    varied = [name for name, levels in found.levels.items() if len(levels) > 1]
    if not varied or sum(found.main.values()) + found.interactions == 0.0:
        st.info(
            "Nothing varies here that could be compared: this takes experiments that differ in score and, for example, "
            "several layers of a model.",
            icon=":material/info:",
        )
        return
    kept = [table.experiments[place] for place in places]
    settings = "; ".join(
        f"{_plural(name, 2)} {', '.join(dict.fromkeys(_level(context, name, one) for one in kept))}"
        for name in varied
    )
    counted = " × ".join(
        f"{len(found.levels[name])} {_plural(name, len(found.levels[name]))}" for name in _NAMES
    )
    st.caption(
        f"Computed from the {len(places)} experiments that make a complete grid ({counted}), of the {len(rows)} compared; "
        "the shares add up only where every combination exists."
    )
    st.caption(f"The shares hold for these settings and no others: {markdown.plain(settings)}.")
    shares = _shares(found, varied)
    order = sorted(varied, key=lambda name: -found.main[name])
    fixed = [_NAMES[name].lower() for name in _NAMES if name not in varied]
    sentence = (
        f"{_NAMES[order[0]]} matters most: by itself it explains {glossary.percent(found.main[order[0]])} of the variation"
        + "".join(f", {_NAMES[name].lower()} {glossary.percent(found.main[name])}" for name in order[1:])
        + f". The remaining {glossary.percent(found.interactions)} are interactions: choices whose effect depends on the others."
        + (f" Only one {' and one '.join(fixed)} is there, so nothing can be said of that." if fixed else "")
    )
    _chart(shares, sentence)
    _levels(table.means[places], columns, order, context)


def _changes(context: ComparisonContext) -> None:
    """The highest score, and what is lost when only one of its choices is another."""
    table = context.table
    rows = [((one.model, one.weights), one.depth, one.pooling, one.metric) for one in table.experiments]
    best = table.best
    st.header("What does another choice cost?")
    st.markdown(
        f"From the highest {context.noun}, {markdown.plain(context.name(table.experiments[best]))} with **{table.means[best]:.1f}**, only one choice is changed, and "
        "all others stay.",
        help=glossary.DIFFERENCE,
    )
    lines = []
    for name, places in zip(_NAMES, comparison.only_changing(rows, best), strict=True):
        if not len(places):
            continue
        order = places[np.argsort(-table.means[places], kind="stable")]
        lost = table.means[best] - table.means[order]
        gap = table.difference(best, int(order[0]))
        lines.append(
            {
                "choice": _NAMES[name],
                "others": len(order),
                "least": float(lost[0]),
                "interval": f"{gap.low:.1f} to {gap.high:.1f}",
                "best": _level(context, name, table.experiments[order[0]]),
                "middle": float(np.median(lost)),
                "most": float(lost[-1]),
                "worst": _level(context, name, table.experiments[order[-1]]),
            }
        )
    if not lines:
        st.info("No other experiment differs from it in one choice alone.", icon=":material/info:")
        return
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    st.dataframe(
        pd.DataFrame(lines),
        hide_index=True,
        column_config={
            "choice": text("changed", width=110),
            "others": number("others", width=65),
            "least": number("least points lost", format="%.1f", width=120),
            "interval": text("95% interval", width=95),
            "best": text("with", width=180),
            "middle": number("half lose more than", format="%.1f", width=120),
            "most": number("most", format="%.1f", width=60),
            "worst": text("with", width=180),
        },
        key="changes",
    )


def _level(context: ComparisonContext, name: str, one: Summary) -> str:
    """The level of a factor in words."""
    if name == "model":
        return context.model_title(one)
    return glossary.depth(one.depth) if name == "layer" else str(getattr(one, name))


def _plural(name: str, n: int) -> str:
    word = "distance" if name == "metric" else name
    return word if n == 1 else f"{word}s"


def _shares(found: comparison.Variation, varied: list[str]) -> list[tuple[str, float, bool]]:
    alone = [(_NAMES[name], found.main[name], True) for name in varied]
    pairs = [
        (f"{_SHORT[a]} and {_SHORT[b].lower()}", share, False)
        for (a, b), share in found.pairs.items()
        if a in varied and b in varied
    ]
    rest = [("Three or more", found.rest, False)] if len(varied) > 2 else []
    return sorted(alone, key=lambda row: -row[1]) + sorted(pairs, key=lambda row: -row[1]) + rest


def _chart(shares: list[tuple[str, float, bool]], sentence: str) -> None:
    import plotly.graph_objects as go

    strong, weak = ("#5b9bd5", "#6b7683") if palette.is_dark() else ("#1f5f99", "#8b97a5")
    figure = go.Figure(
        go.Bar(
            orientation="h",
            x=[100 * share for _, share, _ in shares],
            y=[plotly_charts.wrapped(name, 16) for name, _, _ in shares],
            marker={
                "color": [strong if alone else weak for _, _, alone in shares],
                "pattern": {"shape": ["" if alone else "/" for _, _, alone in shares]},
            },
            text=[glossary.percent(share) for _, share, _ in shares],
            textposition="outside",
            outsidetextfont={"color": plotly_charts.ink()},
            cliponaxis=False,
            hoverinfo="skip",
        )
    )
    figure.update_layout(
        height=34 * len(shares) + 70,
        margin={"l": 0, "r": 48, "t": 4, "b": 0},
        bargap=0.3,
        xaxis={
            "title": {"text": "share of the variance, %"},
            "fixedrange": True,
            "rangemode": "tozero",
        },
        yaxis={"autorange": "reversed", "fixedrange": True, "automargin": True, "ticksuffix": "  "},
        showlegend=False,
    )

    def numbers() -> pd.DataFrame:
        return pd.DataFrame(
            {"source": [name for name, _, _ in shares], "share": [share for _, share, _ in shares]}
        )

    plotly_charts.show(
        figure,
        "shares",
        sentence,
        numbers,
        {"share": st.column_config.NumberColumn("share of variance", format="percent")},
        clickable=False,
    )


def _levels(
    means: np.ndarray, columns: dict[str, tuple], order: list[str], context: ComparisonContext
) -> None:
    """The mean score of every level of every factor."""
    st.subheader("The mean of each choice, over all others")
    titles = {(one.model, one.weights): context.model_title(one) for one in context.table.experiments}
    # A row that breaks where it must, unlike columns, which get ever narrower.
    row = st.container(horizontal=True)
    for name in order:
        column = columns[name]
        levels = {level: means[[one == level for one in column]].mean() for level in dict.fromkeys(column)}
        ranked = sorted(levels.items(), key=lambda item: item[0] if name == "layer" else -item[1])
        with row.container(width=290):
            st.dataframe(
                pd.DataFrame(
                    {
                        "level": [titles[level] if name == "model" else str(level) for level, _ in ranked],
                        "score": [score for _, score in ranked],
                    }
                ),
                hide_index=True,
                column_config={
                    "level": st.column_config.TextColumn(_NAMES[name], width=150),
                    "score": st.column_config.ProgressColumn(
                        context.label, format="%.1f", min_value=0, max_value=100, width=138
                    ),
                },
            )


SECTION = Section(Group.DECIDE, "factors", "What matters", 4, show)
