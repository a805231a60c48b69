"""The pages of a read-only server: a line that says so, and every control that changes something disabled."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core import jobs
from core.collections import Collection, embedder
from core.settings import settings
from dashboard.pages.your_images import grid_section
from dashboard.widgets import collection_jobs
from tests.collections import pixels
from tests.dashboard.conftest import app
from tests.dashboard.test_your_images_page import button, looked

# Buttons that change nothing a user keeps; any other one must be disabled.
HARMLESS = {
    "Open",
    "All collections",
    "Search it",
    "See the map",
    "Check it",
    "Prepare the file",
    "Dismiss",
    "Up",
    "Preview this folder",
    "Back to the top",
}
PAGES = ("home", "search", "embeddings", "compare", "your_picture", "your_images", "models")
PARTS = ("pictures", "add", "duplicates", "outliers", "labels", "failures", "removed", "grid", "manage")


@pytest.fixture(autouse=True)
def _pixels(collections_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(embedder, "load", pixels.load)
    monkeypatch.setattr(collection_jobs, "jobs", jobs.Jobs())
    monkeypatch.setattr(grid_section, "jobs", jobs.Jobs())


@pytest.fixture
def pets(photos) -> Collection:
    (photos / "broken.png").write_bytes(b"no picture")
    made = pixels.create()
    made.add([str(photos)])
    made.remove([list(made.images())[-1].path])
    return made


def navigation(page: str = "your_images", **address: str) -> AppTest:
    test = app(page)
    for key, value in address.items():
        test.query_params[key] = value
    return test.run()


def enabled(page: AppTest) -> set[str]:
    assert not page.exception
    return {one.label for one in page.button if not one.disabled}


def says_so(page: AppTest) -> bool:
    return any("Read-only" in one.value for one in page.caption)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_says_that_it_is_read_only(read_only, name):
    assert says_so(navigation(name))


@pytest.mark.parametrize("part", PARTS)
def test_no_control_of_a_collection_changes_it(pets, read_only, part):
    page = navigation(collection="pets", part=part)
    assert enabled(page) <= HARMLESS
    assert all(one.disabled for one in page.file_uploader)
    for one in page.button:
        if one.label not in HARMLESS:
            assert "PLAYGROUND_ACCESS" in one.help


@pytest.mark.slow
def test_the_controls_are_there_and_enabled_with_full_access(pets):
    page = navigation(collection="pets", part="manage")
    assert {"Update", "Build the index again", "Delete this collection"} <= enabled(page) and not says_so(
        page
    )
    assert "Clear this list" in enabled(navigation(collection="pets", part="failures"))
    assert "Create" in enabled(navigation(view="all"))


def test_a_folder_of_the_server_can_be_looked_at_but_not_added(pets, photos, read_only, monkeypatch):
    monkeypatch.setattr(settings, "IMAGE_ROOT", photos)
    page = navigation(collection="pets", part="add", way="server")
    assert enabled(page) <= HARMLESS
    page = looked(button(page, "Preview this folder").click().run())
    add = button(page, "Add ")
    assert add.disabled and enabled(page) <= HARMLESS


def test_collections_are_neither_made_nor_deleted(pets, collections_dir, read_only):
    (collections_dir / "broken").mkdir()
    (collections_dir / "broken" / "collection.json").write_text(json.dumps({"format": 99}))
    assert enabled(navigation(view="all")) <= HARMLESS
    assert enabled(navigation(collection="broken")) <= HARMLESS


def test_an_image_is_not_removed(pets, read_only):
    script = (
        "from core.collections import Collection\n"
        "from dashboard import url\n"
        "from dashboard.widgets import sources\n"
        "from dashboard.pages.your_images import browse_images\n"
        "from dashboard.pages.your_images.collection_context import CollectionContext\n"
        "browse_images.pick(1)\n"
        "browse_images.details(CollectionContext(url.read(url.YOUR_IMAGES), sources.load('pets')))\n"
    )
    page = AppTest.from_string(script, default_timeout=60).run()
    assert [one.label for one in page.button] == ["Remove it from the collection"] and not enabled(page)


def test_a_page_from_before_can_not_delete_it_either(pets, request):
    page = navigation(collection="pets", part="manage")
    button(page, "Delete this collection").click().run()
    page.text_input(key="images-typed").input("pets").run()
    request.getfixturevalue("read_only")
    button(page, "Delete it").click().run()
    assert not page.exception and Path(pets.folder).is_dir()


def test_jobs_are_refused(pets, read_only):
    assert collection_jobs.change("pets", "Updating", lambda opened, job: opened.update(job))
    job = collection_jobs.jobs.get(collection_jobs._key("pets"))
    assert job.wait(60) and job.state == "failed" and "read-only" in job.error
    job = collection_jobs.jobs.start(
        "grid", "The grid", lambda job: grid_section._run("pets", ("squeezenet",), ("avg",), job)
    )
    assert job.wait(60) and job.state == "failed" and "read-only" in job.error
