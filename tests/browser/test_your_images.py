"""The page of collections as a visitor meets it: a zip sent, a real network, its progress, its galleries."""

import csv
import io
import re
import secrets
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from core.search import shared_engine
from tests.browser.conftest import open_from_menu, wait_until_idle

# Adding starts TensorFlow.
FIRST = 120_000
CLASSES = ("birds", "flowers", "vehicles")


def zipped() -> bytes:
    """Sixty pictures in three classes, one of which has a picture of another, and what is no picture."""
    dataset = shared_engine.engine().grid.dataset("objects200")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for item in dataset.items:
            if item.label in CLASSES:
                label = (
                    "flowers"
                    if item.id == next(i.id for i in dataset.items if i.label == "birds")
                    else item.label
                )
                archive.writestr(f"mine/{label}/{Path(item.file).name}", dataset.path(item.id).read_bytes())
        archive.writestr("mine/notes.txt", "hello")
    return out.getvalue()


def create(page: Page) -> str:
    # Another name at the second try.
    name = f"pets-{secrets.token_hex(4)}"
    page.goto("/images?view=all")
    wait_until_idle(page)
    page.get_by_role("textbox", name="Name").fill(name)
    page.get_by_role("textbox", name="Name").press("Enter")
    wait_until_idle(page)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("Where are your images?")).to_be_visible()
    wait_until_idle(page)
    return name


def send(page: Page, *files: dict) -> None:
    page.locator("input[type=file]").set_input_files(list(files))
    page.get_by_role("button", name=re.compile(r"^Add \d+ file")).click()


def open_part(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name).or_(page.get_by_role("button", name=name, exact=True)).first.click()
    wait_until_idle(page)


def tiles(page: Page, group: str):
    return page.get_by_role("group", name=re.compile(group)).get_by_role("button")


def test_a_zip_becomes_a_collection_while_the_page_is_left_and_its_galleries_show_what_is_wrong(page: Page):
    name = create(page)
    send(page, {"name": "mine.zip", "mimeType": "application/zip", "buffer": zipped()})
    expect(page.get_by_text("Adding your upload").first).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    # Another page, and back: it went on, and a page that is loaded anew shows it too.
    page.get_by_role("link", name="Compare").click()
    wait_until_idle(page)
    open_from_menu(page, "Your own", "Your images")
    expect(page.get_by_text(re.compile("Adding your upload|60 added")).first).to_be_visible()
    assert page.errors == []
    # The list of collections shows how far it is and that it has ended, without a reload.
    other = page.context.new_page()
    other.goto("/images?view=all")
    expect(other.get_by_role("main")).to_contain_text(re.compile(rf"{name}\s*60 images"), timeout=FIRST)
    other.close()
    # The address names the collection once the page is complete.
    expect(page).to_have_url(re.compile(f"collection={name}"))
    page.reload()
    expect(page.get_by_text("60 added, 1 left out")).to_be_visible(timeout=FIRST)
    wait_until_idle(page)
    expect(tiles(page, "Images 1 to 48 of 60")).to_have_count(48)
    first = page.locator(".tile img").first
    first.scroll_into_view_if_needed()
    expect(first).to_have_js_property("complete", True)
    assert first.evaluate("image => image.naturalWidth") > 0

    open_part(page, "Label errors")
    expect(tiles(page, "label errors")).not_to_have_count(0)
    wrong = tiles(page, "label errors").first
    expect(wrong).to_contain_text("birds?")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the list (CSV)").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert (rows[0]["label"], rows[0]["suggested"]) == ("flowers", "birds") and "birds-01" in rows[0]["name"]

    # It is looked at and removed.
    wrong.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("mine/flowers/birds-01")
    # The keyboard closes it, is back at the image, and opens it again.
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(wrong).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("send it again")
    dialog.get_by_role("button", name="Remove it from the collection").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_text("59 images").first).to_be_visible()
    wait_until_idle(page)

    # The removal is undone and repeated, and the image deleted permanently.
    for number, choice in enumerate(("Restore", "Delete permanently")):
        open_part(page, "Removed (1)")
        tiles(page, "Removed images").first.click()
        dialog.get_by_role("button", name=choice).click()
        expect(dialog).to_be_hidden()
        expect(page.get_by_text("No image was removed")).to_be_visible(timeout=FIRST)
        wait_until_idle(page)
        if number == 0:
            open_part(page, "Label errors")
            tiles(page, "label errors").first.click()
            dialog.get_by_role("button", name="Remove it from the collection").click()
            expect(dialog).to_be_hidden()
            wait_until_idle(page)

    open_part(page, "Outliers")
    expect(tiles(page, "outliers")).to_have_count(48)
    open_part(page, "Near-duplicates")
    expect(page.get_by_text(re.compile(r"group|No two images")).first).to_be_visible()
    open_part(page, "Manage")
    page.get_by_role("button", name="Check it").click()
    expect(page.get_by_text("complete and agree")).to_be_visible()
    page.get_by_role("button", name="Prepare the file").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the file (Parquet)").click()
    assert len(pd.read_parquet(download.value.path())) == 59

    page.get_by_role("button", name="Delete this collection").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Delete it")).to_be_disabled()
    dialog.get_by_role("textbox").fill(name)
    dialog.get_by_role("textbox").press("Enter")
    dialog.get_by_role("button", name="Delete it").click()
    expect(dialog).to_be_hidden()
    wait_until_idle(page)
    expect(page.get_by_text(name)).to_have_count(0)
    assert page.errors == []


@pytest.mark.parametrize(("color_scheme", "width"), [("dark", 1400), ("light", 400)])
def test_a_hostile_archive_is_refused_in_a_sentence_that_fits(page: Page, color_scheme: str, width: int):
    create(page)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../../evil.png", b"x")
    evil = {"name": "evil.zip", "mimeType": "application/zip", "buffer": out.getvalue()}
    page.locator("input[type=file]").set_input_files([evil])
    expect(page.get_by_text("leads out of it")).to_be_visible(timeout=30_000)
    wait_until_idle(page)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width
    assert page.errors == []
