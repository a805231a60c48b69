"""Reading one experiment from disk."""

import statistics
import time

from benchmarks.table import Row
from core import settings
from core.experiments.store import Grid


def rows() -> list[Row]:
    """Milliseconds from opening a model's folder to an experiment's result lists and distances of pairs."""
    grid = Grid(settings.GRID_DIR)
    times = []
    for name in grid.dataset_names():
        dataset = grid.dataset(name)
        for run in grid.runs(dataset)[0]:
            for summary in run.summaries[:: max(1, len(run.summaries) // 8)]:
                started = time.perf_counter()
                fresh = grid.run(dataset, summary.model, summary.weights)
                fresh.neighbors(summary.layer, summary.pooling, summary.metric)
                fresh.pair_quantiles(summary.layer, summary.pooling, summary.metric)
                times.append((time.perf_counter() - started) * 1000)
    note = f"median over {len(times)} experiments, nothing kept open"
    return [Row("reading one experiment", statistics.median(times), "ms", 20, note)]
