"""A family of models that is added by following ``docs/add-a-model.md``."""

import re
import shlex
import sys

import numpy as np
import pytest

from core import cli
from core.data import datasets
from core.experiments import store
from core.features import channel_files
from core.models import architecture, extractor, families, networks, registry, weights
from core.settings import settings
from tests.conftest import ROOT
from tests.experiments.synthetic import draw_dataset

PAGE = (ROOT / "docs" / "add-a-model.md").read_text("utf-8")
FAMILY, PRINT_ROWS = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
DESCRIBE, RUN_GRID, COMPUTE_CHANNELS = re.findall(r"^    \.venv/bin/playground (.*)$", PAGE, re.M)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of families besides those that exist."""
    path = tmp_path / "families"
    path.mkdir()
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(path)])
    yield path
    for file in path.glob("*.py"):
        del sys.modules[f"{families.__name__}.{file.stem}"]
        delattr(families, file.stem)


@pytest.fixture
def tinynet(folder, tmp_path, monkeypatch):
    """The model of the page."""
    (folder / "tinynet.py").write_text(FAMILY, "utf-8")
    monkeypatch.setattr(registry, "MODELS", registry.discover())
    monkeypatch.setattr(settings, "GRID_DIR", tmp_path / "grid")
    monkeypatch.setattr(settings, "MODELS_DIR", tmp_path / "models")
    return registry.get_model("tinynet")


def run(command: str, *more: str) -> None:
    assert cli.main([*shlex.split(command), *more]) == 0


@pytest.mark.slow
def test_a_family_in_one_file_has_vectors_a_grid_and_channels(tinynet, tmp_path, capsys):
    assert list(registry.MODELS)[-1] == "tinynet"
    assert not weights.availability(tinynet)[0]

    exec(PRINT_ROWS, {})
    printed = capsys.readouterr().out.split("\n")[:-1]
    assert len(printed) == 8
    assert all(row in FAMILY for row in printed)

    run(DESCRIBE)
    assert [layer.name for layer in architecture.read("tinynet").grid_layers] == printed_names(printed)

    draw_dataset(tmp_path / "images", 3, 4)
    run(RUN_GRID.replace("~/images", str(tmp_path / "images")))
    dataset = datasets.load(settings.GRID_DIR / "images")
    stored = store.Grid(settings.GRID_DIR).run(dataset, "tinynet", "untrained")
    assert {summary.layer for summary in stored.summaries} == set(printed_names(printed))

    origin = weights.provenance(tinynet, "untrained")
    network = extractor.Extractor(tinynet, networks.load(tinynet, "untrained"), ["conv8"])
    vectors = network(np.zeros((2, 64, 64, 3), np.uint8))["conv8", "avg"]
    assert vectors.shape == (2, 64)
    assert stored.about.weights_fingerprint == origin.fingerprint

    run(COMPUTE_CHANNELS, "-n", "2", "--steps", "2")
    assert len(channel_files.visualizations("tinynet", "untrained", "conv5")) == 2


def printed_names(rows: list[str]) -> list[str]:
    return [re.findall('"(.*?)"', row)[0] for row in rows]


def test_two_families_with_a_model_of_one_name_are_refused(folder):
    (folder / "copy_of_vgg.py").write_text("from core.models.families.vgg import MODELS\n")
    with pytest.raises(ValueError, match="vgg16"):
        registry.discover()
