"""Scores by class and by image, and which classes a configuration confuses."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from core.errors import GridError
from core.evaluation import rankings
from core.experiments.query_scores import Evaluation, Values, evaluate, values
from core.experiments.store import Summary
from dashboard import url
from dashboard.pages.compare.comparison_context import ComparisonContext, Group, Section
from dashboard.widgets import class_names, glossary, markdown, palette, pickers, plotly_charts

if TYPE_CHECKING:
    import plotly.graph_objects as go

_VIEWS = {"models": "Best of each model", "layers": "Layers of one model"}
_MOST_CLASSES = 40
_MOST_BARS = 400
_MOST_TICKS = 12


def show(context: ComparisonContext) -> None:
    """Scores of classes under several configurations, then one configuration: its confusions and the score of every image."""
    labels = context.grid.dataset.classes
    codes = {label: code for code, label in enumerate(labels)}
    by_id = np.array([codes[label] for label in context.grid.dataset.labels])
    _classes(context, by_id)
    try:
        found = evaluate(context.grid, context.chosen.configuration, context.k)
        reached = values(context.grid, context.chosen.configuration, context.k, context.by)
    except GridError as error:
        st.error(f"This experiment can't be shown: {markdown.plain(str(error))}", icon=":material/error:")
        return
    _confusion(context, found, by_id)
    _bars(context, reached, by_id)


def _classes(context: ComparisonContext, by_id: np.ndarray) -> None:
    table, classes = context.table, context.grid.dataset.classes
    view = context.classes_view
    st.header("Classes")
    pickers.segments("Columns", _VIEWS, view, url.CLASSES_VIEW, "view", hidden=True)
    places = _best_of_models(context) if view == "models" else _layers(context)
    if not places:
        st.info("The model above is not among those compared.", icon=":material/info:")
        return
    means = rankings.class_means(table.scores[places], by_id[table.queries], len(classes)).T
    there = np.flatnonzero(np.isfinite(means).all(axis=1))
    hardest = there[np.argsort(means[there].mean(axis=1), kind="stable")]
    shown = hardest[:_MOST_CLASSES]
    # In the dataset's own order, unless there are too many: then the hardest come first.
    shown = np.sort(shown) if len(there) <= _MOST_CLASSES else shown
    cells = means[shown]
    intervals = {(p, c): table.class_interval(p, classes[c]) for p in places for c in shown.tolist()}
    figure = _class_chart(context, places, shown, cells, intervals)
    worst = int(hardest[0])

    def numbers() -> pd.DataFrame:
        columns: dict[str, object] = {"class": [classes[c] for c in shown]}
        for i, p in enumerate(places):
            name = context.name(table.experiments[p])
            columns[name] = cells[:, i]
            columns[f"{name}, 95% interval"] = [
                f"{low:.1f} to {high:.1f}" for low, high in (intervals[p, c] for c in shown.tolist())
            ]
        return pd.DataFrame(columns)

    clicked = plotly_charts.show(
        figure,
        f"classes-{view}",
        f"{glossary.capital(context.noun)} of the images of each class (row) "
        + (
            "under the best configuration of each model (column)"
            if view == "models"
            else "at each layer (column)"
        )
        + (f", the {_MOST_CLASSES} hardest of {len(there)} classes" if len(there) > _MOST_CLASSES else "")
        + f". The hardest class is {class_names.in_sentence(classes[worst])} with {means[worst].mean():.0f} on average. "
        "A cell's 95% interval is shown with the mouse over it, and in the numbers. Click a cell to open the class's hardest image with that configuration.",
        numbers,
        {context.name(table.experiments[p]): st.column_config.NumberColumn(format="%.1f") for p in places},
        wide=len(places) > 1,
    )
    if clicked:
        place, code = int(clicked[0]), int(clicked[1])
        members = np.flatnonzero(by_id[table.queries] == code)
        lowest = members[np.argmin(table.scores[place, members])]
        context.open(table.experiments[place], int(table.queries[lowest]))


def _class_chart(
    context: ComparisonContext,
    places: Sequence[int],
    shown: np.ndarray,
    cells: np.ndarray,
    intervals: Mapping[tuple[int, int], tuple[float, float]],
) -> "go.Figure":
    """A heat map of the means (classes shown, places) with their intervals by place and class."""
    table, classes, view = context.table, context.grid.dataset.classes, context.classes_view
    heads = [
        context.model_title(table.experiments[p])
        if view == "models"
        else glossary.depth(table.experiments[p].depth)
        for p in places
    ]
    return plotly_charts.heat_map(
        cells,
        plotly_charts.short([classes[c] for c in shown]),
        [plotly_charts.wrapped(head, 16) for head in heads],
        [[f"{value:.0f}" for value in row] for row in cells],
        [
            [
                f"<b>{plotly_charts.wrapped(classes[c], 60)}</b><br>{plotly_charts.words(context.name(table.experiments[p]))}<br>{context.label} {cells[r, i]:.1f}"
                f" ({intervals[p, c][0]:.1f} to {intervals[p, c][1]:.1f})"
                for i, p in enumerate(places)
            ]
            for r, c in enumerate(shown.tolist())
        ],
        [[[int(p), int(c)] for p in places] for c in shown],
        context.label,
        across=""
        if view == "models"
        else f"layer of {plotly_charts.words(context.model_title(table.experiments[places[0]]))}",
        low=0.0,
        high=100.0,
    )


def _best_of_models(context: ComparisonContext) -> list[int]:
    """The best experiment of each model, best model first."""
    table = context.table
    found: dict[tuple[str, str], int] = {}
    for place in table.order:
        one = table.experiments[place]
        found.setdefault((one.model, one.weights), int(place))
    return list(found.values())


def _layers(context: ComparisonContext) -> list[int]:
    """The layers of the chosen model under its pooling and metric, by depth."""

    def fits(one: Summary) -> bool:
        return all(
            getattr(one, part) == getattr(context.chosen, part)
            for part in ("model", "weights", "pooling", "metric")
        )

    table = context.table
    places = [place for place, one in enumerate(table.experiments) if fits(one)]
    return sorted(places, key=lambda place: table.experiments[place].depth)


def _confusion(context: ComparisonContext, found: Evaluation, by_id: np.ndarray) -> None:
    classes = context.grid.dataset.classes
    shares, counts = rankings.confusion(found.queries, found.ids[:, : found.k], by_id, len(classes))
    there = np.flatnonzero(counts)
    wrong = shares.copy()
    np.fill_diagonal(wrong, 0.0)
    i, j = map(int, np.unravel_index(wrong.argmax(), wrong.shape))
    st.header("Which classes are mistaken for which?")
    if wrong[i, j] > 0:
        sentence = f"Most often {class_names.in_sentence(classes[j])} are among the neighbors of {class_names.in_sentence(classes[i])}, as {glossary.percent(wrong[i, j])} of them."
    else:
        sentence = "No neighbor is of another class."

    def numbers() -> pd.DataFrame:
        return pd.DataFrame(
            [
                {"searched": classes[i], "found": classes[j], "share": shares[i, j]}
                for i, j in np.argwhere(shares > 0).tolist()
            ]
        ).sort_values("share", ascending=False)

    look = {"share": st.column_config.NumberColumn("share of neighbors", format="percent")}
    rows, columns = _mistaken(shares, counts)
    few = ""
    if len(rows) < len(there):
        few = f" These are the {len(columns)} of {len(there)} classes that are mistaken most; all others are one column."
    values = shares[np.ix_(rows, columns)]
    rest = ["all others"] if few else []
    if rest:
        values = np.column_stack([values, np.clip(1 - values.sum(axis=1), 0, 1)])
    found_names = [plotly_charts.wrapped(classes[j], 60) for j in columns] + rest
    figure = plotly_charts.heat_map(
        100 * values,
        plotly_charts.short([classes[i] for i in rows]),
        plotly_charts.heads([classes[j] for j in columns] + ["all others"] * len(rest)),
        [[_short(value) for value in row] for row in values],
        [
            [
                f"searched: <b>{plotly_charts.wrapped(classes[i], 60)}</b><br>found: <b>{found_name}</b><br>"
                f"{glossary.percent(value)} of the neighbors"
                for found_name, value in zip(found_names, row, strict=True)
            ]
            for i, row in zip(rows, values, strict=True)
        ],
        [[[int(i), int(j)] for j in columns] + [None] * len(rest) for i in rows],
        "% of neighbors",
        across="class that is found",
        down="class that is searched for",
        low=0.0,
        high=100.0,
    )
    clicked = plotly_charts.show(
        figure,
        "confusion",
        f"Among the {found.k} nearest neighbors of the images of each class (row), the share of each class (column) in "
        f"percent; each row adds up to 100. {sentence}{few} Click a cell to open the image with the most such neighbors.",
        numbers,
        look,
        wide=True,
    )
    if clicked:
        i, j = int(clicked[0]), int(clicked[1])
        members = np.flatnonzero(by_id[found.queries] == i)
        most = members[np.argmax((by_id[found.ids[members, : found.k]] == j).sum(axis=1))]
        context.open(context.chosen, int(found.queries[most]))


def _short(share: float) -> str:
    return "" if share == 0 else "<1" if share < 0.01 else f"{100 * share:.0f}"


def _mistaken(shares: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes in the rows and in the columns of a confusion matrix: all, or of many those that are mistaken most."""
    columns = np.flatnonzero((counts > 0) | (shares.sum(axis=0) > 0))
    if len(columns) > _MOST_CLASSES:
        wrong = (shares - np.diag(np.diag(shares))).ravel()
        most = _MOST_CLASSES // 2
        # So many pairs name at least as many classes as are shown.
        pairs = np.argpartition(-wrong, most**2)[: most**2]
        pairs = pairs[np.lexsort((pairs, -wrong[pairs]))]
        named = np.column_stack(np.unravel_index(pairs, shares.shape)).ravel()
        columns = np.sort(list(dict.fromkeys(named.tolist()))[:most])
    return columns[counts[columns] > 0], columns


def _apart(ticks: Sequence[tuple[float, int]], least: float) -> list[tuple[float, int]]:
    """Those of some ticks, in order, that are at least so far from the one before."""
    kept: list[tuple[float, int]] = []
    for tick in ticks:
        if not kept or tick[0] - kept[-1][0] >= least:
            kept.append(tick)
    return kept


def _bar_chart(context: ComparisonContext, found: Values, rows: np.ndarray, by_id: np.ndarray) -> "go.Figure":
    """A bar for each of some rows of the evaluation, in the color of its class."""
    import plotly.graph_objects as go

    dataset, classes = context.grid.dataset, context.grid.dataset.classes
    styles = palette.class_styles(classes)
    figure = go.Figure()
    x = np.arange(len(rows))
    of = by_id[found.queries[rows]]
    # Bars begin below zero, so that a score of 0 can be seen and clicked.
    foot = 3.0
    figure.add_bar(
        x=x,
        y=found.values[rows] + foot,
        base=-foot,
        width=1.0,
        marker={"color": [styles[classes[c]].color for c in of], "line": {"width": 0}},
        customdata=found.queries[rows].tolist(),
        hovertext=[
            f"<b>{plotly_charts.words(dataset.item(int(found.queries[r])).alt)}</b><br>{context.label} {found.values[r]:.0f}<br>click to open it"
            for r in rows
        ],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    present = np.unique(of)
    ticks = _apart([(float(x[of == code].mean()), int(code)) for code in present], len(x) / _MOST_TICKS)
    between = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "line": {"width": 1, "color": "#8c8c8c"}}
    edges = [float(x[of == code][0]) - 0.5 for code in present[1:]] if len(present) <= _MOST_CLASSES else []
    figure.update_layout(
        height=330,
        shapes=[{**between, "x0": edge, "x1": edge} for edge in edges],
        margin={"l": 0, "r": 0, "t": 8, "b": 0},
        bargap=0,
        xaxis={
            "tickvals": [middle for middle, _ in ticks],
            "ticktext": plotly_charts.short([classes[code] for _, code in ticks], 16),
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
            "automargin": True,
        },
        yaxis={
            "title": {"text": context.label},
            "range": [-foot, 101],
            "tickvals": [0, 25, 50, 75, 100],
            "zeroline": False,
            "fixedrange": True,
        },
        showlegend=False,
    )
    return figure


def _bars(context: ComparisonContext, found: Values, by_id: np.ndarray) -> None:
    dataset = context.grid.dataset
    st.header(f"The {context.label} of every image")
    rows = np.lexsort((-found.values, by_id[found.queries]))
    if len(rows) > _MOST_BARS:
        lowest = np.argsort(found.values, kind="stable")[:_MOST_BARS]
        rows = rows[np.isin(rows, lowest)]
    figure = _bar_chart(context, found, rows, by_id)

    def numbers() -> pd.DataFrame:
        ids = found.queries[rows]
        return pd.DataFrame(
            {
                "image": [dataset.items[int(i)].title or dataset.items[int(i)].file for i in ids],
                "class": [dataset.labels[int(i)] for i in ids],
                context.label: found.values[rows],
            }
        )

    nothing = int((found.values == 0).sum())
    clicked = plotly_charts.show(
        figure,
        "bars",
        (
            f"The {context.label} of {len(rows):,} images"
            if len(rows) == len(found.values)
            else f"The {context.label} of the {len(rows):,} lowest of {len(found.values):,} images"
        )
        + f" under {context.name(context.chosen)}, by class and from high to low; the mean of all is {found.values.mean():.1f}, "
        f"{nothing:,} of all have 0. Click a bar to open its image.",
        numbers,
        {context.label: st.column_config.NumberColumn(format="%.1f")},
    )
    if clicked is not None:
        context.open(context.chosen, int(clicked))


SECTION = Section(Group.CLOSER, "classes", "Classes", 3, show, configuration=True)
