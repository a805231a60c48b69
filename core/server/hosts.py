"""Which host names a server answers to, and the headers that all its answers carry.

A web page can give its own name the address of this machine (DNS rebinding). The browser then takes the server for that page's and
lets the page read it. The request still names the page's host, so a server that answers only to its own names is safe.
"""

import logging
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from core import hostnames
from core.server.problem import problem
from core.settings import settings

# Pages of the server frame its own components, hence 'self'.
_FRAMES = "frame-ancestors 'self'"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # An address names datasets, collections and conditions: no business of other sites.
    "Referrer-Policy": "same-origin",
}
_NO_HOST = "The request must name one host, in one Host header."
_UNKNOWN_HOST = (
    "This server does not answer to the host name of this request. If the name is right, add it to the setting "
    "PLAYGROUND_ALLOWED_HOSTS (names separated by commas) and start the server again."
)
_OTHER_ORIGIN = (
    "This server takes no connections from pages of another host. If the page is this server's own behind a proxy, add the "
    "page's host name to the setting PLAYGROUND_ALLOWED_HOSTS."
)
_log = logging.getLogger(__name__)


class AllowedHosts:
    """The hosts that a server answers to.

    Those that lead to the machine of the browser; where the server listens beyond loopback also IP addresses, which no web page can
    have for a name, and the machine's own name; and those that are named.

    Parameters
    ----------
    address : what the server listens on; None is every address of the machine.
    named : more names or addresses, as :func:`hostnames.parse` returns them.
    """

    def __init__(self, address: str | None, named: Sequence[str] = ()):
        self.named = frozenset(named)
        self._beyond_loopback = not hostnames.is_loopback(address)
        self._own = {address or ""}
        if self._beyond_loopback:
            self._own |= {socket.gethostname(), socket.getfqdn()}
        self._own = {name.lower().removesuffix(".") for name in self._own if name}

    def __contains__(self, host: str) -> bool:
        if hostnames.is_loopback_name(host) or host in self.named or host in self._own:
            return True
        return self._beyond_loopback and hostnames.address(host) is not None


class Guard:
    """An ASGI application that refuses requests to hosts that are not allowed, and websockets from pages of other hosts.

    Parameters
    ----------
    app : what answers all other requests.
    address : what the server listens on; None is every address of the machine.
    """

    def __init__(self, app: ASGIApp, address: str | None):
        self._app = app
        self._allowed = AllowedHosts(address, settings.ALLOWED_HOSTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application do it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                _add_headers(message)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send_with_headers)
        elif scope["type"] == "http":
            await refusal(scope, receive, send_with_headers)
        elif "websocket.http.response" in scope.get("extensions", {}):
            await WebSocket(scope, receive, send_with_headers).send_denial_response(refusal)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        given = headers.getlist("host")
        host = hostnames.parse(given[0]) if len(given) == 1 else None
        if host is None:
            return _response(scope, 400, _NO_HOST)
        if host not in self._allowed:
            return _response(scope, 421, _UNKNOWN_HOST)
        if scope["type"] == "websocket" and not all(
            self._same(origin, host) for origin in headers.getlist("origin")
        ):
            # The page shows nothing of this.
            _log.warning("A websocket was refused: %s", _OTHER_ORIGIN)
            return _response(scope, 403, _OTHER_ORIGIN)
        return None

    def _same(self, origin: str, host: str) -> bool:
        """Whether a page of this origin may open a websocket to this host."""
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        page = hostnames.parse(parts.netloc) if parts.scheme in ("http", "https") else None
        if page is None:
            return False
        # A proxy may change the host of a request on its way, but not the origin.
        both_loopback = hostnames.is_loopback_name(page) and hostnames.is_loopback_name(host)
        return page == host or both_loopback or page in self._allowed.named


def _response(scope: Scope, status: int, sentence: str) -> Response:
    # A person reads a sentence, a client of the API the same form as of its other errors.
    if "/api/" in scope["path"]:
        return problem(scope["path"], status, sentence)
    return PlainTextResponse(sentence, status)


def _add_headers(message: Message) -> None:
    headers = MutableHeaders(raw=list(message.get("headers", ())))
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    if not any("frame-ancestors" in policy for policy in headers.getlist("Content-Security-Policy")):
        headers.append("Content-Security-Policy", _FRAMES)
    message["headers"] = headers.raw
