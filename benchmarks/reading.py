"""Reading one experiment from disk."""

from functools import partial

from benchmarks.measure import Sample, timed
from benchmarks.table import Row
from core.data.datasets import Dataset
from core.experiments.store import Grid, Summary
from core.settings import settings


def rows() -> list[Row]:
    """Milliseconds from opening a model's folder to an experiment's result lists and distances of pairs."""
    grid = Grid(settings.GRID_DIR)
    times = []
    for name in grid.dataset_names():
        dataset = grid.dataset(name)
        for run in grid.runs(dataset)[0]:
            for summary in run.summaries[:: max(1, len(run.summaries) // 8)]:
                times.append(timed(partial(_read, grid, dataset, summary)))
    note = f"over {len(times)} experiments of all models, nothing kept open"
    return [Row.of("reading one experiment", Sample(tuple(times)).times(1000), "ms", goal=20, note=note)]


def _read(grid: Grid, dataset: Dataset, summary: Summary) -> None:
    run = grid.run(dataset, summary.model, summary.weights)
    run.neighbors(summary.layer, summary.pooling, summary.metric)
    run.pair_quantiles(summary.layer, summary.pooling, summary.metric)
