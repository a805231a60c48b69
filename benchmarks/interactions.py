"""From a click on a page to the moment when all that it changes is there, in a real browser."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import browser, servers
from benchmarks.measure import Sample
from benchmarks.table import Row

if TYPE_CHECKING:
    from playwright.sync_api import Page

_ROUNDS = 8


@dataclass(frozen=True)
class Interaction:
    """What a reader does, over and over.

    path : of the page; act : does it for the n-th time, which changes the address; goal : seconds.
    """

    name: str
    path: str
    act: Callable[["Page", int], None]
    goal: float


def _tile(page: "Page", group: str, place: int) -> None:
    page.get_by_role("group", name=group).get_by_role("button").nth(place).click()


def _layer(page: "Page", turn: int) -> None:
    page.get_by_role("radiogroup", name="Layer").get_by_role("radio").nth(turn % 6).click()


def _point(page: "Page", turn: int) -> None:
    page.get_by_role("group", name="nearest first").get_by_role("button").nth(1 + turn % 3).click()


def _next_layer(page: "Page", turn: int) -> None:
    page.get_by_role("button", name="Previous layer" if turn % 2 == 0 else "Next layer").click()


def _section(page: "Page", turn: int) -> None:
    name = ("Leaderboard", "Overview")[turn % 2]
    page.get_by_role("radiogroup", name="Decide").get_by_role("radio", name=name, exact=True).click()


INTERACTIONS = (
    Interaction(
        "a click on a neighbor", "search?query=3", lambda page, turn: _tile(page, "nearest first", 3), 0.3
    ),
    Interaction("another layer", "search?query=3", _layer, 0.5),
    Interaction("a click on a neighbor", "embeddings?query=37", _point, 0.3),
    Interaction("another layer", "embeddings?query=37", _next_layer, 0.5),
    Interaction("another section", "compare", _section, 0.5),
)


def rows() -> list[Row]:
    """Seconds from the click until the script has ended, nothing on the page is stale, and every image in view is there."""
    with browser.started() as chromium, servers.pages() as server:
        return [
            Row.of(
                f"{one.path.partition('?')[0]} page, {one.name}",
                _measure(chromium, server, one),
                "s",
                goal=one.goal,
                note="from the click until all is drawn; a window of 1400 x 900, no graphics card, browser and server on the same cores",
            )
            for one in INTERACTIONS
        ]


def _measure(chromium: "browser.Browser", server: servers.Server, one: Interaction) -> Sample:
    from tests.browser.conftest import wait_until_idle

    context = chromium.new_context(viewport={"width": 1400, "height": 900})
    try:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.port}/{one.path}")
        wait_until_idle(page)
        page.wait_for_function(_PICTURES)
        seconds = []
        for turn in range(_ROUNDS + 1):
            page.evaluate(_BEFORE)
            one.act(page, turn)
            page.wait_for_function(_SETTLED, polling="raf")
            seconds.append(page.evaluate("window.settled - window.clicked") / 1000)
            wait_until_idle(page)
        return Sample(tuple(seconds[1:]))
    finally:
        context.close()


_BEFORE = """() => {
  window.before = location.href;
  window.clicked = window.settled = undefined;
  addEventListener('click', () => { window.clicked = performance.now(); }, { capture: true, once: true });
}"""

_PICTURES = """() => {
  const all = (root) => [...root.querySelectorAll('*')].flatMap((one) => one.shadowRoot ? all(one.shadowRoot) : one.tagName === 'IMG' ? [one] : []);
  const chart = document.querySelector('.playground-scatter');
  return (!chart || chart.querySelector('.plot canvas')) && all(document).every((image) => image.complete || image.getBoundingClientRect().top > innerHeight);
}"""

# The address says that the server has run; the rest, that the browser shows what it said.
_SETTLED = f"""() => {{
  const app = document.querySelector('[data-testid="stApp"]');
  const still = location.href !== window.before && app.dataset.testScriptState === 'notRunning'
    && !document.querySelector('[data-testid="stSkeleton"], [data-stale="true"]') && ({_PICTURES})();
  if (still) window.settled = performance.now();
  return still;
}}"""
