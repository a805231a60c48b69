"""What the HTML of the pages has in its head: their style, which holds from the first paint, where the server is, and keys for panels and dialogs."""

from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard import url
from dashboard.widgets import style

_END = b"</head>"
# What Streamlit's own page has and no other.
_STREAMLIT = b'id="root"'
# Without it, Streamlit first looks for its server below the page's own path, which the browser's console reports as errors.
# The server may be behind a proxy that strips a prefix, so only the browser knows the whole path.
_SERVER = """{
  const [, base] = location.pathname.match(/^(.*?)\\/*(?:\\/(?:PAGES))?\\/*$/);
  window.__streamlit = { BACKEND_BASE_URL: location.origin + base };
}""".replace("PAGES", "|".join(url.PATHS.values()))
_KEYS = "\n".join(
    (Path(__file__).parent / "frontend" / name).read_text("utf-8")
    for name in ("panel_keys.js", "dialog_focus.js")
)


class PageHead:
    """ASGI middleware that adds :data:`dashboard.widgets.style.RULES`, the address of the server and keys for panels and dialogs to every HTML page.

    Streamlit answers every path with its page, whose scripts are found from one level below the base alone.
    Browsers that ask for a page below that level are led to it.

    Parameters
    ----------
    base : what all paths begin with, nothing or a slash and a path.
    """

    def __init__(self, app: ASGIApp, base: str = ""):
        self._app, self._base = app, base

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def add(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and _is_page(message):
                start = message
            elif start is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if message.get("more_body"):
                    return
                path = scope["path"].removeprefix(self._base)
                first, *deeper = path.strip("/").split("/")
                if deeper and _STREAMLIT in body and _wants_page(scope):
                    # Relative, so that it holds behind a proxy too.
                    ups = "../" * (path.count("/") - 1)
                    await RedirectResponse(f"{ups}{quote(first)}")(scope, receive, send)
                    return
                added = f"<style>{style.RULES}</style><script>{_SERVER}\n{_KEYS}</script>"
                whole = body.replace(_END, added.encode() + _END, 1)
                headers = MutableHeaders(scope=start)
                headers["content-length"] = str(len(whole))
                # These describe the file without what was added.
                del headers["etag"], headers["last-modified"]
                await send(start)
                await send({"type": "http.response.body", "body": whole})

        # A page in its own encoding could not be read here.
        plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        await self._app({**scope, "headers": plain} if _wants_page(scope) else scope, receive, add)


def _wants_page(scope: Scope) -> bool:
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _is_page(start: Message) -> bool:
    headers = MutableHeaders(scope=start)
    return (
        start["status"] == HTTPStatus.OK
        and headers.get("content-type", "").startswith("text/html")
        and "content-encoding" not in headers
    )
