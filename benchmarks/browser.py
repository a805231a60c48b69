"""The pages in a real browser: until the first picture is there, and until all is drawn."""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import pages, servers
from benchmarks.measure import LeftOut, Sample
from benchmarks.table import Row
from core import settings
from core.experiments.store import Grid
from scripts.ensure_chromium import HOW, find_chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_ROUNDS = 5
_GOAL = 2.0  # seconds
_FIRST_GOAL = 8.0
_BARE = """
import streamlit as st
st.image(PICTURE, width=300)
"""


def rows() -> list[Row]:
    """Seconds from entering the address with an empty cache, as a new visitor does."""
    dataset = Grid(settings.GRID_DIR).dataset("objects200")
    with tempfile.TemporaryDirectory() as folder, _browser() as browser, servers.pages() as server:
        script = Path(folder) / "bare.py"
        script.write_text(_BARE.replace("PICTURE", repr(str(dataset.path(0)))))
        names = pages.names()
        started = time.perf_counter()
        _visit(browser, server, names[0])
        first = server.seconds + time.perf_counter() - started
        with servers.bare_streamlit(script) as bare:
            visits: dict[str, list[Visit]] = {name: [] for name in ["", *names]}
            for _ in range(_ROUNDS + 1):
                for name, seen in visits.items():
                    seen.append(_visit(browser, server if name else bare, name))
    peer = Sample(tuple(visit.picture or visit.drawn for visit in visits.pop("")[1:]))
    return [
        Row(
            "start of the server to the first page, drawn",
            first,
            "s",
            goal=_FIRST_GOAL,
            note="make run, not the first time, and the first visit to the new server",
        ),
        *(_row(name, seen[1:], peer) for name, seen in visits.items()),
    ]


def _row(name: str, visits: Sequence["Visit"], peer: Sample) -> Row:
    pictures = [visit.picture for visit in visits if visit.picture is not None]
    drawn = Sample(tuple(visit.drawn for visit in visits))
    shown = len(pictures) == len(visits)
    return Row.of(
        f"{name} page, {'first picture or chart' if shown else 'all drawn'}",
        Sample(tuple(pictures)) if shown else drawn,
        "s",
        "bare Streamlit, one picture",
        peer,
        goal=_GOAL,
        note="a new visitor: empty cache, window of 1400 x 900, no graphics card, browser and server on the same "
        f"cores; all of the {name} page is drawn and still after {drawn.median:.1f} s",
    )


@dataclass(frozen=True)
class Visit:
    """Seconds until the first picture or chart is visible, where there is one, and until all is drawn and still."""

    picture: float | None
    drawn: float


def _visit(browser: "Browser", server: servers.Server, name: str) -> Visit:
    from tests.browser.conftest import wait_until_idle

    context = browser.new_context(viewport={"width": 1400, "height": 900})
    try:
        page = context.new_page()
        page.add_init_script(_WATCH)
        started = time.perf_counter()
        page.goto(f"http://127.0.0.1:{server.port}/{name}")
        wait_until_idle(page)
        drawn = time.perf_counter() - started
        picture = page.evaluate("window.firstPicture ?? null")
        return Visit(None if picture is None else picture / 1000, drawn)
    finally:
        context.close()


# A picture is an image that has loaded, or a canvas, large enough to be no icon; components keep theirs
# in shadow trees.
_WATCH = """
(() => {
  const seen = (root) => {
    for (const element of root.querySelectorAll('*')) {
      if (element.shadowRoot && seen(element.shadowRoot)) return true;
      const picture = (element.tagName === 'IMG' && element.complete && element.naturalWidth > 0)
        || element.tagName === 'CANVAS' || (element.tagName === 'svg' && element.classList.contains('main-svg'));
      if (picture) {
        const box = element.getBoundingClientRect();
        if (box.width >= 40 && box.height >= 40 && box.top < innerHeight && box.bottom > 0) return true;
      }
    }
    return false;
  };
  const look = () => {
    if (document.body && seen(document.body)) { window.firstPicture = performance.now(); return; }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})();
"""


@contextmanager
def _browser() -> Iterator["Browser"]:
    try:
        from playwright.sync_api import sync_playwright

        from tests.browser.conftest import ARGUMENTS
    except ImportError:
        raise LeftOut("the browser's driver is not installed; requirements-dev.txt lists it.") from None
    path = find_chromium()
    if path is None:
        raise LeftOut(HOW)
    # Chromium writes crash reports below HOME and does not start where it can't.
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=ARGUMENTS, env={**os.environ, "HOME": home}
        )
        yield browser
        browser.close()
