import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from scripts.ensure_chromium import HOW, find_chromium

HEIGHT = 900
# A busy machine answers late. What is true at once waits for nothing.
expect.set_options(timeout=30_000)

ARGUMENTS = [
    "--no-sandbox",  # Chromium refuses to run as root with it
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

IDLE = """
() => {
  const app = document.querySelector('[data-testid="stApp"]');
  const idle = app
    && app.dataset.testConnectionState === "CONNECTED"
    && app.dataset.testScriptState === "notRunning"
    && !document.querySelector('[data-testid="stSkeleton"], [data-stale="true"]');
  if (!idle) { window.idleSince = undefined; return false; }
  window.idleSince ??= performance.now();
  return performance.now() - window.idleSince > 300;
}
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


def wait_until_idle(page: Page, timeout: float = 60_000) -> None:
    """Wait until the page has been still for a moment: script run ended, nothing stale on it (timeout in ms).

    A moment, because a click or a key starts the next run only after Streamlit's own short delay.
    """
    page.evaluate("() => { window.idleSince = undefined }")
    page.wait_for_function(IDLE, timeout=timeout, polling=50)


def open_from_menu(page: Page, section: str, name: str) -> None:
    """Go to a page by the navigation of a wide window, where its section is a menu."""
    page.get_by_role("navigation").get_by_role("button", name=section).click()
    page.get_by_role("menu").get_by_text(name, exact=True).click()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = find_chromium()
    if path is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(HOW)
    # Chromium writes crash reports below HOME and does not start where it can't.
    home = str(tmp_path_factory.mktemp("home"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=ARGUMENTS, env={**os.environ, "HOME": home}
        )
        yield browser
        browser.close()


@pytest.fixture
def color_scheme() -> str:
    """``light`` or ``dark``; a test chooses with ``@pytest.mark.parametrize("color_scheme", [...])``."""
    return "light"


@pytest.fixture
def width() -> int:
    """Width of the window in pixels, chosen in the same way."""
    return 1400


@pytest.fixture
def page(browser: Browser, dashboard_server: str, color_scheme: str, width: int) -> Iterator[Page]:
    """An empty page; ``page.goto("/")`` opens the dashboard, ``page.errors`` holds what the console complained of."""
    context = browser.new_context(
        base_url=dashboard_server,
        color_scheme=color_scheme,
        viewport={"width": width, "height": HEIGHT},
    )
    page = context.new_page()
    page.errors = []
    page.on("console", lambda message: message.type == "error" and page.errors.append(message.text))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    yield page
    context.close()
