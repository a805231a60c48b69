"""A comparison as one HTML file to hand on: text, charts and tables, with nothing to load and nothing that runs."""

import platform
from collections.abc import Iterable, Sequence
from datetime import date
from html import escape
from pathlib import Path

import numpy as np

from core.errors import GridError
from core.evaluation import comparison
from core.evaluation.robustness import K
from core.experiments import robustness_file
from core.experiments.robustness_file import UNCHANGED
from core.experiments.store import Grid
from core.imaging.changes import CHANGES
from dashboard.pages.compare import report_charts
from dashboard.pages.compare.comparison_context import ComparisonContext
from dashboard.pages.compare.sections import cost_tradeoff, leaderboard, overview
from dashboard.widgets import glossary, machine, style

_MOST_IN_CHART, _MOST_IN_TABLE = 20, 100
_STYLE = style.SCALE + Path(__file__).with_suffix(".css").read_text("utf-8")


def html(context: ComparisonContext) -> bytes:
    """The report of what the page compares."""
    dataset, table = context.grid.dataset, context.table
    parts = [
        f"<h1>{escape(dataset.title)}: which configuration?</h1>",
        _paragraph(
            f"{len(table.experiments):,} configurations compared by {len(table.queries):,} searches among {len(table.gallery):,} images of "
            f"{len(dataset.classes)} classes, with k = {table.k} neighbors. {date.today():%Y-%m-%d}.",
            "small",
        ),
        _verdict(context),
        "<h2>The best configurations</h2>",
        _best(context),
        "<h2>Models and layers</h2>",
        _models_by_layers(context),
        "<h2>Quality and size of a vector</h2>",
        _scores_and_sizes(context),
        *_robustness(context),
        "<h2>All numbers</h2>",
        _numbers(context),
        "<h2>How this was computed</h2>",
        _method(context),
    ]
    document = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        # Whatever a name holds, a browser loads and runs nothing.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(dataset.title)}: which configuration?</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>"
    )
    return document.encode()


def _paragraph(text: str, style: str = "") -> str:
    return f'<p class="{style}">{escape(text)}</p>' if style else f"<p>{escape(text)}</p>"


def _rows(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; numbers to the right."""

    def cells(values: Sequence[object], tag: str, numeric: Sequence[bool]) -> str:
        return "".join(
            f"<{tag}{' class=n' if right else ''}>{escape(str(value))}</{tag}>"
            for value, right in zip(values, numeric, strict=True)
        )

    all_rows = list(rows)
    numeric = [
        bool(all_rows)
        and all(str(row[c]).replace(",", "").lstrip("+-").replace(".", "", 1).isdigit() for row in all_rows)
        for c in range(len(heads))
    ]
    body = "".join(f"<tr>{cells(row, 'td', numeric)}</tr>" for row in all_rows)
    return f'<div class="scroll"><table><tr>{cells(heads, "th", numeric)}</tr>{body}</table></div>'


def _verdict(context: ComparisonContext) -> str:
    table = context.table
    best = table.experiments[table.best]
    low, high = table.intervals
    words = "The best" if table.chosen_on is None else "Chosen on one half of the images"
    lines = [
        f"{words} by {context.noun}: {context.name(best)}, with {table.means[table.best]:.1f} of 100 (95% interval {low[table.best]:.1f} to "
        f"{high[table.best]:.1f})."
    ]
    others = len(table.experiments) - 1
    if others:
        lines += [overview.rivals(int(table.certainty.alike.sum()) - 1, others), overview.luck(table)]
        found = table.decide(np.ones(others + 1, bool), table.costs["size"])
        if found is not None and found.taken != table.best:
            lines.append(
                f"The smallest vector among these has {context.name(table.experiments[found.taken])}: "
                f"{cost_tradeoff.amount('size', table.costs['size'][found.taken])} instead of "
                f"{cost_tradeoff.amount('size', table.costs['size'][table.best])}, with {table.means[found.taken]:.1f}."
            )
    if table.attainable < 100:
        lines.append(glossary.attainable(table.attainable, table.k, context.by))
    return f'<div class="box">{"".join(map(_paragraph, lines))}</div>'


def _best(context: ComparisonContext) -> str:
    table = context.table
    places = table.order[:_MOST_IN_CHART]
    low, high = table.intervals
    description = f"{glossary.capital(context.noun)} of the best {len(places)} configurations with its 95% interval. Those in blue can't be told from the best."
    chart = report_charts.intervals(
        [context.name(table.experiments[place]) for place in places],
        table.means[places].tolist(),
        low[places].tolist(),
        high[places].tolist(),
        table.certainty.alike[places].tolist(),
        description,
    )
    return chart + _paragraph(description, "small")


def _models_by_layers(context: ComparisonContext) -> str:
    table = context.table
    best = table.experiments[table.best]
    cells = {
        ((one.model, one.weights), one.depth): place
        for place, one in enumerate(table.experiments)
        if (one.pooling, one.metric) == (best.pooling, best.metric)
    }
    models = sorted(
        {model for model, _ in cells},
        key=lambda model: -max(table.means[place] for (other, _), place in cells.items() if other == model),
    )
    depths = sorted({depth for _, depth in cells})
    values = np.full((len(models), len(depths)), np.nan)
    for (model, depth), place in cells.items():
        values[models.index(model), depths.index(depth)] = table.means[place]
    names = {model: context.model_title(table.experiments[place]) for (model, _), place in cells.items()}
    description = (
        f"{glossary.capital(context.noun)} of each model (row) and layer (column) with {best.pooling} pooling and {best.metric} distance, "
        f"from {np.nanmin(values):.0f} to {np.nanmax(values):.0f}."
    )
    chart = report_charts.heat_map(
        values,
        [names[model] for model in models],
        [f"layer {glossary.depth(depth)}" for depth in depths],
        description,
    )
    return chart + _paragraph(description, "small")


def _scores_and_sizes(context: ComparisonContext) -> str:
    table = context.table
    front = comparison.pareto_front(table.means, table.costs["size"])
    description = f"{glossary.capital(context.noun)} and bytes of one vector of every configuration. No other configuration is better and as small as those in blue."
    chart = report_charts.scatter(
        table.costs["size"], table.means, front, "bytes per vector", context.noun, description
    )
    rows = [
        (
            context.name(table.experiments[place]),
            f"{table.means[place]:.1f}",
            cost_tradeoff.amount("size", table.costs["size"][place]),
        )
        for place in front.tolist()
    ]
    return chart + _paragraph(description, "small") + _rows(("configuration", context.label, "vector"), rows)


def _robustness(context: ComparisonContext) -> list[str]:
    """The robustness of the best configurations for which it was measured."""
    table = context.table
    try:
        measured = robustness_file.by_configuration(robustness_file.read(Grid().folder, context.grid.dataset))
    except GridError:
        return []
    places = [place for place in table.order.tolist() if table.experiments[place].configuration in measured][
        :_MOST_IN_CHART
    ]
    if not places:
        return []
    found = [measured[table.experiments[place].configuration] for place in places]
    values = 100 * np.array(
        [[one[UNCHANGED, 0].recall, *robustness_file.over_strengths(one, "recall").values()] for one in found]
    )
    description = (
        f"How many of 100 changed images find their own original first (same-image recall@1, mean over three strengths), under the "
        f"best {len(places)} configurations for which it was measured, with {found[0][UNCHANGED, 0].n:,} images."
    )
    names = [
        f"{context.model_title(one)} · {glossary.depth(one.depth)}"
        for one in (table.experiments[place] for place in places)
    ]
    columns = ["Unchanged", *(change.title for change in CHANGES.values())]
    precision = [
        (
            name,
            f"{100 * one[UNCHANGED, 0].precision:.1f}",
            f"{100 * np.mean(list(robustness_file.over_strengths(one, 'precision').values())):.1f}",
        )
        for name, one in zip(names, found, strict=True)
    ]
    return [
        "<h2>Robustness</h2>",
        report_charts.heat_map(values, names, columns, description),
        _paragraph(description, "small"),
        _rows(("model and layer", f"precision@{K} unchanged, %", "under all changes, %"), precision),
    ]


def _numbers(context: ComparisonContext) -> str:
    table = context.table
    numbers = leaderboard.frame(context, table.order[:_MOST_IN_TABLE]).drop(columns=["dataset"])
    rows = list(numbers.astype(object).where(numbers.notna(), "").itertuples(index=False))
    more = len(table.experiments) - len(rows)
    left_out = [_paragraph(f"{more:,} more are lower.", "small")] if more > 0 else []
    return _rows([str(name).replace("_", " ") for name in numbers.columns], rows) + "".join(left_out)


def _method(context: ComparisonContext) -> str:
    dataset, table = context.grid.dataset, context.table
    lines = [
        f"{context.measure.title}. {glossary.MEASURES[context.by]}",
        f"95% interval. {glossary.INTERVAL}",
        f"Like the best. {glossary.BEST}",
        machine.sentence(context.grid, context.machine),
        f"Fingerprint of the dataset {dataset.name}: {dataset.fingerprint}. Written with Python {platform.python_version()}.",
        *table.notices,
        *context.grid.notices,
    ]
    command = f"playground grid run --dataset {context.dataset_option}"
    return (
        "".join(_paragraph(line, "small") for line in lines)
        + f"<p class=small><code>{escape(command)}</code></p>"
    )
