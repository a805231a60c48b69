import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.server import redirect


@pytest.mark.parametrize("base", ["", "/some/where"])
def test_a_path_leads_to_its_parent_with_its_query_string(base):
    client = TestClient(Starlette(routes=[redirect.to_parent(f"{base}/search")]), follow_redirects=False)
    answer = client.get(f"{base}/search?k=7&class=a%26b&class=c")
    assert answer.is_redirect
    assert answer.headers["location"] == "./?k=7&class=a%26b&class=c"
    assert client.get(f"{base}/search").headers["location"] == "./"
