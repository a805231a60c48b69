"""The search page as a visitor meets it, on the shipped pictures and experiments."""

import re
from itertools import pairwise

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import wait_until_idle

START = "/?dataset=objects200&query=0&k=10"


@pytest.fixture
def search(page: Page) -> Page:
    page.goto(START)
    wait_until_idle(page)
    return page


def query(page: Page) -> Locator:
    return page.get_by_role("group", name="The image that is searched for").get_by_role("img")


def results(page: Page) -> Locator:
    return page.get_by_role("group", name=re.compile("nearest first")).get_by_role("button")


def pictures(page: Page) -> Locator:
    return page.get_by_role("group", name=re.compile("^Images of")).get_by_role("button")


def words(page: Page) -> list[str]:
    """All that a reader sees of the query and its neighbors."""
    return [query(page).get_attribute("alt"), *results(page).all_inner_texts()]


def test_a_click_on_an_image_makes_it_the_query(search: Page):
    chosen = pictures(search).nth(7)
    alt = chosen.get_by_role("img").get_attribute("alt")
    chosen.click()
    wait_until_idle(search)
    expect(query(search)).to_have_attribute("alt", alt)
    expect(search).to_have_url(re.compile("query=7"))
    expect(chosen).to_have_attribute("aria-current", "true")
    expect(query(search)).to_be_in_viewport()
    assert search.errors == []


def test_the_keyboard_reaches_an_image_and_makes_it_the_query(search: Page):
    pictures(search).first.focus()
    search.keyboard.press("Tab")
    search.keyboard.press("ArrowRight")
    focused = pictures(search).nth(2)
    expect(focused).to_be_focused()
    assert focused.evaluate("tile => getComputedStyle(tile).outlineStyle") != "none"
    search.keyboard.press("Enter")
    wait_until_idle(search)
    expect(query(search)).to_have_attribute("alt", focused.get_by_role("img").get_attribute("alt"))
    expect(focused).to_be_focused()


def test_a_click_on_a_result_moves_on_and_back_returns(search: Page):
    before = words(search)
    alt = results(search).nth(2).get_by_role("img").get_attribute("alt")
    results(search).nth(2).click()
    wait_until_idle(search)
    expect(query(search)).to_have_attribute("alt", alt)
    search.go_back()
    # The browser goes back a moment before Streamlit hears of it.
    expect(query(search)).to_have_attribute("alt", before[0])
    wait_until_idle(search)
    assert words(search) == before


def layer(page: Page, depth: int) -> Locator:
    return page.get_by_role("radiogroup", name="Layer").get_by_role(
        "radio", name=re.compile(f"^Layer {depth} of 8")
    )


def test_another_layer_keeps_the_query_and_marks_what_is_new(search: Page):
    before = words(search)
    layer(search, 1).click()
    wait_until_idle(search)
    after = words(search)
    assert after[0] == before[0]
    assert after[1:] != before[1:]
    assert "query=0" in search.url
    expect(layer(search, 1)).to_be_checked()
    expect(search.get_by_text(re.compile("new since layer 7")).first).to_be_visible()
    assert search.errors == []


def test_arrow_keys_go_through_the_layers(search: Page):
    best = search.get_by_role("radiogroup", name="Layer").get_by_role("radio", checked=True)
    name = best.get_attribute("aria-label")
    best.focus()
    search.keyboard.press("ArrowLeft")
    search.keyboard.press("ArrowLeft")
    wait_until_idle(search)
    depth = int(re.match(r"Layer (\d)", name)[1])
    expect(layer(search, depth - 2)).to_be_checked()
    expect(layer(search, depth - 2)).to_be_focused()
    assert search.evaluate("() => new URLSearchParams(location.search).get('layer')") in layer(search, depth - 2).get_attribute("aria-label")  # fmt: skip


def test_the_rest_of_a_result_shows_on_hover_and_on_focus(search: Page):
    detail = results(search).nth(1).locator(".detail")
    shown = "detail => getComputedStyle(detail).opacity"
    assert detail.evaluate(shown) == "0"
    results(search).nth(1).hover()
    assert detail.evaluate(shown) == "1"
    search.mouse.move(0, 0)
    results(search).first.focus()
    search.keyboard.press("ArrowRight")
    assert detail.evaluate(shown) == "1"
    assert "distance" in detail.inner_text()


def test_the_configuration_opens_and_a_model_can_be_chosen(search: Page):
    search.get_by_role("button", name=re.compile("EfficientNet")).click()
    search.get_by_role("combobox", name="Distance").click()
    search.get_by_role("option", name="euclidean").click()
    wait_until_idle(search)
    assert "metric=euclidean" in search.url
    search.keyboard.press("Escape")
    search.get_by_role("button", name="As a table").click()
    expect(search.get_by_role("table").get_by_role("row")).to_have_count(11)


def test_the_same_query_under_two_configurations(search: Page):
    before = words(search)
    search.get_by_role("button", name="Side by side").click()
    wait_until_idle(search)
    lists = search.get_by_role("group", name=re.compile("nearest first"))
    expect(lists).to_have_count(2)
    assert words(search)[:1] == before[:1]
    assert lists.first.get_by_role("button").count() == lists.last.get_by_role("button").count() == 10
    assert "side=1" in search.url and "model2=" in search.url
    assert search.errors == []


@pytest.mark.parametrize("width", [400])
def test_results_begin_early_in_a_narrow_window(search: Page, width: int):
    assert results(search).first.bounding_box()["y"] < 640


def test_the_address_shows_the_same_page_in_another_browser(search: Page):
    results(search).nth(1).click()
    wait_until_idle(search)
    search.get_by_text("Shuffled").click()
    wait_until_idle(search)
    context = search.context.browser.new_context(viewport=search.viewport_size)
    other = context.new_page()
    other.goto(search.url)
    wait_until_idle(other)
    assert words(other) == words(search)
    assert pictures(other).all_inner_texts() == pictures(search).all_inner_texts()
    assert other.url == search.url
    context.close()


def test_results_are_marked_in_words_and_every_image_arrives(search: Page):
    expect(results(search)).to_have_count(10)
    for text in results(search).all_text_contents():
        assert ("✓" in text and "same class" in text) or ("✗" in text and "another class" in text)
        assert "distance" in text
    search.wait_for_function(
        "() => { const all = [...document.querySelectorAll('*')].flatMap(e => e.shadowRoot ? [...e.shadowRoot.querySelectorAll('img')] : []);"
        "return all.length > 10 && all.filter(i => i.getBoundingClientRect().top < innerHeight).every(i => i.complete && i.naturalWidth > 0) }"
    )
    assert search.errors == []


def test_nonsense_in_the_address_shows_a_notice(page: Page):
    page.goto(
        "/?dataset=objects200&layer=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&k=-99999999999999999999&query=2"
    )
    wait_until_idle(page)
    notice = page.get_by_test_id("stAlert")
    expect(notice).to_contain_text("Not everything in the address exists")
    expect(notice.locator("img")).to_have_count(0)
    expect(results(page)).to_have_count(10)
    assert "query=2" in page.url
    assert page.errors == []


def test_headings_come_in_order(search: Page):
    levels = search.locator("h1, h2, h3, h4").evaluate_all("all => all.map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("width", [1400, 700, 390])
@pytest.mark.parametrize("color_scheme", ["dark"])
def test_nothing_is_wider_than_the_window(search: Page, width: int):
    assert search.evaluate("document.documentElement.scrollWidth") <= width
    assert search.get_by_test_id("stMain").evaluate("main => main.scrollWidth - main.clientWidth") == 0


def test_query_and_first_results_are_seen_without_scrolling(search: Page):
    expect(query(search)).to_be_in_viewport(ratio=1)
    expect(results(search).nth(4)).to_be_in_viewport(ratio=1)


def test_nothing_jumps_while_images_load(page: Page):
    page.add_init_script(
        "window.shift = 0; new PerformanceObserver(list => { for (const entry of list.getEntries()) "
        "if (!entry.hadRecentInput && performance.now() > window.still) window.shift += entry.value })"
        ".observe({ type: 'layout-shift', buffered: true }); window.still = Infinity"
    )
    page.goto(START)
    wait_until_idle(page)
    page.evaluate("() => { window.still = performance.now() }")
    results(page).nth(3).click()
    wait_until_idle(page)
    assert page.evaluate("window.shift") < 0.05
