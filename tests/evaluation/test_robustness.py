import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import binomtest
from sklearn.neighbors import NearestNeighbors

from core.evaluation import robustness, scoring, uncertainty
from core.evaluation.rankings import Neighbors
from core.experiments.runner import nearest_others

N = 60


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(3)
    labels = [f"class {i % 3}" for i in range(N)]
    gallery = rng.normal(size=(N, 8)) + 2 * np.eye(8)[np.arange(N) % 3]
    return gallery, gallery + 0.6 * rng.normal(size=(N, 8)), labels


def measured(distances, labels):
    own = np.arange(len(labels))
    top = min(robustness.TOP, len(labels) - 1)
    others = Neighbors(own, *nearest_others(distances, own, top, scoring.class_codes(labels)))
    return robustness.recognition(robustness.recognized(distances, own), others, labels)


def test_recall_and_precision_are_those_of_scikit_learn(vectors):
    gallery, changed, labels = vectors
    found = measured(cdist(changed, gallery), labels)
    search = NearestNeighbors(n_neighbors=12).fit(gallery)
    nearest = search.kneighbors(changed, return_distance=False)
    assert found.recall == pytest.approx((nearest[:, 0] == np.arange(N)).mean())
    assert 0.2 < found.recall < 1
    others = [[i for i in row if i != own][:10] for own, row in enumerate(nearest)]
    same = np.asarray(labels)[np.array(others)] == np.asarray(labels)[:, None]
    assert found.precision == pytest.approx(same.mean())
    assert found.precision_low < found.precision < found.precision_high


def test_unchanged_pictures_are_all_recognized(vectors):
    gallery, _, labels = vectors
    assert measured(cdist(gallery, gallery), labels).recall == 1.0


def test_pictures_that_are_alike_share_the_first_place():
    gallery = np.array([[0.0], [0.0], [0.0], [5.0]])
    np.testing.assert_allclose(
        robustness.recognized(cdist(gallery, gallery), np.arange(4)), [1 / 3, 1 / 3, 1 / 3, 1]
    )


def test_where_all_distances_are_the_same_recognition_is_chance():
    labels = [f"class {i % 4}" for i in range(40)]
    found = measured(np.zeros((40, 40)), labels)
    assert found.recall == pytest.approx(1 / 40)
    assert found.precision == pytest.approx(9 / 39)


def test_what_float32_leaves_does_not_decide(vectors):
    gallery, _, labels = vectors
    rng = np.random.default_rng(0)
    distances = cdist(gallery, gallery) + 1e-8 * rng.random((N, N))
    assert measured(distances, labels).recall == 1.0


@pytest.mark.parametrize(("hits", "n"), [(0, 24), (13, 200), (200, 200), (1, 2), (999, 1000)])
def test_the_interval_of_a_share_is_that_of_scipy(hits, n):
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    np.testing.assert_allclose(uncertainty.share_interval(hits / n, n), expected, atol=1e-9)


def test_intervals_cover_the_recall_with_other_pictures():
    """Of pictures drawn again and again, as queries and gallery: about 95 of 100 intervals hold the mean."""
    rng = np.random.default_rng(1)
    n, draws = 60, 400
    recalls, intervals = [], []
    for _ in range(draws):
        gallery = rng.normal(size=(n, 6))
        changed = gallery + 0.8 * rng.normal(size=(n, 6))
        own = np.arange(n)
        recalls.append(robustness.recognized(cdist(changed, gallery), own).mean())
        intervals.append(uncertainty.share_interval(recalls[-1], n))
    low, high = np.array(intervals).T
    truth = np.mean(recalls)
    assert 0.3 < truth < 0.9
    assert 0.92 <= ((low <= truth) & (truth <= high)).mean() <= 0.98
