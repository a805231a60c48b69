"""The pages with a model that was added from an ONNX file."""

import importlib.util

import pytest

from core.experiments import runner
from core.models import architecture, onnx_adding, onnx_description, registry
from core.progress import Silent
from core.settings import settings
from tests.experiments.synthetic import draw_dataset
from tests.models import onnx_graphs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="ONNX files need OpenVINO"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model and a grid of it."""
    place = tmp_path_factory.mktemp("added")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "ADDED_MODELS_DIR", place / "models")
        file = onnx_graphs.save(onnx_graphs.transformer(), place / "vit.onnx")
        found = onnx_adding.inspect(file, "vit", onnx_description.describe("dinov2", None))
        onnx_adding.add(found, found.choices)
        request = runner.Request(
            ("vit",),
            poolings=("avg",),
            metrics=("cosine",),
            layers=("block1.output", "last_hidden_state:cls"),
        )
        runner.run([draw_dataset(place / "shapes", 3, 4)], request, place / "grid", Silent())
    return place


@pytest.fixture
def vit(folder, monkeypatch):
    monkeypatch.setattr(settings, "ADDED_MODELS_DIR", folder / "models")
    monkeypatch.setattr(settings, "GRID_DIR", folder / "grid")
    return registry.get_model("vit")


def words(page) -> str:
    kinds = ("markdown", "caption", "info", "warning")
    return " ".join(part.value for kind in kinds for part in page.get(kind))


def test_the_architecture_is_shown(vit, open_page):
    page = open_page("models", model="vit", layer="block1.output")
    assert not page.exception and not page.error and not page.warning
    assert page.query_params["weights"] == vit.weights.slug
    assert f"{len(architecture.read('vit').layers):,} of" in words(page)
    assert [one.value for one in page.metric if one.label == "Receptive field"] == ["8 px"]
    assert "number 4 of the six that are compared" in words(page)
    assert "The ONNX file vit.onnx, added here." in words(page)
    assert "the middle square of 87.5% of its shorter side" in words(page)


def test_without_gradients_there_are_no_visualizations(vit, open_page):
    page = open_page("models", model="vit", layer="block1.output", part="channels")
    assert not page.exception and not page.error
    assert "needs gradients" in words(page)
    assert "Visualize" not in [button.label for button in page.button]


def test_a_class_token_has_no_positions(vit, open_page):
    page = open_page("models", model="vit", layer="last_hidden_state:cls", part="channels")
    assert not page.exception
    assert "has no positions" in words(page)


@pytest.mark.parametrize("name", ["search", "compare", "embeddings"])
def test_the_other_pages_show_its_experiments(name, vit, open_page):
    page = open_page(name, dataset="shapes", model="vit", weights=vit.weights.slug)
    assert not page.exception and not page.error and not page.warning
    assert page.query_params["model"] == "vit"
