import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from core.server import redirect


@pytest.mark.parametrize("base", ["", "/some/where"])
def test_a_path_leads_to_its_parent_with_its_query_string(base):
    client = TestClient(Starlette(routes=[redirect.to_parent(f"{base}/home")]), follow_redirects=False)
    answer = client.get(f"{base}/home?k=7&class=a%26b&class=c")
    assert answer.is_redirect
    assert answer.headers["location"] == "./?k=7&class=a%26b&class=c"
    assert client.get(f"{base}/home").headers["location"] == "./"


@pytest.mark.parametrize("base", ["", "/some/where"])
def test_what_has_moved_keeps_its_query_string_and_all_else_stays(base):
    app = Starlette(routes=[Route("/{path:path}", lambda request: PlainTextResponse("here"))])
    client = TestClient(redirect.Moved(app, f"{base}/", {"query", "model"}, "search"), follow_redirects=False)
    answer = client.get(f"{base}/?dataset=a&query=4&class=a%26b")
    assert answer.headers["location"] == "./search?dataset=a&query=4&class=a%26b"
    for path in ("/", "/?dataset=a&most-ms=5", "/compare?query=4"):
        assert client.get(base + path).text == "here"
    assert client.post(f"{base}/?query=4").status_code == 405
