"""Servers of our own, each started for a measurement and ended with it."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import ROOT

_PATIENCE = 90  # seconds


@dataclass(frozen=True)
class Server:
    """A server that answers; ``seconds`` from its start to its first answer."""

    port: int
    pid: int
    seconds: float


@contextmanager
def pages(**environment: str) -> Iterator[Server]:
    """The dashboard, started as ``make run`` starts it, with some settings."""
    with _serving("-m", "core", "run", **environment) as server:
        yield server


@contextmanager
def bare_streamlit(script: Path) -> Iterator[Server]:
    """Streamlit with a script, and nothing of ours."""
    with _serving("-m", "streamlit", "run", str(script), option="--server.port") as server:
        yield server


@contextmanager
def api() -> Iterator[Server]:
    """The REST API alone."""
    with _serving("-m", "core", "run", "--api-only") as server:
        yield server


@contextmanager
def _serving(*words: str, option: str = "--port", **environment: str) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = time.perf_counter()
    # A session of its own, so that the server's children end with it.
    process = subprocess.Popen(
        [sys.executable, *words, option, str(port)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not _answers(port):
            if process.poll() is not None or time.perf_counter() - started > _PATIENCE:
                raise RuntimeError(f"{' '.join(words)} did not serve; it ended with {process.poll()}.")
            time.sleep(0.02)
        yield Server(port, process.pid, time.perf_counter() - started)
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
                break


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with suppress(OSError, http.client.HTTPException), closing(connection):
        connection.request("GET", "/")
        return bool(connection.getresponse().read())
    return False
