"""All HTTP routes beside Streamlit's own, mounted in one place."""

from starlette.routing import BaseRoute

from core.server import api, media, plotly_js, projections


def prefix(base_path: str) -> str:
    """What all paths begin with on a server whose pages lie below ``base_path``: nothing, or a slash and the path.

    Examples
    --------
    >>> prefix("/some/where/")
    '/some/where'
    """
    base = base_path.strip("/")
    return f"/{base}" if base else ""


def api_routes(base_path: str = "") -> list[BaseRoute]:
    """The REST API, and the images that its answers link to."""
    start = prefix(base_path)
    return [*api.routes(start), *media.routes(start)]


def page_routes(base_path: str = "") -> list[BaseRoute]:
    """The routes of the API, and what pages fetch."""
    start = prefix(base_path)
    return [*api_routes(base_path), *projections.routes(start), *plotly_js.routes(start)]
