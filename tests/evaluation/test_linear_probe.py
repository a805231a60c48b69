import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict, cross_val_score

from core.evaluation import linear_probe, uncertainty


def drawn(rng, n_classes=4, per_class=15, dimensions=8, spread=1.2):
    codes = rng.permutation(np.repeat(np.arange(n_classes), per_class))
    return spread * rng.normal(size=(n_classes, dimensions))[codes] + rng.normal(
        size=(len(codes), dimensions)
    ), codes


@pytest.fixture
def folds():
    return StratifiedKFold(5, shuffle=True, random_state=0)


def test_it_is_the_cross_validation_of_scikit_learn(folds):
    vectors, codes = drawn(np.random.default_rng(0))
    scaled = vectors - vectors.mean(axis=0)
    scaled /= np.sqrt(np.square(scaled).sum(axis=1).mean())
    classifier = LogisticRegression(C=100, max_iter=1000)
    expected = cross_val_predict(classifier, scaled, codes, cv=folds) == codes
    found = linear_probe.measure(10 * vectors, codes, 4)
    assert found is not None
    np.testing.assert_array_equal(found.values, expected)
    # The folds are of the same size, so that the mean of their accuracies is the share of all images.
    assert found.values.mean() == pytest.approx(cross_val_score(classifier, scaled, codes, cv=folds).mean())


def test_long_vectors_are_told_by_their_dot_products(folds):
    vectors, codes = drawn(np.random.default_rng(1), dimensions=300, spread=0.15)
    short = linear_probe.isometric(vectors @ vectors.T)
    assert short.shape == (60, 60)
    np.testing.assert_allclose(short @ short.T, vectors @ vectors.T, atol=1e-8)
    found, expected = linear_probe.correct(short, codes), linear_probe.correct(vectors, codes)
    assert found is not None
    np.testing.assert_array_equal(found, expected)
    assert 0.4 < found.mean() < 1


def test_classes_of_one_image_are_never_named_and_one_class_is_not_measured():
    vectors = np.random.default_rng(2).normal(size=(7, 3))
    found = linear_probe.correct(vectors, np.array([0, 0, 0, 1, 1, 1, 2]))
    assert found is not None
    assert not found[6]
    assert linear_probe.correct(vectors, np.zeros(7, int)) is None
    assert linear_probe.correct(vectors, np.arange(7)) is None


def test_vectors_that_are_all_the_same_name_one_class():
    codes = np.repeat(np.arange(2), 10)
    found = linear_probe.correct(np.ones((20, 3)), codes)
    assert found is not None
    assert found.mean() == pytest.approx(0.5)


def test_the_errors_are_those_of_shares_in_classes():
    vectors, codes = drawn(np.random.default_rng(3), spread=0.5)
    found = linear_probe.measure(vectors, codes, 5)
    assert found is not None
    shares = np.array([found.values[codes == code].mean() for code in range(4)])
    # 15 images of each class, unbiased.
    np.testing.assert_allclose(found.class_errors[:4], np.sqrt(shares * (1 - shares) / 14), rtol=1e-5)
    assert np.isnan(found.class_errors[4])
    assert uncertainty.standard_errors(found.contributed) == pytest.approx(
        np.sqrt((found.class_errors[:4] ** 2).sum()) / 4, rel=1e-5
    )


@pytest.mark.slow
def test_the_interval_holds_the_mean_over_other_sets_of_images():
    rng = np.random.default_rng(4)
    places = np.random.default_rng(5).normal(size=(5, 6))
    codes = np.repeat(np.arange(5), 20)
    t = uncertainty.students_quantile(0.975, len(codes) - 5)
    means, reach = [], []
    for _ in range(300):
        one = linear_probe.measure(places[codes] + rng.normal(size=(100, 6)), codes, 5)
        assert one is not None
        means.append(one.values.mean())
        reach.append(t * uncertainty.standard_errors(one.contributed))
    assert np.mean(np.abs(means - np.mean(means)) <= reach) == pytest.approx(0.95, abs=0.03)
