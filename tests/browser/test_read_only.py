"""A dashboard that listens beyond this machine, in a browser and over its API."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests import conftest
from tests.browser.conftest import wait_until_idle


def open_images(browser: Browser, url: str) -> Page:
    page = browser.new_page(base_url=url)
    page.goto("/images")
    wait_until_idle(page)
    return page


def test_a_dashboard_on_all_addresses_is_read_only_and_says_so(browser: Browser, tmp_path: Path):
    folder = tmp_path / "collections"
    with conftest.serving(tmp_path / "log", host="0.0.0.0", PLAYGROUND_COLLECTIONS_DIR=str(folder)) as url:
        assert "PLAYGROUND_ACCESS=full" in (tmp_path / "log").read_text()
        page = open_images(browser, url)
        expect(page.get_by_text("Read-only:")).to_be_visible()
        expect(page.get_by_role("button", name="Create")).to_be_disabled()
        page.close()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{url}/api/v1/collections", timeout=30) as answer:
            assert json.load(answer) == []
    assert not folder.exists()


def test_streamlit_without_an_address_is_read_only(browser: Browser, tmp_path: Path):
    port = conftest.free_port()
    command = [sys.executable, "-m", "streamlit", "run", "dashboard/app.py", "--server.port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=conftest.ROOT, stdout=log, stderr=log, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        conftest._wait_until_healthy(server, url, tmp_path / "log")
        expect(open_images(browser, url).get_by_text("Read-only:")).to_be_visible()
    finally:
        conftest._end(server)
