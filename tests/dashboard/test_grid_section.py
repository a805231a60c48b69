"""The grid on a collection, as a page offers and shows it."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core import jobs
from core.collections import Collection
from core.settings import settings
from dashboard.pages.your_images import grid_section
from tests.collections.pixels import draw
from tests.dashboard.test_compare_page import words

SCRIPT = "from dashboard.pages.your_images import grid_section\ngrid_section.show('pets')"


@pytest.fixture
def grid_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "GRID_DIR", tmp_path / "grid")
    return settings.GRID_DIR


def page() -> AppTest:
    return AppTest.from_string(SCRIPT, default_timeout=60)


def test_without_labels_it_says_what_is_needed(collections_dir, grid_dir, tmp_path):
    Collection.create("pets", model="squeezenet", layer="conv1_activation")
    shown = page().run()
    assert not shown.exception and not shown.button
    assert "at least two labels" in shown.info[0].value


def test_a_grid_that_can_not_be_written_is_an_error(pets, monkeypatch):
    monkeypatch.setattr(settings, "GRID_DIR", Path("/proc/grid"))
    shown = page().run()
    assert not shown.exception and not shown.button
    assert "can't be written" in shown.info[0].value


@pytest.mark.slow
def test_it_runs_in_the_background_and_its_results_stand_on_the_pages(pets, grid_dir, photos, open_page):
    # Too few for UMAP, which would take long to start.
    pets.remove([str(photos / "dog" / "d.png")])
    shown = page().run()
    assert "3 labeled images in 2 classes" in words(shown) and "1 image of 'pets' has no label" in words(
        shown
    )
    assert shown.multiselect[0].value == ["squeezenet"]
    shown.button[0].click().run()
    job = jobs.get(grid_section._key("pets"))
    assert job.wait(120) and job.state == "done", job.error
    shown = page().run()
    # Three pictures have two neighbors each, and the class of one none of its own.
    assert "Computed: SqueezeNet" in words(shown) and "of 100 at k = 2" in words(shown)
    assert any("At most" in one.value and "can be reached" in one.value for one in shown.caption)
    assert [button.label for button in shown.button][:3] == ["Search", "Embeddings", "Compare"]

    for name in ("search", "embeddings", "compare"):
        opened = open_page(name, dataset="collection-pets")
        assert not opened.exception and not opened.error
        assert "pets" in opened.selectbox(key="pick-dataset").options

    pets.add([draw(photos / "dog" / "f.png", 7)])
    pets.add([str(photos)], restore_removed=True)
    shown = page().run()
    assert "has changed since" in shown.warning[0].value
    assert [button.label for button in shown.button][-1] == "Run the grid"
