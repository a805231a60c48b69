"""The pages in a real browser: until the first image is there, until all is drawn, and how far things move meanwhile."""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import servers
from benchmarks.measure import LeftOut, Sample
from benchmarks.table import Row
from core.experiments.store import Grid
from core.settings import settings
from dashboard import url
from scripts.ensure_chromium import HOW, find_chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_ROUNDS = 5
_GOAL = 2.0  # times bare Streamlit
_GOALS = {"search": 1.4}
_FIRST_GOAL = 4.0  # seconds
_SHIFT_GOAL = 0.1
_LATE = 3000  # milliseconds that an image may come after all else is drawn
# The least that a page of that kind can be.
_BARE = {
    "picture": "import streamlit as st\nst.image({picture!r}, width=300)\n",
    "chart": "import plotly.express as px\nimport streamlit as st\n"
    "st.plotly_chart(px.scatter(x=range(200), y=range(200), render_mode='webgl'))\n",
}


@dataclass(frozen=True)
class Visit:
    """What was seen first, ``"picture"``, ``"chart"`` or nothing, after how many seconds; when all was drawn; and how
    many scripts the browser fetched for it; and the sum of the layout shifts, as the Web Vitals count them."""

    kind: str | None
    seconds: float
    drawn: float
    scripts: int
    shift: float


def rows() -> list[Row]:
    """Seconds from entering the address with an empty cache, as a new visitor does."""
    with started() as browser, servers.pages() as server, ExitStack() as stack:
        names = list(url.PATHS.values())
        visit = _visit(browser, server, names[0])
        first = server.seconds + visit.seconds
        bare = {kind: stack.enter_context(_bare(kind)) for kind in _BARE}
        visits: dict[str, list[Visit]] = {name: [] for name in [*_BARE, *names]}
        for _ in range(_ROUNDS + 1):
            for name, seen in visits.items():
                seen.append(_visit(browser, bare.get(name, server), "" if name in bare else name))
    samples = {name: Sample(tuple(visit.seconds for visit in seen[1:])) for name, seen in visits.items()}
    table = [
        Row(
            "start of the server to the first picture on Home",
            first,
            "s",
            goal=_FIRST_GOAL,
            note=f"make run, not the first time, which answers after {server.seconds:.2f} s, and the first visit, in a new browser; all is "
            f"drawn {visit.drawn - visit.seconds:.2f} s later",
        )
    ]
    for name in names:
        kind = visits[name][-1].kind
        drawn = statistics.median(visit.drawn for visit in visits[name][1:])
        scripts, least = visits[name][-1].scripts, visits[kind or "picture"][-1].scripts
        table.append(
            Row.of(
                f"{name} page, {f'first {kind}' if kind else 'all drawn'}",
                samples[name],
                "s",
                f"bare Streamlit, one {kind or 'picture'}",
                samples[kind or "picture"],
                goal=_GOALS.get(name, _GOAL),
                judged="ratio",
                note=f"all of the {name} page is drawn and still after {drawn:.1f} s; the browser fetches {scripts} "
                f"scripts, most of them Streamlit's own for the widgets used, and {least} for the bare page. A new "
                "visitor with an empty cache, window of 1400 x 900, no graphics card, browser and server on the same cores",
            )
        )
        table.append(
            Row.of(
                f"{name} page, cumulative layout shift",
                Sample(tuple(visit.shift for visit in visits[name][1:])),
                "",
                goal=_SHIFT_GOAL,
            )
        )
    return table


@contextmanager
def _bare(kind: str) -> Iterator[servers.Server]:
    picture = str(Grid(settings.GRID_DIR).dataset("objects200").path(0))
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "bare.py"
        script.write_text(_BARE[kind].format(picture=picture))
        with servers.bare_streamlit(script) as server:
            yield server


def _visit(browser: "Browser", server: servers.Server, name: str) -> Visit:
    from playwright.sync_api import TimeoutError

    from tests.browser.conftest import wait_until_idle

    context = browser.new_context(viewport={"width": 1400, "height": 900})
    try:
        page = context.new_page()
        page.add_init_script(_SHIFTS)
        page.add_init_script(_WATCH)
        started = time.perf_counter()
        page.goto(f"http://127.0.0.1:{server.port}/{name}")
        wait_until_idle(page)
        drawn = time.perf_counter() - started
        with suppress(TimeoutError):
            page.wait_for_function("window.firstSeen", timeout=_LATE)
        kind, milliseconds = page.evaluate("window.firstSeen ?? [null, 0]")
        seconds = milliseconds / 1000 if kind else drawn
        shift = page.evaluate("window.layoutShift")
        return Visit(kind, seconds, max(drawn, seconds), page.evaluate(_SCRIPTS), shift)
    finally:
        context.close()


_SCRIPTS = "performance.getEntriesByType('resource').filter((one) => one.name.includes('.js')).length"

_SHIFTS = """
window.layoutShift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.layoutShift += entry.value;
}).observe({ type: 'layout-shift', buffered: true });
"""

# An image that has loaded, or a chart, large enough to be no icon; components keep theirs in shadow trees.
_WATCH = """
(() => {
  const large = (element) => {
    const box = element.getBoundingClientRect();
    return box.width >= 40 && box.height >= 40 && box.top < innerHeight && box.bottom > 0;
  };
  const seen = (root) => {
    for (const element of root.querySelectorAll('*')) {
      const found = element.shadowRoot && seen(element.shadowRoot);
      if (found) return found;
      if (element.tagName === 'IMG' && element.complete && element.naturalWidth > 0 && large(element)) return 'picture';
      if ((element.tagName === 'CANVAS' || element.classList.contains('main-svg')) && large(element)) return 'chart';
    }
    return null;
  };
  const look = () => {
    const kind = document.body && seen(document.body);
    if (kind) window.firstSeen = [kind, performance.now()];
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})();
"""


@contextmanager
def started() -> Iterator["Browser"]:
    """A headless Chromium; raises :class:`LeftOut` where there is none."""
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
