"""Rows of the benchmark's table: a figure, what it is held against, and whether its goal is met."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from benchmarks.measure import Sample, median_ratio


@dataclass(frozen=True)
class Row:
    """One figure.

    Parameters
    ----------
    part : the part of the benchmark that it belongs to; set by the command.
    name : what was measured.
    figure : the median, in ``unit``.
    low, high : the quartiles around it, where it was measured more than once.
    better : which way is better, for the figure and for the ratio.
    beside : what it is held against: a peer or a limit, measured in the same run.
    peer : the median of that, in ``unit``.
    ratio : figure / peer; of repeated measurements the median of the ratios within a round.
    goal : what ``judged`` must reach.
    judged : what the goal is about.
    note : conditions, and why a goal is missed.
    """

    name: str
    figure: float
    unit: str
    better: Literal["lower", "higher"] = "lower"
    low: float | None = None
    high: float | None = None
    beside: str = ""
    peer: float | None = None
    ratio: float | None = None
    goal: float | None = None
    judged: Literal["figure", "ratio"] = "figure"
    note: str = ""
    part: str = ""

    @classmethod
    def of(
        cls, name: str, sample: Sample, unit: str, beside: str = "", peer: Sample | None = None, **more: Any
    ) -> "Row":
        """A row of measurements taken in turns with those of a peer."""
        low, high = sample.quartiles
        return cls(
            name,
            sample.median,
            unit,
            low=low,
            high=high,
            beside=beside,
            peer=peer.median if peer else None,
            ratio=median_ratio(sample, peer) if peer else None,
            **more,
        )

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        value = self.figure if self.judged == "figure" else self.ratio
        if self.goal is None or value is None:
            return None
        return value <= self.goal if self.better == "lower" else value >= self.goal


def render(rows: Sequence[Row], width: int = 110) -> str:
    """The table as text, notes below it."""
    cells: list[tuple[str, ...]] = [("what", "figure", "quartiles", "beside it", "ratio", "goal", "", "")]
    notes: dict[str, int] = {}
    part = ""
    for row in rows:
        if row.part != part:
            part = row.part
            cells.append(("", *[""] * 7))
            cells.append((part.upper(), *[""] * 7))
        if row.note:
            notes.setdefault(row.note, len(notes) + 1)
        cells.append(_line(row, f"[{notes[row.note]}]" if row.note else ""))
    widths = [max(len(line[i]) for line in cells) for i in range(8)]
    lines = [
        "  ".join(text.ljust(size) for text, size in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    if notes:
        lines.append("")
    for note, number in notes.items():
        lines += textwrap.wrap(note, width, initial_indent=f"[{number}] ".rjust(5), subsequent_indent=" " * 5)
    return "\n".join(lines)


def to_json(head: dict[str, Any], rows: Sequence[Row], left_out: dict[str, str]) -> str:
    """The same for programs."""
    table = [asdict(row) | {"met": row.met} for row in rows]
    return json.dumps(
        {"head": head, "rows": table, "left_out": left_out}, indent=1, ensure_ascii=False, allow_nan=False
    )


def _line(row: Row, note: str) -> tuple[str, ...]:
    quartiles = "" if row.low is None or row.high is None else f"{_number(row.low)} – {_number(row.high)}"
    beside = f"{row.beside} {_number(row.peer)}" if row.peer is not None else row.beside
    ratio = "" if row.ratio is None else f"{_number(row.ratio)} x"
    goal = ""
    if row.goal is not None:
        sign = "≤" if row.better == "lower" else "≥"
        goal = f"{sign} {row.goal:g} {'x' if row.judged == 'ratio' else row.unit}".rstrip()
    verdict = {None: "", True: "met", False: "MISSED"}[row.met]
    return (row.name, f"{_number(row.figure)} {row.unit}", quartiles, beside, ratio, goal, verdict, note)


def _number(value: float) -> str:
    """Three digits that count, without an exponent where people write none."""
    if value != 0 and (abs(value) < 1e-3 or abs(value) >= 1e7):
        return f"{value:.2g}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"
