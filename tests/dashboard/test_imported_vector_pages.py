"""The pages with vectors that something else computed."""

import numpy as np
import pytest

from core.experiments import store, vector_import
from core.progress import Silent
from core.settings import settings
from dashboard.pages.compare import comparison_context, report
from dashboard.pages.compare.sections import leaderboard
from dashboard.url import Address
from tests.experiments.synthetic import draw_dataset, random_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A grid of imported vectors, one image without, beside a model's."""
    place = tmp_path_factory.mktemp("imported")
    dataset = draw_dataset(place / "shapes", 3, 5)
    random_run(place / "grid", dataset)
    ids = range(1, len(dataset))
    table = vector_import.Table(
        tuple(ids), np.random.default_rng(0).normal(size=(len(ids), 5)).astype(np.float32)
    )
    vector_import.import_vectors(place / "grid", dataset, "mine", table, "id", "mine.parquet", Silent())
    return place / "grid"


@pytest.mark.parametrize("name", ["search", "compare", "embeddings"])
def test_every_page_shows_them(name, folder, monkeypatch, open_page):
    monkeypatch.setattr(settings, "GRID_DIR", folder)
    [one, *_] = [one for one in store.Grid(folder).load("shapes").summaries if one.model == "mine"]
    page = open_page(name, dataset="shapes", model="mine", weights=one.weights, layer="vectors")
    assert not page.exception and not page.error
    assert page.query_params["model"] == "mine"
    # They are one layer: there is nothing to play.
    assert not any("Play" in one.value for one in page.caption)


def test_their_parameters_stay_empty_in_tables(folder, monkeypatch):
    monkeypatch.setattr(settings, "GRID_DIR", folder)
    grid = store.Grid(folder).load("shapes")
    context = comparison_context.make_context(Address({}), grid, leaderboard.SECTION)
    numbers = leaderboard.frame(context, context.table.order)
    assert numbers["parameters"].isna().equals(numbers["model"] == "mine")
    document = report.html(context).decode()
    assert ">nan<" not in document and "NA&gt;" not in document


def test_home_decides_between_them_and_a_model(folder, monkeypatch, open_page):
    monkeypatch.setattr(settings, "GRID_DIR", folder)
    page = open_page("home", dataset="shapes")
    assert not page.exception and not page.error


def test_there_is_no_code_for_them(folder, monkeypatch, open_page):
    monkeypatch.setattr(settings, "GRID_DIR", folder)
    [one, *_] = [one for one in store.Grid(folder).load("shapes").summaries if one.model == "mine"]
    page = open_page(
        "compare", dataset="shapes", model="mine", weights=one.weights, layer="vectors", section="use"
    )
    assert not page.exception and not page.error
    assert any("has no model here" in part.value for part in page.info)
