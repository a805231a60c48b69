"""The embeddings page on a collection."""

import base64
import json
import subprocess
import sys

import numpy as np
import pytest
from starlette.applications import Starlette

from core import jobs
from core.collections import Collection, collection_projection
from core.progress import Silent
from core.search import collection_source, shared_engine
from core.search.collection_source import CollectionSource
from core.server import projections
from core.settings import settings
from tests.collections.pixels import draw
from tests.conftest import ROOT
from tests.dashboard.conftest import gallery_of, http_get
from tests.dashboard.test_compare_page import words

ADDRESS = {"collection": "pets", "method": "pca"}


def chart(page) -> dict:
    parts = [part.proto for part in page.get("bidi_component")]
    [found] = [part.json for part in parts if part.component_name == "playground_scatter"]
    return json.loads(found)


@pytest.mark.slow
def test_a_projection_is_computed_on_request_and_kept(pets, open_page):
    page = open_page("embeddings", **ADDRESS)
    assert not page.exception and "has not been computed yet" in page.info[0].value
    page.button(key="compute-layout").click().run()
    job = jobs.get(("projection", "collection", "pets", "pca", 2))
    assert job.wait(60) and job.state == "done", job.error
    page = open_page("embeddings", **ADDRESS)
    assert not page.exception and not page.info
    shown = chart(page)
    assert [one["name"] for one in shown["classes"]] == ["cat", "dog", "no label"]
    assert len(shown["layers"]) == 1 and shown["layers"][0]["silhouette"] is None
    assert "known where every image has a label" in words(page)
    assert "PCA: 2 components hold" in words(page)

    app = Starlette(routes=projections.routes())
    status, headers, body = http_get(app, shown["points"])
    points = json.loads(body)
    assert status == 200 and "immutable" in headers["cache-control"]
    assert len(np.frombuffer(base64.b64decode(points["coordinates"]), "<i2")) == 2 * 5
    status, _, body = http_get(app, shown["about"])
    about = json.loads(body)
    stored = {image.id: image for image in pets.images()}
    for title, picture in zip(about["titles"], about["pictures"], strict=True):
        number, _, version = picture.partition("?v=")
        assert stored[int(number)].path.endswith(f"/{title}") and stored[int(number)].hash.startswith(version)

    pets.remove([next(iter(stored.values())).path])
    page = open_page("embeddings", **ADDRESS)
    assert "has not been computed yet" in page.info[0].value
    assert http_get(app, shown["points"])[0] == 404


@pytest.mark.slow
def test_a_chosen_image_is_shown_with_its_neighbors(pets, open_page):
    collection_projection.compute(pets, "pca", 2, Silent())
    image = next(image for image in pets.images() if image.label == "cat")
    page = open_page("embeddings", **ADDRESS, image=image.id)
    assert not page.exception
    assert "of the 4 nearest** have the same label" in words(page)
    assert [tile["id"] for tile in gallery_of(page, 1)["tiles"]] == [
        hit.id for hit in pets.nearest_to(image.id, 5)
    ]
    assert chart(page)["picked"] == collection_projection.read(pets, "pca", 2).ids.index(image.id)
    assert len(chart(page)["links"]) == 4
    page = open_page("embeddings", **ADDRESS, image=99999)
    assert not page.exception and "no image of that number" in page.warning[0].value
    page = open_page("embeddings", **ADDRESS, image=0)
    assert "`0`" in page.warning[0].value and chart(page)["picked"] is None
    assert "Click a point" in words(page) and "image" not in page.query_params


@pytest.mark.slow
def test_an_image_without_a_vector_says_why_it_has_no_neighbors(pets, photos, open_page):
    (photos / "broken.png").write_bytes(b"no image")
    pets.add([str(photos)])
    removed = next(iter(pets.images()))
    pets.remove([removed.path])
    [broken] = pets.images("failed")
    collection_projection.compute(pets, "pca", 2, Silent())
    for image, why in ((broken, "can't be read"), (removed, "was removed")):
        page = open_page("embeddings", **ADDRESS, image=image.id)
        assert not page.exception and why in page.warning[0].value


def test_the_page_says_that_the_points_are_a_sample(pets, open_page, monkeypatch):
    monkeypatch.setattr(settings, "MAX_LAYOUT_IMAGES", 4)
    collection_projection.compute(pets, "pca", 2, Silent())
    assert "These are 4 of 5 different images" in words(open_page("embeddings", **ADDRESS))


@pytest.mark.parametrize(
    "path", ["pets/pca/4", "pets/tsne/2", "none/pca/2", "..%2fx/pca/2", "pets/pca/2/x", "pets/..%2f/2"]
)
def test_only_projections_that_exist_are_served(pets, path):
    assert http_get(Starlette(routes=projections.routes()), f"/layouts/of/{path}")[0] == 404


def test_of_more_labels_than_colors_the_rare_ones_go_together(pets, monkeypatch):
    monkeypatch.setattr(collection_source, "MOST_CLASSES", 1)
    collection_projection.compute(pets, "pca", 2, Silent())
    images = CollectionSource(shared_engine.engine(), pets).projection("pca", 2).images
    classes, shown = images.classes, images.labels
    assert classes == ("cat", "other labels", "no label")
    assert sorted(shown) == ["cat", "cat", "no label", "other labels", "other labels"]


@pytest.mark.slow
def test_what_is_computed_is_shown_without_tensorflow_and_umap(pets):
    collection_projection.compute(pets, "pca", 2, Silent())
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from core.settings import settings\n"
        f"settings.COLLECTIONS_DIR = Path({str(settings.COLLECTIONS_DIR)!r})\n"
        "from streamlit.testing.v1 import AppTest\n"
        "page = AppTest.from_file('dashboard/pages/embeddings/page.py', default_timeout=60)\n"
        "page.query_params.update({'collection': 'pets', 'method': 'pca', 'image': '1'})\n"
        "page.run()\n"
        "assert not page.exception and not page.info\n"
        "assert not {'tensorflow', 'umap', 'sklearn'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
def test_missing_files_give_a_warning(pets, open_page):
    collection_projection.compute(pets, "pca", 2, Silent())
    (pets.folder / pets.state.vector_file).unlink()
    (pets.folder / pets.state.index.file).unlink()
    page = open_page("embeddings", **ADDRESS, image=1)
    assert not page.exception
    assert "is missing; restore its folder from a copy" in page.warning[0].value
    assert chart(page)["picked"] is not None


@pytest.mark.slow
def test_points_are_colored_by_metadata(collections_dir, photos, tmp_path, open_page):
    rows = [
        (path, "red" if seed < 2 else "blue" if seed < 4 else "")
        for seed, path in enumerate(sorted(photos.rglob("*.png")))
    ]
    listed = tmp_path / "list.csv"
    listed.write_text("path,color\n" + "".join(f"{path},{color}\n" for path, color in rows))
    made = Collection.create(
        "pets", model="squeezenet", layer="conv1_activation", load=shared_engine.engine()._embedder
    )
    made.add([str(listed)])
    collection_projection.compute(made, "pca", 2, Silent())
    page = open_page("embeddings", **ADDRESS, color="of-color")
    assert not page.exception and not page.warning
    assert "score" not in page.selectbox(key="pick-color").options
    groups = chart(page)["groups"]
    codes = np.frombuffer(base64.b64decode(groups["codes"]), "<u2")
    stored = collection_projection.read(made, "pca", 2)
    by_title = {path.name: color or "not known" for path, color in rows}
    assert [groups["styles"][code]["name"] for code in codes] == [by_title[title] for title in stored.titles]


def test_numbers_color_in_their_order_also_among_a_few_words(collections_dir, tmp_path, open_page):
    prices = ["n/a" if place % 8 == 0 else str(place) for place in range(40)]
    paths = [draw(tmp_path / f"{place:02}.png", place) for place in range(40)]
    rows = [
        f"{path},{price},{place % 12}" for place, (path, price) in enumerate(zip(paths, prices, strict=True))
    ]
    listed = tmp_path / "list.csv"
    listed.write_text("\n".join(["path,price,stars", *rows]))
    made = Collection.create(
        "pets", model="squeezenet", layer="conv1_activation", load=shared_engine.engine()._embedder
    )
    made.add([str(listed)])
    collection_projection.compute(made, "pca", 2, Silent())

    groups = chart(open_page("embeddings", **ADDRESS, color="of-price"))["groups"]
    codes = np.frombuffer(base64.b64decode(groups["codes"]), "<u2")
    titles = collection_projection.read(made, "pca", 2).titles
    unknown = {title for title, code in zip(titles, codes, strict=True) if code == 5}
    assert len(groups["styles"]) == 6 and unknown == {f"{place:02}.png" for place in range(0, 40, 8)}

    groups = chart(open_page("embeddings", **ADDRESS, color="of-stars"))["groups"]
    assert [style["name"] for style in groups["styles"]] == [str(stars) for stars in range(12)]
