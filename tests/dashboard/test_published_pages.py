"""Published results on every page: what they lack is left out, nothing is made up for it."""

import json
from pathlib import Path

import pytest

from core.progress import Silent
from core.published import convert
from core.settings import settings
from dashboard.widgets import glossary
from tests.dashboard.conftest import gallery_of
from tests.published import copies

SECTIONS = ("overview", "leaderboard", "cost", "factors", "pair", "pictures", "classes", "use")
SHOWN = {
    "dataset": "shapes18",
    "model": "densenet121",
    "weights": "published",
    "layer": "conv5_block16_concat",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A made-up copy, one layer of which covers six of the eighteen pictures."""
    folder = tmp_path_factory.mktemp("published")
    root = copies.make(folder)
    few = {
        str(q): [str(q), *(str(i) for i in range(copies.PER_CLASS) if i != q)]
        for q in range(copies.PER_CLASS)
    }
    for metric in ("cosine", "euclidean"):
        copies.write(root / "similarity/shapes18/densenet121" / metric / "pool1.json", few)
    convert.import_copy(folder, folder / "grid", Silent())
    return folder / "grid"


@pytest.fixture(autouse=True)
def published(made, monkeypatch) -> None:
    monkeypatch.setattr(settings, "GRID_DIR", made)


def words(page) -> str:
    kinds = (page.markdown, page.caption, page.info, page.warning, page.error)
    return "\n".join(part.value for kind in kinds for part in kind).replace("\\", "")


def test_search_shows_the_published_neighbors_without_distances(open_page, made):
    page = open_page("search", **SHOWN, metric="cosine", query=4)
    assert not page.exception and not page.error and not page.warning
    assert glossary.CAVEATS["published"] in words(page)
    path = made.parent / "similarity/shapes18/densenet121/cosine/conv5_block16_concat.json"
    listed = json.loads(path.read_text())["4"][1:]
    tiles = gallery_of(page, 1)["tiles"]
    assert [str(tile["id"]) for tile in tiles] == listed
    assert not any(tile["lines"] for tile in tiles)
    assert "closer than" not in json.dumps(tiles)


def test_search_says_which_images_a_layer_leaves_out(open_page):
    page = open_page("search", **{**SHOWN, "layer": "pool1"}, query=17)
    assert not page.exception
    assert "left out of the experiment" in words(page)
    assert "published beside the eight" in words(page)


def test_embeddings_show_the_layout_and_do_not_judge_it(open_page):
    page = open_page("embeddings", **SHOWN, query=4)
    assert not page.exception and not page.error
    assert glossary.UNJUDGED in words(page) and glossary.TRUSTWORTHINESS not in words(page)
    assert "distance " not in json.dumps(gallery_of(page, 1))


@pytest.mark.slow
@pytest.mark.parametrize("address", [{"method": "pca"}, {"dimensions": "3"}])
def test_embeddings_lead_back_to_the_layout_that_was_published(open_page, address):
    page = open_page("embeddings", **SHOWN, **address)
    assert "nothing but UMAP in two dimensions was published" in words(page)
    next(button for button in page.button if button.label == "Show UMAP in 2-D").click().run()
    assert glossary.UNJUDGED in words(page)


@pytest.mark.slow
@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_compares_them(open_page, section):
    page = open_page("compare", section=section, **SHOWN)
    assert not page.exception and not page.error
    [warning] = page.warning
    assert "densenet121.published/pool1 has only 6 of 18" in warning.value.replace("\\", "")


@pytest.mark.slow
def test_the_overview_prefers_a_cost_that_is_known(open_page):
    assert "was not measured" not in words(open_page("compare", **SHOWN))


@pytest.mark.slow
def test_the_code_uses_the_weights_that_keras_offers(open_page):
    page = open_page("compare", section="use", **SHOWN)
    code = "\n".join(part.value for part in page.code)
    # ImageNet weights are the default of all of it.
    assert "--model densenet121" in code and "weights" not in code and "published" not in code
    assert "models fetch densenet121" in words(page)
    beyond = open_page("compare", section="use", **{**SHOWN, "layer": "pool1"})
    assert not beyond.code and "no code for it" in words(beyond)


@pytest.mark.slow
def test_an_image_of_ones_own_has_no_vectors_to_be_compared_with(open_page):
    page = open_page("your_picture", dataset="shapes18")
    assert not page.exception
    assert "published results alone" in words(page)
