"""Configurations in words."""

from core.experiments.experiment_table import ExperimentTable
from core.experiments.store import DatasetGrid, Summary
from dashboard import url
from dashboard.widgets import glossary


def model_title(grid: DatasetGrid, one: Summary) -> str:
    """The title of a configuration's model; says so when it is untrained or has other weights."""
    about = grid.run(one).about
    # A combination has its name in the title.
    if one.weights == "imagenet" or one.weights.startswith("combined-"):
        return about.title
    named = one.weights if one.weights == url.UNTRAINED else glossary.weights(one.weights)
    return f"{about.title} ({named})"


def name(grid: DatasetGrid, table: ExperimentTable | None, one: Summary, model: bool = True) -> str:
    """A configuration in a line, as plain text; says so where its distances do not separate the images."""
    parts = [model_title(grid, one)] if model else []
    parts += [f"{glossary.depth(one.depth)} {one.layer}", one.pooling, one.metric]
    if table and table.place(one.configuration) in table.saturated:
        parts.append("does not separate the images")
    return " · ".join(parts)
