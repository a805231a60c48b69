"""What holds for every page: nothing jumps while it loads, an automated check finds no barrier, and text has four sizes."""

from itertools import pairwise, product

import pytest
from playwright.sync_api import Browser, expect

from dashboard import url
from dashboard.pages.compare import sections
from tests.browser.conftest import wait_until_idle
from tests.conftest import ROOT

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
# Layout shifts that no click or key explains, as the Web Vitals count them.
SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries())
    if (!entry.hadRecentInput) window.shifts.push([entry.value, entry.sources.map((source) => source.node?.className ?? "")]);
}).observe({ type: "layout-shift", buffered: true });
"""
# What Streamlit draws and no page can change: the field for files has a role and a label at once, the canvas of tables empty headers, and
# the list of pages the names of its sections among its items.
CHECK = """async () => {
  const exclude = ["[data-testid=stFileUploaderDropzone]", "[data-testid=stDataFrame]", "[data-testid=stSidebarNavItems]"];
  const { violations } = await axe.run({ exclude }, { resultTypes: ["violations"] });
  return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 4).map((node) => node.html.slice(0, 200)).join("  ")}`);
}"""

# The element with the focus, whether it has an outline, and whether nothing else than one would show that.
FOCUSED = """() => {
  let element = document.activeElement;
  while (element.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
  window.places ??= new Map();
  if (!window.places.has(element)) window.places.set(element, window.places.size);
  const about = element.ariaLabel ?? element.innerText?.slice(0, 30);
  const bare = element.dataset.testid?.endsWith("NavLink") || element.role === "switch";
  const { outlineStyle, outlineWidth } = getComputedStyle(element.closest("label") ?? element);
  return [`${window.places.get(element)} ${element.tagName} ${about}`, outlineStyle === "solid" && outlineWidth === "2px", bare];
}"""


# Text that is seen, and its size in px where it is none of the scale; icons are text too, and Streamlit draws the menu of its own.
SIZES = """() => {
  const found = [];
  const look = (root) => {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode;
      if (node.shadowRoot) look(node.shadowRoot);
      const parent = node.parentElement;
      if (node.nodeType !== Node.TEXT_NODE || !node.textContent.trim() || !parent?.getClientRects().length) continue;
      if (parent.closest("style, script, noscript, [data-testid$=Icon], [data-testid=stIconMaterial], [data-testid=stHeaderActionElements]")) continue;
      const size = getComputedStyle(parent).fontSize;
      if (!["12px", "14px", "20px", "28px"].includes(size)) found.push(`${size}: ${node.textContent.trim().slice(0, 40)}`);
    }
  };
  look(document.body);
  return found;
}"""


PATHS = [*(page.path for page in url.PAGES.values()), "embeddings?query=37"]
# Charts move sideways in a narrow window.
SECTIONS = [f"compare?section={section.name}" for section in sections.ALL]


@pytest.mark.parametrize(
    ("path", "width"),
    [*product(PATHS, (1400, 400)), *((section, 400) for section in SECTIONS), ("compare?section=pair", 1400)],
)
def test_nothing_moves_while_a_page_loads_nothing_keeps_people_out_and_text_is_on_the_scale(
    browser: Browser, dashboard_server: str, path: str, width: int
):
    scheme = "light" if width > 1000 else "dark"
    context = browser.new_context(
        base_url=dashboard_server, viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    context.add_init_script(SHIFTS)
    page = context.new_page()
    # Home is at the root alone.
    page.goto(f"/{path}" if path != url.HOME.path else "/")
    wait_until_idle(page)
    page.wait_for_timeout(700)
    shifts = page.evaluate("() => window.shifts")
    page.evaluate(AXE.read_text("utf-8"))
    violations = page.evaluate(CHECK)
    sizes = page.evaluate(SIZES)
    context.close()
    assert sum(value for value, _ in shifts) < 0.1, sorted(shifts)[-3:]
    assert violations == []
    assert sizes == []


@pytest.mark.parametrize("path", PATHS)
def test_the_tab_key_goes_on_from_every_control_and_shows_where_it_is(
    browser: Browser, dashboard_server: str, path: str
):
    context = browser.new_context(base_url=dashboard_server, viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.goto(f"/{path}" if path != url.HOME.path else "/")
    wait_until_idle(page)
    visited = []
    for _ in range(45):
        page.keyboard.press("Tab")
        visited.append(page.evaluate(FOCUSED))
    context.close()
    assert len({name for name, _, _ in visited}) > 10
    # A table is one canvas, whatever has the focus in it.
    stuck = [a for a, b in pairwise(visited) if a[0] == b[0] and "CANVAS" not in a[0]]
    assert stuck == []
    assert [name for name, outlined, wanted in visited if wanted and not outlined] == []


def test_the_tab_key_goes_into_an_open_panel_and_out_of_it(browser: Browser, dashboard_server: str):
    context = browser.new_context(base_url=dashboard_server, viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.goto("/embeddings")
    wait_until_idle(page)
    button = page.locator('[data-testid="stPopoverButton"]').first
    button.focus()
    page.keyboard.press("Enter")
    panel = page.locator('[data-testid="stPopoverBody"]')
    panel.wait_for()
    within = "() => Boolean(document.activeElement.closest('[data-testid=\"stPopoverBody\"]'))"
    visited = []
    for _ in range(12):
        page.keyboard.press("Tab")
        visited.append(page.evaluate(within))
    # Through all of its controls, then on to what follows the button, and not back into the panel.
    count = visited.index(False)
    assert count > 4 and not any(visited[count:])
    # It closes where the focus leaves it.
    expect(panel).to_be_hidden()
    button.focus()
    page.keyboard.press("Enter")
    panel.wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate(within)
    page.keyboard.press("Shift+Tab")
    expect(panel).to_be_hidden()
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    panel.wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(button).to_be_focused()
    context.close()


@pytest.mark.parametrize("chart", ["classes-models", "confusion"])
def test_a_wide_chart_moves_sideways_with_the_arrow_keys(browser: Browser, dashboard_server: str, chart: str):
    context = browser.new_context(base_url=dashboard_server, viewport={"width": 400, "height": 900})
    page = context.new_page()
    page.goto("/compare?section=classes")
    wait_until_idle(page)
    box, numbers = page.locator(f".st-key-wide-{chart}"), page.locator(f".st-key-{chart}-table summary")
    assert box.evaluate("(box) => box.scrollWidth > box.clientWidth + 100")
    # The page itself does not move.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    before = numbers.bounding_box()["x"]
    numbers.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("(box) => box.scrollLeft > 50", arg=box.element_handle())
    # The description and the numbers stay where they are.
    after = numbers.bounding_box()
    assert after["x"] == before and after["x"] + after["width"] <= 400
    context.close()
