"""A server that speaks S3 over HTTP, with folders for buckets."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import free_port


@contextmanager
def serving(folder: Path) -> Iterator[dict[str, str]]:
    """The environment that leads to it."""
    port = free_port()
    command = [sys.executable, "-m", "localbucket", str(folder), "--port", str(port)]
    with (folder.parent / "objects.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 60
        while b"http://" not in (folder.parent / "objects.log").read_bytes():
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail((folder.parent / "objects.log").read_text())
            time.sleep(0.05)
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        server.terminate()
        server.wait(10)
