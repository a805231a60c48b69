"""Combinations made on Compare: a form that takes the best layer of each network, and what becomes of it."""

import pytest

from core import jobs
from core.experiments import runner
from core.experiments.store import Grid
from core.models import combinations
from core.progress import Silent
from core.search import shared_engine
from core.settings import settings
from dashboard.pages.compare.sections import combination
from tests.dashboard.test_compare_page import words
from tests.experiments.synthetic import draw_dataset

MODELS = ("squeezenet", "mobilenetv2")


@pytest.fixture
def added(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "ADDED_MODELS_DIR", tmp_path / "models")


@pytest.fixture
def measured(tmp_path, added, monkeypatch):
    """A dataset with experiments of two networks."""
    monkeypatch.setattr(settings, "GRID_DIR", tmp_path / "grid")
    shared_engine.of_grid.cache_clear()
    dataset = draw_dataset(tmp_path / "shapes", 2, 4)
    request = runner.Request(MODELS, poolings=("avg",), metrics=("cosine", "euclidean"))
    runner.run([dataset], request, settings.GRID_DIR, Silent())


def test_without_networks_to_combine_it_says_so(grid_dir, added, open_page):
    page = open_page("compare", section="combine")
    assert not page.exception and "fewer than two trained networks" in words(page)
    assert not page.multiselect


def test_each_network_is_offered_at_its_best_layer(added):
    summaries = Grid().load("objects200").summaries
    found = combination.best_of_each(summaries)
    assert {"squeezenet", "efficientnet-lite1"} <= set(found)
    for name, one in found.items():
        rivals = [
            row.score_10
            for row in summaries
            if (row.model, row.weights, row.pooling, row.metric) == (name, "imagenet", "avg", "cosine")
        ]
        assert one.score_10 == max(rivals)


def ended():
    job = jobs.get(("combine", "shapes"))
    assert job is not None and job.wait(300)
    return job


@pytest.mark.slow
def test_a_combination_is_added_and_measured(measured, open_page):
    page = open_page("compare", dataset="shapes", section="combine")
    assert set(page.multiselect(key="combine-networks").value) == set(MODELS)
    page.button[-1].click().run()
    assert "a name" in words(page)
    page.text_input(key="combine-name").set_value("squeezenet")
    page.button[-1].click().run()
    assert ended().state == "failed"
    assert "already" in words(page.run()) and combinations.names() == []
    page.text_input(key="combine-name").set_value("both")
    page.button[-1].click().run()
    assert not page.exception and ended().state == "done", ended().error
    assert combinations.names() == ["both"]
    stored = combinations.description("both")
    assert stored.centered_on == "shapes" and {part.model for part in stored.parts} == set(MODELS)
    found = [one for one in Grid().load("shapes").summaries if one.model == "both"]
    assert {one.pooling for one in found} == {"avg"} and len(found) == 4
    [notice] = page.run().success
    assert f"{max(one.score_10 for one in found):.1f}" in notice.value
    # A combination is no part of another one.
    assert set(combination.best_of_each(Grid().load("shapes").summaries)) == set(MODELS)
    page = open_page("compare", dataset="shapes", section="use", model="both")
    assert any("playground combinations add both" in block.value for block in page.code)
