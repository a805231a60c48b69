"""Memory of the largest flattened grid: VGG16, all eight layers, 200 images."""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.table import Row

_ROOT = Path(__file__).resolve().parent.parent


def rows() -> list[Row]:
    """Peak resident memory of the run; takes minutes."""
    options = {"--model": "vgg16", "--weights": "untrained", "--pooling": "flatten", "--metric": "cosine"}
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "core", "grid", "run", "--dataset", "objects200", "--out", out]
        subprocess.run(
            [*command, *(word for option in options.items() for word in option)], cwd=_ROOT, check=True
        )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    return [Row("VGG16, eight layers flattened, 200 images", peak, "GB", 4, "peak resident memory")]
