"""The dashboard behind nginx, configured as docs/deployment.md says, and below a base path of its own."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import urllib3
from playwright.sync_api import Browser, Page, Response, expect

from tests import servers
from tests.browser.conftest import HEIGHT, open_from_menu, wait_until_idle
from tests.collections import pixels
from tests.conftest import ROOT, free_port, serving

# Debian has it where not everybody's PATH looks.
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
# No longer than the page shows whole.
LABELS = "[k](http://evil.org) :red[r] $x$ a -> b", "www.evil.org <b>h</b> :material/home:"
LOADED = "(image) => image.complete && image.naturalWidth > 0 && !image.src.startsWith('data:')"


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of two pictures with hostile labels."""
    folder = tmp_path_factory.mktemp("proxied")
    for seed in range(len(LABELS)):
        pixels.draw(folder / "photos" / f"{seed}.png", seed)
    listed = folder / "photos" / "list.csv"
    listed.write_text(
        "path,label\n" + "".join(f'{seed}.png,"{label}"\n' for seed, label in enumerate(LABELS))
    )
    made = pixels.create(folder=folder / "collections")
    made.add([str(listed)])
    made.close()
    return folder / "collections"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server") / "log"


@pytest.fixture(scope="module")
def proxied(collections: Path, log: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where nginx serves a dashboard, over TLS and below a prefix that it strips."""
    if NGINX is None or shutil.which("openssl") is None:
        pytest.skip("nginx and openssl are not both installed")
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    kind = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    made = ["-keyout", str(folder / "key"), "-out", str(folder / "certificate")]
    subprocess.run(["openssl", "req", *kind, *made], check=True, capture_output=True)
    with serving(log, PLAYGROUND_COLLECTIONS_DIR=str(collections)) as url:
        [site] = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs" / "deployment.md").read_text(), re.DOTALL)
        for documented, here in (
            ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
            ("/etc/ssl/images.example.org.pem", str(folder / "certificate")),
            ("/etc/ssl/images.example.org.key", str(folder / "key")),
            ("http://127.0.0.1:8501", url),
        ):
            assert documented in site
            site = site.replace(documented, here)
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}} "
            f"http {{ access_log off; {temporary}\n{site}}}"
        )
        server = subprocess.Popen([NGINX, "-p", str(folder), "-c", "nginx.conf", "-e", f"{folder}/error.log"])
        try:
            _wait(f"https://127.0.0.1:{port}/play/_stcore/health", folder / "error.log")
            yield f"https://127.0.0.1:{port}/play/"
        finally:
            server.terminate()
            server.wait(10)


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Page]:
    """A page; ``page.failed`` are the addresses below a prefix that were answered with an error."""
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 1400, "height": HEIGHT})
    page = context.new_page()
    page.failed = []

    def answered(response: Response) -> None:
        if response.status >= 400:
            page.failed.append(response.url)

    page.on("response", answered)
    yield page
    context.close()


def see_all(page: Page, url: str) -> None:
    """Open a page with a gallery, one with a layout, and one with a collection of the reader's own."""
    see_gallery(page, url)
    # By the link, since an address below the prefix is made by the page too.
    open_from_menu(page, "Explore", "Embeddings")
    page.wait_for_url(f"{url}embeddings*")
    page.wait_for_selector(".playground-scatter .plot canvas", timeout=60_000)
    see_gallery(page, f"{url}images?collection=pets")


def see_gallery(page: Page, url: str) -> None:
    """Open a page and wait for the first picture in it."""
    page.goto(url)
    wait_until_idle(page)
    first = page.locator(".gallery img").first
    expect(first).to_be_visible()
    page.wait_for_function(LOADED, arg=first.element_handle())
    assert page.failed == []


def test_behind_a_proxy_that_strips_a_prefix_everything_is_found(proxied: str, visitor: Page):
    see_all(visitor, proxied)


def test_hostile_labels_are_seen_as_they_are_written(proxied: str, visitor: Page):
    visitor.goto(f"{proxied}images?collection=pets")
    wait_until_idle(visitor)
    shown = visitor.get_by_test_id("stCaptionContainer").filter(has_text="labels: ").inner_text()
    assert shown.replace("\u2060", "") == f"2 labels: {', '.join(f'{label} (1)' for label in LABELS)}"
    assert (
        visitor.get_by_role("main")
        .locator("a[href*=evil], .katex, [data-testid=stIconMaterial] >> text=home")
        .count()
        == 0
    )


def test_the_api_is_found_behind_the_proxy_with_its_head(proxied: str):
    for path in (
        "api/docs",
        "api/v1/health",
        "pictures/objects200/3",
        "layouts/objects200",
        "vendor/plotly.min.js",
        "",
    ):
        assert _request("HEAD", proxied + path).status == 200
    assert _request("GET", proxied + "api/v1/health").json() == {"status": "ok"}


def test_clients_that_went_away_left_nothing_in_the_log(proxied: str, visitor: Page, log: Path):
    visitor.goto(proxied)
    # In the middle of everything: the websocket, pictures and a run of the page.
    visitor.context.close()
    time.sleep(1)
    assert "Traceback" not in log.read_text()


def test_below_a_base_path_images_are_found_and_bodies_limited(
    visitor: Page, collections: Path, tmp_path: Path
):
    settings = {"PLAYGROUND_COLLECTIONS_DIR": str(collections), "PLAYGROUND_BODY_MEMORY_BYTES": "100000000"}
    with serving(tmp_path / "log", base="/play", **settings) as url:
        see_gallery(visitor, f"{url}/images?collection=pets")
        # Streamlit's own address for files is behind the same limits, with that of files.
        upload = "/play/_stcore/upload_file/session/file"
        for size, headers, expected in ((9, ["Content-Encoding: gzip"], 415), (150_000_000, [], 413)):
            channel = servers.connect(urlsplit(url).port or 0, servers.post(size, *headers, path=upload))
            assert servers.answer(channel)[0] == expected


def _wait(url: str, log: Path) -> None:
    for _ in range(100):
        try:
            if _request("GET", url).status == 200:
                return
        except urllib3.exceptions.HTTPError:
            pass
        time.sleep(0.1)
    pytest.fail(f"nginx does not answer:\n{log.read_text() if log.exists() else ''}")


def _request(method: str, url: str) -> urllib3.BaseHTTPResponse:
    with urllib3.PoolManager(cert_reqs="CERT_NONE", assert_hostname=False) as pool:
        return pool.request(method, url, retries=False, timeout=20)
