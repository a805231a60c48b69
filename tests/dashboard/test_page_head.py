"""The style and the address of the server in the head of every page."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from dashboard.page_head import PageHead
from dashboard.widgets import style


def client(tmp_path: Path) -> TestClient:
    page = tmp_path / "index.html"
    page.write_text("<html><head><title>t</title></head><body></body></html>")
    app = Starlette(
        routes=[
            Route("/", lambda request: FileResponse(page)),
            Route("/data", lambda request: JSONResponse({"text": "</head>"})),
        ],
        middleware=[Middleware(PageHead), Middleware(GZipMiddleware, minimum_size=10)],
    )
    return TestClient(app, headers={"Accept": "text/html", "Accept-Encoding": "gzip"})


def test_the_style_is_in_the_head_of_a_page(tmp_path: Path):
    answer = client(tmp_path).get("/")
    assert f"<style>{style.RULES}</style>" in answer.text.partition("</head>")[0]
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert "etag" not in answer.headers


def test_other_answers_stay_as_they_are(tmp_path: Path):
    answer = client(tmp_path).get("/data")
    assert answer.json() == {"text": "</head>"}


def test_a_head_request_has_no_body(tmp_path: Path):
    assert client(tmp_path).head("/").content == b""
