"""Which hosts a server answers to, at a real dashboard and a real API over raw sockets."""

import base64
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient

from core import hostnames
from core.errors import UserError
from core.server.hosts import AllowedHosts, Guard
from core.settings import load
from tests.conftest import ROOT, free_port, serving

PATHS = (
    "/",
    "/images",
    "/static/no-such-file.js",
    "/_stcore/health",
    "/_stcore/host-config",
    "/vendor/plotly.min.js",
    "/pictures/objects200/0",
    "/pictures/no-such-dataset/0",
    "/layouts/objects200",
    "/api/docs",
    "/api/v1/health",
    "/api/v1/datasets",
    "/api/no-such-path",
)
HEADERS = {
    "content-security-policy": "frame-ancestors 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")


def request(url: str, path: str, lines: list[str], method: str = "GET") -> tuple[int, dict[str, str], str]:
    """Status, headers and the beginning of the body of what a server answers to exactly these lines."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=30) as connection:
        connection.sendall("\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1"))
        # A refused one comes whole at once; of a page the first part is enough.
        answer = b""
        while b"\r\n\r\n" not in answer and (data := connection.recv(65536)):
            answer += data
        head, _, body = answer.decode("latin-1").partition("\r\n\r\n")
        status, *headers = head.split("\r\n")
        code = int(status.split()[1])
        if code >= 400 and not body and method != "HEAD":
            body = connection.recv(65536).decode("latin-1")
    return code, dict(line.lower().split(": ", 1) for line in headers), body


def handshake(url: str, host: str, origin: str | None) -> tuple[int, dict[str, str], str]:
    """As :func:`request`, for opening Streamlit's websocket."""
    key = f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}"
    lines = [f"Host: {host}", *UPGRADE, key, *([] if origin is None else [f"Origin: {origin}"])]
    return request(url, "/_stcore/stream", lines)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard that answers to the name of a proxy too; Streamlit has a list of hosts for websockets that lacks it."""
    folder = tmp_path_factory.mktemp("proxied")
    hosts = {
        "PLAYGROUND_ALLOWED_HOSTS": "play.example, 192.0.2.7",
        "STREAMLIT_SERVER_ALLOWED_HOSTS": "127.0.0.1",
    }
    with serving(folder / "log", **hosts) as url:
        yield url


@pytest.fixture(scope="module")
def api_only() -> Iterator[str]:
    """The API without pages."""
    port = free_port()
    command = [sys.executable, "-m", "core", "serve", "--api-only", "--port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.mark.parametrize("path", PATHS)
def test_the_dashboard_answers_its_own_host_with_headers_and_no_other_one(dashboard_server, path):
    status, headers, _ = request(dashboard_server, path, ["Host: localhost:8501"])
    assert status in (200, 404) and headers.items() >= HEADERS.items()
    status, headers, body = request(dashboard_server, path, ["Host: evil.example"])
    assert status == 421 and headers.items() >= HEADERS.items()
    assert "PLAYGROUND_ALLOWED_HOSTS" in body and "evil" not in body


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS", "DELETE"])
def test_every_method_is_refused_for_another_host(dashboard_server, method):
    assert request(dashboard_server, "/api/v1/search", ["Host: evil.example"], method)[0] == 421


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:1", "localhost.", "app.localhost", "127.0.0.1:8501", "127.9.9.9", "[::1]:8501"],
)
def test_loopback_names_are_answered(dashboard_server, host):
    assert request(dashboard_server, "/api/v1/health", [f"Host: {host}"])[0] == 200
    assert handshake(dashboard_server, host, f"http://{host}")[0] == 101


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8501",
        "localhost.evil.example",
        "evil-localhost",
        "127.0.0.1.evil.example",
        "192.168.0.7:8501",
        "[2001:db8::1]",
        "0.0.0.0:8501",
        "127.1",
        "2130706433",
        "machine.evil.example",
    ],
)
def test_other_names_and_addresses_are_refused(dashboard_server, host):
    assert request(dashboard_server, "/api/v1/health", [f"Host: {host}"])[0] == 421
    assert handshake(dashboard_server, host, f"http://{host}")[0] == 421


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["Host:"],
        ["Host: localhost", "Host: evil.example"],
        ["Host: evil.example@localhost"],
        ["Host: localhost@evil.example"],
        ["Host: localhost/evil.example"],
        ["Host: localhost, evil.example"],
        ["Host: localhost:99999"],
        ["Host: localhost:80:80"],
        ["Host: localhost.."],
        ["Host: [::1"],
        ["Host: ::1"],
        ["Host: [::1%25lo]"],
        ["Host: <script>"],
        ["Host: \xe9"],
    ],
)
def test_a_malformed_host_is_a_bad_request(dashboard_server, lines):
    status, _, body = request(dashboard_server, "/api/v1/health", lines)
    assert status == 400 and "<script>" not in body


def test_the_api_refuses_with_problem_details(dashboard_server):
    _, headers, body = request(dashboard_server, "/api/v1/health", ["Host: evil.example"])
    assert headers["content-type"] == "application/problem+json" and json.loads(body)["status"] == 421


def test_forwarded_hosts_are_ignored(dashboard_server):
    lines = ["Host: evil.example", "X-Forwarded-Host: localhost", "Forwarded: host=localhost"]
    assert request(dashboard_server, "/api/v1/health", lines)[0] == 421


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://evil.example:8501",
        "http://localhost.evil.example",
        "http://192.168.0.7",
        "null",
        "file://",
        "chrome-extension://localhost",
        "localhost",
        "http://localhost@evil.example",
        "http://[::1",
    ],
)
def test_a_websocket_from_a_page_of_another_host_is_refused(dashboard_server, origin):
    status, headers, body = handshake(dashboard_server, "localhost", origin)
    assert status == 403 and headers.items() >= HEADERS.items()
    assert "PLAYGROUND_ALLOWED_HOSTS" in body and "evil" not in body


def test_a_websocket_without_an_origin_is_accepted(dashboard_server):
    assert handshake(dashboard_server, "localhost", None)[0] == 101


def test_hosts_of_the_setting_are_answered_and_their_pages_may_connect(proxied):
    for host in ("play.example", "PLAY.example.:443", "192.0.2.7"):
        assert request(proxied, "/", [f"Host: {host}"])[0] == 200
        assert handshake(proxied, host, f"https://{host}")[0] == 101
    # A proxy that leaves out the port, and one that sends its own address as the host.
    assert handshake(proxied, "play.example", "https://play.example:8443")[0] == 101
    assert handshake(proxied, "127.0.0.1:8501", "https://play.example")[0] == 101
    assert handshake(proxied, "play.example", "http://evil.example")[0] == 403
    assert handshake(proxied, "www.play.example", "https://www.play.example")[0] == 421


@pytest.mark.slow
def test_streamlits_settings_have_the_hosts_also_when_its_file_is_read_again():
    code = (
        "from streamlit import config\n"
        "def read():\n"
        "    config.get_config_options(True, {'server.allowedHosts': ['localhost']})\n"
        "def show():\n"
        "    print(config.get_option('server.allowedHosts'), config.get_option('server.corsAllowedOrigins'))\n"
        "read()\n"
        "import dashboard.app\n"
        "show()\n"
        "read()\n"
        "show()\n"
    )
    environment = {**os.environ, "PLAYGROUND_ALLOWED_HOSTS": "play.example,[2001:db8::1]"}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    line = "['localhost', 'play.example', '2001:db8::1'] ['https://play.example', 'https://[2001:db8::1]']"
    assert run.stdout.splitlines() == [line, line], run.stderr


def test_the_api_alone_has_the_same_rules(api_only):
    for path in ("/api/v1/health", "/pictures/objects200/0", "/none"):
        status, headers, _ = request(api_only, path, ["Host: localhost"])
        assert status in (200, 404) and headers.items() >= HEADERS.items()
        assert request(api_only, path, ["Host: evil.example"])[0] == 421


@pytest.mark.parametrize("address", [None, "", "0.0.0.0", "::", "10.0.0.7"])
def test_beyond_loopback_addresses_and_the_machines_own_name_are_allowed(address):
    allowed = AllowedHosts(address)
    own = socket.gethostname().lower()
    for host in ("localhost", "127.0.0.1", "10.0.0.7", "2001:db8::1", own):
        assert host in allowed
    for host in ("evil.example", "10.0.0.7.evil.example", f"{own}.evil.example"):
        assert host not in allowed


def test_the_name_that_a_server_listens_on_is_allowed():
    assert "box.invalid" in AllowedHosts("Box.invalid") and "box.invalid" not in AllowedHosts("127.0.0.1")


def test_internal_errors_have_the_headers_and_headers_of_a_route_are_kept():
    async def fail(_):
        raise RuntimeError

    async def own(_):
        headers = {"Content-Security-Policy": "frame-ancestors 'none'", "Referrer-Policy": "no-referrer"}
        return PlainTextResponse("", headers=headers)

    app = Guard(Starlette(routes=[Route("/fail", fail), Route("/own", own)]), "127.0.0.1")
    client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
    failed = client.get("/fail")
    assert failed.status_code == 500 and HEADERS.items() <= dict(failed.headers).items()
    headers = client.get("/own").headers
    assert headers["content-security-policy"] == "frame-ancestors 'none'"
    assert headers["referrer-policy"] == "no-referrer"


def test_a_websocket_is_closed_where_the_server_can_send_no_response():
    async def never(_):
        raise AssertionError

    sent = []

    async def send(message):
        sent.append(message["type"])

    scope = {"type": "websocket", "path": "/", "headers": [(b"host", b"evil.example")]}
    guard = Guard(Starlette(routes=[WebSocketRoute("/", never)]), "127.0.0.1")
    with pytest.raises(StopIteration):
        guard(scope, never, send).send(None)
    assert sent == ["websocket.close"]


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Example.ORG.:80", "example.org"),
        ("[2001:DB8:0:0::1]:80", "2001:db8::1"),
        ("10.0.0.7", "10.0.0.7"),
        ("a_b:", "a_b"),
    ],
)
def test_a_host_is_normalized(text, host):
    assert hostnames.parse(text) == host


def test_a_name_is_loopback_when_all_its_addresses_are():
    assert hostnames.is_loopback("localhost") and hostnames.is_loopback("127.0.0.2")
    assert hostnames.is_loopback("::1") and hostnames.is_loopback("::ffff:127.0.0.1")
    assert not any(map(hostnames.is_loopback, (None, "", "0.0.0.0", "::", "10.0.0.7", "none.invalid")))


def test_the_setting_takes_names_and_addresses_only(monkeypatch):
    monkeypatch.setenv("PLAYGROUND_ALLOWED_HOSTS", " Play.Example ,, bücher.example,[::1], 10.0.0.7")
    found = load().ALLOWED_HOSTS
    assert found == ("play.example", "xn--bcher-kva.example", "::1", "10.0.0.7")
    for wrong in ("https://play.example", "play.example:8501", "*", "play.example/", "a b", "ü" * 70):
        monkeypatch.setenv("PLAYGROUND_ALLOWED_HOSTS", f"play.example,{wrong}")
        with pytest.raises(UserError, match="PLAYGROUND_ALLOWED_HOSTS"):
            load()
