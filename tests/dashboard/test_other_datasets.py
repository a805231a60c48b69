import shutil

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from core.data import datasets
from core.experiments import experiment_table
from core.experiments.store import Grid
from dashboard.pages.compare.sections import other_datasets
from tests.dashboard.conftest import DATASET, MODELS, write_run
from tests.dashboard.test_compare_page import words


@pytest.fixture
def two_datasets(own_grid_dir):
    """The drawings, and others with the same configurations and one more class of scores."""
    folder = own_grid_dir / "empty"
    dataset = datasets.load(folder)
    for (model, weights), (strength, layers, poolings) in MODELS.items():
        write_run(own_grid_dir, dataset, model, weights, 0.3 * strength, layers, poolings)
    return own_grid_dir


def tables():
    return [experiment_table.load(Grid().load(name), 10, untrained=False) for name in (DATASET, "empty")]


def test_the_correlations_are_those_of_the_mean_scores(two_datasets, open_page):
    here, there = tables()
    found = other_datasets.agree(here, there, "Empty")
    scores = {one.configuration: there.means[place] for place, one in enumerate(there.experiments)}
    both = [(here.means[place], scores[one.configuration]) for place, one in enumerate(here.experiments)]
    a, b = zip(*both, strict=True)
    assert found.configurations == len(both) == 18
    assert found.spearman.value == pytest.approx(spearmanr(a, b).statistic)
    assert found.kendall.value == pytest.approx(kendalltau(a, b).statistic)
    assert found.spearman.low < found.spearman.value < found.spearman.high
    # Of equals the first: all vectors are of the same size.
    best = b[int(np.argmax(a))]
    assert found.lost == pytest.approx(max(b) - best)
    assert found.rank == 1 + sum(score > best + 1e-9 for score in b)
    page = open_page("compare", section="carry")
    assert not page.exception
    assert f"rank correlation {found.spearman.value:.2f}" in words(page)
    [shown] = [frame.value for frame in page.dataframe if "spearman" in frame.value]
    assert shown["kendall"].tolist() == [pytest.approx(found.kendall.value)]


def test_a_dataset_agrees_with_itself(grid_dir):
    here = experiment_table.load(Grid().load(DATASET), 10, untrained=False)
    found = other_datasets.agree(here, here, "itself")
    assert found.spearman.value == found.kendall.value == pytest.approx(1)
    assert (found.rank, found.lost) == (1, 0.0)
    assert "is the best there too" in other_datasets.sentence([found])


@pytest.mark.slow
def test_a_dataset_with_too_little_in_common_is_left_out(two_datasets, open_page):
    for run in (two_datasets / "empty").glob("*.*/"):
        shutil.rmtree(run)
    page = open_page("compare", section="carry")
    assert not page.exception and "No other dataset has 3 or more" in page.info[0].value
    (two_datasets / "empty" / "dataset.json").write_text("{")
    assert not open_page("compare", section="carry").exception
