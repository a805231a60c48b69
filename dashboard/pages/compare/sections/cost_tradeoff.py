"""Quality against cost: what a better score costs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.evaluation import comparison
from dashboard import url
from dashboard.pages.compare.comparison_context import ComparisonContext, Group, Section, ratio
from dashboard.widgets import glossary, machine, markdown, palette, pickers, plotly_charts

_MARGIN = 1.0
# What is at least so often on the front is named beside it.
_OFTEN = 0.2


@dataclass(frozen=True)
class Cost:
    """A cost in words. noun : after "at half the"; axis : of a chart; column : how a table shows it."""

    title: str
    noun: str
    axis: str
    column: Any


_KINDS = {
    "time": Cost(
        "Time",
        "time",
        "milliseconds per image, up to the layer",
        st.column_config.NumberColumn("ms per image", format="%.2f"),
    ),
    "parameters": Cost(
        "Parameters",
        "parameters",
        "parameters up to the layer",
        st.column_config.NumberColumn("parameters", format="compact"),
    ),
    "size": Cost(
        "Vector size",
        "size",
        "bytes per vector",
        st.column_config.NumberColumn("bytes per vector", format="localized"),
    ),
}


def amount(kind: str, value: float) -> str:
    """A cost with its unit."""
    if kind == "time":
        return f"{value:.3g} ms per image"
    return (
        f"{glossary.count(value)} parameters"
        if kind == "parameters"
        else f"{glossary.size(int(value))} per vector"
    )


def verdict(context: ComparisonContext, kind: str) -> str:
    """What a slightly lower score saves, in a sentence of Markdown."""
    table, cost = context.table, context.table.costs[kind]
    best = table.best
    found = comparison.cheapest_within(table.means, cost, _MARGIN)
    if found is None or not np.isfinite(cost[best]):
        return f"The {_KINDS[kind].noun} of the best was not measured."
    cheap = found[1]
    if cost[cheap] < cost[best] and table.means[cheap] >= table.means[best] - _MARGIN:
        return (
            f"Within {_MARGIN:g} point of it at {ratio(cost[cheap] / cost[best])} the {_KINDS[kind].noun}: "
            f"**{markdown.plain(context.name(table.experiments[cheap]))}** with {table.means[cheap]:.1f} ({_instead(kind, cost[cheap], cost[best])})."
        )
    nothing = (
        f"Nothing within {_MARGIN:g} point of it costs less {_KINDS[kind].noun} than its "
        f"{markdown.plain(amount(kind, cost[best]))}."
    )
    cheaper = np.flatnonzero(cost < cost[best])
    if not len(cheaper):
        return nothing
    next_best = min(cheaper, key=lambda place: (-table.means[place], cost[place]))
    return (
        f"{nothing} The best that does is **{markdown.plain(context.name(table.experiments[next_best]))}**: "
        f"{table.means[best] - table.means[next_best]:.1f} points lower at {ratio(cost[next_best] / cost[best])} the "
        f"{_KINDS[kind].noun} ({_instead(kind, cost[next_best], cost[best])})."
    )


def _instead(kind: str, less: float, more: float) -> str:
    """Two costs, the unit once where both have the same: "9 instead of 10.5 ms per image"."""
    (little, unit), (much, other) = (amount(kind, value).split(" ", 1) for value in (less, more))
    return markdown.plain(f"{little} {'' if unit == other else unit + ' '}instead of {much} {other}")


def show(context: ComparisonContext) -> None:
    """Scatter chart with the front, the front as a list, and a sentence."""
    table, kind = context.table, context.cost
    st.header("What does better quality cost?")
    st.markdown(
        "Each mark is a configuration. On the **Pareto front** nothing else is both as good and as cheap: whatever you "
        "choose, choose from the front. All distances cost the same, so configurations that differ only in the distance share a column.",
        help=glossary.COST,
    )
    pickers.segments("Cost", {one: _KINDS[one].title for one in table.known_costs}, kind, url.COST, "cost")
    if kind == "time" or context.machine.others:
        machine.show(context.grid, context.machine)
    best = table.best
    st.markdown(
        f"{'Highest ' + context.noun if table.chosen_on is None else 'Chosen on one half'}: **{markdown.plain(context.name(table.experiments[best]))}** with {table.means[best]:.1f} of 100. "
        + verdict(context, kind)
    )
    cost = table.costs[kind]
    unknown = int((~np.isfinite(cost)).sum())
    if unknown:
        st.caption(f"{unknown} experiments lack this measurement and are left out.")
    front = comparison.pareto_front(table.means, cost)
    _chart(context, kind, front)
    _listed(context, kind, front)


def _chart(context: ComparisonContext, kind: str, front: np.ndarray) -> None:
    import plotly.graph_objects as go

    table, cost = context.table, context.table.costs[kind]
    titles = [context.model_title(one) for one in table.experiments]
    styles = palette.class_styles(tuple(sorted(set(titles))))
    ink = plotly_charts.ink()
    figure = go.Figure()
    # Drawn first, so that the marks lie above it.
    figure.add_scatter(
        x=cost[front],
        y=table.means[front],
        mode="lines",
        line={"color": ink, "width": 2, "shape": "hv"},
        name="Pareto front",
        hoverinfo="skip",
    )
    for title, style in styles.items():
        places = [p for p, one in enumerate(titles) if one == title and np.isfinite(cost[p])]
        figure.add_scatter(
            x=cost[places],
            y=table.means[places],
            mode="markers",
            name=plotly_charts.words(title),
            marker={"color": style.color, "symbol": style.symbol, "size": 8, "opacity": 0.6},
            customdata=places,
            hovertext=[_hover(context, kind, p) for p in places],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    groups = _numbered(front, cost, table.means)
    marked = [places[0] for places in groups.values()]
    figure.add_scatter(
        x=cost[marked],
        y=table.means[marked],
        mode="markers+text",
        marker={"color": "rgba(0,0,0,0)", "size": 17, "line": {"color": ink, "width": 2}},
        text=list(groups),
        textposition="top center",
        textfont={"size": plotly_charts.NORMAL, "color": ink},
        cliponaxis=False,
        showlegend=False,
        customdata=marked,
        hovertext=["<br><br>".join(_hover(context, kind, p) for p in places) for places in groups.values()],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    ticks = _ticks(float(np.nanmin(cost)), float(np.nanmax(cost)))
    figure.update_layout(
        height=460,
        margin={"l": 0, "r": 0, "t": 16, "b": 0},
        xaxis={
            "type": "log" if cost[front].min() > 0 else "linear",
            "title": {"text": _KINDS[kind].axis},
            "fixedrange": True,
            **ticks,
        },
        yaxis={"title": {"text": context.noun}, "fixedrange": True, "zeroline": False},
        legend={"orientation": "h", "y": -0.2, "x": 0, "yanchor": "top"},
    )
    clicked = plotly_charts.show(
        figure,
        f"cost-{kind}",
        f"{glossary.capital(context.noun)} over {_KINDS[kind].axis} (logarithmic) for {np.isfinite(cost).sum()} configurations. The front has "
        f"{len(front)}, from {table.means[front[0]]:.0f} points at {amount(kind, cost[front[0]])} to "
        f"{table.means[front[-1]]:.0f} at {amount(kind, cost[front[-1]])}. Click a mark to look at its results.",
    )
    if clicked is not None:
        context.open(table.experiments[int(clicked)])


def _numbered(front: np.ndarray, cost: np.ndarray, means: np.ndarray) -> dict[str, list[int]]:
    """The front's places under their numbers in the list; those at one point of the chart together."""
    points: dict[tuple[float, float], list[int]] = {}
    for number, place in enumerate(front.tolist(), 1):
        points.setdefault((cost[place], means[place]), []).append(number)
    return {", ".join(map(str, numbers)): [int(front[n - 1]) for n in numbers] for numbers in points.values()}


def _ticks(low: float, high: float) -> dict[str, Any]:
    """Ticks of a logarithmic axis at 1, 2 and 5 of each power of ten, or only at the powers when there are many."""
    if low <= 0:
        return {}
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    steps = (1, 2, 5) if len(powers) <= 4 else (1,)
    values = [step * 10.0**power for power in powers for step in steps]
    return {"tickvals": values, "ticktext": [glossary.count(v) if v >= 1000 else f"{v:g}" for v in values]}


def _hover(context: ComparisonContext, kind: str, place: int) -> str:
    table, one = context.table, context.table.experiments[place]
    return (
        f"<b>{plotly_charts.words(context.model_title(one))}</b><br>{plotly_charts.words(context.name(one, model=False))}<br>"
        f"{context.label} {table.means[place]:.1f}<br>{amount(kind, table.costs[kind][place])}"
    )


def _listed(context: ComparisonContext, kind: str, front: np.ndarray) -> None:
    table = context.table
    probability = table.front_probability(kind)
    st.subheader("The Pareto front, from cheap to good")
    st.markdown(
        "With other images of the same classes, the front would be another. *On the front* is how often a configuration is on it over sets of "
        "images in which the means vary as far as their intervals let them.",
    )
    _table(context, kind, front, probability, "front")
    others = np.flatnonzero(probability >= _OFTEN)
    others = others[~np.isin(others, front)]
    if len(others):
        others = others[np.argsort(-probability[others], kind="stable")]
        st.markdown(f"**Not on it here, but in at least {glossary.percent(_OFTEN)} of these sets**")
        _table(context, kind, others, probability, "near-front")


def _table(
    context: ComparisonContext, kind: str, places: np.ndarray, probability: np.ndarray, key: str
) -> None:
    table = context.table
    low, high = table.intervals
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "number": number,
                    "configuration": context.name(table.experiments[p]),
                    "score": table.means[p],
                    "low": low[p],
                    "high": high[p],
                    "cost": table.costs[kind][p],
                    "probability": 100 * probability[p],
                }
                for number, p in enumerate(places.tolist(), 1)
            ]
        ),
        hide_index=True,
        height="content" if len(places) <= 20 else 500,
        column_config={
            "number": st.column_config.NumberColumn("", width=40),
            "score": st.column_config.NumberColumn(context.label, format="%.1f"),
            "low": st.column_config.NumberColumn("95% from", format="%.1f"),
            "high": st.column_config.NumberColumn("to", format="%.1f"),
            "cost": _KINDS[kind].column,
            "probability": st.column_config.NumberColumn("on the front", format="%.0f%%"),
        },
        key=f"{key}-{kind}",
    )


SECTION = Section(Group.DECIDE, "cost", "Quality and cost", 3, show, halves=True)
