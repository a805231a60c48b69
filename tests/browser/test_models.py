"""The models page in a browser, with real networks and the shipped visualizations."""

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from core.models import architecture
from core.search import shared_engine
from tests.browser.conftest import wait_until_idle

MODEL = "model=squeezenet&weights=imagenet&layer=fire4_concat&dataset=objects200"
# The first activation of a server starts TensorFlow.
FIRST = 90_000


def go(page: Page, address: str) -> Page:
    page.goto(f"/models?{address}")
    wait_until_idle(page)
    return page


def tiles(page: Page, label: str) -> Locator:
    return page.get_by_role("group", name=re.compile(label)).locator(".tile")


def test_a_click_on_a_mark_of_the_diagram_chooses_its_layer(page: Page):
    go(page, MODEL)
    marks = page.locator(".js-plotly-plot .scatterlayer .textpoint")
    expect(marks).to_have_count(8)
    area = marks.nth(6).bounding_box()
    page.mouse.click(area["x"] + area["width"] / 2, area["y"] + area["height"] / 2)
    seventh = architecture.read("squeezenet").grid_layers[6].name
    expect(page).to_have_url(re.compile(f"layer={seventh}"))
    wait_until_idle(page)
    expect(page.get_by_role("radiogroup", name="Layer").get_by_role("radio", checked=True)).to_have_attribute(
        "title", re.compile(f"^Layer 7 of 8 · {seventh}")
    )
    assert page.errors == []


def test_all_layers_come_as_csv(page: Page):
    go(page, f"{MODEL}&find=pool")
    expect(page.get_by_text("3 of 38 layers")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
    assert [row["layer"] for row in rows] == [layer.name for layer in architecture.read("squeezenet").layers]


def test_a_channel_is_chosen_by_its_visualization_and_framed_in_the_data(page: Page):
    go(page, f"{MODEL}&part=channels")
    made = tiles(page, "Feature visualizations of channels")
    chosen = made.nth(3)
    chosen.click()
    wait_until_idle(page)
    expect(page).to_have_url(re.compile(rf"channel={chosen.get_attribute('data-id')}\b"))
    expect(chosen).to_have_attribute("aria-current", "true")
    page.wait_for_function(
        "() => [...document.querySelectorAll('*')].flatMap(e => e.shadowRoot ? [...e.shadowRoot.querySelectorAll('img')] : [])"
        ".filter(i => i.getBoundingClientRect().top < innerHeight).every(i => i.complete && i.naturalWidth > 0)"
    )
    found = tiles(page, "Top-activating images")
    expect(found).to_have_count(9)
    outer, inner = (found.first.locator(part).bounding_box() for part in ("img", ".frame"))
    assert inner["width"] > 4 and inner["height"] > 4
    assert outer["x"] - 1 <= inner["x"] and inner["x"] + inner["width"] <= outer["x"] + outer["width"] + 1
    assert outer["y"] - 1 <= inner["y"] and inner["y"] + inner["height"] <= outer["y"] + outer["height"] + 1
    assert page.errors == []


def test_an_upload_goes_through_the_network_and_a_map_leads_to_its_channel(page: Page):
    go(page, f"{MODEL}&part=picture")
    path = shared_engine.engine().grid.dataset("objects200").path(3)
    page.locator("input[type=file]").set_input_files(path)
    maps = tiles(page, "the strongest first")
    expect(maps).to_have_count(24, timeout=FIRST)
    wait_until_idle(page)
    first = [one.get_attribute("data-id") for one in maps.all()]
    highest = [float(one.inner_text().split(" to ")[-1]) for one in maps.all()]
    assert highest == sorted(highest, reverse=True)
    page.get_by_role("button", name="Next page").click()
    wait_until_idle(page)
    assert not {one.get_attribute("data-id") for one in maps.all()} & set(first)
    chosen = maps.nth(2).get_attribute("data-id")
    maps.nth(2).click()
    expect(page.get_by_role("heading", name=f"Channel {chosen}")).to_be_visible()
    expect(page).to_have_url(re.compile(rf"channel={chosen}\b.*part=channels"))
    assert page.errors == []


def test_visualizing_a_channel_shows_its_progress_and_can_be_canceled(page: Page):
    go(page, f"{MODEL.replace('fire4_concat', 'fire2_concat')}&part=channels&channel=9")
    page.get_by_role("button", name="Visualize").click()
    expect(page.get_by_text(re.compile(r"\d+ of \d+ steps"))).to_be_visible(timeout=FIRST)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("stopped.")).to_be_visible(timeout=FIRST)
    expect(page.get_by_role("button", name="Visualize")).to_be_visible()
    assert page.errors == []


def test_the_search_page_leads_to_what_its_layer_looks_for(page: Page):
    page.goto(f"/?{MODEL}&pooling=avg&metric=cosine")
    wait_until_idle(page)
    expect(tiles(page, "look for").first.get_by_role("img")).to_be_visible()
    page.get_by_role("button", name="What it looks for").click()
    expect(page.get_by_role("heading", name="The channels of fire4_concat")).to_be_visible()
    expect(page).to_have_url(re.compile("/models.*part=channels"))


@pytest.mark.parametrize(("color_scheme", "width"), [("dark", 1400), ("light", 390)])
def test_nothing_is_wider_than_the_window(page: Page, color_scheme: str, width: int):
    for part in ("architecture", "channels", "picture"):
        go(page, f"{MODEL}&part={part}")
        main = page.get_by_test_id("stMain")
        assert main.evaluate("main => main.scrollWidth - main.clientWidth") == 0
        assert page.errors == []
