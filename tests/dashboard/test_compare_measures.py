"""Compare and Home by every measure: order, intervals, rivals, filters, and experiments that were not measured."""

from dataclasses import replace

import numpy as np
import pytest

from core.data import datasets
from core.evaluation import uncertainty
from core.evaluation.measures import MEASURES
from core.experiments import experiment_table, query_scores, store
from core.experiments.store import Grid
from dashboard import url
from tests.dashboard.conftest import DATASET

STORED = [name for name, one in MEASURES.items() if one.stored]


def words(page):
    return "\n".join(
        str(part.value) for kind in ("markdown", "caption", "header", "subheader") for part in page.get(kind)
    )


@pytest.fixture
def partly_measured(own_grid_dir):
    """The grid, where one of the two trained models was computed by an earlier version."""
    dataset = datasets.load(own_grid_dir / DATASET)
    run = Grid(own_grid_dir).run(dataset, "plain", "imagenet")
    contents = run.read_all()
    bare = [replace(one, measures={}) for one in contents.experiments]
    store.write_run(own_grid_dir / DATASET, dataset, run.about, replace(contents, experiments=bare))
    return own_grid_dir


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_has_an_order_intervals_and_rivals(grid_dir, name):
    grid = Grid().load(DATASET)
    table = experiment_table.load(grid, 10, untrained=False, by=name)
    np.testing.assert_allclose(table.means, table.quality[name], atol=1e-4)
    assert table.best == table.order[0] == int(np.argmax(np.round(table.means, 9)))
    low, high = table.intervals
    assert (low <= table.means).all() and (table.means <= high).all()
    assert table.certainty.alike[table.best]
    assert table.certainty.probability.sum() == pytest.approx(1)
    assert table.means.max() <= table.attainable + 1e-3
    decided = table.decide(np.ones(len(table.experiments), bool), table.costs["size"])
    assert table.best in decided.alike


@pytest.mark.parametrize("name", MEASURES)
def test_a_pair_and_the_intervals_of_classes_follow_the_measure(grid_dir, name):
    grid = Grid().load(DATASET)
    table = experiment_table.load(grid, 10, untrained=False, by=name)
    a, b = table.order[0], table.order[-1]
    one, other = (query_scores.values(grid, table.experiments[place], 10, name) for place in (a, b))
    np.testing.assert_allclose(one.values, table.scores[a])
    gap, same = query_scores.difference(one, other), table.difference(a, b)
    assert (gap.mean, gap.low, gap.high) == pytest.approx((same.mean, same.low, same.high), abs=1e-3)
    labels = np.array(table.labels)
    for label in set(table.labels):
        low, high = table.class_interval(a, label)
        assert low <= table.scores[a, labels[table.queries] == label].mean() <= high


def test_values_of_other_measures_are_not_compared(grid_dir):
    grid = Grid().load(DATASET)
    one = grid.summaries[0]
    with pytest.raises(ValueError, match="mAP and MRR"):
        query_scores.difference(*(query_scores.values(grid, one, 10, name) for name in ("map", "mrr")))


def test_the_error_of_a_stored_mean_is_that_of_its_influence(grid_dir):
    table = experiment_table.load(Grid().load(DATASET), 10, untrained=False, by="map")
    low, high = table.intervals
    middle = int(np.argmin(np.abs(table.means - 60)))
    reach = uncertainty.students_quantile(0.975, 21) * uncertainty.standard_errors(table.contributed[middle])
    assert high[middle] - table.means[middle] == pytest.approx(min(reach, 100 - table.means[middle]))
    assert low[middle] < table.means[middle]


def test_stored_measures_are_not_divided_in_halves(grid_dir):
    grid = Grid().load(DATASET)
    assert experiment_table.load(grid, 10, untrained=False, halves=True, by="mrr").chosen_on is None
    assert experiment_table.load(grid, 10, untrained=False, halves=True, by="knn").chosen_on is not None


def test_experiments_that_were_not_measured_are_left_out_and_named(partly_measured, open_page):
    grid = Grid().load(DATASET)
    table = experiment_table.load(grid, 10, untrained=False, by="map")
    assert {one.model for one in table.experiments} == {"good"}
    assert any("6 experiments have no mAP" in notice for notice in table.notices)
    by_score = experiment_table.load(grid, 10, untrained=False)
    assert np.isnan(by_score.quality["map"]).sum() == 6
    page = open_page("compare", section="leaderboard", **{url.LOWEST["map"]: 1})
    assert "**12** of 18 configurations" in words(page)
    page = open_page("compare", section="pair", by="map", model="good", model2="plain")
    assert any("no mAP" in error.value for error in page.error)


def test_measures_that_nothing_has_are_not_offered(partly_measured, open_page):
    for path in (partly_measured / DATASET).glob("good.*/model.json"):
        dataset = datasets.load(partly_measured / DATASET)
        run = store.StoredRun(path.parent, dataset)
        contents = run.read_all()
        bare = [replace(one, measures={}) for one in contents.experiments]
        store.write_run(partly_measured / DATASET, dataset, run.about, replace(contents, experiments=bare))
    page = open_page("compare", by="map")
    assert page.selectbox(key="pick-measure").value == "score"
    assert set(STORED).isdisjoint(experiment_table.known_measures(Grid().load(DATASET), untrained=True))
    assert any("map" in warning.value for warning in page.warning)


@pytest.mark.parametrize(
    "section",
    ["overview", "leaderboard", "cost", "factors", "pair", "pictures", "classes", "carry", "export"],
)
@pytest.mark.parametrize("name", ["map", "recall"])
def test_every_section_is_shown_by_the_measure(grid_dir, open_page, section, name):
    page = open_page("compare", section=section, by=name)
    assert not page.exception and not page.warning and not page.error
    assert page.query_params["by"] == [name] or page.query_params["by"] == name


def test_the_leaderboard_sorts_by_the_measure_and_filters_by_all(grid_dir, open_page):
    shown = open_page("compare", section="leaderboard", by="recall").dataframe[0].value
    assert (np.diff(shown["recall@10"]) <= 1e-9).all()
    assert {one.label_at(10) for one in MEASURES.values()} <= set(shown.columns)
    page = open_page("compare", section="leaderboard")
    lowest = float(np.median(page.dataframe[0].value["mAP"]))
    page = page.number_input(key=str(url.LOWEST["map"])).set_value(round(lowest)).run()
    kept = page.dataframe[0].value["mAP"]
    assert 0 < len(kept) < 18
    assert kept.min() >= round(lowest)


def test_home_decides_by_the_measure(grid_dir, open_page):
    page = open_page("home", dataset=DATASET, by="probe")
    assert page.selectbox(key="pick-measure").value == "probe"
    table = experiment_table.load(Grid().load(DATASET), 10, untrained=False, by="probe")
    [shown] = [metric.value for metric in page.metric if "probe" in metric.label]
    assert shown in {f"{mean:.1f}" for mean in table.means}
    page = page.selectbox(key="pick-measure").select("mrr").run()
    assert any(metric.label == "MRR" for metric in page.metric)
