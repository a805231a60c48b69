import io
import json

import numpy as np
import pandas as pd
import pytest

from core.experiments import robustness_file
from core.experiments.robustness_file import UNCHANGED
from core.experiments.store import Grid
from core.imaging.changes import CHANGES
from dashboard.pages.compare.sections import image_changes
from tests.dashboard.conftest import DATASET, ROBUSTNESS_CELLS
from tests.dashboard.test_compare_page import words


def shown(page):
    """The numbers of the heat map, by row."""
    [spec] = [json.loads(part.proto.spec) for part in page.get("plotly_chart")]
    [bars] = spec["data"]
    y, text = bars["y"], bars["text"]
    return [[int(t) for t, row in zip(text, y, strict=True) if row == place] for place in sorted(set(y))]


def of(folder, model):
    tables = robustness_file.read(folder, Grid(folder).dataset(DATASET))
    return next(one for one in tables if one.model == model)


def means(stored, layer, measure="recall", strengths=(1, 2, 3)):
    return [
        np.mean([getattr(stored.rows[layer, change, s], measure) for s in strengths]) for change in CHANGES
    ]


def test_the_best_layer_of_each_model_is_shown_with_a_sentence(measured, open_page):
    page = open_page("compare", section="robustness")
    assert not page.exception and not page.warning
    best = {
        model: max(layers, key=lambda layer: np.mean(means(of(measured, model), layer)))
        for model, layers in (("good", ("early", "middle", "late")), ("plain", ("first", "second", "third")))
    }
    expected = sorted(
        (means(of(measured, model), layer) for model, layer in best.items()), key=lambda row: -np.mean(row)
    )
    for row, numbers in zip(shown(page), expected, strict=True):
        assert row[0] == 100
        np.testing.assert_allclose(row[1:-1], np.array(numbers) * 100, atol=0.51)
        assert row[-1] == pytest.approx(100 * np.mean(numbers), abs=0.51)
    said = words(page)
    assert f"{100 * np.mean(expected[0]):.0f}% of the changed images find their own original first" in said
    worst = list(CHANGES.values())[int(np.argmin(expected[0]))].title.lower()
    assert f"What hurts it most is {worst} ({100 * min(expected[0]):.0f}%)" in said
    assert "Measured with 24 images" in said


def test_one_strength_of_the_layers_of_one_model(measured, open_page):
    page = open_page(
        "compare", section="robustness", rows="layers", strength="strong", measure="precision", model="plain"
    )
    stored = of(measured, "plain")
    rows = shown(page)
    assert len(rows) == 3
    for row, layer in zip(rows, ("first", "second", "third"), strict=True):
        numbers = means(stored, layer, "precision", (3,))
        np.testing.assert_allclose(row[1:-1], np.array(numbers) * 100, atol=0.51)
        assert row[0] == pytest.approx(100 * stored.rows[layer, UNCHANGED, 0].precision, abs=0.51)


def test_the_download_has_every_result(measured):
    grid = Grid(measured).load(DATASET)
    found = robustness_file.by_configuration(robustness_file.read(measured, grid.dataset))
    by_summary = {one: found[one.configuration] for one in grid.summaries if one.configuration in found}
    text = image_changes.results(by_summary).to_csv(index=False)
    read = pd.read_csv(io.StringIO(text))
    assert len(read) == 6 * len(ROBUSTNESS_CELLS)
    assert set(read["change"]) == {UNCHANGED, *CHANGES}
    one = read.query("layer == 'late' and change == 'blur' and strength == 2").iloc[0]
    assert one["recall@1"] == pytest.approx(of(measured, "good").rows["late", "blur", 2].recall, abs=1e-4)
    assert one["level"] == CHANGES["blur"].words[1]


def test_without_results_the_page_says_how_to_get_some(grid_dir, open_page):
    page = open_page("compare", section="robustness")
    assert not page.exception
    assert page.code[0].value == f"playground grid robustness --dataset {DATASET}"


def test_a_model_that_was_not_measured_is_named(measured, open_page):
    page = open_page(
        "compare", section="robustness", rows="layers", model="good", weights="untrained", untrained=1
    )
    assert "The robustness of the model has not been measured" in words(page)


def test_a_damaged_file_is_reported(measured, open_page):
    (measured / DATASET / robustness_file.NAME).write_bytes(b"no parquet")
    page = open_page("compare", section="robustness")
    assert not page.exception
    assert "damaged" in page.error[0].value


def test_results_of_other_images_or_levels_count_as_missing(measured, monkeypatch):
    dataset = Grid(measured).dataset(DATASET)
    tables = robustness_file.read(measured, dataset)
    monkeypatch.setitem(
        CHANGES, "blur", type(CHANGES["blur"])(**{**vars(CHANGES["blur"]), "levels": (3, 4, 5)})
    )
    path = measured / DATASET / robustness_file.NAME
    path.write_bytes(path.read_bytes())
    assert all("blur" not in one.changes for one in robustness_file.read(measured, dataset))
    assert len(tables) == 2
