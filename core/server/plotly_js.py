"""Plotly's JavaScript for our own charts, over HTTP, from the installed Python package.

Streamlit keeps the copy in its bundle to itself, and a page must work without any other network.
"""

import gzip
import hashlib
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

_NAME = "plotly.min.js"


def routes(prefix: str = "") -> list[Route]:
    """The route, whose path begins with ``prefix`` (:func:`core.server.routes.prefix`)."""
    return [Route(f"{prefix}/vendor/{_NAME}", _script, methods=["GET"])]


def source() -> str:
    """The address of the script; it changes with the version of the package."""
    # Relative to the page: see gallery.address.
    return f"./vendor/{_NAME}?v={version('plotly')}"


def _script(request: Request) -> Response:
    # Starlette runs this in a thread, since it is no coroutine: compressing holds nothing up.
    try:
        data, tag = _compressed()
    except OSError:
        return PlainTextResponse("The package plotly is not installed; install requirements.txt.", 404)
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "ETag": tag,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
    else:
        data = gzip.decompress(data)
    return Response(data, media_type="text/javascript", headers=headers)


@lru_cache(maxsize=1)
def _compressed() -> tuple[bytes, str]:
    """The script, compressed once for all, and a tag of its content."""
    # Found without importing the package, which takes half a second.
    package = find_spec("plotly")
    if package is None or package.origin is None:
        raise FileNotFoundError("plotly")
    data = (Path(package.origin).parent / "package_data" / _NAME).read_bytes()
    return gzip.compress(data, 6), f'"{hashlib.sha256(data).hexdigest()[:16]}"'
