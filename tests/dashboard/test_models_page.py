import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core import jobs
from core.data import datasets
from core.errors import WeightsError
from core.experiments.store import Grid
from core.features import activations, channel_files
from core.imaging import decode, transform
from core.models import architecture, registry, weights
from core.models.definition import WeightsFile
from core.settings import settings
from dashboard.pages.models import architecture_section
from dashboard.widgets import image_input
from tests.conftest import ROOT
from tests.dashboard.conftest import DATASET, choose_layer, gallery_of, layers_of, write_run

SMALL = "squeezenet"


def texts(page) -> str:
    return " ".join(
        part.value for kind in ("markdown", "caption", "info", "warning") for part in page.get(kind)
    )


def test_opens_on_the_architecture_of_a_model_with_trained_weights(grid_dir, open_page):
    page = open_page("models")
    assert not page.exception
    assert page.query_params["model"] == "efficientnet-lite0"
    assert page.query_params["weights"] == "imagenet"
    assert "part" not in page.query_params
    assert [one.label for one in page.metric] == ["Parameters", "FLOPs", "Layers", "Receptive field"]
    assert len(page.dataframe[0].value) == len(architecture.read("efficientnet-lite0").layers)


@pytest.mark.parametrize("name", registry.MODELS)
def test_every_model_has_its_architecture(name, grid_dir, open_page):
    page = open_page("models", model=name)
    assert not page.exception and not page.error and not page.warning
    first = [layer for layer in architecture.read(name).grid_layers[:6] if layer.spatial]
    assert page.query_params["layer"] == first[-1].name
    assert f"{len(architecture.read(name).layers):,} of" in texts(page)


def test_the_address_holds_the_whole_state(grid_dir, open_page):
    asked = {
        "model": SMALL, "weights": "untrained", "untrained": "1", "inner": "fire3_squeeze1x1", "channel": "3", "dataset": "empty",
        "find": "conv", "eight": "1",
    }  # fmt: skip
    page = open_page("models", **asked)
    assert not page.warning
    assert dict(page.query_params) == asked
    assert page.selectbox(key="pick-inspect-layer").value == "fire3_squeeze1x1"


def test_another_model_keeps_the_depth_of_the_layer(grid_dir, open_page):
    page = open_page("models", model="vgg16", layer="block3_conv1", channel=5)
    page.toggle(key="inspect-untrained").set_value(True).run()
    page.selectbox(key="pick-inspect-model").set_value(("resnet50", weights.UNTRAINED)).run()
    assert page.query_params["layer"] == registry.get_model("resnet50").layers[2].name
    assert "channel" not in page.query_params
    assert not page.warning


def test_the_strip_has_the_highest_score_of_each_layer_and_leads_to_it(open_page):
    page = open_page("models", model=SMALL, dataset="objects200", inner="fire4_squeeze1x1")
    strip = layers_of(page, "inspect-layers")
    assert strip["shown"] == "fire4_squeeze1x1"
    grid = Grid().load("objects200")
    assert {one["name"]: one["score"] for one in strip["layers"]} == {
        layer.name: max(
            one.score_10
            for one in grid.summaries
            if (one.model, one.weights, one.layer) == (SMALL, weights.IMAGENET, layer.name)
        )
        for layer in registry.get_model(SMALL).layers
    }
    page = choose_layer(page, "fire5_concat", "inspect-layers")
    assert page.query_params["layer"] == "fire5_concat"
    assert "inner" not in page.query_params
    assert layers_of(page, "inspect-layers")["shown"] == "fire5_concat"


def test_a_layer_that_is_not_compared_stays_out_of_the_other_pages(grid_dir, open_page):
    page = open_page("models", model=SMALL, layer="fire4_concat")
    page.selectbox(key="pick-inspect-layer").set_value("fire4_squeeze1x1").run()
    assert page.query_params["inner"] == "fire4_squeeze1x1"
    assert "layer" not in page.query_params
    page.selectbox(key="pick-inspect-layer").set_value("fire5_concat").run()
    assert page.query_params["layer"] == "fire5_concat"
    assert "inner" not in page.query_params


def test_what_does_not_exist_is_reported(grid_dir, open_page):
    page = open_page(
        "models", model="<b>x", layer="nothing", channel="-7", part="all", weights="file-12345678", find="[" * 500
    )  # fmt: skip
    assert not page.exception
    sentences = texts(page)
    for name in ("model", "layer", "channel", "weights", "part of the page"):
        assert name in sentences
    assert "No layer" in sentences


@pytest.mark.slow
def test_models_without_trained_weights_say_how_to_get_them(grid_dir, open_page, monkeypatch):
    monkeypatch.setattr(weights, "imagenet_file", lambda model: WeightsFile("", "", "Not here.", None))
    page = open_page("models", model="resnet50", weights="imagenet")
    assert page.query_params["weights"] == "untrained"
    assert "models fetch resnet50" in texts(page)
    for part in ("channels", "picture"):
        page = open_page("models", model="resnet50", part=part)
        assert not page.exception
        assert "untrained control" in page.info[0].value and "models fetch resnet50" in page.info[0].value


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet", "xception", "vgg16"])
def test_what_ships_is_shown_without_the_weights_and_the_rest_says_how_to_get_them(
    name, grid_dir, open_page, monkeypatch
):
    monkeypatch.setattr(weights, "imagenet_file", lambda model: WeightsFile("", "", "Not here.", None))
    layer = registry.get_model(name).layers[5].name
    made = [one.channel for one in channel_files.visualizations(name, "imagenet", layer)]
    page = open_page("models", model=name, layer=layer, part="channels")
    assert not page.exception and page.query_params["weights"] == "imagenet"
    assert page.query_params["channel"] == str(made[0])
    page = open_page("models", model=name, layer=layer, part="channels", channel=min({*range(9)} - {*made}))
    [sentence] = {one.value for one in page.info if "models fetch" in one.value}
    assert f"models fetch {name}" in sentence and "--from package" in sentence


@pytest.mark.slow
def test_the_table_lists_what_is_looked_for(grid_dir, open_page):
    page = open_page("models", model="xception", find="SEPCONV block3")
    assert set(page.dataframe[0].value["layer"].str[:6]) == {"block3"}
    assert "of 132 layers" in texts(page)
    page = open_page("models", model="xception", eight=1)
    assert list(page.dataframe[0].value["layer"]) == [
        one.name for one in registry.get_model("xception").layers
    ]
    assert not page.exception
    page = open_page("models", model="xception", find="sepconv1_bn", eight=1)
    others = sum("sepconv1_bn" in layer.name for layer in architecture.read("xception").layers)
    assert f"turn off *Only those compared* to list the others ({others})" in page.info[0].value
    page = open_page("models", model="xception", find="nothing", eight=1)
    assert "Only those compared" not in page.info[0].value


def test_what_is_downloaded_says_what_the_layers_are():
    made = architecture.read("inceptionv3")
    rows = pd.read_csv(io.BytesIO(architecture_section.frame(made).to_csv(index=False).encode()))
    assert list(rows["layer"]) == [layer.name for layer in made.layers]
    assert list(rows["parameters"]) == [layer.parameters for layer in made.layers]
    assert list(rows["flops"]) == [2 * layer.multiply_adds for layer in made.layers]
    assert rows["depth"].notna().sum() == 8
    read = json.loads(architecture_section.as_json(made))
    assert [layer["name"] for layer in read["layers"]] == list(rows["layer"])


@pytest.mark.parametrize(
    ("model", "layer", "words"),
    [
        ("vgg16", "block1_conv2", "5 × 5 pixels of 224 × 224"),
        ("efficientnet-lite0", "top_activation", "more than the 224 × 224"),
        ("efficientnetb0", "block2b_se_reduce", "pooled to one position"),
        ("efficientnetb0", "top_conv", "squeeze-and-excitation"),
    ],
)
def test_a_layer_is_described_in_words(model, layer, words):
    made = architecture.read(model)
    assert words in architecture_section.sentence(made, made.layer(layer))


@pytest.mark.parametrize("part", ["channels", "picture"])
def test_a_layer_without_positions_says_so(part, grid_dir, open_page):
    page = open_page("models", model="efficientnetb0", layer="block2b_se_reduce", part=part)
    assert not page.exception
    assert "no positions" in texts(page)


def test_a_damaged_description_costs_its_model_a_sentence(grid_dir, open_page, monkeypatch, tmp_path):
    (tmp_path / SMALL).mkdir()
    for name in (SMALL, "vgg16"):
        (tmp_path / name).mkdir(exist_ok=True)
        whole = (settings.MODELS_DIR / name / architecture.FILE).read_text("utf-8")
        (tmp_path / name / architecture.FILE).write_text(whole[:500] if name == SMALL else whole, "utf-8")
    monkeypatch.setattr(settings, "MODELS_DIR", tmp_path)
    page = open_page("models", model=SMALL)
    assert not page.exception
    assert "models describe" in page.error[0].value
    page.selectbox(key="pick-inspect-model").set_value(("vgg16", weights.UNTRAINED)).run()
    assert not page.exception and not page.error
    assert architecture.read("vgg16").layer("block1_conv1").depth == 1


def test_the_page_works_without_any_dataset(open_page, monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "GRID_DIR", tmp_path)
    for part in ("architecture", "channels", "picture"):
        assert not open_page("models", model=SMALL, part=part).exception


@pytest.fixture
def shipped(grid_dir, tmp_path, monkeypatch):
    """Stored visualizations of two channels of a layer, and top-activating images of all its channels."""
    folder = tmp_path / "models" / SMALL
    folder.mkdir(parents=True)
    shutil.copy(settings.MODELS_DIR / SMALL / architecture.FILE, folder)
    monkeypatch.setattr(settings, "MODELS_DIR", tmp_path / "models")
    layer, dataset = "fire4_concat", datasets.load(grid_dir / DATASET)
    file = transform.thumbnail(Image.new("RGB", (32, 32), (200, 30, 30)), 32)
    made = [channel_files.Visualization(channel, file, 7.5) for channel in (40, 3)]
    channel_files.write_visualizations(SMALL, "imagenet", layer, made, {})
    values = np.zeros((256, channel_files.MOST), np.float32)
    values[3, :2] = (8.0, 4.0)
    items = np.tile(np.arange(channel_files.MOST), (256, 1))
    boxes = np.zeros((256, channel_files.MOST, 4), np.float32)
    boxes[3, 0] = (0.2, 0.4, 0.6, 1.0)
    found = channel_files.TopImages(items, values, boxes, np.ones(256, np.float32))
    channel_files.write_top_images(SMALL, "imagenet", dataset, {layer: found}, {})
    return layer


def test_shipped_visualizations_are_shown_and_the_first_channel_is_chosen(shipped, open_page):
    page = open_page("models", model=SMALL, layer=shipped, part="channels", dataset=DATASET)
    assert not page.exception
    tiles = gallery_of(page, 0)["tiles"]
    assert [(tile["id"], tile["selected"]) for tile in tiles] == [(40, True), (3, False)]
    assert tiles[1]["src"].startswith(f"./channels/{SMALL}/imagenet/{shipped}/3.webp?v=")
    assert page.query_params["channel"] == "40"
    assert "No image of Drawings activates this channel" in texts(page)
    assert not page.button


def test_top_activating_images_are_framed(shipped, open_page):
    page = open_page("models", model=SMALL, layer=shipped, part="channels", channel=3, dataset=DATASET)
    tiles = gallery_of(page, 2)["tiles"]
    assert [(tile["id"], tile["rank"], tile["lines"]) for tile in tiles] == [
        (0, 1, ["activation 8.00"]),
        (1, 2, ["activation 4.00"]),
    ]
    assert tiles[0]["frame"] == pytest.approx([0.2, 0.4, 0.6, 1.0], abs=0.003)


def test_a_channel_without_a_shipped_visualization_offers_to_compute_one(shipped, open_page):
    page = open_page("models", model=SMALL, layer=shipped, part="channels", channel=100, dataset=DATASET)
    assert [one.label for one in page.button] == ["Visualize"]
    page = open_page("models", model=SMALL, layer="fire9_concat", part="channels", dataset=DATASET)
    assert [one.label for one in page.button] == ["Visualize", "Compute"]


def test_shipped_visualizations_need_no_weights_but_computing_one_does(shipped, open_page, monkeypatch):
    whole = architecture.read(SMALL)
    last = whole.grid_layers[-1].name
    made = [channel_files.Visualization(5, transform.thumbnail(Image.new("RGB", (8, 8)), 8), 1.0)]
    channel_files.write_visualizations(SMALL, "imagenet", last, made, {})
    lacking = WeightsFile("", "", "Install the package of the weights.", None)
    monkeypatch.setattr(weights, "imagenet_file", lambda model: lacking)
    page = open_page("models", model=SMALL, layer=last, part="channels", channel=6, dataset=DATASET)
    assert page.query_params["weights"] == "imagenet"
    assert len(gallery_of(page, 0)["tiles"]) == 1
    assert not page.button
    assert "Install the package" in texts(page)


def test_the_search_page_previews_channels_where_visualizations_ship(shipped, own_grid_dir, open_page):
    dataset = datasets.load(own_grid_dir / DATASET)
    write_run(own_grid_dir, dataset, SMALL, "imagenet", 1.0, (shipped, "fire9_concat"), ("avg",))
    page = open_page("search", model=SMALL, layer=shipped)
    assert not page.exception
    assert "What it looks for" in [one.label for one in page.button]
    # After the query and the results.
    assert [tile["id"] for tile in gallery_of(page, 2)["tiles"]] == [40, 3]
    other = open_page("search", model=SMALL, layer="fire9_concat")
    assert "What it looks for" not in [one.label for one in other.button]


def test_what_is_not_stored_is_computed_in_the_background(grid_dir, open_page):
    model, layer = registry.get_model(SMALL), "fire2_squeeze1x1"
    here, sentence = weights.availability(model)
    if not here:
        pytest.skip(sentence)
    address = {"model": SMALL, "inner": layer, "part": "channels", "channel": 2, "dataset": DATASET}
    page = open_page("models", **address)
    page.button[1].click().run()
    dataset = datasets.load(grid_dir / DATASET)
    assert jobs.get(("exciting", dataset.fingerprint, SMALL, "imagenet", layer)).wait(60)
    tiles = gallery_of(page.run(), 0)["tiles"]
    peaks = [
        activations.activation(decode.read(dataset.path(item.id)), SMALL, "imagenet", layer)[:, :, 2].max()
        for item in dataset.items
    ]
    assert tiles[0]["id"] == int(np.argmax(peaks))
    assert float(tiles[0]["lines"][0].split()[1].replace(",", "")) == pytest.approx(max(peaks), rel=0.01)
    assert len(tiles) == min(channel_files.MOST, sum(peak > 0 for peak in peaks))


def test_a_network_that_can_not_be_loaded_is_reported_once_and_tried_again_on_demand(
    grid_dir, open_page, monkeypatch
):
    asked = []

    def fails(*about):
        asked.append(about)
        raise WeightsError("The file is gone.")

    monkeypatch.setattr(activations, "activation", fails)
    page = open_page("models", model=SMALL, layer="fire4_concat", part="picture", dataset=DATASET)
    key = ("activations", SMALL, page.query_params["weights"], "fire4_concat")
    jobs.forget(key)
    picture = image_input.QueryImage("key", "red", Image.new("RGB", (20, 10), (200, 0, 0)), 1.0)
    page.session_state["live-pictures"] = {"key": picture}
    page.query_params["input"] = "key"
    page.run()
    assert jobs.get(key).wait(10)
    page.run()
    assert "The file is gone" in page.error[0].value
    assert len(asked) == 1
    page.button[0].click().run()
    assert jobs.get(key).wait(10)
    assert len(asked) == 2
    jobs.forget(key)


@pytest.mark.slow
def test_no_part_of_the_page_imports_tensorflow_before_something_is_computed():
    code = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        "for part in ('architecture', 'channels', 'picture'):\n"
        "    page = AppTest.from_file('dashboard/pages/models/page.py', default_timeout=60)\n"
        "    page.query_params['part'] = part\n"
        "    assert not page.run().exception\n"
        "print(sorted({'tensorflow', 'keras', 'umap', 'faiss', 'sklearn', 'scipy', 'torch'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip().splitlines()[-1] == "[]"
