"""Charts of the report as SVG on white paper: text of others is escaped, and nothing is loaded from anywhere."""

from collections.abc import Sequence
from html import escape

import numpy as np

from dashboard.widgets import class_names, plotly_charts

_INK, _LINE, _STRONG, _WEAK = "#1c2530", "#c5ccd4", "#1f5f99", "#8b97a5"
_WIDTH = 860.0
_LETTER = 6.2  # the mean width of a letter


def _svg(height: float, description: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img" aria-label="{escape(description)}" font-size="12" '
        f'fill="{_INK}">{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str = "start", **style: str) -> str:
    styled = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in style.items())
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{styled}>{escape(text)}</text>'


def _beside(names: Sequence[str], width: float) -> list[str]:
    """Names that fit into a width and differ where the whole ones do: much of a configuration's name is that of its model."""
    return class_names.apart(names, int(width / _LETTER))


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers between two."""
    rough = max(high - low, 1e-9) / 5
    size = 10.0 ** np.floor(np.log10(rough))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= rough)
    return [float(tick) for tick in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step]


def intervals(
    names: Sequence[str],
    means: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    strong: Sequence[bool],
    description: str,
) -> str:
    """A row for each configuration: its mean as a dot, its interval as a line; those that are ``strong`` in color."""
    row, left, foot = 24.0, 380.0, 34.0
    low, high = min(lows), max(highs)
    span = max(high - low, 1e-9)

    def x(value: float) -> float:
        return left + (value - low) / span * (_WIDTH - left - 50)

    height = row * len(names)
    parts = [
        f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="0" y2="{height}" stroke="{_LINE}"/>'
        + _text(x(tick), height + 16, f"{tick:g}", "middle")
        for tick in _ticks(low, high)
    ]
    for place, (name, mean, start, end, one) in enumerate(
        zip(_beside(names, left - 12), means, lows, highs, strong, strict=True)
    ):
        y, color = row * (place + 0.5), _STRONG if one else _WEAK
        parts += [
            _text(left - 12, y + 4, name, "end"),
            f'<line x1="{x(start):.1f}" x2="{x(end):.1f}" y1="{y}" y2="{y}" stroke="{color}" stroke-width="3"/>',
            f'<circle cx="{x(mean):.1f}" cy="{y}" r="5" fill="{color}"/>',
            _text(_WIDTH, y + 4, f"{mean:.1f}", "end"),
        ]
    return _svg(height + foot, description, parts)


def heat_map(values: np.ndarray, rows: Sequence[str], columns: Sequence[str], description: str) -> str:
    """Cells colored by value, 0 to 100, with the value in each; not a number for a cell that does not exist."""
    left, row, head = 210.0, 30.0, 24.0
    width = (_WIDTH - left) / max(1, len(columns))
    parts = [
        _text(
            left + width * (c + 0.5), head - 8, name, "middle", font_size="11" if len(columns) < 10 else "9.5"
        )
        for c, name in enumerate(columns)
    ]
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    fills, inks = plotly_charts.paper_colors(np.nan_to_num(values, nan=low), low, max(high, low + 1e-9))
    for r, name in enumerate(_beside(rows, left - 10)):
        y = head + row * r
        parts.append(_text(left - 10, y + 20, name, "end"))
        for c, value in enumerate(values[r]):
            if np.isfinite(value):
                parts.append(
                    f'<rect x="{left + width * c + 1:.1f}" y="{y + 1:.1f}" width="{width - 2:.1f}" height="{row - 2:.1f}" fill="{fills[r][c]}"/>'
                    + _text(left + width * (c + 0.5), y + 20, f"{value:.0f}", "middle", fill=inks[r][c])
                )
    return _svg(head + row * len(rows) + 4, description, parts)


def scatter(
    x_values: np.ndarray,
    y_values: np.ndarray,
    front: np.ndarray,
    x_title: str,
    y_title: str,
    description: str,
) -> str:
    """Points over a logarithmic axis; those on the front in color and joined by steps.

    Parameters
    ----------
    x_values : (n,) above 0; y_values : (n,); front : places, by ascending x.
    """
    left, height, foot, top = 60.0, 320.0, 46.0, 10.0
    logs = np.log10(x_values)
    low_x, high_x = float(logs.min()) - 0.05, float(logs.max()) + 0.05
    low_y, high_y = float(y_values.min()) - 1, float(y_values.max()) + 1

    def at(log: float, y: float) -> tuple[float, float]:
        return (
            left + (log - low_x) / max(high_x - low_x, 1e-9) * (_WIDTH - left - 20),
            top + height - (y - low_y) / max(high_y - low_y, 1e-9) * height,
        )

    parts = []
    for tick in _ticks(low_y, high_y):
        _, y = at(low_x, tick)
        parts.append(f'<line x1="{left}" x2="{_WIDTH - 20}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_LINE}"/>')
        parts.append(_text(left - 8, y + 4, f"{tick:g}", "end"))
    for power in range(int(np.ceil(low_x)), int(np.floor(high_x)) + 1):
        x, _ = at(power, low_y)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{top + height}" stroke="{_LINE}"/>')
        parts.append(
            _text(x, top + height + 18, f"{10**power:,}" if power >= 0 else f"{10.0**power:g}", "middle")
        )
    on_front = set(front.tolist())
    for place, (log, y_value) in enumerate(zip(logs.tolist(), y_values.tolist(), strict=True)):
        if place not in on_front:
            x, y = at(log, y_value)
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{_WEAK}" opacity="0.6"/>')
    points = [at(float(logs[place]), float(y_values[place])) for place in front]
    if points:
        path = "".join(
            f"M{x:.1f} {y:.1f}" if not step else f"H{x:.1f}V{y:.1f}" for step, (x, y) in enumerate(points)
        )
        parts.append(f'<path d="{path}" fill="none" stroke="{_STRONG}" stroke-width="1.5"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{_STRONG}"/>' for x, y in points]
    parts.append(_text((left + _WIDTH) / 2, top + height + 38, x_title, "middle"))
    middle = top + height / 2
    parts.append(
        f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">{escape(y_title)}</text>'
    )
    return _svg(top + height + foot, description, parts)
