"""How things are measured: in turns, in processes of their own, and on what."""

import importlib
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.settings import settings

ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("tensorflow", "keras", "openvino", "faiss-cpu", "faiss-gpu", "numpy", "pillow", "streamlit")
_SETTINGS = (
    "BATCH_SIZE",
    "DECODE_THREADS",
    "DECODE_WORKERS",
    "LIVE_PASSES",
    "API_CONCURRENCY",
    "MEMORY_BYTES",
)
_MARK = "result: "


class LeftOut(Exception):
    """A part can't be measured here; the sentence says why."""


@dataclass(frozen=True)
class Sample:
    """Repeated measurements of one thing, in the order they were taken."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        if len(self.values) == 1:
            return self.values * 2
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high

    def times(self, factor: float) -> "Sample":
        """In another unit."""
        return Sample(tuple(value * factor for value in self.values))

    def rate(self, count: float) -> "Sample":
        """Seconds for ``count`` things, as things per second."""
        return Sample(tuple(count / value for value in self.values))

    def less(self, *others: "Sample") -> "Sample":
        """What is left of each measurement after those of the same round."""
        return Sample(
            tuple(value - sum(rest) for value, *rest in zip(self.values, *_values(others), strict=True))
        )

    def plus(self, *others: "Sample") -> "Sample":
        """Measurements of the same round added up."""
        return Sample(tuple(map(sum, zip(self.values, *_values(others), strict=True))))


def _values(samples: Sequence[Sample]) -> list[tuple[float, ...]]:
    return [sample.values for sample in samples]


def median_ratio(above: Sample, below: Sample) -> float:
    """Median of the ratios of measurements of the same round."""
    return statistics.median(a / b for a, b in zip(above.values, below.values, strict=True))


def timed(function: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def take_turns(
    functions: dict[str, Callable[[], object]], rounds: int, warm_up: int = 1
) -> dict[str, Sample]:
    """Seconds of each function: after the warm-up in turns, so that all meet the machine's moods alike.

    Every second round goes backwards, so that none always follows the same other.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for round_ in range(-warm_up, rounds):
        for name in list(functions) if round_ % 2 else reversed(functions):
            seconds = timed(functions[name])
            if round_ >= 0:
                times[name].append(seconds)
    return {name: Sample(tuple(values)) for name, values in times.items()}


@dataclass(frozen=True)
class Apart:
    """What a process of its own answered, and took: seconds from start to end, peak resident megabytes, seconds of the processors."""

    answer: Any
    seconds: float
    peak: float
    processor: float


def apart(
    function: Callable[..., Any],
    *arguments: Any,
    environment: dict[str, str] | None = None,
    python: str = sys.executable,
) -> Apart:
    """Call a module's function in a fresh process; its arguments and answer must fit into JSON.

    Parameters
    ----------
    environment : variables added to those of this process; python : of another virtual environment.

    Raises
    ------
    RuntimeError : the process failed.
    """
    code = "import sys; from benchmarks import measure; measure._answer(*sys.argv[1:])"
    command = [python, "-c", code, function.__module__, function.__name__, json.dumps(arguments)]
    started = time.perf_counter()
    process = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **(environment or {})}
    )
    seconds = time.perf_counter() - started
    last = process.stdout.rstrip().rpartition("\n")[2]
    if process.returncode or not last.startswith(_MARK):
        raise RuntimeError(f"{function.__module__}.{function.__name__} failed:\n{process.stderr[-4000:]}")
    answer, peak, processor = json.loads(last.removeprefix(_MARK))
    return Apart(answer, seconds, peak, processor)


def _answer(module: str, name: str, arguments: str) -> None:
    answer = getattr(importlib.import_module(module), name)(*json.loads(arguments))
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    processor = sum(one.ru_utime + one.ru_stime for one in usage)
    print(_MARK + json.dumps([answer, max(_own_peak(), _peak(resource.RUSAGE_CHILDREN)), processor]))


def _own_peak() -> float:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return _peak(resource.RUSAGE_SELF)
    # Linux counts into the other figure what the process was forked from.
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1000


def _peak(who: int) -> float:
    return resource.getrusage(who).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def resident(pid: int) -> float:
    """Megabytes of a process that are in memory."""
    command = ["ps", "-o", "rss=", "-p", str(pid)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 1000


def processor_seconds(pid: int) -> tuple[float, float] | None:
    """Of a process and of its children that run, since they began; None where the system does not say."""

    def of(number: str) -> float:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    try:
        # Each thread lists those that it started.
        threads = Path(f"/proc/{pid}/task").glob("*/children")
        children = [child for one in threads for child in one.read_text().split()]
        return of(str(pid)), sum(map(of, children))
    except OSError:
        return None


def conditions() -> dict[str, Any]:
    """What the figures were measured on; names no machine."""
    # Not needed by the processes whose memory is measured.
    from core.experiments import layer_cost

    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": layer_cost.processor(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
            "load_before": round(os.getloadavg()[0], 2),
        },
        "versions": versions,
        "settings": {name: getattr(settings, name) for name in _SETTINGS},
    }
