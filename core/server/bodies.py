"""Limits on the bodies of requests: the time that one takes to arrive, and the memory that all of them take.

uvicorn reads a body only as fast as the application asks for it, so what is refused here is never read. How slowly the
headers arrive is not limited here: that is left to a reverse proxy.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

import anyio
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.server.problem import problem
from core.settings import settings

# A form has a little more than the image.
FORM_BYTES = 100_000
_RETRY_SECONDS = "5"


@dataclass(frozen=True)
class Limit:
    """What a body may take.

    path : where the addresses that it holds for begin; most : bytes; seconds : from the headers to the last byte.
    """

    path: str
    most: int
    seconds: float


class Bodies:
    """ASGI middleware that refuses bodies which are compressed, too slow or too much for the memory.

    A body that has not arrived in time is answered with 408 and one that there is no memory for with 503 or, when there never is,
    with 413; a compressed one with 415. The application then sees a client that went away. What it raises about clients that
    went away ends here: they are no errors of the server.

    Parameters
    ----------
    limits : of addresses that have one of their own, the first that fits; all others have that of an image.
    """

    def __init__(self, app: ASGIApp, limits: Sequence[Limit] = ()):
        self._app = app
        self._limits = tuple(limits)
        self._memory = _Memory(settings.BODY_MEMORY_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        if "transfer-encoding" not in headers and length.strip("0") == "":
            with _departures():
                await self._app(scope, receive, send)
            return

        async def refuse(status: HTTPStatus, sentence: str, **more: str) -> None:
            # What is left of the body is not read, so nothing can follow it.
            answer = problem(scope["path"], status, sentence, {"Connection": "close", **more})
            await answer(scope, receive, send)

        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            await refuse(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "The body is compressed; send it as it is, without Content-Encoding.",
                **{"Accept-Encoding": "identity"},
            )
            return
        limit = self._limit(scope["path"])
        # How long a body without a length becomes is unknown, so it counts as what it may be.
        needed = min(int(length), limit.most) if length.isdecimal() else limit.most
        if needed > self._memory.total:
            await refuse(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The request is larger than the {self._memory.total / 1e6:g} MB that the server has for all of them.",
            )
            return
        with self._memory.reserved(needed) as there:
            if not there:
                await refuse(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    "The server is receiving too much at once; try again in a moment.",
                    **{"Retry-After": _RETRY_SECONDS},
                )
                return
            timed = _Timed(receive, send, limit.seconds)
            with _departures():
                await self._app(scope, timed.receive, timed.send)
            if timed.late and not timed.answered:
                await refuse(
                    HTTPStatus.REQUEST_TIMEOUT,
                    f"The body did not arrive within {limit.seconds:g} s; send it faster, or a smaller one.",
                )

    def _limit(self, path: str) -> Limit:
        usual = Limit("", settings.MAX_IMAGE_BYTES + FORM_BYTES, settings.BODY_SECONDS)
        return next((limit for limit in self._limits if path.startswith(limit.path)), usual)


class _Timed:
    """The two ends of a request whose body has to arrive within a time.

    late : whether it did not; answered : whether the application began its answer before.
    """

    def __init__(self, receive: Receive, send: Send, seconds: float):
        self._receive, self._send = receive, send
        self._end = anyio.current_time() + seconds
        self._whole = self.late = self.answered = False

    async def receive(self) -> Message:
        if self.late:
            return {"type": "http.disconnect"}
        if self._whole:
            return await self._receive()
        with anyio.move_on_at(self._end) as time:
            message = await self._receive()
            self._whole = not message.get("more_body", False)
            return message
        assert time.cancelled_caught
        self.late = True
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.late and not self.answered:
            return
        self.answered = True
        await self._send(message)


class _Memory:
    """Bytes that bodies may take together."""

    def __init__(self, total: int):
        self.total = total
        self._left = total
        # Several servers in threads of one process may share an application.
        self._lock = threading.Lock()

    @contextmanager
    def reserved(self, needed: int) -> Iterator[bool]:
        """Whether there are so many bytes left; they are kept until the block ends."""
        with self._lock:
            there = needed <= self._left
            self._left -= needed if there else 0
        try:
            yield there
        finally:
            with self._lock:
                self._left += needed if there else 0


@contextmanager
def _departures() -> Iterator[None]:
    try:
        yield
    except* ClientDisconnect:
        # Nobody waits for an answer.
        pass
