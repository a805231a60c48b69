import json

import numpy as np
import pytest

from core.errors import DatasetError, GridError, UnknownNameError
from core.evaluation import scoring
from core.experiments.query_scores import evaluate
from core.experiments.store import Configuration, Grid, StoredRun
from tests.dashboard.conftest import DATASET


def first(grid, **parts):
    return next(s for s in grid.summaries if all(getattr(s, name) == value for name, value in parts.items()))


def test_a_dataset_comes_with_all_its_experiments(grid_dir):
    grid = Grid().load(DATASET)
    assert set(grid.runs) == {("good", "imagenet"), ("plain", "imagenet"), ("good", "untrained")}
    assert len(grid.summaries) == (3 * 2 + 3 + 3) * 2
    assert grid.notices == ()


@pytest.mark.parametrize("name", ["nope", "", "..", "../drawings", "/etc"])
def test_a_dataset_is_found_by_name_only(grid_dir, name):
    with pytest.raises(UnknownNameError):
        Grid().load(name)


def test_an_evaluation_agrees_with_the_summary(grid_dir):
    grid = Grid().load(DATASET)
    chosen = first(grid, model="plain")
    found = evaluate(grid, chosen.configuration, 10)
    assert found.mean == pytest.approx(chosen.score_10)
    assert found.low <= found.mean <= found.high
    assert found.scores.tolist() == scoring.score(found.same, 10).tolist()


def test_the_standing_of_a_query_counts_the_others(grid_dir):
    grid = Grid().load(DATASET)
    found = evaluate(grid, first(grid, model="plain").configuration, 10)
    row = found.row(4)
    lower, equal = found.standing(row)
    others = np.delete(found.scores, row)
    assert lower == (others < found.scores[row]).mean()
    assert equal == pytest.approx(np.isclose(others, found.scores[row]).mean())
    assert found.row(999) is None


def test_nothing_is_read_twice(own_grid_dir, monkeypatch):
    reads = []
    monkeypatch.setattr(
        StoredRun,
        "neighbors",
        lambda run, *key, _read=StoredRun.neighbors: reads.append(key) or _read(run, *key),
    )
    grid = Grid().load(DATASET)
    chosen = first(grid, model="good").configuration
    for k in (5, 10, 10):
        evaluate(Grid().load(DATASET), chosen, k)
    assert len(reads) == 1
    assert Grid().load(DATASET).runs["good", "imagenet"] is grid.runs["good", "imagenet"]


def test_what_is_shared_can_not_be_written_to(grid_dir):
    grid = Grid().load(DATASET)
    chosen = first(grid, model="good")
    found = evaluate(grid, chosen.configuration, 10)
    arrays = [found.ids, found.distances, found.scores, found.same, found.queries]
    arrays += [grid.pair_quantiles(chosen.configuration), *grid.run(chosen).vectors(chosen.layer)]
    assert not any(array.flags.writeable for array in arrays)


def test_a_grid_that_was_computed_again_is_read_again(own_grid_dir):
    manifest = own_grid_dir / DATASET / "plain.imagenet" / "model.json"
    assert Grid().load(DATASET).runs["plain", "imagenet"].about.title == "Plain"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"title": "Plainer"}))
    assert Grid().load(DATASET).runs["plain", "imagenet"].about.title == "Plainer"


def test_a_file_that_is_restored_is_read_again(own_grid_dir):
    path = next((own_grid_dir / DATASET / "good.imagenet").glob("neighbors*"))
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert len(Grid().load(DATASET).notices) == 1
    path.write_bytes(whole)
    assert Grid().load(DATASET).notices == ()


def test_a_model_without_its_manifest_is_reported(own_grid_dir):
    (own_grid_dir / DATASET / "good.imagenet" / "model.json").unlink()
    (own_grid_dir / DATASET / "notes.old").mkdir()
    grid = Grid().load(DATASET)
    assert len(grid.notices) == 1
    assert "good.imagenet" in grid.notices[0]
    with pytest.raises(GridError, match="no experiments of good"):
        grid.run(Configuration("good", "imagenet", "late", "avg", "cosine"))


def test_an_unreadable_description_is_reported_and_titled_by_its_name(own_grid_dir):
    (own_grid_dir / DATASET / "dataset.json").write_text("{")
    with pytest.raises(DatasetError):
        Grid().load(DATASET)
    assert Grid().title(DATASET) == DATASET
    assert Grid().title("empty") == "Empty"


@pytest.mark.parametrize(
    "text", ["", "nothing", "[1]", '{"title": 3}', '{"title": "cut of', b'{"title":"\xff"}']
)
def test_a_title_that_is_none_is_the_name(own_grid_dir, text):
    (own_grid_dir / DATASET / "dataset.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert Grid().title(DATASET) == DATASET


def test_titles_of_many_images_are_read_without_them(own_grid_dir):
    path = own_grid_dir / DATASET / "dataset.json"
    described = path.read_bytes()
    path.write_bytes(described[:-1] + b'"after the items"')
    with pytest.raises(DatasetError):
        Grid().dataset(DATASET)
    assert Grid().title(DATASET) == DATASET.title()


def test_share_of_pairs_that_are_farther():
    quantiles = np.linspace(0.0, 2.0, 201)
    assert scoring.share_farther(-1.0, quantiles) == 1.0
    assert scoring.share_farther(0.5, quantiles) == pytest.approx(0.75)
    assert scoring.share_farther(9.0, quantiles) == 0.0
    # Half of all pairs are at the very distance 1: they are not farther.
    assert scoring.share_farther(1.0, np.array([1.0, 1.0, 1.0, 2.0, 3.0])) == pytest.approx(0.5)
    assert scoring.share_farther(1.0, np.array([1.0, 1.0])) == 0.0
