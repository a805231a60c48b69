"""A collection on the pages, as a visitor meets it: searched with a picture, and laid out."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.collections import Collection
from tests.browser.conftest import wait_until_idle
from tests.browser.test_embeddings import POINT, neighbors, settle
from tests.browser.test_your_picture import path_of, results, upload
from tests.conftest import ROOT

PICTURES = ROOT / "precomputed" / "objects200" / "images"


@pytest.fixture(scope="module")
def shop(served_collections: Path) -> Collection:
    """Twelve birds and twelve flowers of the shipped dataset, with prices."""
    listed = served_collections / "shop.csv"
    rows = [
        f"{PICTURES}/{kind}-{i:02}.webp,{kind},{i}" for kind in ("birds", "flowers") for i in range(1, 13)
    ]
    listed.write_text("\n".join(["path,label,price", *rows]))
    with Collection.create(
        "shop", model="squeezenet", layer="fire9_concat", folder=served_collections
    ) as made:
        made.add([str(listed)])
        yield made


def test_a_collection_is_searched_with_an_image_and_narrowed(page: Page, shop):
    page.goto("/live?collection=shop&k=5")
    wait_until_idle(page)
    upload(page, path_of(2))
    expect(page.get_by_text("layer fire9_concat")).to_be_visible()
    expect(results(page)).to_have_count(5)
    first = results(page).first
    expect(first).to_contain_text(path_of(2).name)
    expect(first).to_contain_text("price: 3")
    assert first.locator("img").evaluate("image => image.complete && image.naturalWidth > 0")
    expect(page.get_by_role("img", name=re.compile("colored by what counts"))).to_have_count(2)

    page.get_by_role("combobox", name=re.compile("^Label")).click()
    page.get_by_role("option", name=re.compile("flowers")).click()
    wait_until_idle(page)
    expect(page).to_have_url(re.compile("label=flowers"))
    expect(page.get_by_text(re.compile("They vote: flowers 5"))).to_be_visible()
    conditions = page.get_by_role("combobox", name=re.compile("Conditions"))
    conditions.fill("price<3")
    conditions.press("Enter")
    # The open list keeps the rest of the page from whoever does not see it.
    conditions.press("Escape")
    wait_until_idle(page)
    expect(results(page)).to_have_count(2)
    assert page.errors == []


def test_its_layout_is_computed_in_the_background_and_points_show_their_images(page: Page, shop):
    page.goto("/embeddings?collection=shop&method=pca")
    wait_until_idle(page)
    page.get_by_role("button", name="Compute PCA").click()
    page.wait_for_selector(".playground-scatter .plot canvas", timeout=60_000)
    page.goto("/embeddings?collection=shop&method=pca")
    settle(page)
    place = page.evaluate(POINT, "birds")
    page.mouse.move(place["x"] - 40, place["y"])
    page.mouse.move(place["x"], place["y"], steps=3)
    card = page.locator(".playground-scatter .card")
    expect(card).to_be_visible()
    expect(card).to_contain_text("birds")
    page.wait_for_function(
        "() => document.querySelector('.playground-scatter .card img').naturalWidth > 0", timeout=10_000
    )
    page.mouse.click(place["x"], place["y"])
    settle(page)
    expect(page).to_have_url(re.compile(r"image=\d+"))
    expect(neighbors(page)).to_have_count(10)
    expect(page.get_by_role("button", name="Play")).to_be_hidden()
    assert page.errors == []
