"""The style and the address of the server in the head of every page."""

from pathlib import Path
from urllib.parse import urljoin

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from dashboard.page_head import PageHead
from dashboard.widgets import style


def client(tmp_path: Path, base: bool = False) -> TestClient:
    page = tmp_path / "index.html"
    page.write_text('<html><head><title>t</title></head><body><div id="root"></div></body></html>')
    other = tmp_path / "other.html"
    other.write_text("<html><head></head></html>")
    app = Starlette(
        routes=[
            Route("/", lambda request: FileResponse(page)),
            Route("/data", lambda request: JSONResponse({"text": "</head>"})),
            Route("/api/docs", lambda request: FileResponse(other)),
            Route("/{path:path}", lambda request: FileResponse(page)),
        ],
        middleware=[
            Middleware(PageHead, base="/base" if base else ""),
            Middleware(GZipMiddleware, minimum_size=10),
        ],
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


@pytest.mark.parametrize(
    ("path", "base", "leads_to"),
    [
        ("/search", False, None),
        ("/search/", False, None),
        ("/search/x", False, "/search"),
        ("/search/x/", False, "/search"),
        ("/a b/c/d", False, "/a%20b"),
        ("/api/docs", False, None),
        ("/base/search", True, None),
        ("/base/search/x", True, "/base/search"),
    ],
)
def test_a_path_below_a_page_leads_to_the_page(tmp_path: Path, path: str, base: bool, leads_to: str | None):
    answer = client(tmp_path, base).get(path, follow_redirects=False)
    if leads_to is None:
        assert answer.status_code == 200
    else:
        assert answer.status_code == 307
        assert urljoin(path, answer.headers["location"]) == leads_to


def test_a_missing_script_does_not_lead_to_a_page(tmp_path: Path):
    answer = client(tmp_path).get("/static/missing.js", headers={"Accept": "*/*"}, follow_redirects=False)
    assert answer.status_code == 200
