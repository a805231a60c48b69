"""The embeddings page without a browser: what it asks the chart to show, and what it serves to it."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from starlette.applications import Starlette

from core import jobs
from core.collections import Collection
from core.data import datasets
from core.data.source import ChartImages, Projection
from core.experiments import store
from core.experiments.query_scores import evaluate
from core.experiments.store import Configuration, Grid, StoredProjection
from core.search import shared_engine
from core.search.dataset_source import DatasetSource
from core.server import plotly_js, projections
from core.settings import settings
from dashboard.frontend.scatter import scatter
from dashboard.pages.embeddings import selection_panel
from dashboard.widgets import collection_jobs, palette
from tests.conftest import ROOT
from tests.dashboard.conftest import DATASET, gallery_of, http_get

LAYERS = ("early", "middle", "late")
N_IMAGES = 24


def some_layouts(layers: tuple[str, ...] = LAYERS, pooling: str = "avg") -> list[StoredProjection]:
    rng = np.random.default_rng(0)
    return [
        StoredProjection(
            layer,
            pooling,
            method,
            dimensions,
            np.arange(N_IMAGES),
            rng.uniform(-1, 1, (N_IMAGES, dimensions)).astype(np.float32),
            0.9 - 0.1 * place,
            None if place == 0 else 0.2 * place,
            {"explained_variance": 0.42} if method == "pca" else {},
        )
        for method in ("umap", "pca")
        for dimensions in (2, 3)
        for place, layer in enumerate(layers)
    ]


def place(folder: Path, made: list[StoredProjection], model: str = "good") -> store.StoredRun:
    """Give a model of the grid these layouts."""
    dataset = datasets.load(folder / DATASET)
    run = Grid(folder).run(dataset, model, "imagenet")
    return store.write_run(folder / DATASET, dataset, run.about, replace(run.read_all(), projections=made))


@pytest.fixture
def placed(own_grid_dir: Path) -> store.StoredRun:
    return place(own_grid_dir, some_layouts())


def chart_of(page) -> dict:
    parts = [part.proto for part in page.get("bidi_component")]
    return json.loads(next(part.json for part in parts if part.component_name == "playground_scatter"))


def warnings(page) -> str:
    return "\n".join(part.value for part in page.warning)


def numbers(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


def test_shows_the_points_of_a_model_that_has_some(placed, open_page):
    page = open_page("embeddings")
    assert not page.exception
    chart = chart_of(page)
    assert [layer["name"] for layer in chart["layers"]] == list(LAYERS)
    assert chart["layers"][chart["layer"]]["name"] == page.query_params["layer"]
    assert [layer["silhouette"] for layer in chart["layers"]] == [None, 0.2, 0.4]
    assert chart["dimensions"] == 2
    assert "24 images in 3 classes" in chart["description"]


@pytest.mark.slow
def test_the_address_holds_the_whole_state(placed, open_page):
    page = open_page("embeddings", model="good", layer="middle", method="pca", dimensions=3, query=5, k=7)
    assert not page.warning
    again = open_page("embeddings", **dict(page.query_params))
    assert chart_of(again) == chart_of(page)
    assert {key: page.query_params[key] for key in ("method", "dimensions", "query", "k")} == {
        "method": "pca",
        "dimensions": "3",
        "query": "5",
        "k": "7",
    }


def test_invalid_values_in_the_address_give_a_notice_each(placed, open_page):
    page = open_page("embeddings", method="tsne", dimensions=4, query=999, layer="nowhere")
    assert not page.exception
    assert all(word in warnings(page) for word in ("`tsne`", "`4`", "`999`", "`nowhere`"))


def test_lines_lead_to_the_nearest_under_the_metric_with_whether_the_class_is_the_same(placed, open_page):
    page = open_page("embeddings", model="good", layer="late", metric="euclidean", query=3, k=6)
    found = placed.neighbors("late", "avg", "euclidean")
    labels = datasets.load(placed.folder.parent).labels
    links = chart_of(page)["links"]
    assert [link["id"] for link in links] == found.ids[3, :6].tolist()
    assert [link["same"] for link in links] == [labels[link["id"]] == labels[3] for link in links]
    tiles = gallery_of(page, 1)["tiles"]
    assert [tile["id"] for tile in tiles] == [link["id"] for link in links]
    items = [datasets.load(placed.folder.parent).item(tile["id"]) for tile in tiles]
    assert [tile["title"] for tile in tiles] == [item.name for item in items]
    assert [tile["detail"][0] for tile in tiles] == [f"class: {item.label}" for item in items]
    assert all(tile["detail"][1].startswith("distance ") for tile in tiles)


def test_without_a_chosen_image_the_page_says_how_to_choose_one(placed, open_page):
    page = open_page("embeddings")
    assert chart_of(page)["picked"] is None
    assert any("Play" in part.value for part in page.caption)
    assert any("Click a point" in part.value for part in page.markdown)


def test_another_projection_changes_the_address_and_nothing_else(placed, open_page):
    page = open_page("embeddings", model="good", layer="middle", query=5)
    before = dict(page.query_params)
    page.segmented_control(key="pick-method").set_value("pca").run()
    assert dict(page.query_params) == before | {"method": "pca"}
    assert any("42% of the variance" in part.value for part in page.caption)


def test_selected_images_are_counted_by_class_and_shown(placed, open_page):
    page = open_page("embeddings", selected="0-1,9", panel="selection")
    assert [tile["id"] for tile in gallery_of(page, 0)["tiles"]] == [0, 1, 9]
    assert any("3 of 24 images" in part.value for part in page.markdown)
    assert numbers(chart_of(page)["selected"], "<u4").tolist() == [0, 1, 9]


@pytest.mark.slow
def test_of_many_classes_the_largest_of_a_selection_are_counted_one_by_one():
    labels = [f"<i>class {i % 100:03d}" for i in range(250)]
    images = ChartImages(
        "key", tuple(sorted(set(labels))), labels, item=None, path="", version="", thumbnails=("", "")
    )
    counts = selection_panel.class_counts(images, np.arange(250))
    assert counts.count("<b>") == 41 and counts.count("<b>3</b>") == 40
    assert "&lt;i&gt;class 000" in counts and "<i>class" not in counts
    assert "60 other classes" in counts and "<b>130</b>" in counts
    long = [f"a class with a rather long name, which is number {place}" for place in range(3)]
    alike = ChartImages("key", tuple(long), long, item=None, path="", version="", thumbnails=("", ""))
    told = re.findall('<span title="(.*?)">(.*?)</span>', selection_panel.class_counts(alike, np.arange(3)))
    assert [whole for whole, _ in told] == long
    assert len({short for _, short in told}) == 3 and max(len(short) for _, short in told) <= 36
    few = selection_panel.class_counts(images, np.arange(5))
    assert few.count("<b>1</b>") == few.count("<b>") == 5 and "other" not in few


def test_selected_images_of_another_dataset_are_not_shown(placed, open_page):
    page = open_page("embeddings")
    page.session_state["embeddings-selection"] = ("another", np.array([0, 1, 9]))
    page.run()
    assert chart_of(page)["selected"] == ""


def test_a_layer_without_a_projection_gives_way_to_the_nearest(own_grid_dir, open_page):
    place(own_grid_dir, some_layouts(("early", "middle")))
    page = open_page("embeddings", model="good", layer="late")
    assert chart_of(page)["layer"] == 1
    assert "`late`" in warnings(page)
    assert page.query_params["layer"] == "late"


def test_missing_projections_are_shown_with_the_command_that_computes_them(placed, open_page):
    page = open_page("embeddings", model="plain", query=3)
    assert not page.exception
    assert [part.value for part in page.code] == [
        f"playground grid run --dataset {DATASET} --model plain --pooling avg"
    ]
    assert len(gallery_of(page, 1)["tiles"]) == 10


def test_a_pooling_that_has_projections_is_offered_instead(placed, open_page):
    page = open_page("embeddings", model="good", layer="middle", pooling="max")
    assert page.button[0].label == "Show avg pooling instead"
    page.button[0].click().run()
    assert page.query_params["pooling"] == "avg"
    assert chart_of(page)["layer"] == 1


def test_a_broken_projection_gives_one_error_and_nothing_else(placed, open_page):
    (placed.folder / placed.about.files["projections"]).write_bytes(b"broken")
    page = open_page("embeddings", model="good", query=3)
    assert not page.exception
    assert len(page.error) == 1
    assert page.code[0].value.startswith("playground grid run")
    assert len(gallery_of(page, 1)["tiles"]) == 10


@pytest.mark.parametrize(
    "damage",
    [
        {"ids": np.arange(N_IMAGES) + 1},
        {"ids": np.zeros(N_IMAGES, int)},
        {"coordinates": np.full((N_IMAGES, 2), np.nan, np.float32)},
    ],
)
def test_projections_that_fit_neither_each_other_nor_the_dataset_are_refused(own_grid_dir, open_page, damage):
    first, *others = [one for one in some_layouts() if (one.method, one.dimensions) == ("umap", 2)]
    place(own_grid_dir, [replace(first, **damage), *others])
    page = open_page("embeddings", model="good")
    assert not page.exception
    assert len(page.error) == 1


def projection_of(placed: store.StoredRun) -> Projection:
    grid = Grid(placed.folder.parent.parent).load(DATASET)
    configuration = Configuration("good", "imagenet", "late", "avg", "cosine")
    found = DatasetSource(shared_engine.engine(), grid.dataset, configuration, grid).projection("umap", 2)
    assert found is not None
    return found


def served(url: str) -> tuple[int, dict[str, str], bytes]:
    app = Starlette(routes=[*projections.routes(), *plotly_js.routes()])
    return http_get(app, url)


def test_points_are_served_in_steps_too_small_to_see_and_kept_by_the_browser(placed):
    status, headers, body = served(projections.url(projection_of(placed)))
    assert status == 200
    assert "immutable" in headers["cache-control"]
    points = json.loads(body)
    steps = numbers(points["coordinates"], "<i2").reshape(len(LAYERS), N_IMAGES, 2)
    stored = np.stack([one.coordinates for one in placed.projections("avg", "umap", 2)])
    np.testing.assert_allclose(steps / 32767 * np.abs(stored).max(), stored, atol=1e-4)
    assert numbers(points["ids"], "<u4").tolist() == list(range(N_IMAGES))


def test_an_address_of_other_contents_is_not_kept(placed):
    source = projections.url(projection_of(placed)).split("?")[0]
    assert served(f"{source}?v=older")[1]["cache-control"] == "no-cache"


def test_titles_and_classes_of_the_images_are_served(placed):
    dataset = datasets.load(placed.folder.parent)
    about = json.loads(served(projections.url(projection_of(placed).images))[2])
    labels = [dataset.classes[place] for place in numbers(about["labels"], "<u2")]
    assert labels == dataset.labels
    assert about["titles"] == [item.title for item in dataset.items]


@pytest.mark.parametrize(
    "path",
    [
        "nowhere",
        f"{DATASET}/nothing/imagenet/avg/umap/2",
        f"{DATASET}/good/imagenet/avg/umap/4",
        f"{DATASET}/good/imagenet/max/umap/2",
        f"{DATASET}/../{DATASET}.good/avg/umap/2",
        "../drawings",
        "%2e%2e",
    ],
)
def test_what_is_not_there_is_404(placed, path):
    assert served(f"/layouts/{path}")[0] == 404


def test_plotly_is_served_from_the_installed_package():
    status, headers, body = served(plotly_js.source())
    assert status == 200
    assert headers["content-type"].startswith("text/javascript")
    assert b"plotly.js v" in body[:200]


@pytest.mark.parametrize(
    "said", [None, 3, "nonsense!", "AAA=", base64.b64encode(b"\xff\xff\xff\xff").decode()]
)
def test_a_selection_from_the_browser_is_checked(said):
    assert scatter._unpacked(said, 10) is None


def test_classes_have_a_short_name_beside_their_own():
    names = [f"a class with a rather long name, which is number {place}" for place in range(1000)]
    listed = scatter._listed(palette.class_styles(("birds", *names), dark=False).items())
    assert listed[0]["name"] == listed[0]["short"] == "birds"
    assert [one["name"] for one in listed[1:]] == names
    assert len({one["short"] for one in listed}) == 1001 and max(len(one["short"]) for one in listed) <= 22


def test_selected_ids_arrive_sorted_and_once():
    packed = projections.packed(np.array([7, 2, 7]), "u4")
    assert scatter._unpacked(packed, 10).tolist() == [2, 7]


@pytest.mark.slow
def test_the_chart_says_how_much_it_tears_apart(open_page):
    page = open_page("embeddings", dataset="objects200", model="squeezenet", layer="fire9_concat")
    assert not page.exception
    [said] = [one.value for one in page.caption if "Continuity" in one.value]
    assert re.fullmatch(r"Continuity at this layer: 0\.[89]\d\.", said)


@pytest.mark.slow
def test_opening_the_page_imports_nothing_heavy(placed):
    script = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"page = AppTest.from_file({str(ROOT / 'dashboard' / 'pages' / 'embeddings' / 'page.py')!r}, default_timeout=60).run()\n"
        "assert not page.exception, page.exception\n"
        "assert page.get('bidi_component')\n"
        "print([name for name in ('tensorflow', 'keras', 'umap', 'sklearn', 'scipy', 'faiss') if name in sys.modules])\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "PLAYGROUND_GRID_DIR": str(placed.folder.parent.parent)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.stdout.strip().splitlines()[-1:] == ["[]"], answer.stderr


def groups_of(page) -> tuple[list[str], np.ndarray]:
    """The names of the groups that the points are colored by, and the group of each image."""
    groups = chart_of(page)["groups"]
    return [one["name"] for one in groups["styles"]], np.frombuffer(base64.b64decode(groups["codes"]), "<u2")


def test_points_are_colored_by_their_classes_unless_the_address_says_otherwise(placed, open_page):
    assert chart_of(open_page("embeddings", dataset=DATASET))["groups"] is None


def test_points_are_colored_by_the_score_of_a_search_for_each(placed, open_page):
    page = open_page(
        "embeddings", dataset=DATASET, model="good", layer="late", pooling="avg", metric="cosine", k=7
    )
    page.selectbox(key="pick-color").set_value("score").run()
    assert page.query_params["color"] == "score"
    names, codes = groups_of(page)
    assert names[:5] == [f"Score {low} to {low + 20}" for low in range(0, 100, 20)]
    scores = evaluate(
        Grid().load(DATASET), Configuration("good", "imagenet", "late", "avg", "cosine"), 7
    ).scores
    assert codes.tolist() == [min(4, int(score // 20)) for score in scores]


def test_points_are_colored_by_clusters_of_the_layer_that_is_shown(own_grid_dir, open_page):
    made = some_layouts()
    for one in made:
        one.coordinates[:12] += 9
    place(own_grid_dir, made)
    page = open_page("embeddings", dataset=DATASET, color="cluster")
    names, codes = groups_of(page)
    assert chart_of(page)["groups"]["named"] == sum(name.startswith("cluster ") for name in names)
    assert "cluster 1" in names and "cluster 2" in names
    first, second = (
        set(codes[part].tolist()) - {names.index(n) for n in names if "between" in n}
        for part in (slice(12), slice(12, 24))
    )
    assert len(first) == len(second) == 1 and first != second


def test_an_unknown_color_gives_a_notice(placed, open_page):
    page = open_page("embeddings", dataset=DATASET, color="of-price")
    assert not page.exception
    assert "`of-price`" in page.warning[0].value and chart_of(page)["groups"] is None


def test_the_images_most_like_a_selection_are_shown_without_it(placed, open_page):
    page = open_page(
        "embeddings", dataset=DATASET, model="good", layer="late", panel="selection", selected="0-3"
    )
    page.button(key="similar").click().run()
    assert page.query_params["similar"] == "1"
    similar = [tile["id"] for tile in gallery_of(page, 0)["tiles"]]
    source = DatasetSource(shared_engine.engine(), datasets.load(settings.GRID_DIR / DATASET), Configuration(*(page.query_params[key] for key in ("model", "weights", "layer", "pooling", "metric"))))  # fmt: skip
    assert similar == [one.item.id for one in source.nearest_to_mean(range(4), 10)]
    assert len(similar) == 10 and not set(similar) & set(range(4))


@pytest.mark.slow
def test_a_selection_becomes_a_collection_with_its_labels(collections_dir, open_page, monkeypatch):
    monkeypatch.setattr(collection_jobs, "jobs", jobs.Jobs())
    page = open_page(
        "embeddings",
        dataset="objects200",
        model="squeezenet",
        layer="fire9_concat",
        panel="selection",
        selected="3-5,40",
    )
    page.text_input(key="selection-name").set_value("My birds")
    page.button(key="create-from-selection").click().run()
    job = collection_jobs.jobs.get(collection_jobs._key("my-birds"))
    assert job.wait(120) and job.state == "done", job.error
    dataset = datasets.load(settings.GRID_DIR / "objects200")
    with Collection.open("my-birds") as made:
        stored = list(made.images())
        assert (made.about.model, made.about.layer, made.about.pooling) == (
            "squeezenet",
            "fire9_concat",
            "avg",
        )
        assert sorted((one.label, one.hash) for one in stored) == sorted(
            (dataset.labels[i], hashlib.sha256(dataset.path(i).read_bytes()).hexdigest())
            for i in (3, 4, 5, 40)
        )


def test_a_collection_needs_a_name_that_is_free_and_allowed(placed, collections_dir, open_page):
    page = open_page("embeddings", dataset=DATASET, panel="selection", selected="0-3")
    page.button(key="create-from-selection").click().run()
    assert "name" in page.error[0].value
    page.text_input(key="selection-name").set_value("../evil")
    page.button(key="create-from-selection").click().run()
    assert page.error and not (collections_dir.exists() and list(collections_dir.iterdir()))
