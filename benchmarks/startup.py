"""Starting: the command line, a search from it, and the server the second time."""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import servers
from benchmarks.collection import made
from benchmarks.measure import ROOT, Sample, apart, take_turns, timed
from benchmarks.table import Row
from core.data import datasets

_ROUNDS = 7
_SERVERS = 3


def rows() -> list[Row]:
    """Seconds until help is printed, until a search is answered, and until a started server answers."""
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
        _searching(),
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


def _searching() -> Row:
    images = datasets.load(ROOT / "precomputed" / "objects200").images
    with tempfile.TemporaryDirectory() as name:
        with made(Path(name)) as collection:
            collection.add([str(images)])
        words = ["-m", "core", "collection", "search", collection.about.name, str(next(images.iterdir()))]
        # The network is converted by now, and its file has been read once.
        runs = [
            apart(python_apart, words, environment={"PLAYGROUND_COLLECTIONS_DIR": name})
            for _ in range(_ROUNDS)
        ]
    return Row.of(
        "playground collection search",
        Sample(tuple(run.answer for run in runs)),
        "s",
        goal=2,
        note=f"an image in a collection of 200, from the start of Python to its end; peak memory {runs[0].peak:.0f} MB",
    )


def python_apart(words: list[str]) -> float:
    """Seconds of a Python program, in a process that knows its peak memory."""
    return timed(lambda: _python(*words))
