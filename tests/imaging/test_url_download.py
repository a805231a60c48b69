"""Fetching from URLs, with name servers and web servers of the tests' own; nothing leaves this machine."""

import gzip
import ipaddress
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from core.errors import ImageError, UserError
from core.imaging import decode, url_download
from core.imaging.url_download import FetchError, fetch_image
from core.settings import load, settings
from tests.hostile import FORBIDDEN_URLS, pictures

PICTURE = pictures()["png"]
PUBLIC = "93.184.215.14"
OTHER_PUBLIC = "2606:4700:4700::1111"


class Network:
    """A name server and connections that all lead to one server of the test.

    names : answers by host name; a list of lists gives one answer after the other. others : for all other names.
    connected : (address, port) of each connection that was made; asked : names looked up.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.names: dict[str, list] = {"pictures.example": [PUBLIC]}
        self.others: list[str] = []
        self.connected: list[tuple[str, int]] = []
        self.asked: list[str] = []
        self.port = 0
        self.unreachable: set[str] = set()
        monkeypatch.setattr(url_download.socket, "getaddrinfo", self._look_up)
        self._open = url_download._open
        monkeypatch.setattr(url_download, "_open", self._connect)

    def _look_up(self, host: str, *_rest: object, **_more: object) -> list[tuple]:
        self.asked.append(host)
        answer = self.names.get(host, self.others)
        if not answer:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        if isinstance(answer[0], list):
            answer = answer.pop(0)
        return [
            (socket.AF_INET6 if ":" in text else socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, 0))
            for text in answer
        ]

    def _connect(self, address: ipaddress.IPv4Address, port: int, seconds: float) -> socket.socket:
        self.connected.append((str(address), port))
        if str(address) in self.unreachable:
            raise ConnectionRefusedError
        return self._open(ipaddress.ip_address("127.0.0.1"), self.port, seconds)


@pytest.fixture
def network(monkeypatch) -> Network:
    return Network(monkeypatch)


@pytest.fixture
def web(network) -> Iterator[SimpleNamespace]:
    """A web server: ``web.answers[path]`` is a body, a (status, headers, body) or a function of the handler."""
    state = SimpleNamespace(answers={}, asked=[], headers=[])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            state.headers.append(dict(self.headers))
            answer = state.answers[self.path]
            if callable(answer):
                return answer(self)
            status, headers, body = answer if isinstance(answer, tuple) else (200, {}, answer)
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    network.port = state.port = server.server_port
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture
def raw(network) -> Iterator[Callable[[Callable[[socket.socket], None]], None]]:
    """``raw(talk)`` serves every connection with ``talk(socket)``: for servers that break the rules of HTTP."""
    listener = socket.create_server(("127.0.0.1", 0))
    network.port = listener.getsockname()[1]

    def serve(talk: Callable[[socket.socket], None]) -> None:
        def run() -> None:
            while True:
                try:
                    channel, _ = listener.accept()
                except OSError:
                    return
                with channel:
                    try:
                        channel.recv(65536)
                        talk(channel)
                    except OSError:
                        pass

        threading.Thread(target=run, daemon=True).start()

    yield serve
    listener.close()


def refusal(url: str) -> str:
    with pytest.raises(FetchError) as error:
        fetch_image(url)
    return str(error.value)


def test_an_image_is_fetched(web, network):
    web.answers["/a.png?x=1"] = PICTURE
    assert fetch_image("  http://Pictures.EXAMPLE/a.png?x=1#part\n") == PICTURE
    assert network.connected == [(PUBLIC, 80)]
    assert web.headers[0]["Host"] == "pictures.example"
    assert web.headers[0]["Accept-Encoding"] == "identity"


def test_a_path_in_any_script_is_fetched(web):
    web.answers["/%C3%A4.png"] = PICTURE
    assert fetch_image("http://pictures.example/ä.png") == PICTURE


def test_a_name_in_any_script_is_fetched(web, network):
    network.names = {"xn--bcher-kva.example": [PUBLIC]}
    web.answers["/"] = PICTURE
    assert fetch_image("http://bücher.example") == PICTURE


def test_an_image_in_chunks_is_fetched(web):
    def chunks(handler):
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for part in (PICTURE[:100], PICTURE[100:], b""):
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))

    web.answers["/"] = chunks
    assert fetch_image("http://pictures.example/") == PICTURE


def test_content_decides_and_not_what_it_is_called(web):
    web.answers["/page.html"] = 200, {"Content-Type": "text/html"}, PICTURE
    web.answers["/a.png"] = 200, {"Content-Type": "image/png"}, b"<!DOCTYPE html><html>not found</html>"
    assert decode.decode_guarded(fetch_image("http://pictures.example/page.html")).size == (48, 32)
    with pytest.raises(ImageError, match="web page"):
        decode.decode_guarded(fetch_image("http://pictures.example/a.png"))


@pytest.mark.parametrize("url", FORBIDDEN_URLS)
def test_a_url_that_leads_elsewhere_is_refused(url, network):
    # A name server that knows every name: what is refused here is not refused for want of an address.
    network.others = [PUBLIC]
    sentence = refusal(url)
    assert 10 < len(sentence) < 200 and sentence.isprintable() and sentence.endswith(".")
    assert network.connected == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.1.1", "0.0.0.0", "::1", "fd00::1", "fe80::1%eth0", "ff02::1",
     "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001:0:a00:1::", "224.0.0.1", "168.63.129.16"],
)  # fmt: skip
def test_a_name_with_an_address_that_is_not_public_is_refused(address, network):
    network.names["inner.example"] = [address]
    sentence = refusal("http://inner.example/")
    # The same as for a name that there is not, and without what the name server said.
    assert sentence == refusal("http://nobody.example/").replace("nobody", "inner")
    assert network.connected == []


@pytest.mark.parametrize("answer", [[PUBLIC, "10.0.0.1"], ["::1", PUBLIC], [OTHER_PUBLIC, "fe80::1"]])
def test_one_address_that_is_not_public_is_enough_to_refuse(answer, network):
    network.names["mixed.example"] = answer
    assert "no public web server" in refusal("http://mixed.example/")
    assert network.connected == []


def test_the_checked_address_is_the_one_connected_to(web, network):
    network.names["rebinding.example"] = [[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]]
    web.answers["/"] = PICTURE
    assert fetch_image("http://rebinding.example/") == PICTURE
    assert network.asked == ["rebinding.example"]
    assert network.connected == [(PUBLIC, 80)]


def test_a_redirect_to_the_same_name_is_checked_again(web, network):
    network.names["rebinding.example"] = [[PUBLIC], ["127.0.0.1"]]
    web.answers["/"] = 302, {"Location": "/again"}, b""
    assert "no public web server at the host that the URL redirects to" in refusal(
        "http://rebinding.example/"
    )
    assert web.asked == ["/"] and len(network.connected) == 1


def test_the_next_address_is_tried(web, network):
    network.names["two.example"] = [OTHER_PUBLIC, PUBLIC]
    network.unreachable = {OTHER_PUBLIC}
    web.answers["/"] = PICTURE
    assert fetch_image("http://two.example/") == PICTURE
    assert [address for address, _ in network.connected] == [OTHER_PUBLIC, PUBLIC]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(web, network, status):
    network.names["cdn.example"] = [OTHER_PUBLIC]
    web.answers["/"] = status, {"Location": "http://cdn.example/a/b.png"}, b""
    web.answers["/a/b.png"] = status, {"Location": "../c.png"}, b""
    web.answers["/c.png"] = PICTURE
    assert fetch_image("http://pictures.example/") == PICTURE
    assert [address for address, _ in network.connected] == [PUBLIC, OTHER_PUBLIC, OTHER_PUBLIC]


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1/secret", "http://169.254.169.254/latest/meta-data/", "//10.0.0.7/", "http://inner.example/",
     "file:///etc/passwd", "gopher://pictures.example/", "http://pictures.example:6379/", "http://u:p@pictures.example/",
     "http://2130706433/", "http://[::1]/", "http://[::1", "http://127.0.0.1\\@pictures.example/", "data:image/png,x",
     "http://pictures.example/" + "a" * 3000, "javascript:alert(1)", ""],
)  # fmt: skip
def test_a_redirect_elsewhere_is_refused(web, network, location):
    network.names["inner.example"] = ["10.11.12.13"]
    web.answers["/"] = 302, {"Location": location}, b""
    sentence = refusal("http://pictures.example/")
    assert "redirect" in sentence and len(sentence) < 200
    assert not any(part in sentence for part in ("10.", "127.", "169.", "inner.example", "passwd"))
    assert network.connected == [(PUBLIC, 80)]


def test_redirects_end(web):
    web.answers["/"] = 302, {"Location": "/"}, b""
    assert refusal("http://pictures.example/") == "The URL redirects more than 3 times."
    assert len(web.asked) == 4


@pytest.mark.parametrize("status", [204, 304, 401, 403, 404, 418, 500])
def test_an_answer_that_is_no_image_is_named(web, status):
    web.answers["/"] = status, {}, b""
    assert str(status) in refusal("http://pictures.example/")


def test_an_empty_answer_is_refused(web):
    web.answers["/"] = b""
    assert "answers with nothing" in refusal("http://pictures.example/")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "zstd"])
def test_a_compressed_answer_is_refused(web, encoding):
    web.answers["/"] = 200, {"Content-Encoding": encoding}, gzip.compress(bytes(10_000_000))
    assert "encoding" in refusal("http://pictures.example/")


class TestSize:
    @pytest.fixture(autouse=True)
    def small_limit(self, monkeypatch):
        monkeypatch.setattr(settings, "MAX_IMAGE_BYTES", 100_000)

    def test_the_limit_itself_is_allowed(self, web):
        web.answers["/"] = bytes(100_000)
        assert len(fetch_image("http://pictures.example/")) == 100_000

    def test_a_length_above_the_limit_is_refused_unread(self, raw):
        raw(lambda channel: channel.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n"))
        assert "larger than the 0.1 MB allowed" in refusal("http://pictures.example/")

    @pytest.mark.parametrize("header", [b"", b"Transfer-Encoding: chunked\r\n", b"Content-Length: -5\r\n"])
    def test_reading_stops_at_the_limit(self, raw, header):
        sent = []

        def endless(channel):
            channel.sendall(b"HTTP/1.1 200 OK\r\n" + header + b"\r\n")
            while True:
                block = b"10000\r\n" + bytes(65536) + b"\r\n" if header.startswith(b"T") else bytes(65536)
                channel.sendall(block)
                sent.append(len(block))

        raw(endless)
        assert "larger than" in refusal("http://pictures.example/")
        # The rest lies in the buffers of the system.
        assert sum(sent) < 20_000_000

    def test_a_length_that_is_too_small_cuts_the_answer(self, raw):
        raw(
            lambda channel: channel.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + bytes(500_000))
        )
        assert len(fetch_image("http://pictures.example/")) == 10

    @pytest.mark.parametrize(
        "body", [b"Content-Length: 500\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n500\r\nabc"]
    )
    def test_an_answer_that_ends_early_is_refused(self, raw, body):
        raw(lambda channel: channel.sendall(b"HTTP/1.1 200 OK\r\n" + body))
        assert "ended before the image was complete" in refusal("http://pictures.example/")


class TestTime:
    @pytest.fixture(autouse=True)
    def one_second(self, monkeypatch) -> Iterator[None]:
        monkeypatch.setattr(settings, "FETCH_SECONDS", 1)
        start = time.monotonic()
        yield
        assert time.monotonic() - start < 5

    @pytest.mark.parametrize(
        ("start", "drop"),
        [
            (b"", b"H"),
            (b"HTTP/1.1 200 OK\r\n", b"X"),
            (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ],
    )
    def test_a_server_that_drips_is_left(self, raw, start, drop):
        def drip(channel):
            channel.sendall(start)
            while True:
                channel.sendall(drop)
                time.sleep(0.03)

        raw(drip)
        sentence = refusal("http://pictures.example/")
        # A hundred headers are too many in themselves.
        assert sentence == "The image did not arrive within 1 s." or "not one of a web server" in sentence

    @pytest.mark.slow
    def test_a_server_that_is_silent_is_left(self, raw):
        raw(lambda channel: time.sleep(3))
        assert "within 1 s" in refusal("http://pictures.example/")
        assert "within 1 s" in refusal("https://pictures.example/")

    def test_all_redirects_share_the_time(self, web):
        def slow(handler):
            time.sleep(0.6)
            handler.send_response(302)
            handler.send_header("Location", "/")
            handler.end_headers()

        web.answers["/"] = slow
        assert "within 1 s" in refusal("http://pictures.example/")

    def test_a_name_server_that_is_silent_is_left(self, network, monkeypatch):
        monkeypatch.setattr(url_download.socket, "getaddrinfo", lambda *_, **__: time.sleep(3))
        assert "within 1 s" in refusal("http://pictures.example/")


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"\x00" * 100, b"SSH-2.0-OpenSSH_9.0\r\n", b"HTTP/9.9 abc\r\n\r\n", b"<html>", b"HTTP/1.1 200 OK\r\n" + b"a" * 70_000,
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", b"HTTP/1.1 -1 OK\r\n\r\n", b"-ERR unknown command\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nx", b"HTTP/1.1 302 Found\r\n\r\n",
    ],
)  # fmt: skip
def test_a_server_of_another_kind_is_refused(raw, answer):
    raw(lambda channel: channel.sendall(answer))
    sentence = refusal("http://pictures.example/")
    assert "pictures.example" in sentence and len(sentence) < 200


def test_a_server_that_does_not_answer_is_named(network):
    network.unreachable = {PUBLIC}
    assert refusal("http://pictures.example/") == "No connection to pictures.example could be made or kept."


def test_proxies_of_the_environment_play_no_part(web, network, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://10.0.0.1:3128")
    web.answers["/"] = PICTURE
    assert fetch_image("http://pictures.example/") == PICTURE
    assert network.connected == [(PUBLIC, 80)]


def test_an_intranet_may_be_allowed(web, network, monkeypatch):
    monkeypatch.setattr(settings, "FETCH_PRIVATE", True)
    monkeypatch.setattr(settings, "FETCH_PORTS", (80, 8080))
    web.answers["/"] = PICTURE
    assert fetch_image("http://127.0.0.1:8080/") == PICTURE
    for url in (
        "http://169.254.169.254/",
        "http://[fd00:ec2::254]/",
        "http://100.100.100.200/",
        "http://0.0.0.0/",
    ):
        assert "no public web server" in refusal(url)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> SimpleNamespace:
    """One for pictures.example, signed by itself."""
    folder = tmp_path_factory.mktemp("certificate")
    paths = SimpleNamespace(key=folder / "key.pem", certificate=folder / "certificate.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-days", "2", "-subj", "/CN=pictures.example", "-addext", "subjectAltName=DNS:pictures.example",
               "-keyout", str(paths.key), "-out", str(paths.certificate)]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("the openssl program, which makes the certificate, is missing or too old")
    return paths


class TestCertificates:
    @pytest.fixture
    def secure(self, raw, certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        names = []
        context.sni_callback = lambda _socket, name, _context: names.append(name)
        # `raw` reads the request before it talks; here the handshake comes first.
        listener = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            while True:
                try:
                    channel, _ = listener.accept()
                    with context.wrap_socket(channel, server_side=True) as safe:
                        safe.recv(65536)
                        safe.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + PICTURE)
                except ssl.SSLError:
                    continue
                except OSError:
                    return

        threading.Thread(target=run, daemon=True).start()
        yield SimpleNamespace(port=listener.getsockname()[1], names=names)
        listener.close()

    @pytest.fixture
    def trusted(self, certificate, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))
        url_download._trust.cache_clear()
        yield
        url_download._trust.cache_clear()

    def test_a_trusted_name_is_fetched(self, secure, trusted, network):
        network.port = secure.port
        assert fetch_image("https://pictures.example/") == PICTURE
        assert secure.names == ["pictures.example"]
        assert network.connected == [(PUBLIC, 443)]

    def test_a_certificate_that_nobody_signed_is_refused(self, secure, network):
        network.port = secure.port
        assert "certificate" in refusal("https://pictures.example/")

    def test_a_certificate_of_another_name_is_refused(self, secure, trusted, network):
        network.port = secure.port
        network.names["other.example"] = [PUBLIC]
        assert "certificate of other.example" in refusal("https://other.example/")

    def test_the_address_is_no_name(self, secure, trusted, network):
        network.port = secure.port
        assert "certificate" in refusal(f"https://{PUBLIC}/")

    def test_a_server_without_encryption_is_refused(self, web):
        assert "No connection" in refusal("https://pictures.example/")


def test_ports_and_the_intranet_are_set_by_environment_variables(monkeypatch):
    monkeypatch.setenv("PLAYGROUND_FETCH_PORTS", "80, 8080")
    monkeypatch.setenv("PLAYGROUND_FETCH_PRIVATE", "1")
    assert load().FETCH_PORTS == (80, 8080)
    assert load().FETCH_PRIVATE
    for wrong in ("80,x", "0", "70000", "80;81"):
        monkeypatch.setenv("PLAYGROUND_FETCH_PORTS", wrong)
        with pytest.raises(UserError, match="must be ports such as"):
            load()
    monkeypatch.setenv("PLAYGROUND_FETCH_PRIVATE", "yes")
    with pytest.raises(UserError, match="must be 0 or 1"):
        load()
