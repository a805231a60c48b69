"""Expectations over tied distances, compared with the mean over all orders."""

from itertools import permutations

import numpy as np
import pytest

from core.evaluation import comparison, scoring, ties, uncertainty
from tests.evaluation.test_uncertainty import centers, draw

# Of one query: a group of three at the front, one alone, and two at the end with two more behind the end of the list.
DISTANCES = np.array([[1.0, 1.0, 1.0, 2.0, 3.0, 3.0]], np.float32)
SAME = np.array([[True, False, False, True, False, True]])
# Of the two behind the end one is of the query's class, which is number 1.
BEYOND = np.array([[1, 1, 0]])


@pytest.fixture
def tied() -> ties.Ties:
    found = ties.find(DISTANCES, SAME, BEYOND, np.array([1]))
    assert found is not None
    return found


def all_orders() -> np.ndarray:
    """Every order of the groups: (n_orders, 8) bool, the two behind the end among them."""
    last = [False, True, False, True]
    return np.array(
        [[*a, True, *b] for a in permutations([True, False, False]) for b in permutations(last)], bool
    )


def test_the_chance_at_each_place_is_its_share_of_all_orders(tied):
    np.testing.assert_allclose(tied.chance[0], all_orders()[:, :6].mean(axis=0))


@pytest.mark.parametrize("k", range(1, 7))
def test_measures_are_means_over_all_orders(tied, k):
    orders, relevant = all_orders()[:, :6], np.array([4])
    for measure in (scoring.score, scoring.precision_at_k):
        assert measure(tied.chance, k)[0] == pytest.approx(measure(orders, k).mean())
    expected = scoring.average_precision_at_k(orders, k, np.repeat(relevant, len(orders))).mean()
    assert scoring.average_precision_at_k(tied.chance, k, relevant, tied)[0] == pytest.approx(expected)


def test_experiments_side_by_side_take_their_own_ties(tied):
    same, relevant = np.stack([SAME, SAME]), np.array([4])
    scores = comparison.scores(same, 4, {1: tied})
    assert scores[:, 0] == pytest.approx([scoring.score(SAME, 4)[0], scoring.score(tied.chance, 4)[0]])
    precision = comparison.average_precision(same, 4, relevant, {1: tied})
    assert precision[1, 0] == scoring.average_precision_at_k(tied.chance, 4, relevant, tied)[0]
    assert precision[0, 0] != precision[1, 0]


def test_a_tie_decides_who_is_among_the_first_k_where_it_crosses_that_place(tied):
    assert [tied.undecided(k) for k in range(1, 7)] == [1, 1, 0, 0, 1, 1]
    assert tied.saturated(2) and not tied.saturated(3)


def test_a_tie_that_may_go_on_behind_the_end_is_unknown_only_where_it_matters():
    for beyond in (None, np.full((1, 3), -1)):
        found = ties.find(DISTANCES, SAME, beyond, np.array([1]))
        assert found is not None
        assert [found.n_unknown(k) for k in range(1, 7)] == [0, 0, 0, 0, 1, 1]
        assert found.chance[0, 4:].tolist() == [0.5, 0.5]


def test_without_ties_there_is_nothing():
    distances = np.array([[1.0, 2.0]])
    same = np.array([[True, False]])
    assert ties.find(distances, same, np.zeros((1, 2), int), np.array([0])) is None
    assert ties.find(None, same, None, np.array([0])) is None


def test_images_behind_the_end_are_counted_by_class():
    distances = np.array([[3.0, 3.0, np.inf, 5.0], [1.0, 2.0, 2.0, 2.0]])
    counts = ties.behind_the_end(distances, np.array([3.0, 2.0]), np.array([0, 2, 0, 2]))
    assert counts.tolist() == [[1, 0, 1], [1, 0, 2]]


# Intervals


def contributed(
    codes: np.ndarray, ids: np.ndarray, distances: np.ndarray, beyond: np.ndarray | None
) -> np.ndarray:
    same, queries = codes[ids] == codes[:, None], np.arange(len(codes))
    found = ties.find(distances, same, beyond, codes)
    return uncertainty.contributions(
        queries, ids[None], same[None], codes, scoring.gains(10), ties={0: found} if found else {}
    )[0]


def test_contributions_do_not_depend_on_the_order_of_tied_neighbors():
    rng = np.random.default_rng(1)
    codes, ids = draw(rng, centers(1.0), shared=0.5, n=1)
    distances = np.tile(np.repeat(np.arange(5.0), 4), (len(codes), 1))
    shuffled = np.concatenate([rng.permuted(part, axis=1) for part in np.split(ids[0], 5, axis=1)], axis=1)
    none = np.zeros((len(codes), 10), int)
    first, second = (contributed(codes, one, distances, none) for one in (ids[0], shuffled))
    assert not (ids[0] == shuffled).all()
    np.testing.assert_allclose(first, second, atol=1e-5)
    # They are the mean over orders of what each order without ties would give.
    orders = []
    for _ in range(300):
        order = np.concatenate([rng.permuted(part, axis=1) for part in np.split(ids[0], 5, axis=1)], axis=1)
        orders.append(contributed(codes, order, np.tile(np.arange(20.0), (len(codes), 1)), none))
    assert np.corrcoef(first, np.mean(orders, axis=0))[0, 1] > 0.995
    assert np.std(first) == pytest.approx(np.std(np.mean(orders, axis=0)), rel=0.05)


def test_a_configuration_that_separates_nothing_scores_as_chance_does_and_hardly_varies():
    codes = np.repeat(np.arange(10), 20)
    n = len(codes)
    ids = np.array([np.delete(np.arange(n), q)[:20] for q in range(n)])
    same, distances = codes[ids] == codes[:, None], np.full((n, 20), 6.0, np.float32)
    beyond = np.array(
        [
            np.bincount(codes, minlength=10)
            - np.bincount(codes[ids[q]], minlength=10)
            - (np.arange(10) == codes[q])
            for q in range(n)
        ]
    )
    found = ties.find(distances, same, beyond, codes)
    assert found is not None
    # By the lowest id the first class would have 100 and all others 0.
    np.testing.assert_allclose(scoring.score(found.chance, 10), 100 * 19 / 199)
    assert uncertainty.standard_errors(contributed(codes, ids, distances, beyond)) < 0.1
