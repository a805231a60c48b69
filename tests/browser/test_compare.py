import csv
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from core.data import datasets
from tests import conftest
from tests.browser.conftest import open_from_menu, wait_until_idle
from tests.dashboard.conftest import DATASET, draw_grid, write_run

SECTIONS = (
    "Overview",
    "Leaderboard",
    "Quality and cost",
    "What matters",
    "Side by side",
    "Images",
    "Classes",
    "Use it",
)

LONG = "model-of-a-long-name"


@pytest.fixture(scope="module")
def dashboard_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard over a small grid of its own, so that these tests know what they see."""
    folder = tmp_path_factory.mktemp("grid")
    draw_grid(folder)
    write_run(folder, datasets.load(folder / "empty"), LONG, "imagenet", 1.0, tuple("abcdefgh"), ("avg",))
    with conftest.serving(folder / "server.log", PLAYGROUND_GRID_DIR=str(folder)) as url:
        yield url


def open_compare(page: Page, address: str = "") -> None:
    if address:
        page.goto(f"/compare?{address}")
        wait_until_idle(page)
    else:
        page.goto("/")
        wait_until_idle(page)
        go_to(page, "Compare")
    expect(page.get_by_role("heading", name="Compare", exact=True)).to_be_visible()


def go_to(page: Page, name: str) -> None:
    page.get_by_role("link", name=name).first.click()
    wait_until_idle(page)


def section(page: Page, name: str) -> None:
    visible = page.locator(".st-key-section")
    if visible.is_visible():
        visible.get_by_role("radio", name=name, exact=True).click()
    else:
        page.locator(".st-key-menu-section").get_by_role("combobox").click()
        page.get_by_role("option", name=name, exact=True).click()
    wait_until_idle(page)


def address_of(page: Page) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(page.url).query).items()}


def click_mark(page: Page, mark: Locator) -> None:
    """Plotly takes clicks on a layer above its marks, and only where it has seen the mouse."""
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 2, y - 2)
    page.mouse.move(x, y, steps=4)
    page.wait_for_timeout(150)
    page.mouse.click(x, y)
    wait_until_idle(page)


def chart(page: Page, key: str) -> Locator:
    return page.locator(f".st-key-{key} .js-plotly-plot")


def overflow(page: Page) -> int:
    return page.evaluate(
        "() => { const m = document.querySelector('[data-testid=stMain]'); return m.scrollWidth - m.clientWidth }"
    )


def test_a_cell_of_the_heat_map_opens_that_configuration_on_the_search_page(page: Page):
    open_compare(page)
    cells = chart(page, "heat-map").locator(".bars .point")
    expect(cells).to_have_count(6)
    # In the order of the grid: the good model's early, middle and late layer come first.
    click_mark(page, cells.nth(1))
    expect(page.get_by_role("heading", name="Search", exact=True)).to_be_visible()
    shown = address_of(page)
    assert urlsplit(page.url).path == "/search"
    assert (shown["model"], shown["layer"], shown["pooling"]) == ("good", "middle", "avg")
    # The same cell works again after coming back.
    go_to(page, "Compare")
    click_mark(page, chart(page, "heat-map").locator(".bars .point").nth(0))
    expect(page.get_by_role("heading", name="Search", exact=True)).to_be_visible()
    assert address_of(page)["layer"] == "early"
    assert page.errors == []


def test_a_bar_opens_its_image_and_a_mixed_up_cell_opens_one_of_its_class(page: Page):
    open_compare(page, "section=classes&model=plain&layer=first&pooling=avg&metric=cosine&k=5")
    bars = chart(page, "bars").locator(".bars .point")
    expect(bars).to_have_count(24)
    click_mark(page, bars.nth(23))
    expect(page.get_by_role("heading", name="Search", exact=True)).to_be_visible()
    shown = address_of(page)
    assert (shown["model"], shown["layer"], shown["k"]) == ("plain", "first", "5")
    assert 16 <= int(shown["query"]) <= 23
    go_to(page, "Compare")
    cells = chart(page, "confusion").locator(".bars .point")
    expect(cells).to_have_count(9)
    click_mark(page, cells.nth(5))
    expect(page.get_by_role("heading", name="Search", exact=True)).to_be_visible()
    assert 8 <= int(address_of(page)["query"]) <= 15
    assert page.errors == []


def test_an_image_of_a_gallery_opens_on_the_search_page(page: Page):
    open_compare(page, "section=pictures")
    page.get_by_role("group", name=re.compile("with the lowest")).get_by_role("button").nth(2).click()
    wait_until_idle(page)
    expect(page.get_by_role("heading", name="Search", exact=True)).to_be_visible()
    assert page.errors == []


def test_filters_narrow_the_leaderboard_and_its_download(page: Page, tmp_path: Path):
    open_compare(page, "section=leaderboard")
    expect(page.get_by_text("18 of 18 configurations")).to_be_visible()
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name="plain").click()
    page.keyboard.press("Escape")
    wait_until_idle(page)
    expect(page.get_by_text("6 of 18 configurations")).to_be_visible()
    # Filters are kept while another section is looked at.
    section(page, "Overview")
    section(page, "Leaderboard")
    expect(page.get_by_text("6 of 18 configurations")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the table (CSV)").click()
    file = tmp_path / "board.csv"
    download.value.save_as(file)
    rows = list(csv.DictReader(file.open(encoding="utf-8")))
    assert download.value.suggested_filename == f"{DATASET}-k10.csv"
    assert len(rows) == 6
    assert {row["model"] for row in rows} == {"plain"}
    scores = [float(row["score@10"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert all(float(row["low_95"]) <= float(row["score@10"]) <= float(row["high_95"]) for row in rows)
    assert page.errors == []


def test_the_configuration_goes_along_to_the_search_page_and_back(page: Page):
    open_compare(
        page, "section=pair&model=plain&layer=second&metric=euclidean&model2=good&layer2=early&query=4"
    )
    before = address_of(page)
    assert (before["model2"], before["layer2"]) == ("good", "early")
    open_from_menu(page, "Explore", "Search")
    wait_until_idle(page)
    assert {"model": "plain", "layer": "second", "metric": "euclidean", "query": "4"}.items() <= address_of(
        page
    ).items()
    go_to(page, "Compare")
    assert address_of(page) == before
    page.get_by_role("button", name="Swap A and B").click()
    wait_until_idle(page)
    swapped = address_of(page)
    assert (swapped["model"], swapped["layer"], swapped["model2"], swapped["layer2"]) == (
        "good",
        "early",
        "plain",
        "second",
    )
    assert page.errors == []


@pytest.mark.parametrize(("color_scheme", "width"), [("light", 1400), ("dark", 700)])
def test_every_section_fits_the_window_without_complaints(page: Page):
    open_compare(page, "section=overview")
    for name in SECTIONS:
        section(page, name)
        expect(page.get_by_test_id("stException")).to_have_count(0)
        assert overflow(page) == 0, name
    assert page.errors == []


@pytest.mark.parametrize("width", [700, 400])
def test_numbers_in_narrow_cells_of_a_heat_map_do_not_overlap(page: Page, width: int):
    open_compare(page, "dataset=empty")
    texts = chart(page, "heat-map").locator(".bartext")
    expect(texts).to_have_count(8)
    boxes = sorted((box["x"], box["x"] + box["width"]) for one in texts.all() if (box := one.bounding_box()))
    assert len(boxes) == 8 or width == 400
    assert all(right <= left for (_, right), (left, _) in itertools.pairwise(boxes))


def test_charts_are_described_and_have_a_table(page: Page):
    open_compare(page)
    described = page.get_by_label(re.compile("Mean score at k = 10 of each model"))
    expect(described.first).to_be_attached()
    page.get_by_text("The numbers").click()
    wait_until_idle(page)
    expect(page.get_by_test_id("stExpander").get_by_test_id("stDataFrame")).to_be_visible()


@pytest.mark.parametrize("width", [400])
def test_sections_are_a_menu_in_a_narrow_window(page: Page):
    open_compare(page, "section=pair")
    expect(page.locator(".st-key-section")).to_be_attached()
    expect(page.locator(".st-key-section")).to_be_hidden()
    menu = page.get_by_role("combobox", name="Section")
    menu.click()
    page.get_by_role("option", name="What matters", exact=True).click()
    wait_until_idle(page)
    assert address_of(page)["section"] == "factors"
    # By keys too.
    menu.press("ArrowDown")
    menu.press("ArrowDown")
    menu.press("Enter")
    wait_until_idle(page)
    assert address_of(page)["section"] != "factors"
