"""The live page without a browser: what it shows before anything is computed."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.models import registry, weights
from core.search import shared_engine
from dashboard.widgets import heatmap
from tests.conftest import ROOT
from tests.dashboard.conftest import app, gallery_of, layers_of


def open_page() -> AppTest:
    test = app("your_picture")
    return test.run()


def test_the_page_opens_on_the_recommended_configuration_that_is_here():
    page = open_page()
    engine = shared_engine.engine()
    recommended = engine.recommended(engine.grid.dataset("objects200"))
    assert layers_of(page)["shown"] == recommended.taken.layer
    assert page.selectbox(key="pick-model").value == (recommended.taken.model, recommended.taken.weights)
    assert not page.exception
    assert page.title[0].value == "Your picture"
    assert "imagenet" in page.query_params["weights"]
    assert "live-recommended" not in [button.key for button in page.button]
    assert len(gallery_of(page, 0)["tiles"]) == 8


def test_from_another_configuration_one_click_leads_to_the_recommended_one():
    page = app("your_picture")
    page.query_params.update({"model": "squeezenet", "weights": "imagenet", "layer": "conv1_activation"})
    page.run()
    assert not page.exception
    page.button(key="live-recommended").click().run()
    recommended = shared_engine.engine().recommended(shared_engine.engine().grid.dataset("objects200"))
    assert page.query_params["model"] == recommended.taken.model
    assert layers_of(page)["shown"] == recommended.taken.layer


@pytest.mark.skipif(
    weights.availability(registry.get_model("mobilenet"))[0], reason="the weights of MobileNet are here"
)
def test_an_experiment_whose_weights_are_not_here_says_how_to_get_them():
    page = app("your_picture")
    page.query_params.update({"dataset": "objects200", "model": "mobilenet", "weights": "imagenet"})
    page.run()
    assert not page.exception
    [notice] = [warning.value.replace("\\", "") for warning in page.warning]
    assert "models fetch mobilenet" in notice and "There are no experiments" not in notice
    # Not the untrained control: another one that can be searched under.
    assert page.query_params["weights"] == "imagenet"


@pytest.mark.slow
def test_the_script_imports_no_tensorflow_itself():
    # The model is loaded in a thread of its own, which this test keeps from starting.
    code = (
        "import sys\n"
        "from core.jobs import Job\n"
        "Job._run = lambda *_: None\n"
        "from tests.dashboard.test_your_picture_page import open_page\n"
        "assert not open_page().exception\n"
        "assert not {'tensorflow', 'umap', 'sklearn'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_the_region_that_counts_most_is_the_brightest():
    shares = np.zeros((4, 4))
    shares[0, 3] = 1
    colored = np.asarray(heatmap.overlay(Image.new("RGB", (80, 80)), shares, 1.0)).astype(int).sum(axis=2)
    assert colored[0, 79] == colored.max() > colored.mean()
    assert colored[79, 0] == colored.min()


def test_without_strength_the_image_stays_as_it_is():
    picture = Image.new("RGB", (30, 20), (10, 20, 30))
    assert np.array_equal(np.asarray(heatmap.overlay(picture, np.eye(3), 0.0)), np.asarray(picture))


def test_the_same_amount_has_the_same_color_on_one_scale():
    picture = Image.new("RGB", (60, 60), (200, 10, 10))
    weak, strong = np.full((3, 3), 0.5), np.array([[0.5, 2.0, 9.0]] * 3)
    one, other = (np.asarray(heatmap.overlay(picture, shares, 1.0, (0.0, 2.0))) for shares in (weak, strong))
    assert np.array_equal(one[30, 2], other[30, 2])
    # Beyond the end of the scale all have the last color.
    assert np.array_equal(other[30, 57], np.asarray(heatmap.overlay(picture, weak, 1.0, (-1.0, 0.5)))[30, 57])
