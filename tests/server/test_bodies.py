"""Limits on bodies, with real connections to a real server."""

import json
import logging
import threading
import time
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from core.server.bodies import Bodies, Limit
from core.settings import settings
from tests.servers import answer, connect, post, served


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server that says how long a body was; a second for each, ten on ``/uploads/``, and memory for 1,000 bytes."""
    monkeypatch.setattr(settings, "BODY_SECONDS", 1)
    monkeypatch.setattr(settings, "BODY_MEMORY_BYTES", 1000)
    monkeypatch.setattr(settings, "MAX_IMAGE_BYTES", 600 - 100_000)

    async def count(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    routes = [Route("/", count, methods=["GET", "POST"]), Route("/uploads/x", count, methods=["POST"])]
    limits = [Limit("/uploads/", 600, 10)]
    app = Starlette(routes=routes, middleware=[Middleware(Bodies, limits=limits)])
    with served(app) as port:
        yield port


def problem(text: bytes) -> dict:
    head, _, body = text.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    assert b"connection: close" in head.lower()
    return json.loads(body)


def test_a_body_that_arrives_in_time_is_read(port):
    channel = connect(port, post(6, "Connection: close") + b"abc")
    time.sleep(0.3)
    channel.sendall(b"def")
    status, text = answer(channel)
    assert status == 200 and text.endswith(b"\r\n\r\n6")


@pytest.mark.parametrize("size", [6, None])
def test_a_client_that_stops_sending_gets_408_and_loses_its_connection(port, size):
    started = time.monotonic()
    status, text = answer(connect(port, post(size) + b"1\r\na"))
    assert status == 408 and 0.9 < time.monotonic() - started < 5
    assert "1 s" in problem(text)["detail"]


def test_a_client_that_drips_gets_408_whatever_comes_in_between(port):
    channel, over = connect(port, post(500)), threading.Event()

    def drip() -> None:
        while not over.wait(0.1):
            try:
                channel.sendall(b"x")
            except OSError:
                return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        head = channel.recv(65_536)
    finally:
        over.set()
        thread.join()
        channel.close()
    assert head.startswith(b"HTTP/1.1 408 ")


def test_addresses_of_uploads_have_a_time_of_their_own(port):
    channel = connect(port, post(6, "Connection: close", path="/uploads/x") + b"abc")
    time.sleep(1.4)
    channel.sendall(b"def")
    assert answer(channel)[0] == 200


def test_bodies_count_against_the_memory_before_they_are_read(port):
    first = connect(port, post(600, "Connection: close"))
    time.sleep(0.1)
    status, text = answer(connect(port, post(500)))
    assert status == 503 and b"retry-after: 5" in text.lower() and problem(text)["status"] == 503
    # One whose length is unknown counts as the longest that may come, others as what they say.
    assert answer(connect(port, post(None)))[0] == 503
    assert answer(connect(port, post(400, "Connection: close") + b"x" * 400))[0] == 200
    first.sendall(b"x" * 600)
    assert answer(first)[0] == 200
    assert answer(connect(port, post(500, "Connection: close") + b"x" * 500))[0] == 200


def test_a_client_that_goes_away_leaves_nothing_in_the_log_and_gives_its_memory_back(port, caplog):
    connect(port, post(600)).close()
    connect(port, post(None) + b"1\r\na").close()
    time.sleep(0.3)
    assert answer(connect(port, post(600, "Connection: close") + b"x" * 600))[0] == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_body_that_never_fits_into_memory_gets_an_error(port, monkeypatch):
    app = Starlette(middleware=[Middleware(Bodies, limits=[Limit("/", 5000, 1)])])
    with served(app) as other:
        status, text = answer(connect(other, post(1001)))
    assert status == 413 and "0.001 MB" in problem(text)["detail"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate, br", "GZIP"])
def test_a_compressed_body_gets_415(port, encoding):
    status, text = answer(connect(port, post(100, f"Content-Encoding: {encoding}")))
    assert status == 415 and b"accept-encoding: identity" in text.lower()
    assert problem(text)["instance"] == "/"


def test_a_body_that_says_that_it_is_not_compressed_is_read(port):
    sent = post(3, "Content-Encoding: identity", "Connection: close") + b"abc"
    assert answer(connect(port, sent))[0] == 200
