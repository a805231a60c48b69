import numpy as np
import pytest

from core.evaluation import decision, uncertainty
from tests.evaluation.test_uncertainty import centers, draw, measured


@pytest.fixture(scope="module")
def compared() -> tuple[np.ndarray, np.ndarray]:
    """Scores and contributions: three that are equally good, and two that are clearly worse."""
    codes, good = draw(np.random.default_rng(10), centers(2.0), shared=0.9, n=3)
    _, bad = draw(np.random.default_rng(10), centers(0.5), shared=0.5)
    return measured(codes, np.concatenate([good, bad]))


COST = np.array([3.0, 1.0, 2.0, 0.1, 0.2])
ALL = np.ones(5, bool)


def decide(compared, cost=COST, within=ALL, quality=None):
    scores, contributed = compared
    means = scores.mean(axis=1)
    return decision.decide(means if quality is None else quality, scores, contributed, cost, within, 100 / 55)


def test_among_equals_the_cheapest_is_taken_and_what_is_worse_never(compared):
    found = decide(compared)
    assert found.alike.tolist() == [1, 2, 0]
    assert found.taken == 1
    assert found.best == compared[0].mean(axis=1).argmax()


def test_of_equally_cheap_ones_the_highest_mean_is_taken(compared):
    found = decide(compared, cost=np.ones(5))
    assert found.taken == found.best


def test_limits_leave_the_best_out_and_the_comparison_is_among_the_rest(compared):
    assert decide(compared, within=np.array([True, False, False, True, True])).alike.tolist() == [0]
    worse = decide(compared, within=COST < 1)
    assert set(worse.alike) <= {3, 4}
    assert decide(compared, within=np.zeros(5, bool)) is None


def test_a_cost_that_is_not_known_is_the_highest(compared):
    found = decide(compared, cost=np.array([3.0, np.nan, 2.0, 0.1, 0.2]))
    assert found.alike.tolist() == [2, 0, 1]


def test_those_that_are_alike_are_those_of_the_comparison_with_the_best(compared):
    scores, contributed = compared
    best = int(scores.mean(axis=1).argmax())
    alike = uncertainty.compare_with_best(scores, contributed, best, 100 / 55).alike
    assert set(decide(compared).alike) == set(np.flatnonzero(alike))


def test_examples_are_a_weak_a_typical_and_a_strong_search_of_different_classes():
    scores, codes = np.arange(100.0), np.arange(100) % 3
    rows = decision.examples(scores, codes)
    assert rows == sorted(rows)
    assert np.abs(scores[rows] - [25, 50, 75]).max() < 3
    assert len(set(codes[rows])) == 3
    assert decision.examples(np.array([1.0, 2.0]), np.array([0, 0])) == [0, 0, 1]
