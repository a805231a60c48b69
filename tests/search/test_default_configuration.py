import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.collections import Collection
from core.errors import CollectionError, UnknownNameError
from core.evaluation import uncertainty
from core.experiments import experiment_table
from core.experiments.store import Configuration, Grid
from core.models import registry
from core.search import default_configuration, recommendation
from core.search.default_configuration import choose
from core.search.engine import Engine
from core.settings import settings
from tests.conftest import ROOT

SHIPPED = ROOT / "precomputed"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(Grid(SHIPPED))


def alike(engine: Engine, *names: str, **given: str) -> dict[tuple[str, str, str, str], tuple[float, float]]:
    """The mean score and the cost of the trained configurations that can't be told from the best of those that have what is given, on all datasets."""
    tables = [experiment_table.load(engine.grid.load(name), 10, untrained=False) for name in names]
    rows = [
        rows
        for one in tables[0].experiments
        if one.dimensions <= settings.MAX_CHOSEN_DIMENSIONS
        and all(getattr(one, part) == value for part, value in given.items())
        and None not in (rows := [table.place(one.configuration) for table in tables])
        and not any(row in table.saturated for row, table in zip(rows, tables, strict=True))
    ]
    values = np.array(
        [np.mean([t.scores[r] for r, t in zip(own, tables, strict=True)], axis=0) for own in rows]
    )
    # Both datasets have as many images, which vary on their own.
    contributed = np.array(
        [
            np.concatenate([t.contributed[r] / len(tables) for r, t in zip(own, tables, strict=True)])
            for own in rows
        ]
    )
    best = int(values.mean(axis=1).argmax())
    found = uncertainty.compare_with_best(values, contributed, best, tables[0].unit)
    whole = recommendation.costs(tables[0]).whole
    return {
        (one.model, one.layer, one.pooling, one.metric): (
            float(values[place].mean()),
            float(whole[rows[place][0]]),
        )
        for place in np.flatnonzero(found.alike)
        for one in [tables[0].experiments[rows[place][0]]]
    }


def parts(chosen: default_configuration.Choice) -> tuple[str, str, str, str]:
    return (chosen.model, chosen.layer, chosen.pooling, chosen.metric)


def test_it_is_the_cheapest_that_can_not_be_told_from_the_best_mean_of_the_shipped_datasets(engine):
    chosen, found = choose(engine), alike(engine, "objects200", "emoji200")
    score, cost = found[parts(chosen)]
    assert cost == min(cost for _, cost in found.values())
    assert f"{score:.1f}" in chosen.why and "emoji200 and objects200" in chosen.why
    assert f"{max(score for score, _ in found.values()):.1f}" in chosen.why


@pytest.mark.parametrize(
    "given",
    [
        {"model": "squeezenet"},
        {"model": "mobilenetv2", "metric": "chebyshev"},
        {"layer": "top_activation"},
        {"metric": "euclidean"},
    ],
)
def test_what_is_given_stays_and_the_rest_is_chosen_with_it(engine, given):
    chosen, found = choose(engine, **given), alike(engine, "objects200", "emoji200", **given)
    names = ("model", "layer", "pooling", "metric")
    assert all(parts(chosen)[names.index(part)] == value for part, value in given.items())
    assert found[parts(chosen)][1] == min(cost for _, cost in found.values())


@pytest.mark.parametrize("name", ["objects200", "emoji200", "fashion1000"])
def test_what_a_dataset_is_searched_under_is_what_home_takes(engine, name):
    table = experiment_table.load(engine.grid.load(name), 10, untrained=False)
    searchable = {one.configuration for one in engine.searchable(engine.grid.dataset(name))}
    within = np.array([one.configuration in searchable for one in table.experiments])
    decided = table.decide(recommendation.separating(table) & within, recommendation.costs(table).whole)
    found = engine.recommended(engine.grid.dataset(name))
    assert found.taken == table.experiments[decided.taken].configuration
    assert found.best == table.experiments[decided.best].configuration
    assert (found.taken_mean, found.best_mean) == pytest.approx(
        (table.means[decided.taken], table.means[decided.best])
    )
    assert found.alike == len(decided.alike)


def test_nothing_is_recommended_of_what_is_not_there(engine):
    grid = engine.grid.load("emoji200")
    unknown = [Configuration("nothing", "imagenet", "layer", "avg", "cosine")]
    assert recommendation.recommend([grid], unknown) is None


def test_where_no_experiment_has_the_pooling_the_layer_is_judged_with_another(engine):
    chosen = choose(engine, model="mobilenetv2", pooling="gem")
    assert (chosen.layer, chosen.pooling) == (choose(engine, model="mobilenetv2").layer, "gem")
    assert "avg pooling" in chosen.why


def test_untrained_weights_are_judged_by_untrained_experiments(engine):
    chosen = choose(engine, weights="untrained", model="resnet50")
    assert chosen.model == "resnet50" and "untrained" in chosen.why


def test_another_dataset_decides_only_where_no_shipped_one_is(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    described = json.loads((SHIPPED / "emoji200" / "dataset.json").read_text())
    (mine / "dataset.json").write_text(json.dumps({**described, "name": "mine"}))
    (mine / "images").symlink_to(SHIPPED / "emoji200" / "images")
    shutil.copytree(SHIPPED / "emoji200" / "squeezenet.imagenet", mine / "squeezenet.imagenet")
    manifest = mine / "squeezenet.imagenet" / "model.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "dataset": "mine"}))
    alone = choose(Engine(Grid(tmp_path)))
    assert alone.model == "squeezenet"
    for name in ("objects200", "emoji200"):
        (tmp_path / name).symlink_to(SHIPPED / name)
    assert parts(choose(Engine(Grid(tmp_path)))) == parts(choose(Engine(Grid(SHIPPED)))) != parts(alone)


def test_without_experiments_it_is_a_default_that_says_so(tmp_path):
    chosen = choose(Engine(Grid(tmp_path / "nothing")))
    assert (chosen.pooling, chosen.metric) == ("avg", "cosine")
    assert chosen.layer == registry.get_model(chosen.model).layers[-2].name
    assert "no experiments" in chosen.why and "default" in chosen.why


def test_what_can_not_be_chosen_for_is_an_error(engine, tmp_path):
    with pytest.raises(UnknownNameError, match="resnet9000"):
        choose(engine, model="resnet9000")
    with pytest.raises(UnknownNameError, match="nowhere"):
        choose(engine, model="squeezenet", layer="nowhere")
    with pytest.raises(CollectionError, match="name its model"):
        choose(engine, layer="nowhere")
    with pytest.raises(CollectionError, match="--model"):
        choose(engine, weights=str(tmp_path / "mine.keras"))


def test_a_collection_is_made_of_the_choice(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "CATALOG_URL", None)
    with Collection.create("pets", folder=tmp_path) as made:
        about = made.about
        assert (about.model, about.layer, about.pooling, made.state.metric) == parts(choose(engine))
    with Collection.create("fish", model="squeezenet", folder=tmp_path) as made:
        assert made.about.layer == choose(engine, model="squeezenet").layer
    with Collection.create("birds", model="squeezenet", layer="fire9_concat", folder=tmp_path) as made:
        assert (made.about.pooling, made.state.metric) == ("avg", "cosine")


@pytest.mark.parametrize("grid", ["shipped", "empty"])
def test_the_command_needs_a_name_only_and_says_what_it_took_without_tensorflow(engine, tmp_path, grid):
    folder: Path = SHIPPED if grid == "shipped" else tmp_path / "empty"
    environment = {
        **os.environ,
        "PLAYGROUND_COLLECTIONS_DIR": str(tmp_path / "collections"),
        "PLAYGROUND_CATALOG_URL": "",
        "PLAYGROUND_GRID_DIR": str(folder),
    }
    script = (
        "import sys; from core.cli import main; code = main(['collection', 'create', 'pets']); "
        "sys.exit(code or 'tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = choose(Engine(Grid(folder)))
    assert f"{expected.model}, layer {expected.layer}" in done.stdout and expected.why in done.stdout
