"""The REST API over the shipped datasets, with a real model."""

import contextlib
import json
import logging
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import urllib3
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.testclient import TestClient

from core.experiments.store import Configuration
from core.imaging import decode
from core.models import extractor, networks, registry, weights
from core.search import engine as engines
from core.search import shared_engine
from core.server import api, media
from core.server.bodies import Bodies
from core.settings import settings
from tests.conftest import ROOT, free_port
from tests.servers import answer, connect, served
from tests.servers import post as post_head

CONFIGURATION = {
    "model": "efficientnet-lite0",
    "weights": "imagenet",
    "layer": "block6_output",
    "pooling": "avg",
    "metric": "cosine",
}
SEARCH = "/v1/search"


@pytest.fixture(scope="module")
def picture() -> bytes:
    return shared_engine.engine().grid.dataset("objects200").path(3).read_bytes()


@pytest.fixture
def client() -> TestClient:
    return TestClient(api.create(), raise_server_exceptions=False)


def post(client: TestClient, picture: bytes, **fields):
    return client.post(SEARCH, files={"image": ("picture.webp", picture)}, data=fields)


def assert_problem(response, status: int, *words: str):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) == {"type", "title", "status", "detail", "instance"}
    assert problem["status"] == status
    for word in words:
        assert word in problem["detail"]
    assert "Traceback" not in response.text


def test_an_image_is_its_own_nearest_neighbor_with_votes_and_times(client, picture):
    response = post(client, picture, k="5", **CONFIGURATION)
    assert response.status_code == 200
    answer = response.json()
    assert answer["configuration"] == CONFIGURATION
    assert answer["results"][0]["id"] == 3
    distances = [found["distance"] for found in answer["results"]]
    assert len(distances) == 5 and distances == sorted(distances)
    assert sum(vote["count"] for vote in answer["votes"]) == 5
    assert all(answer["milliseconds"][part] > 0 for part in ("decode", "features", "search"))
    assert "vector" not in answer


def test_without_a_configuration_the_recommended_one_is_used_and_named(client, picture):
    engine = shared_engine.engine()
    best = engine.recommended(engine.grid.dataset("emoji200")).taken
    answer = post(client, picture, dataset="emoji200", k="2").json()
    assert answer["configuration"] == {part: getattr(best, part) for part in CONFIGURATION}


def test_a_region_is_searched(client, picture):
    whole = post(client, picture, vector="true", **CONFIGURATION).json()
    part = post(client, picture, vector="true", crop="0.1,0.1,0.6,0.6", **CONFIGURATION).json()
    assert whole["vector"] != part["vector"]


@pytest.fixture
def web(picture, monkeypatch) -> str:
    """A URL of the picture on a server of this machine, which the settings allow for this test."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(picture)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(settings, "FETCH_PRIVATE", True)
    monkeypatch.setattr(settings, "FETCH_PORTS", (80, 443, server.server_port))
    yield f"http://127.0.0.1:{server.server_port}/picture"
    server.shutdown()


def test_a_file_gives_the_same_vector_whichever_way_it_comes_in(client, picture, web):
    engine = shared_engine.engine()
    path = engine.grid.dataset("objects200").path(3)
    expected = engine.embed(decode.read(path), Configuration(**CONFIGURATION))
    uploaded = post(client, picture, vector="true", **CONFIGURATION).json()["vector"]
    fetched = client.post(SEARCH, json={"url": web, "vector": True, **CONFIGURATION}).json()["vector"]
    model = registry.get_model(CONFIGURATION["model"])
    network = extractor.Extractor(model, networks.load(model, "imagenet"), [CONFIGURATION["layer"]])
    [batch] = network.batches([path])
    in_grid = network(batch.pixels)[CONFIGURATION["layer"], "avg"][0]
    for vector in (uploaded, fetched):
        np.testing.assert_array_equal(np.array(vector, np.float32), expected)
    # In batches of another size some processors add in another order.
    np.testing.assert_allclose(in_grid, expected, atol=1e-5 * np.abs(expected).max())


def test_the_lists_name_what_there_is(client):
    assert {one["name"] for one in client.get("/v1/datasets").json()} >= {"objects200", "emoji200"}
    assert len(client.get("/v1/models").json()) == 14
    rows = client.get("/v1/configurations", params={"dataset": "emoji200"}).json()
    assert rows and rows[0]["weights"] == "imagenet"
    assert client.get("/v1/health").json() == {"status": "ok"}


def test_the_description_names_every_path_and_the_page_shows_it(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {
        f"/v1/{one}"
        for one in ("search", "neighbors", "datasets", "collections", "models", "configurations", "health")
    }
    body = paths[SEARCH]["post"]["requestBody"]["content"]
    assert set(body) == {"multipart/form-data", "application/json"}
    page = client.get("/docs")
    assert page.status_code == 200 and "//cdn" not in page.text


@pytest.mark.parametrize(
    ("fields", "status", "word"),
    [
        ({"dataset": "nothing"}, 404, "objects200"),
        ({"dataset": "../../etc"}, 404, "objects200"),
        ({"model": "nothing"}, 422, "efficientnet-lite0"),
        ({"layer": "nothing"}, 422, "block6_output"),
        ({"pooling": "nothing"}, 422, "avg, max"),
        ({"metric": "nothing"}, 422, "cosine, euclidean"),
        ({"weights": "file-12345678"}, 422, "imagenet"),
        ({"k": "0"}, 422, "k: "),
        ({"k": "101"}, 422, "k: "),
        ({"k": "nan"}, 422, "k: "),
        ({"crop": "0,0,1"}, 422, "crop"),
        ({"crop": "0.5,0,0.5,1"}, 422, "shares from 0 to 1"),
        ({"crop": "nan,0,1,1"}, 422, "shares from 0 to 1"),
        ({"unheard": "of"}, 422, "unheard"),
        ({"layer": "stem_activation", "pooling": "flatten"}, 422, "MB allowed"),
    ],
)
def test_an_impossible_search_is_a_problem(client, picture, fields, status, word):
    assert_problem(post(client, picture, **{**CONFIGURATION, **fields}), status, word)


def test_missing_weights_are_never_downloaded_by_a_request(client, picture, monkeypatch):
    monkeypatch.setattr(weights, "availability", lambda model: (False, "Keras downloads them."))
    monkeypatch.setattr(engines.networks, "load", lambda *a, **k: pytest.fail("it was loaded"))
    fresh = engines.Engine(shared_engine.engine().grid)
    client = TestClient(api.create(engine=lambda: fresh))
    assert_problem(post(client, picture, **CONFIGURATION), 503, "not on this machine")


@pytest.mark.parametrize("data", [b"", b"junk", b"<svg/>", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_bytes_that_are_not_an_image_are_a_problem(client, data):
    assert_problem(post(client, data, **CONFIGURATION), 400)


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "file:///etc/passwd", "http://10.0.0.1/x", "nonsense"])
def test_a_forbidden_url_is_a_problem(client, url):
    assert_problem(client.post(SEARCH, json={"url": url}), 400)


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"", "application/json", 422),
        (b"[]", "application/json", 422),
        (b'{"url": 3}', "application/json", 422),
        (b"{}", "application/json", 422),
        (b'{"url": "' + b"x" * 200_000 + b'"}', "application/json", 413),
        (b"x", "text/plain", 415),
        (b"x", "", 415),
        (b"x", "multipart/form-data", 400),
        (b"x", "multipart/form-data; boundary=b", 400),
        (b"--b\r\n", "multipart/form-data; boundary=b", 422),
    ],
)
def test_a_body_of_the_wrong_kind_is_a_problem(client, content, kind, status):
    response = client.post(SEARCH, content=content, headers={"content-type": kind})
    assert_problem(response, status)


def test_a_body_too_large_is_refused_while_it_arrives(client, monkeypatch):
    monkeypatch.setattr(settings, "MAX_IMAGE_BYTES", 50_000)
    assert_problem(post(client, b"x" * 400_000), 413, "MB allowed")


def test_unknown_paths_and_methods_are_problems_too(client):
    assert_problem(client.get("/v1/nothing"), 404)
    assert_problem(client.get(SEARCH), 405)


def test_a_bug_is_logged_and_not_shown(picture, caplog):
    def broken():
        raise RuntimeError("secret")

    client = TestClient(api.create(engine=broken), raise_server_exceptions=False)
    response = post(client, picture)
    assert_problem(response, 500)
    assert "secret" not in response.text and "secret" in caplog.text


class Slow:
    """An engine that waits until it is let go."""

    def __init__(self):
        self.go = threading.Event()
        self.grid = shared_engine.engine().grid

    def __getattr__(self, name: str) -> Callable:
        self.go.wait(20)
        return getattr(shared_engine.engine(), name)


def test_thirty_two_at_once_are_all_answered(picture):
    with TestClient(api.create()) as client, ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda _: post(client, picture, **CONFIGURATION), range(32)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({json.dumps(answer.json()["results"]) for answer in answers}) == 1


def test_over_the_limit_the_answer_is_429_and_the_rest_goes_on(picture, monkeypatch):
    monkeypatch.setattr(settings, "API_CONCURRENCY", 1)
    monkeypatch.setattr(settings, "API_QUEUE", 1)
    slow = Slow()
    with TestClient(api.create(engine=lambda: slow)) as client, ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(post, client, picture, **CONFIGURATION) for _ in range(2)]
        # Both have their places once they have been read.
        time.sleep(1)
        refused = post(client, picture, **CONFIGURATION)
        assert client.get("/v1/health").status_code == 200
        slow.go.set()
        assert [task.result().status_code for task in waiting] == [200, 200]
    assert_problem(refused, 429, "try again")
    assert refused.headers["retry-after"] == "1"


@pytest.fixture
def dripping(monkeypatch) -> Iterator[str]:
    """A URL of this machine at which a picture never becomes complete."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while not over.wait(0.1):
                    self.wfile.write(b"x")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(settings, "FETCH_PRIVATE", True)
    monkeypatch.setattr(settings, "FETCH_PORTS", (server.server_port,))
    yield f"http://127.0.0.1:{server.server_port}/"
    over.set()
    server.shutdown()


@pytest.mark.slow
def test_slow_downloads_hold_up_no_upload_and_have_a_limit_of_their_own(picture, dripping, monkeypatch):
    monkeypatch.setattr(settings, "FETCH_SECONDS", 6)
    monkeypatch.setattr(settings, "FETCH_CONCURRENCY", 12)
    monkeypatch.setattr(settings, "FETCH_QUEUE", 0)
    app = Starlette(routes=api.routes(), middleware=[Middleware(Bodies)])
    with served(app) as port:
        url = f"http://127.0.0.1:{port}/api{SEARCH}"

        def upload() -> float:
            started = time.monotonic()
            fields = {"image": ("p", picture), **CONFIGURATION}
            assert urllib3.request("POST", url, fields=fields, timeout=30).status == 200
            return time.monotonic() - started

        def ask() -> urllib3.BaseHTTPResponse:
            asked = {"url": dripping, **CONFIGURATION}
            return urllib3.request("POST", url, json=asked, timeout=30, retries=False)

        upload()
        alone = statistics.median(upload() for _ in range(5))
        with ThreadPoolExecutor(13) as pool:
            waiting = [pool.submit(ask) for _ in range(12)]
            time.sleep(1)
            refused = ask()
            beside = statistics.median(upload() for _ in range(5))
            still = sum(not task.done() for task in waiting)
            answers = [task.result() for task in waiting]
    assert still == 12, "the measurement was not beside all downloads"
    # The half second is for a busy machine; behind the downloads it would be six.
    assert beside <= 1.5 * alone + 0.5
    assert [(one.status, "6 s" in one.json()["detail"]) for one in answers] == [(400, True)] * 12
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")


def test_what_cannot_be_searched_is_refused_before_anything_is_downloaded(client, monkeypatch):
    monkeypatch.setattr(api.url_download, "fetch_image", lambda url: pytest.fail("it was downloaded"))
    asked = {"url": "http://example.org/"}
    assert_problem(client.post(SEARCH, json={**asked, "dataset": "nothing"}), 404)
    assert_problem(client.post(SEARCH, json={**asked, "where": ["label=cat"]}), 422)
    assert_problem(client.post(SEARCH, json={**asked, "collection": "x", "model": "vgg16"}), 422)


def test_head_is_answered_where_get_is_with_the_same_headers_and_no_body():
    app = Starlette(routes=[*api.routes(), *media.routes()], middleware=[Middleware(Bodies)])
    with served(app) as port:
        for path in ("/api/docs", "/api/openapi.json", "/api/v1/datasets", "/pictures/objects200/3"):
            head, get = (
                connect(port, f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                for method in ("HEAD", "GET")
            )
            (status, text), (expected, whole) = answer(head), answer(get)
            headers, _, body = whole.partition(b"\r\n\r\n")
            assert status == expected == 200 and body
            without = [line for line in headers.splitlines() if not line.startswith(b"date:")]
            assert [line for line in text.splitlines() if line and not line.startswith(b"date:")] == without
        assert (
            answer(connect(port, b"HEAD /api/v1/search HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))[0]
            == 405
        )


def test_a_client_that_goes_away_leaves_nothing_in_the_log(picture, monkeypatch, caplog):
    slow = Slow()
    app = Starlette(
        routes=[Mount("/api", app=api.create(engine=lambda: slow))], middleware=[Middleware(Bodies)]
    )
    form = "Content-Type: multipart/form-data; boundary=b"
    start = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
    whole = start + picture + b"\r\n--b--\r\n"
    with served(app) as port:
        # In the middle of the body, and while the search is under way.
        connect(port, post_head(5000, form, path="/api/v1/search") + start).close()
        connect(port, post_head(None, form, path="/api/v1/search") + b"5\r\n").close()
        connect(port, post_head(len(whole), form, path="/api/v1/search") + whole).close()
        time.sleep(0.5)
        slow.go.set()
        time.sleep(0.5)
        assert urllib3.request("GET", f"http://127.0.0.1:{port}/api/v1/health").status == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_slow_body_is_dropped_and_a_compressed_one_refused(monkeypatch):
    monkeypatch.setattr(settings, "BODY_SECONDS", 1)
    app = Starlette(routes=api.routes(), middleware=[Middleware(Bodies)])
    with served(app) as port:
        stalled = connect(
            port, post_head(5000, "Content-Type: application/json", path="/api/v1/search") + b"{"
        )
        packed = connect(port, post_head(50, "Content-Encoding: gzip", path="/api/v1/search"))
        for channel, expected in ((packed, 415), (stalled, 408)):
            status, text = answer(channel)
            assert status == expected
            assert json.loads(text.partition(b"\r\n\r\n")[2])["instance"] == "/api/v1/search"


def test_urls_of_images_begin_with_what_a_proxy_has_stripped(client, picture):
    def address(prefix: str) -> str:
        response = client.post(
            SEARCH,
            files={"image": ("p", picture)},
            data=CONFIGURATION,
            headers={"X-Forwarded-Prefix": prefix},
        )
        return response.json()["results"][0]["picture"]

    assert address("/play").startswith("/play/pictures/objects200/3?")
    assert address("/a/b/").startswith("/a/b/pictures/")
    for hostile in ("//evil.example", "http://evil.example", "/../x y", "play", '/"'):
        assert address(hostile).startswith("/pictures/")


@pytest.mark.slow
def test_the_api_alone_is_served_and_stops_quietly(picture, tmp_path):
    port = free_port()
    log = tmp_path / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "core", "serve", "--api-only", "--port", str(port)],
            cwd=ROOT,
            env=os.environ,
            stdout=out,
            stderr=out,
        )
    try:
        base = f"http://127.0.0.1:{port}"
        health = _get(f"{base}/api/v1/health")
        assert json.loads(health) == {"status": "ok"}
        assert _get(f"{base}/pictures/objects200/3")[:4] == b"RIFF"
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 0
    assert "Traceback" not in log.read_text()


def _get(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(200):
        try:
            with opener.open(url, timeout=10) as answer:
                return answer.read()
        except urllib.error.URLError:
            time.sleep(0.1)
    pytest.fail(f"{url} did not answer")
