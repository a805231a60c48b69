"""Paths that answer with another path."""

from collections.abc import Collection

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send


def to_parent(path: str) -> Route:
    """A route from a path to the one above it, with the query string that it was asked for.

    The answer is relative, so that it holds behind a proxy too: ``/base/home?k=7`` leads to ``/base/?k=7``.
    """

    def answer(request: Request) -> RedirectResponse:
        query = request.url.query
        return RedirectResponse(f"./?{query}" if query else "./")

    return Route(path, answer, methods=["GET"])


class Moved:
    """Leads a path to one below it, with its query string, where that has one of some keys; all else goes on to ``app``.

    Parameters
    ----------
    path : ends with a slash; keys : of which one is enough; to : the path below. The answer is relative, as that of :func:`to_parent`.
    """

    def __init__(self, app: ASGIApp, path: str, keys: Collection[str], to: str):
        self._app, self._path, self._keys, self._to = app, path, frozenset(keys), to

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and scope["path"] == self._path:
            request = Request(scope)
            if not self._keys.isdisjoint(request.query_params):
                answer = RedirectResponse(f"./{self._to}?{request.url.query}")
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)
