import io
import json
import subprocess
import sys

import pandas as pd
import pytest

from core import settings
from core.models import architecture, weights, zoo
from dashboard.components import data
from dashboard.views import models_architecture
from tests.conftest import ROOT

SMALL = "squeezenet"


def told(page) -> str:
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


@pytest.mark.parametrize("name", zoo.MODELS)
def test_every_model_has_its_architecture(name, grid_dir, open_page):
    page = open_page("models", model=name)
    assert not page.exception and not page.error and not page.warning
    assert page.query_params["layer"] == zoo.get_model(name).layers[5].name
    assert f"{len(architecture.read(name).layers):,} of" in told(page)


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
    assert page.query_params["layer"] == zoo.get_model("resnet50").layers[2].name
    assert "channel" not in page.query_params
    assert not page.warning


def test_a_layer_that_is_not_compared_stays_out_of_the_other_pages(grid_dir, open_page):
    page = open_page("models", model=SMALL, layer="fire4_concat")
    page.selectbox(key="pick-inspect-layer").set_value("fire4_squeeze1x1").run()
    assert page.query_params["inner"] == "fire4_squeeze1x1"
    assert "layer" not in page.query_params
    page.selectbox(key="pick-inspect-layer").set_value("fire5_concat").run()
    assert page.query_params["layer"] == "fire5_concat"
    assert "inner" not in page.query_params


def test_what_does_not_exist_is_told(grid_dir, open_page):
    page = open_page(
        "models", model="<b>x", layer="nothing", channel="-7", part="all", weights="file-12345678", find="[" * 500
    )  # fmt: skip
    assert not page.exception
    sentences = told(page)
    for name in ("model", "layer", "channel", "weights", "part of the page"):
        assert name in sentences
    assert "No layer is called that" in sentences


def test_models_without_trained_weights_say_how_to_get_them(grid_dir, open_page, monkeypatch):
    monkeypatch.setattr(weights, "availability", lambda model: (False, "Not here."))
    page = open_page("models", model="vgg16", weights="imagenet")
    assert page.query_params["weights"] == "untrained"
    assert "models fetch vgg16" in told(page)
    for part in ("channels", "picture"):
        page = open_page("models", model="vgg16", part=part)
        assert not page.exception
        assert "untrained control" in page.info[0].value and "models fetch vgg16" in page.info[0].value


def test_the_table_lists_what_is_looked_for(grid_dir, open_page):
    page = open_page("models", model="xception", find="SEPCONV block3")
    assert set(page.dataframe[0].value["layer"].str[:6]) == {"block3"}
    assert "of 132 layers" in told(page)
    page = open_page("models", model="xception", eight=1)
    assert list(page.dataframe[0].value["layer"]) == [one.name for one in zoo.get_model("xception").layers]
    assert not page.exception


def test_what_is_downloaded_says_what_the_layers_are():
    made = architecture.read("inceptionv3")
    rows = pd.read_csv(io.BytesIO(models_architecture.frame(made).to_csv(index=False).encode()))
    assert list(rows["layer"]) == [layer.name for layer in made.layers]
    assert list(rows["parameters"]) == [layer.parameters for layer in made.layers]
    assert list(rows["flops"]) == [2 * layer.multiply_adds for layer in made.layers]
    assert rows["depth"].notna().sum() == 8
    read = json.loads(models_architecture.as_json(made))
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
def test_a_layer_is_told_in_words(model, layer, words):
    made = architecture.read(model)
    assert words in models_architecture.sentence(made, made.layer(layer))


@pytest.mark.parametrize("part", ["channels", "picture"])
def test_a_layer_without_positions_says_so(part, grid_dir, open_page):
    page = open_page("models", model="efficientnetb0", layer="block2b_se_reduce", part=part)
    assert not page.exception
    assert "no positions" in told(page)


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
    assert data.architecture("vgg16").layer("block1_conv1").depth == 1


def test_the_page_works_without_any_dataset(open_page, monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "GRID_DIR", tmp_path)
    for part in ("architecture", "channels", "picture"):
        assert not open_page("models", model=SMALL, part=part).exception


def test_no_part_of_the_page_imports_tensorflow_before_something_is_computed():
    code = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        "for part in ('architecture', 'channels', 'picture'):\n"
        "    page = AppTest.from_file('dashboard/views/models.py', default_timeout=60)\n"
        "    page.query_params['part'] = part\n"
        "    assert not page.run().exception\n"
        "print(sorted({'tensorflow', 'keras', 'umap', 'faiss', 'sklearn', 'scipy', 'torch'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip().splitlines()[-1] == "[]"
