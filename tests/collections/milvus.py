"""A real Milvus Lite server in a process of its own, as a cluster is: it can be killed and started again."""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def server(folder: Path | None = None, port: int | None = None) -> Iterator[str]:
    """The address of a server that ends with the block."""
    with tempfile.TemporaryDirectory(prefix="milvus-", ignore_cleanup_errors=True) as name:
        place, port = folder or Path(name), port or _free_port()
        process = subprocess.Popen(
            [sys.executable, "-m", "milvus_lite", "server", "--data-dir", place, "--port", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait(timeout=30)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _wait(port: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise AssertionError("Milvus Lite did not start.")
