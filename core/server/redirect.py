"""Paths that answer with another path."""

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route


def to_parent(path: str) -> Route:
    """A route from a path to the one above it, with the query string that it was asked for.

    The answer is relative, so that it holds behind a proxy too: ``/base/search?k=7`` leads to ``/base/?k=7``.
    """

    def answer(request: Request) -> RedirectResponse:
        query = request.url.query
        return RedirectResponse(f"./?{query}" if query else "./")

    return Route(path, answer, methods=["GET"])
