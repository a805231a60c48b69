import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from core.data import datasets
from core.experiments.query_scores import evaluate
from core.experiments.store import Configuration, Grid
from core.settings import settings
from tests.conftest import ROOT
from tests.dashboard.conftest import DATASET, choose_layer, gallery_of, layers_of, write_run
from tests.experiments.synthetic import draw_dataset

RESULTS, BROWSE = 1, 2


def warnings(page) -> str:
    return "\n".join(part.value for part in page.warning)


def test_opens_with_the_best_trained_configuration(grid_dir, open_page):
    page = open_page("search")
    assert not page.exception
    assert page.selectbox(key="pick-model").value == ("good", "imagenet")
    assert len(gallery_of(page, RESULTS)["tiles"]) == 10


def test_the_address_holds_the_whole_state(grid_dir, open_page):
    page = open_page("search")
    first = dict(page.query_params)
    assert set(first) == {"dataset", "model", "weights", "layer", "pooling", "metric", "k", "query"}
    again = open_page("search", **first)
    assert gallery_of(again, RESULTS) == gallery_of(page, RESULTS)
    assert dict(again.query_params) == first


@pytest.mark.parametrize("name", ["home", "search", "compare", "models"])
def test_a_collection_without_experiments_gives_a_notice_and_a_dataset(grid_dir, open_page, name):
    page = open_page(name, collection="../x")
    assert "There are no experiments on a collection `../x`; this shows `drawings`." in warnings(page)
    assert "collection" not in page.query_params and page.query_params["dataset"] == DATASET


def test_shows_what_the_address_asks_for(grid_dir, open_page):
    page = open_page(
        "search", dataset=DATASET, model="plain", weights="imagenet", layer="second", pooling="avg", metric="euclidean", k=7, query=9
    )  # fmt: skip
    assert not page.warning
    assert layers_of(page)["shown"] == "second"
    assert page.selectbox(key="pick-metric").value == "euclidean"
    assert page.number_input(key="pick-k").value == 7
    assert gallery_of(page, 0)["tiles"][0]["id"] == 9
    assert [tile["rank"] for tile in gallery_of(page, RESULTS)["tiles"]] == [1, 2, 3, 4, 5, 6, 7]


def test_results_come_nearest_first_with_a_mark_in_words(grid_dir, open_page):
    tiles = gallery_of(open_page("search", model="plain", query=3, k=20), RESULTS)["tiles"]
    distances = [float(tile["detail"][1].removeprefix("distance ")) for tile in tiles]
    assert distances == sorted(distances)
    assert {(tile["mark"]["sign"], tile["mark"]["words"], tile["mark"]["dashed"]) for tile in tiles} == {
        ("✓", "same class", False),
        ("✗", "another class", True),
    }
    assert all(
        "of pairs" in tile["detail"][2]
        and re.match(r"same class \d+ of 100 \(\d+–\u2060\d+\)$", tile["detail"][3])
        for tile in tiles
    )


def test_shares_at_a_distance_never_grow_and_a_class_that_differs_is_named(open_page):
    page = open_page("search", dataset="objects200", query=3, k=20)
    lines = [tile["detail"] for tile in gallery_of(page, RESULTS)["tiles"]]
    shares = [int(re.search(r"same class (\d+)", one[3])[1]) for one in lines]
    assert shares == sorted(shares, reverse=True) and shares[0] > shares[-1]
    classes = [(one[3], one[4]) for one in lines if len(one) > 4]
    assert classes
    for everywhere, own in classes:
        assert own.startswith("of birds: ")
        low, high = (int(re.search(r"(\d+) of 100", text)[1]) for text in (everywhere, own))
        assert abs(low - high) >= 10


def test_the_table_has_a_column_for_each_number(open_page):
    page = open_page("search", dataset="objects200", query=3, k=20)
    table = next(part.proto.body for part in page.get("html") if "<table" in part.proto.body)
    head, *rows = (re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in table.split("<tr>")[1:])
    assert head == ["Rank", "Image", "Class", "Distance", "Closer than", "Same class", "Of birds"]
    assert all(len(row) == len(head) for row in rows)
    distances = [float(row[3]) for row in rows]
    assert len(distances) == 20 and distances == sorted(distances)


def strip_of(page, place: int = 0) -> dict:
    """What a strip of layers was given."""
    parts = [part.proto for part in page.get("bidi_component")]
    return json.loads([part.json for part in parts if part.component_name == "playground_layer_strip"][place])


@pytest.mark.parametrize("k", [7, 10])
def test_the_strip_has_the_score_of_every_layer_under_the_same_pooling_and_metric(grid_dir, open_page, k):
    page = open_page("search", model="good", layer="middle", pooling="max", metric="euclidean", k=k)
    strip, grid = strip_of(page), Grid().load(DATASET)
    assert strip["shown"] == "middle"
    assert [(one["name"], one["depth"]) for one in strip["layers"]] == [
        ("early", "1"),
        ("middle", "2"),
        ("late", "3"),
    ]
    for one in strip["layers"]:
        of = Configuration("good", "imagenet", one["name"], "max", "euclidean")
        assert one["score"] == pytest.approx(evaluate(grid, of, k).mean)


def dotted(page, place: int) -> list[int]:
    return [tile["id"] for tile in gallery_of(page, place)["tiles"] if tile["dot"]]


def ids(page, place: int) -> list[int]:
    return [tile["id"] for tile in gallery_of(page, place)["tiles"]]


def test_neighbors_that_another_layer_brought_are_marked_until_the_query_changes(grid_dir, open_page):
    page = open_page("search", model="plain", layer="third", query=3)
    assert dotted(page, RESULTS) == []
    before = set(ids(page, RESULTS))
    choose_layer(page, "first")
    new = [one for one in ids(page, RESULTS) if one not in before]
    assert new and dotted(page, RESULTS) == new
    assert {tile["dot"] for tile in gallery_of(page, RESULTS)["tiles"]} == {"", "new since layer 3"}
    page.run()
    assert dotted(page, RESULTS) == new
    page.query_params["query"] = "4"
    page.run()
    assert dotted(page, RESULTS) == []


def test_two_configurations_stand_side_by_side_and_neighbors_of_one_alone_are_marked(grid_dir, open_page):
    page = open_page("search", model="good", layer="late", query=3)
    page.button(key="side-by-side").click().run()
    assert page.query_params["side"] == "1"
    assert page.selectbox(key="pick-model2").value == ("plain", "imagenet")
    choose_layer(page, "first", "layers2")
    assert (page.query_params["layer"], page.query_params["layer2"]) == ("late", "first")
    a, b = ids(page, 1), ids(page, 2)
    assert dotted(page, 1) == [one for one in a if one not in b] != []
    assert dotted(page, 2) == [one for one in b if one not in a] != []
    assert any(f"**{len(set(a) & set(b))} of 10**" in one.value for one in page.markdown)
    page.button(key="side-by-side").click().run()
    assert "side" not in page.query_params
    assert ids(page, RESULTS) == a


def test_a_damaged_second_configuration_leaves_the_first(own_grid_dir, open_page):
    path = next((own_grid_dir / DATASET / "plain.imagenet").glob("neighbors*"))
    data = bytearray(path.read_bytes())
    data[8:200] = bytes(192)
    path.write_bytes(data)
    page = open_page(
        "search",
        model="good",
        layer="late",
        side=1,
        model2="plain",
        layer2="first",
        pooling2="avg",
        metric2="cosine",
    )
    assert not page.exception
    assert "can't be shown" in page.error[0].value
    assert len(ids(page, RESULTS)) == 10


def test_another_layer_keeps_everything_else(grid_dir, open_page):
    page = open_page("search", model="good", pooling="max", metric="euclidean", layer="late", k=6, query=5)
    before = dict(page.query_params)
    choose_layer(page, "early")
    assert dict(page.query_params) == before | {"layer": "early"}


def test_another_model_keeps_the_depth_the_pooling_and_the_metric(grid_dir, open_page):
    page = open_page("search", model="good", layer="middle", pooling="avg", metric="euclidean", query=5)
    page.selectbox(key="pick-model").set_value(("plain", "imagenet")).run()
    shown = page.query_params
    assert (shown["layer"], shown["pooling"], shown["metric"]) == ("second", "avg", "euclidean")
    assert shown["query"] == "5"
    assert not page.warning


def test_a_notice_says_what_another_model_does_not_have(grid_dir, open_page):
    page = open_page("search", model="good", layer="middle", pooling="max", metric="cosine")
    page.selectbox(key="pick-model").set_value(("plain", "imagenet")).run()
    assert (page.query_params["layer"], page.query_params["pooling"]) == ("second", "avg")
    assert "`max`" in warnings(page)
    assert "`avg`" in warnings(page)
    page.run()
    assert not page.warning


def test_untrained_controls_are_offered_only_on_demand_and_marked(grid_dir, open_page):
    page = open_page("search")
    assert not any("untrained" in name for name in page.selectbox(key="pick-model").options)
    page.toggle(key="pick-untrained").set_value(True).run()
    assert any("○ untrained" in name for name in page.selectbox(key="pick-model").options)
    page.selectbox(key="pick-model").set_value(("good", "untrained")).run()
    assert "untrained control" in page.info[0].value
    assert page.query_params["untrained"] == "1"


def test_another_dataset_forgets_the_query(grid_dir, open_page):
    page = open_page("search", query=5)
    page.selectbox(key="pick-dataset").set_value("empty").run()
    assert dict(page.query_params) == {"dataset": "empty"}


def test_a_dataset_without_experiments_says_which_command_computes_them(grid_dir, open_page):
    page = open_page("search", dataset="empty")
    assert not page.exception
    assert page.code[0].value == "playground grid run --dataset empty --model MODEL"
    assert len(gallery_of(page, 0)["tiles"]) == 24


def test_without_any_dataset_the_page_says_what_to_do(tmp_path, monkeypatch, open_page):
    monkeypatch.setattr("core.settings.settings.GRID_DIR", tmp_path)
    page = open_page("search")
    assert not page.exception
    assert "grid run" in page.code[0].value


def test_browsing_by_class_in_shuffled_order_and_by_page_is_in_the_address(grid_dir, open_page):
    page = open_page("search", order="shuffled", shuffle=3)
    shuffled = [tile["id"] for tile in gallery_of(page, BROWSE)["tiles"]]
    assert sorted(shuffled) == list(range(24)) != shuffled
    assert [
        t["id"] for t in gallery_of(open_page("search", order="shuffled", shuffle=3), BROWSE)["tiles"]
    ] == shuffled
    one = open_page("search", **{"class": "class-1"})
    assert [tile["id"] for tile in gallery_of(one, BROWSE)["tiles"]] == list(range(8, 16))


def test_a_page_without_an_address_goes_on_with_what_the_session_showed(grid_dir, open_page):
    page = open_page("search", model="plain", layer="first", query=5, order="shuffled")
    shown = dict(page.query_params)
    page.query_params.clear()
    page.run()
    assert dict(page.query_params) == shown
    page.segmented_control(key="browse-order").set_value("class").run()
    page.query_params.clear()
    page.run()
    assert dict(page.query_params) == {key: shown[key] for key in shown if key not in ("order", "shuffle")}


def test_every_image_has_an_alternative_text(grid_dir, open_page):
    page = open_page("search")
    assert all(tile["alt"] for place in range(3) for tile in gallery_of(page, place)["tiles"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "address",
    [
        {"dataset": "../../etc/passwd"},
        {"model": "<script>alert(1)</script>"},
        {"layer": "![x](http://example.org/x.png)"},
        {"pooling": "🦄`" * 50},
        {"metric": "x" * 10_000},
        {"weights": ""},
        {"query": "-1"},
        {"query": "24"},
        {"query": "9" * 5000},
        {"query": "1_0"},
        {"query": "٣"},
        {"k": "4"},
        {"k": "1e1"},
        {"k": "NaN"},
        {"page": "0"},
        {"page": "99"},
        {"class": "no such class"},
        {"order": "\x00\u202e"},
        {"shuffle": "-0"},
        {"untrained": "yes"},
        {"query": ["1", "2"]},
    ],
    ids=lambda address: next(iter(address)),
)
def test_nonsense_in_the_address_falls_back_with_a_notice(grid_dir, open_page, address):
    page = open_page("search", **address)
    assert not page.exception
    assert not page.error
    told = warnings(page)
    assert "Not everything in the address exists" in told
    assert len(told) < 1000
    assert "http" not in told.replace("`![x](http://example.org/x.png)`", "")
    assert not open_page("search", **dict(page.query_params)).warning


def damage(path: Path, how: str) -> None:
    if how == "removed":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif how == "emptied":
        path.write_bytes(b"")
    else:
        path.write_bytes(b"\x89PNG not what was here before" * 20)


@pytest.mark.parametrize("how", ["removed", "truncated", "emptied", "overwritten"])
@pytest.mark.parametrize("kind", ["model.json", "neighbors", "pairs", "vectors"])
def test_a_damaged_file_costs_its_experiments_a_sentence_and_nothing_else(own_grid_dir, open_page, kind, how):
    damage(next((own_grid_dir / DATASET / "good.imagenet").glob(f"{kind}*")), how)
    page = open_page("search")
    assert not page.exception
    assert not page.error
    assert len(gallery_of(page, RESULTS)["tiles"]) == 10
    # The page does not read the vectors.
    assert ("good.imagenet" in warnings(page)) == (kind != "vectors")


@pytest.mark.parametrize("how", ["removed", "truncated", "overwritten"])
def test_a_file_damaged_while_the_page_is_open_gives_an_error(own_grid_dir, open_page, how):
    page = open_page("search", model="good")
    damage(next((own_grid_dir / DATASET / "good.imagenet").glob("neighbors*")), how)
    choose_layer(page, "early")
    assert not page.exception
    assert "run the grid again" in warnings(page)
    assert gallery_of(page, RESULTS)["tiles"]


def test_a_damaged_experiment_leaves_the_other_layers_of_its_model(own_grid_dir, open_page):
    path = next((own_grid_dir / DATASET / "good.imagenet").glob("neighbors*"))
    data = bytearray(path.read_bytes())
    data[8:200] = bytes(192)
    path.write_bytes(data)
    page = open_page("search", model="good", layer="early", pooling="avg", metric="cosine")
    assert not page.exception
    assert "can't be shown" in page.error[0].value
    choose_layer(page, "late")
    assert not page.error
    assert len(gallery_of(page, RESULTS)["tiles"]) == 10


@pytest.mark.parametrize("how", ["truncated", "emptied", "overwritten"])
def test_a_damaged_dataset_leaves_the_others(own_grid_dir, open_page, how):
    damage(own_grid_dir / DATASET / "dataset.json", how)
    page = open_page("search", dataset=DATASET)
    assert not page.exception
    assert "dataset" in page.error[0].value
    page.selectbox(key="pick-dataset").set_value("empty").run()
    assert not page.error


def test_experiments_of_other_images_are_left_out_with_a_notice(own_grid_dir, open_page):
    manifest = own_grid_dir / DATASET / "good.imagenet" / "model.json"
    text = manifest.read_text()
    start = text.index('"dataset_fingerprint": "') + len('"dataset_fingerprint": "')
    manifest.write_text(text[:start] + "0" * 64 + text[start + 64 :])
    page = open_page("search")
    assert "good.imagenet was computed on other" in warnings(page)
    assert page.selectbox(key="pick-model").value == ("plain", "imagenet")


@pytest.mark.parametrize(
    "change",
    [{"title": None}, {"top": "many"}, {"parameters": []}, {"files": []}, {"layers": [{}]}, {"format": 99}, {"model": "x"}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_a_manifest_of_another_kind_costs_its_model_a_sentence(own_grid_dir, open_page, change):
    manifest = own_grid_dir / DATASET / "good.imagenet" / "model.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
    page = open_page("search")
    assert not page.exception
    assert "good.imagenet" in warnings(page)
    assert page.selectbox(key="pick-model").value == ("plain", "imagenet")


@pytest.mark.slow
def test_opening_the_page_imports_nothing_heavy(made_grid):
    script = (
        "import sys; from streamlit.testing.v1 import AppTest; "
        "page = AppTest.from_file('dashboard/pages/navigation.py', default_timeout=60).run(); "
        "assert not page.exception, page.exception; "
        "heavy = {'tensorflow', 'keras', 'umap', 'faiss', 'sklearn', 'scipy', 'numba', 'torch'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "PLAYGROUND_GRID_DIR": str(made_grid)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr[-2000:]


def test_what_classes_allow_is_said_where_it_is_less_than_all(grid_dir, open_page):
    def said(k: int) -> list[str]:
        return [one.value for one in open_page("search", k=k).caption if "can be reached" in one.value]

    # Classes of eight pictures leave three of ten places to others.
    [sentence] = said(10)
    assert "At most 89.1 of 100" in sentence and "fewer than 11" in sentence
    assert said(7) == []


def test_classes_that_begin_alike_differ_in_the_filter(tmp_path, monkeypatch, open_page):
    drawn = draw_dataset(tmp_path / "alike" / "images", 3, 8)
    names = {label: f"a class with a rather long name, of {label}" for label in drawn.classes}
    items = tuple(replace(item, label=names[item.label]) for item in drawn.items)
    described = replace(drawn, name="alike", classes=tuple(names.values()), items=items)
    (tmp_path / "alike" / "dataset.json").write_text(datasets.describe(described, "images"))
    dataset = datasets.load(tmp_path / "alike")
    write_run(tmp_path, dataset, "good", "imagenet", 1.0, ("late",), ("avg",))
    monkeypatch.setattr(settings, "GRID_DIR", tmp_path)
    page = open_page("search", dataset="alike")
    assert not page.exception
    [chosen] = [one for one in page.selectbox if one.label == "Class"]
    assert len(set(chosen.options)) == 4 and max(map(len, chosen.options)) <= 32
    shown = open_page("search", dataset="alike", **{"class": dataset.classes[1]})
    assert not shown.warning and {tile["title"] for tile in gallery_of(shown, BROWSE)["tiles"]} == {
        item.title for item in dataset.items if item.label == dataset.classes[1]
    }
