"""Starting: the command line, and the server the second time."""

import subprocess
import sys

from benchmarks import servers
from benchmarks.measure import ROOT, Sample, take_turns
from benchmarks.table import Row

_ROUNDS = 7
_SERVERS = 3


def rows() -> list[Row]:
    """Seconds until help is printed, and until a started server answers."""
    times = take_turns(
        {"help": lambda: _python("-m", "core", "--help"), "python": lambda: _python("-c", "import argparse")},
        _ROUNDS,
    )
    starts = []
    for _ in range(_SERVERS):
        with servers.pages() as server:
            starts.append(server.seconds)
    times_ms = {name: sample.times(1000) for name, sample in times.items()}
    return [
        Row.of("python -m core --help", times_ms["help"], "ms", "bare Python", times_ms["python"], goal=300),
        Row.of(
            "make run, not the first time, until the server answers",
            Sample(tuple(starts)),
            "s",
            goal=5,
            note="what make run starts when nothing is left to install; the first page is under BROWSER",
        ),
    ]


def _python(*words: str) -> None:
    subprocess.run([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
