import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from core.evaluation import agreement


def draws(seed=0, n=40, ties=False):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 3, n))
    b += a
    return (np.round(a), np.round(b)) if ties else (a, b)


@pytest.mark.parametrize("ties", [False, True])
def test_correlations_are_those_of_scipy(ties):
    a, b = draws(ties=ties)
    expected = [(spearmanr(x, y).statistic, kendalltau(x, y).statistic) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(agreement.spearman(a, b), [one for one, _ in expected])
    np.testing.assert_allclose(agreement.kendall(a, b), [one for _, one in expected])
    assert agreement.kendall(a[0], b[0]) == pytest.approx(expected[0][1])


@pytest.mark.parametrize("statistic", [agreement.spearman, agreement.kendall])
def test_the_same_ranking_is_1_the_reverse_is_minus_1_and_no_ranking_0(statistic):
    a, _ = draws()
    assert statistic(a[0], np.exp(a[0])) == pytest.approx(1)
    assert statistic(a[0], -a[0]) == pytest.approx(-1)
    assert statistic(a[0], np.ones(40)) == 0


@pytest.mark.parametrize("statistic", [agreement.spearman, agreement.kendall])
def test_intervals_hold_the_correlation_that_other_pictures_give(statistic):
    rng = np.random.default_rng(2)
    m, n, draws_ = 25, 80, 120
    true = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], m) * 5
    found = []
    for _ in range(draws_):
        sides = []
        for side in (0, 1):
            # What makes a picture hard is hard for all configurations.
            scores = true[:, [side]] + 10 * rng.normal(size=(1, n)) + 15 * rng.normal(size=(m, n))
            means = scores.mean(axis=1)
            sides += [means, (scores - means[:, None]) / np.sqrt(n * (n - 1))]
        found.append(agreement.correlate(statistic, *sides))
    expected = np.mean([one.value for one in found])
    covered = np.mean([one.low <= expected <= one.high for one in found])
    assert 0.4 < expected < 0.9
    assert 0.9 <= covered <= 0.99


def test_without_errors_the_interval_is_the_correlation():
    (a, *_), (b, *_) = draws()
    none = np.zeros((40, 10))
    found = agreement.correlate(agreement.spearman, a, none, b, none)
    assert found.low == pytest.approx(found.value) == pytest.approx(found.high)


def test_too_few_configurations_are_refused():
    with pytest.raises(ValueError, match="three"):
        agreement.correlate(agreement.spearman, np.ones(2), np.ones((2, 5)), np.ones(2), np.ones((2, 5)))
