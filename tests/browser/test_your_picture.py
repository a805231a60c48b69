"""The live page as a visitor meets it: real uploads, a real model, the shipped pictures."""

import base64
import csv
import io
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from core.experiments.store import Configuration
from core.search import shared_engine
from tests.browser.conftest import wait_until_idle

CONFIGURATION = "model=efficientnet-lite0&weights=imagenet&layer=block6_output&pooling=avg&metric=cosine"
# The first search of a server starts TensorFlow.
FIRST = 60_000


@pytest.fixture
def live(page: Page) -> Page:
    page.goto(f"/live?dataset=objects200&k=5&{CONFIGURATION}")
    wait_until_idle(page)
    return page


def path_of(item: int, dataset: str = "objects200") -> Path:
    return shared_engine.engine().grid.dataset(dataset).path(item)


def upload(page: Page, *files) -> None:
    page.locator("input[type=file]").set_input_files(list(files))
    expect(page.get_by_text("They vote:").or_(page.get_by_role("alert")).first).to_be_visible(timeout=FIRST)
    wait_until_idle(page)


def results(page: Page) -> Locator:
    return page.get_by_role("group", name=re.compile("nearest first")).get_by_role("button")


def found(page: Page) -> list[str]:
    return [one.get_attribute("data-id") for one in results(page).all()]


def test_an_upload_finds_what_the_engine_finds(live: Page):
    upload(live, path_of(3))
    engine = shared_engine.engine()
    dataset = engine.grid.dataset("objects200")
    neighbors = engine.grid.run(dataset, "efficientnet-lite0", "imagenet").neighbors(
        "block6_output", "avg", "cosine"
    )
    assert found(live) == ["3", *map(str, neighbors.ids[3][:4])]
    expect(live.get_by_text(re.compile(r"Decoding \d+ ms · features \d+ ms · search"))).to_be_visible()
    assert live.errors == []


def test_several_uploads_are_several_searches(live: Page):
    upload(live, path_of(3), path_of(150))
    assert found(live)[0] == "150"
    live.get_by_text(path_of(3).name, exact=True).last.click()
    wait_until_idle(live)
    assert found(live)[0] == "3"


def test_a_broken_file_costs_a_sentence_and_the_page_goes_on(live: Page):
    upload(live, {"name": "broken.png", "mimeType": "image/png", "buffer": b"\x89PNG\r\n\x1a\nno"})
    expect(live.get_by_role("alert").filter(has_text="broken.png")).to_be_visible()
    upload(live, path_of(8))
    assert found(live)[0] == "8"


def test_a_sample_and_then_a_result_are_searched_with(live: Page):
    live.get_by_role("group", name="Sample images").get_by_role("button").nth(1).click()
    expect(results(live).first).to_be_visible(timeout=FIRST)
    wait_until_idle(live)
    second = found(live)[1]
    results(live).nth(1).click()
    wait_until_idle(live)
    assert found(live)[0] == second
    # The samples are still at hand.
    live.get_by_role("button", name="Another image").click()
    live.get_by_role("radio", name="Sample").click()
    expect(live.get_by_role("group", name="Sample images")).to_be_visible()


def test_an_address_within_the_network_is_refused(live: Page):
    live.get_by_text("Address", exact=True).click()
    live.get_by_label("Address of an image").fill("http://127.0.0.1:8501/pictures/objects200/1")
    live.get_by_role("button", name="Fetch it").click()
    expect(live.get_by_role("alert").first).to_contain_text(re.compile("port|public"))


def test_a_pasted_image_is_searched_with(live: Page):
    live.get_by_text("Paste", exact=True).click()
    expect(live.get_by_role("button", name=re.compile("^Paste an image"))).to_be_visible()
    # No click on it is needed first.
    live.evaluate(
        """async (text) => {
          const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          const clipboardData = new DataTransfer();
          clipboardData.items.add(new File([bytes], "it.webp", { type: "image/webp" }));
          document.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
        }""",
        base64.b64encode(path_of(44).read_bytes()).decode(),
    )
    expect(results(live).first).to_be_visible(timeout=FIRST)
    wait_until_idle(live)
    assert found(live)[0] == "44"


def test_a_region_drawn_with_the_mouse_or_keys_is_searched(live: Page):
    upload(live, path_of(100))
    before = live.locator(".tile .detail").all_inner_texts()
    picture = live.get_by_role("img", name=f"Your picture {path_of(100).name}")
    area = picture.bounding_box()
    live.mouse.move(area["x"] + area["width"] * 0.1, area["y"] + area["height"] * 0.1)
    live.mouse.down()
    live.mouse.move(area["x"] + area["width"] * 0.5, area["y"] + area["height"] * 0.6, steps=5)
    live.mouse.up()
    wait_until_idle(live)
    region = live.locator(".tile .detail").all_inner_texts()
    assert region != before
    live.get_by_role("button", name=re.compile("Region that is searched")).focus()
    live.keyboard.press("Shift+ArrowRight")
    live.wait_for_timeout(700)
    wait_until_idle(live)
    assert live.locator(".tile .detail").all_inner_texts() != region
    live.get_by_role("button", name="Search with the whole image").click()
    wait_until_idle(live)
    assert live.locator(".tile .detail").all_inner_texts() == before


def test_what_made_them_similar_is_shown_on_both_images(live: Page):
    upload(live, path_of(3))
    expect(live.get_by_text("Their similarity")).to_be_visible()
    expect(live.get_by_role("img", name=re.compile("colored by what counts"))).to_have_count(2)
    live.goto(f"/live?dataset=objects200&k=5&{CONFIGURATION.replace('cosine', 'euclidean')}")
    wait_until_idle(live)
    upload(live, path_of(3))
    expect(live.get_by_text("not for avg with euclidean")).to_be_visible()


def test_the_choice_of_a_result_to_explain_follows_the_results(live: Page):
    upload(live, path_of(3), path_of(150))
    chosen = live.get_by_role("combobox", name=re.compile("Result"))
    first = chosen.input_value()
    live.get_by_text(path_of(3).name, exact=True).last.click()
    wait_until_idle(live)
    title = shared_engine.engine().grid.dataset("objects200").items[3].title
    assert first != chosen.input_value() == f"1 · {title}"
    expect(live.get_by_role("img", name=re.compile(f"Result 1: {title}"))).to_be_visible()


def test_the_results_come_as_csv(live: Page):
    upload(live, path_of(3))
    with live.expect_download() as download:
        live.get_by_role("button", name="Download the results (CSV)").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert [row["id"] for row in rows] == found(live)
    assert list(rows[0]) == ["rank", "id", "label", "title", "distance"]


def test_the_command_that_is_shown_gives_the_same_results(live: Page):
    upload(live, path_of(3))
    live.get_by_text("Use the API", exact=True).click()
    wait_until_idle(live)
    command = live.get_by_test_id("stCode").first.inner_text()
    fields = dict(re.findall(r"-F (\w+)=([^\s\\]+)", command))
    assert fields.pop("image") == "@picture.jpg"
    assert Configuration(*(fields[p] for p in ("model", "weights", "layer", "pooling", "metric")))
    address = re.search(r"http\S+/api/v1/search", command)[0]
    answer = live.request.post(
        address,
        multipart={
            **fields,
            "image": {"name": "a", "mimeType": "image/webp", "buffer": path_of(3).read_bytes()},
        },
    )
    assert answer.ok, answer.text()
    assert [str(one["id"]) for one in answer.json()["results"]] == found(live)


def test_the_star_is_among_the_points(live: Page):
    upload(live, path_of(3))
    live.get_by_text("Where is it?", exact=True).click()
    wait_until_idle(live)
    expect(live.locator(".js-plotly-plot")).to_be_visible()
    expect(live.get_by_text("not a projection of the image itself")).to_be_visible()


@pytest.mark.parametrize(("color_scheme", "width"), [("dark", 1400), ("light", 700), ("dark", 700)])
def test_nothing_is_wider_than_the_window(live: Page, color_scheme: str, width: int):
    upload(live, path_of(3))
    assert live.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width
    assert live.errors == []
