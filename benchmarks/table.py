"""Rows of the benchmark's table, and how they are measured."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure next to its limit; lower is better."""

    name: str
    figure: float
    unit: str
    goal: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        return "met" if self.figure <= self.goal else "missed"


def take_turns(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each function, one warm-up round, then in turns so that all meet the machine's moods alike."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for round_ in range(rounds + 1):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            if round_:
                times[name].append(time.perf_counter() - started)
    return times


def median_ratio(above: list[float], below: list[float]) -> float:
    """Median of the ratios of measurements of the same round."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def render(rows: list[Row]) -> str:
    """The table as text."""
    cells = [("what", "figure", "goal", "", "how")]
    for row in rows:
        goal = "" if row.goal is None else f"{row.goal:g} {row.unit}"
        cells.append((row.name, f"{row.figure:.3g} {row.unit}", goal, row.verdict, row.note))
    widths = [max(len(line[i]) for line in cells) for i in range(4)]
    return "\n".join(
        "  ".join([*(text.ljust(width) for text, width in zip(line, widths, strict=False)), line[4]]).rstrip()
        for line in cells
    )
