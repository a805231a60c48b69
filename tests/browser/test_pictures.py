"""Images never stand above the caption of others."""

import io
import re

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import wait_until_idle


def painted(tile: Locator) -> float:
    """The share of the pixels of a tile's image that are not white."""
    pixels = np.asarray(Image.open(io.BytesIO(tile.get_by_role("img").screenshot())).convert("L"))
    # Without the upper left corner, where the rank is.
    return float((pixels[pixels.shape[0] // 4 :] < 240).mean())


def test_a_tile_whose_image_has_not_arrived_does_not_keep_the_one_before(page: Page):
    page.goto("/search?dataset=objects200&query=0&k=10")
    wait_until_idle(page)
    tiles = page.get_by_role("group", name=re.compile("nearest first")).get_by_role("button")
    first = tiles.first
    expect(first.get_by_role("img")).to_have_js_property("complete", True)
    source = first.get_by_role("img").get_attribute("src")
    assert painted(first) > 0.1
    held: list[Route] = []
    # Images that the page has had already would come from the browser's memory.
    page.route("**/pictures/**", lambda route: held.append(route))
    page.get_by_role("group", name=re.compile("^Images of")).get_by_role("button").nth(30).click()
    wait_until_idle(page)
    fresh = [tile for tile in tiles.all() if not tile.get_by_role("img").evaluate("image => image.complete")]
    assert held and fresh and first.get_by_role("img").get_attribute("src") != source
    fresh[0].scroll_into_view_if_needed()
    assert painted(fresh[0]) == 0
    page.unroute_all(behavior="ignoreErrors")
