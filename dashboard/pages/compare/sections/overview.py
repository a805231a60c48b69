"""The overview: the best configuration in a sentence, and every model and layer in one chart."""

import numpy as np
import pandas as pd
import streamlit as st

from core.experiments import experiment_table
from core.experiments.experiment_table import ExperimentTable
from core.models import registry
from dashboard import url
from dashboard.pages.compare.comparison_context import (
    ComparisonContext,
    Group,
    Section,
)
from dashboard.pages.compare.sections import cost_tradeoff
from dashboard.widgets import decision_card, glossary, markdown, pickers, plotly_charts


def show(context: ComparisonContext) -> None:
    """Decision, verdict and heat map."""
    asked = decision_card.read(context.address)
    context.shown |= asked
    shared: dict[url.Key, object] = {url.K: context.k, url.QUERY: context.query, url.BY: context.by}
    decision_card.limits(asked, context.measure)
    decision_card.show(context.grid, context.table, asked, context.machine, shared)
    _verdict(context)
    st.header("Models and layers")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        pickers.pooling(context.grid, context.chosen)
        pickers.metric(context.grid, context.chosen)
    _models_by_layers(context)


def _verdict(context: ComparisonContext) -> None:
    table = context.table
    best = table.experiments[table.best]
    low, high = table.intervals
    n = len(table.experiments)
    st.header(f"The highest {context.measure.label_at(table.k)}")
    st.markdown(
        f"**{'Highest ' + context.noun if table.chosen_on is None else 'Chosen on one half'}: {markdown.plain(context.name(best))}** with "
        f"**{table.means[table.best]:.1f}** of 100 (95% interval {low[table.best]:.1f} to {high[table.best]:.1f}).",
        help=f"{glossary.MEASURES[context.by]}\n\n{glossary.INTERVAL}",
    )
    if n == 1:
        st.markdown("It is the only experiment here; compute more to compare it with.")
        return
    st.markdown(rivals(int(table.certainty.alike.sum()) - 1, n - 1), help=glossary.BEST)
    st.markdown(luck(table))
    kind = next(kind for kind in experiment_table.COSTS if np.isfinite(table.costs[kind][table.best]))
    st.markdown(cost_tradeoff.verdict(context, kind))


def rivals(alike: int, others: int) -> str:
    """How many of the others can't be told from the best, in a sentence."""
    if alike == 0:
        all_others = "The other one is" if others == 1 else f"All {others} others are"
        return f"{all_others} lower, by more than chance would explain."
    if alike == others:
        no_other = "the other one is not" if others == 1 else "none of the others is"
        return f"With these images, {no_other} lower by more than chance: let cost decide."
    return f"With these images, {alike} of the other {others} can't be told from it: among them, let cost decide."


def luck(table: ExperimentTable) -> str:
    """How often it is the best, and by how much luck its score is too high."""
    if table.chosen_on is not None:
        chosen = len(table.gallery) - len(table.queries)
        return (
            f"It was chosen as the best on {chosen:,} of the images, with {table.chosen_on[table.best]:.1f} there. All numbers here are those of the "
            f"other {len(table.queries):,} images, which had no part in the choice."
        )
    certainty = table.certainty
    often = f"It is the best in {glossary.percent(certainty.probability[table.best])} of resampled sets of images."
    points = f"{certainty.optimism:.1f}"
    if float(points) <= 0:
        return often
    return f"{often} The best of many is also lucky: such a winner has about {points} points too many."


def _models_by_layers(context: ComparisonContext) -> None:
    table, chosen = context.table, context.chosen
    cells = {
        ((one.model, one.weights), one.depth): place
        for place, one in enumerate(table.experiments)
        if (one.pooling, one.metric) == (chosen.pooling, chosen.metric)
    }
    if not cells:
        st.info(
            f"No experiment that is compared here has the pooling {chosen.pooling} and the metric {chosen.metric}.",
            icon=":material/info:",
        )
        return
    peak = {model: max(table.means[p] for (m, _), p in cells.items() if m == model) for model, _ in cells}
    models = sorted(peak, key=lambda model: (model[1] == url.UNTRAINED, -peak[model]))
    depths = sorted({depth for _, depth in cells})
    values = np.full((len(models), len(depths)), np.nan)
    texts = [["" for _ in depths] for _ in models]
    hover = [["" for _ in depths] for _ in models]
    data: list[list[int | None]] = [[None for _ in depths] for _ in models]
    top = max(cells.values(), key=lambda place: table.means[place])
    low, high = table.intervals
    for (model, depth), place in cells.items():
        r, c = models.index(model), depths.index(depth)
        one = table.experiments[place]
        values[r, c] = table.means[place]
        texts[r][c] = f"{table.means[place]:.0f}" + (" ★" if place == top else "")
        hover[r][c] = (
            f"<b>{plotly_charts.words(context.model_title(one))}</b><br>layer {glossary.depth(one.depth)}: {plotly_charts.words(one.layer)}"
            f"<br>{context.label} {table.means[place]:.1f} "
            f"({low[place]:.1f} to {high[place]:.1f})<br>click to look at its results"
        )
        data[r][c] = place
    best = table.experiments[top]
    named = {model: context.model_title(table.experiments[p]) for (model, _), p in cells.items()}
    figure = plotly_charts.heat_map(
        values,
        [plotly_charts.words(named[model]) for model in models],
        [glossary.depth(depth) for depth in depths],
        texts,
        hover,
        data,
        context.label,
        across="layer, from the first (1) to the last"
        + (" and those beside them (+)" if depths[-1] > registry.N_LAYERS else ""),
    )

    def numbers() -> pd.DataFrame:
        return pd.DataFrame(
            [
                {"model": named[model]}
                | {f"layer {glossary.depth(depth)}": values[r, c] for c, depth in enumerate(depths)}
                for r, model in enumerate(models)
            ]
        )

    clicked = plotly_charts.show(
        figure,
        "heat-map",
        f"{glossary.capital(context.noun)} of each model (row) and layer (column) with {chosen.pooling} pooling and "
        f"{chosen.metric} distance, from {np.nanmin(values):.0f} to {np.nanmax(values):.0f}. "
        f"The best is {context.name(best)} (★). Click a cell to look at its results.",
        numbers,
        {f"layer {glossary.depth(depth)}": st.column_config.NumberColumn(format="%.1f") for depth in depths},
    )
    if clicked is not None:
        context.open(table.experiments[int(clicked)])


SECTION = Section(Group.DECIDE, "overview", "Overview", 1, show, halves=True)
