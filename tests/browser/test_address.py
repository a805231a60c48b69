"""The address bar: what a page shows, and one step back for each thing that the user did."""

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from dashboard import url
from tests.browser.conftest import wait_until_idle


def open_first(page: Page, address: str) -> None:
    page.goto("about:blank")
    page.goto(address)
    wait_until_idle(page)


def go_back(page: Page) -> None:
    page.go_back()
    if page.url != "about:blank":
        wait_until_idle(page)


def wait_for_key(page: Page, key: str) -> None:
    page.wait_for_url(lambda now: key in parse_qs(urlsplit(now).query))


@pytest.mark.parametrize("folder", url.PAGES)
def test_one_step_back_leaves_a_fresh_page(page: Page, folder: str):
    open_first(page, "/" if folder == "home" else f"/{url.PAGES[folder].path}")
    if folder != "your_images":
        wait_for_key(page, url.DATASET)
    go_back(page)
    assert page.url == "about:blank"


def test_one_step_back_leaves_a_page_with_a_part_of_an_address(page: Page):
    open_first(page, "/compare?section=cost&k=7")
    wait_for_key(page, url.MODEL)
    assert parse_qs(urlsplit(page.url).query).items() >= {"section": ["cost"], "k": ["7"]}.items()
    go_back(page)
    assert page.url == "about:blank"


def test_one_step_back_leaves_a_page_that_goes_on_with_what_the_session_showed(page: Page):
    open_first(page, "/search?k=7")
    wait_for_key(page, url.MODEL)
    page.get_by_role("link", name="Compare").first.click()
    wait_for_key(page, url.DATASET)
    wait_until_idle(page)
    assert parse_qs(urlsplit(page.url).query)["k"] == ["7"]
    go_back(page)
    assert urlsplit(page.url).path == "/search"
    expect(page.get_by_role("heading", name="Search", exact=True)).to_be_visible()
    go_back(page)
    assert page.url == "about:blank"


def test_completing_the_address_takes_no_room_on_the_page(page: Page):
    open_first(page, "/compare")
    wait_for_key(page, url.MODEL)
    expect(page.locator(".st-key-address")).to_have_count(1)
    expect(page.locator(".st-key-address")).to_be_hidden()


def test_a_choice_is_one_step(page: Page):
    open_first(page, "/compare")
    wait_for_key(page, url.MODEL)
    before = page.url
    page.get_by_role("radiogroup", name="Look closer").get_by_role("radio", name="Images", exact=True).click()
    wait_for_key(page, url.SECTION)
    wait_until_idle(page)
    go_back(page)
    assert page.url == before
    expect(page.get_by_role("radio", name="Overview", exact=True)).to_be_checked()
    go_back(page)
    assert page.url == "about:blank"


def test_a_notice_about_the_address_is_shown_once(page: Page):
    open_first(page, "/compare?k=7000&nonsense=1")
    wait_for_key(page, url.MODEL)
    notice = page.get_by_test_id("stAlert").filter(has_text="7000")
    expect(notice).to_contain_text("nonsense")
    assert not {"nonsense"} & set(parse_qs(urlsplit(page.url).query))
    page.get_by_role("radiogroup", name="Look closer").get_by_role("radio", name="Images", exact=True).click()
    wait_for_key(page, url.SECTION)
    wait_until_idle(page)
    expect(notice).to_have_count(0)


def test_an_address_of_search_from_when_it_was_at_the_root_opens_it(page: Page):
    open_first(page, "/?k=7&query=4")
    wait_for_key(page, url.MODEL)
    expect(page.get_by_role("heading", name="Search", exact=True)).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert parse_qs(urlsplit(page.url).query).items() >= {"k": ["7"], "query": ["4"]}.items()
    assert urlsplit(page.url).path == "/search"
    go_back(page)
    assert page.url == "about:blank"
