"""Real servers on this machine for tests: an application under uvicorn, and raw connections to it."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from tests.conftest import free_port


@contextmanager
def served(app: Any) -> Iterator[int]:
    """The port of 127.0.0.1 on which uvicorn serves an application until the block ends."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(20)


def connect(port: int, text: bytes) -> socket.socket:
    """A connection on which something was sent already."""
    channel = socket.create_connection(("127.0.0.1", port), timeout=20)
    channel.sendall(text)
    return channel


def answer(channel: socket.socket) -> tuple[int, bytes]:
    """Status and everything that comes before the server closes the connection."""
    with channel:
        text = b""
        while part := channel.recv(65_536):
            text += part
    return int(text.split(b" ", 2)[1]), text


def post(size: int | None, *headers: str, path: str = "/") -> bytes:
    """The beginning of a request with a body of that size, in chunks when there is none."""
    length = "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}"
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", length, *headers]
    return "\r\n".join([*lines, "", ""]).encode()
