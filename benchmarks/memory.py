"""Memory of the largest flattened grid: VGG16, all eight layers, 200 images; takes minutes."""

from benchmarks.grid import run_grid
from benchmarks.measure import apart
from benchmarks.table import Row


def rows() -> list[Row]:
    """Peak resident memory of the run."""
    result = apart(run_grid, "vgg16", "untrained", ["flatten"], [])
    return [
        Row(
            "VGG16, eight layers flattened, 200 images",
            result.peak / 1000,
            "GB",
            goal=4,
            note=f"peak resident memory; took {result.seconds:.0f} s",
        )
    ]
