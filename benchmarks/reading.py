"""Reading one experiment from disk."""

from functools import partial
from pathlib import Path

from benchmarks.measure import Sample, timed
from benchmarks.table import Row
from core.data.datasets import Dataset
from core.experiments.store import Grid, StoredRun, Summary


def rows() -> list[Row]:
    """Milliseconds from opening a model's folder to an experiment's result lists and distances of pairs."""
    grid, times = Grid(), []
    for name in grid.dataset_names():
        loaded = grid.load(name)
        for run in loaded.runs.values():
            for summary in run.summaries[:: max(1, len(run.summaries) // 8)]:
                times.append(timed(partial(_read, run.folder, loaded.dataset, summary)))
    note = f"over {len(times)} experiments of all models, nothing kept open"
    return [Row.of("reading one experiment", Sample(tuple(times)).times(1000), "ms", goal=20, note=note)]


def _read(folder: Path, dataset: Dataset, summary: Summary) -> None:
    run = StoredRun(folder, dataset)
    run.neighbors(summary.layer, summary.pooling, summary.metric)
    run.pair_quantiles(summary.layer, summary.pooling, summary.metric)
