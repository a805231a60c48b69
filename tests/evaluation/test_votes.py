import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from core.evaluation import ties, uncertainty, votes
from core.evaluation.measures import KNN, MEASURES, Results
from tests.evaluation.test_uncertainty import PER_CLASS, centers, draw


def results(codes, ids):
    same = codes[ids] == codes[:, None]
    return Results(np.arange(len(codes)), ids, same, codes, np.bincount(codes)[codes] - 1)


@pytest.mark.parametrize("k", [1, 5, 10])
def test_it_is_the_classifier_of_scikit_learn_without_the_query(k):
    rng = np.random.default_rng(0)
    codes = rng.permutation(np.repeat(np.arange(4), 15))
    points = centers(1.0, n=4, dimensions=3)[codes] + rng.normal(size=(60, 3))
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distances, np.inf)
    labels = codes[np.argsort(distances, axis=1)[:, :20]]
    found = votes.correct(labels, codes, k, 4)
    decided = 0
    for query in range(60):
        others = np.arange(60) != query
        classifier = KNeighborsClassifier(k).fit(points[others], codes[others])
        [shares] = classifier.predict_proba(points[[query]])
        winners = np.flatnonzero(shares == shares.max())
        assert found[query] == pytest.approx((codes[query] in winners) / len(winners))
        decided += len(winners) == 1
    assert decided > 30


def test_equally_far_images_have_a_part_of_a_vote_each():
    labels = np.array([[0, 1, 1, 1]])
    tied = ties.find(np.array([[1.0, 2.0, 2.0, 2.0]]), labels == 0, np.zeros((1, 2), int), np.array([0]))
    # One vote for class 0, and of two votes for class 1 two thirds each.
    assert votes.correct(labels, np.array([0]), 3, 2, tied).tolist() == [0.0]
    assert votes.correct(labels, np.array([1]), 3, 2, tied).tolist() == [1.0]
    # One vote each.
    assert votes.correct(labels, np.array([0]), 2, 2, tied).tolist() == [0.5]


def test_places_behind_the_end_have_no_vote_and_no_vote_names_nothing():
    labels = np.array([[1, -1, -1], [-1, -1, -1]])
    assert votes.correct(labels, np.array([1, 1]), 3, 2).tolist() == [1.0, 0.0]


def test_what_every_image_says_rightly_does_not_vary():
    codes, ids = draw(np.random.default_rng(1), centers(100.0), shared=0.5, n=1)
    found = MEASURES[KNN].contributions(results(codes, ids), 5)
    assert uncertainty.standard_errors(found)[0] < 0.5
    assert np.allclose([found[0, codes == code].sum() for code in range(10)], 0, atol=1e-3)


def test_a_class_that_is_asked_alone_varies_more():
    codes, ids = draw(np.random.default_rng(2), centers(1.5), shared=0.5, n=1)
    some = results(codes, ids)
    everyone = MEASURES[KNN].contributions(some, 5)
    one = MEASURES[KNN].contributions(some, 5, codes == 3)
    assert uncertainty.standard_errors(one)[0] > uncertainty.standard_errors(everyone)[0] > 0


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 5, 10])
def test_intervals_hold_the_mean_and_equal_configurations_rarely_differ(k):
    rng, measure = np.random.default_rng(3), MEASURES[KNN]
    means, reach, certain = [], [], []
    t = uncertainty.students_quantile(0.975, 10 * PER_CLASS - 10)
    for _ in range(500):
        codes, ids = draw(rng, centers(1.5), shared=0.5)
        some = results(codes, ids)
        values, contributed = measure.values(some, k), measure.contributions(some, k)
        means.append(values.mean(axis=1))
        reach.append(t * uncertainty.standard_errors(contributed))
        gap = uncertainty.difference(*values, contributed[0] - contributed[1], codes, measure.unit(k, False))
        certain.append(gap.certain)
    assert np.mean(np.abs(means - np.mean(means)) <= reach) == pytest.approx(0.955, abs=0.025)
    assert np.mean(certain) <= 0.06
