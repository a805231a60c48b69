import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from core.evaluation import scoring, ties, uncertainty
from core.evaluation.measures import MEASURES, Results
from tests.evaluation.test_uncertainty import PER_CLASS, centers, draw

LINEAR = [name for name, one in MEASURES.items() if one.gains is not None]


def drawn(n=2):
    codes, ids = draw(np.random.default_rng(0), centers(1.5), shared=0.5, n=n)
    same = codes[ids] == codes[:, None]
    return Results(np.arange(len(codes)), ids, same, codes, np.full(len(codes), PER_CLASS - 1))


def test_measures_of_lists_are_those_of_scoring():
    some, k = drawn(), 10
    for place, same in enumerate(some.same):
        expected = {
            "score": scoring.score(same, k),
            "precision": 100 * scoring.precision_at_k(same, k),
            "recall": 100 * scoring.recall_at_k(same, k, some.relevant),
            "ndcg": 100 * scoring.ndcg_at_k(same, k, some.relevant),
            "nearest": 100 * same[:, 0],
        }
        for name, values in expected.items():
            np.testing.assert_allclose(MEASURES[name].values(some, k)[place], values)


def test_ndcg_is_that_of_scikit_learn():
    some, k = drawn(1), 5
    found = MEASURES["ndcg"].values(some, k)[0]
    for query in range(0, 200, 20):
        relevance = np.zeros(199)
        relevance[: PER_CLASS - 1] = 1
        good = some.same[0, query, :k]
        # The first five in order: good and bad images as they come, all others behind them.
        order = np.concatenate(
            [np.flatnonzero(relevance == 1)[: good.sum()], np.flatnonzero(relevance == 0)[: (~good).sum()]]
        )
        scores = np.zeros(199)
        scores[order[np.argsort(np.argsort(~good, kind="stable"))]] = 10 - np.arange(k)
        assert found[query] == pytest.approx(100 * ndcg_score([relevance], [scores], k=k))


@pytest.mark.parametrize("name", ["precision", "recall", "ndcg", "nearest", "knn"])
def test_values_where_images_are_equally_far_are_those_of_the_mean_order(name):
    codes = np.array([0, 0, 1, 1])
    ids = np.array([[[1, 2, 3], [0, 2, 3], [3, 0, 1], [2, 0, 1]]])
    same = codes[ids] == codes[:, None]
    distances = np.array([[1.0, 1.0, 2.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    tied = ties.find(distances, same[0], np.zeros((4, 2), int), codes)
    some = Results(np.arange(4), ids, same, codes, np.ones(4, int), {0: tied})
    swapped = ids.copy()
    swapped[0, 0, :2] = [2, 1]
    orders = [
        Results(np.arange(4), one, codes[one] == codes[:, None], codes, np.ones(4, int))
        for one in (ids, swapped)
    ]
    expected = np.mean([MEASURES[name].values(one, 1) for one in orders], axis=0)
    np.testing.assert_allclose(MEASURES[name].values(some, 1), expected)


@pytest.mark.parametrize("name", LINEAR)
def test_what_can_be_reached_is_what_the_best_order_has(name):
    relevant = np.array([0, 1, 4, 30])
    same = np.arange(40) < relevant[:, None]
    some = Results(np.arange(4), np.zeros((1, 4, 40), int), same[None], np.zeros(31, int), relevant)
    assert MEASURES[name].attainable(relevant, 10) == pytest.approx(MEASURES[name].values(some, 10).mean())


@pytest.mark.slow
@pytest.mark.parametrize("name", LINEAR)
def test_intervals_hold_the_mean(name):
    rng, k, measure = np.random.default_rng(1), 10, MEASURES[name]
    means, reach = [], []
    t = uncertainty.students_quantile(0.975, 10 * PER_CLASS - 10)
    for _ in range(500):
        codes, ids = draw(rng, centers(1.5), shared=0.5)
        some = Results(np.arange(200), ids, codes[ids] == codes[:, None], codes, np.full(200, PER_CLASS - 1))
        means.append(measure.values(some, k).mean(axis=1))
        reach.append(t * uncertainty.standard_errors(measure.contributions(some, k)))
    assert np.mean(np.abs(means - np.mean(means)) <= reach) == pytest.approx(0.955, abs=0.025)
