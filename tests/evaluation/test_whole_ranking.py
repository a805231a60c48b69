from itertools import permutations, product

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score

from core.evaluation import measured, uncertainty, whole_ranking
from core.evaluation.whole_ranking import MAP, MRR, WholeRankings
from tests.evaluation.test_uncertainty import PER_CLASS, centers


def of(distances, codes):
    found = WholeRankings(codes, int(codes.max()) + 1)
    found.add(np.arange(len(codes)), np.asarray(distances, float))
    return found.result()


def drawn(rng, n=12, n_classes=3):
    points = rng.normal(size=(n, 2))
    return np.linalg.norm(points[:, None] - points, axis=2), rng.permutation(np.arange(n) % n_classes)


def others(distances, codes, query):
    """Distances of the others, and which of them share the class."""
    there = np.arange(len(codes)) != query
    return distances[query][there], codes[there] == codes[query]


def test_average_precision_is_that_of_scikit_learn():
    distances, codes = drawn(np.random.default_rng(0), n=40)
    expected = [
        average_precision_score(good, -near)
        for near, good in (others(distances, codes, query) for query in range(40))
    ]
    np.testing.assert_allclose(of(distances, codes)[MAP].values, expected, rtol=1e-6)


def test_reciprocal_rank_is_that_of_scikit_learn_for_the_nearest_good_one():
    distances, codes = drawn(np.random.default_rng(1), n=40)
    expected = []
    for query in range(40):
        near, good = others(distances, codes, query)
        # With one relevant image the label ranking average precision is the reciprocal of its rank.
        first = good & (near == near[good].min())
        expected.append(label_ranking_average_precision_score([first], [-near]))
    np.testing.assert_allclose(of(distances, codes)[MRR].values, expected, rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_values_are_means_over_all_orders_of_equally_far_images(seed):
    rng = np.random.default_rng(seed)
    codes = np.array([0, 0, 0, 1, 1, 2, 0])
    distances = rng.integers(0, 3, (7, 7)).astype(float)
    found = of(distances, codes)
    for query in range(7):
        near, good = others(distances, codes, query)
        precisions, reciprocals = [], []
        for order in permutations(range(6)):
            order = np.array(order)
            if (np.diff(near[order]) < 0).any():
                continue
            ranked = good[order]
            ranks = np.flatnonzero(ranked) + 1
            precisions.append(np.mean(np.arange(1, len(ranks) + 1) / ranks) if len(ranks) else 0)
            reciprocals.append(1 / ranks[0] if len(ranks) else 0)
        assert found[MAP].values[query] == pytest.approx(np.mean(precisions))
        assert found[MRR].values[query] == pytest.approx(np.mean(reciprocals))


def test_queries_can_be_added_a_few_at_a_time():
    distances, codes = drawn(np.random.default_rng(2), n=30)
    some = WholeRankings(codes, 3)
    for rows in np.split(np.arange(30), [7, 20]):
        some.add(rows, distances[rows])
    for name, whole in of(distances, codes).items():
        part = some.result()[name]
        np.testing.assert_allclose(part.values, whole.values)
        np.testing.assert_allclose(part.influence, whole.influence, atol=1e-9)
        np.testing.assert_allclose(part.class_errors, whole.class_errors)


def precision(distances, codes, query, kept):
    near, good = others(distances, codes, query)
    there = np.delete(kept, query)
    return average_precision_score(good[there], -near[there]) if good[there].any() else 0.0


def test_an_image_adds_to_the_average_precision_what_is_missing_without_it():
    distances, codes = drawn(np.random.default_rng(3))
    n, everyone = len(codes), np.ones(12, bool)
    values = [precision(distances, codes, query, everyone) for query in range(n)]
    as_neighbor = np.zeros((3, n))
    for item in range(n):
        kept = np.arange(n) != item
        for query in np.flatnonzero(kept):
            as_neighbor[codes[query], item] += values[query] - precision(distances, codes, query, kept)
    expected = measured.assemble(np.array(values), np.array(values), as_neighbor, codes, 3)
    found = of(distances, codes)[MAP]
    np.testing.assert_allclose(found.influence, expected.influence, atol=1e-6)
    np.testing.assert_allclose(found.class_errors, expected.class_errors, atol=1e-6)


def test_an_image_adds_to_the_reciprocal_rank_what_all_ways_to_leave_images_out_say():
    distances, codes = drawn(np.random.default_rng(4), n=9)
    n, left_out = 9, uncertainty.LEFT_OUT
    share = 1 - left_out
    sums = np.zeros((n, n, 2))
    expected = np.zeros(n)
    for choice in product((False, True), repeat=n - 1):
        chance = np.prod(np.where(choice, share, left_out))
        for query in range(n):
            kept = np.insert(np.array(choice), query, True)
            near, good = others(distances, codes, query)
            ranked = good[kept[np.arange(n) != query]][np.argsort(near[kept[np.arange(n) != query]])]
            value = 1 / (1 + np.argmax(ranked)) if ranked.any() else 0.0
            # As much as with all images can be reached: both others of the class are left out in some.
            value /= 1 - left_out**2
            expected[query] += chance * value
            sums[query, np.arange(n), kept.astype(int)] += chance * value
    effects = sums[:, :, 1] / share - sums[:, :, 0] / left_out
    effects[np.arange(n), np.arange(n)] = 0
    as_neighbor = share * np.array([effects[codes == code].sum(axis=0) for code in range(3)])
    by_hand = measured.assemble(expected, expected, as_neighbor, codes, 3)
    found = of(distances, codes)[MRR]
    np.testing.assert_allclose(found.influence, by_hand.influence, atol=1e-6)
    np.testing.assert_allclose(found.class_errors, by_hand.class_errors, atol=1e-6)


def test_images_without_another_of_their_class_find_nothing_and_vary_nothing():
    distances = np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0.0]])
    found = of(distances, np.array([0, 1, 2]))
    for one in found.values():
        assert one.values.tolist() == [0, 0, 0]
        assert one.influence.tolist() == [0, 0, 0]


def test_contributions_are_those_of_as_many_images_as_were_read():
    one = measured.Measured(np.array([1.0, 0.0]), np.array([0.5, -0.5]), np.array([0.1]))
    wider = one.spread(np.array([0, 2]), 3)
    assert np.isnan(wider.values).tolist() == [False, True, False]
    assert wider.contributed.tolist() == [0.25, 0.0, -0.25]


@pytest.mark.slow
def test_intervals_hold_the_mean_and_equal_configurations_rarely_differ():
    rng = np.random.default_rng(5)
    spread = centers(1.5)
    codes = np.repeat(np.arange(len(spread)), PER_CLASS)
    means, reach, class_means, class_reach, certain = ({MAP: [], MRR: []} for _ in range(5))
    t = uncertainty.students_quantile(0.975, len(codes) - len(spread))
    class_t = uncertainty.students_quantile(0.975, PER_CLASS - 1)
    for _ in range(400):
        common, pair = rng.normal(size=(len(codes), spread.shape[1])), []
        for _ in range(2):
            own = rng.normal(size=common.shape)
            vectors = spread[codes] + np.sqrt(0.5) * (common + own)
            pair.append(of(np.linalg.norm(vectors[:, None] - vectors, axis=2), codes))
        for name in (MAP, MRR):
            a, b = (one[name] for one in pair)
            means[name].append(a.values.mean())
            reach[name].append(t * uncertainty.standard_errors(a.contributed))
            class_means[name].append(a.values[codes == 4].mean())
            class_reach[name].append(class_t * a.class_errors[4])
            gap = uncertainty.difference(a.values, b.values, a.contributed - b.contributed, codes, 1e-3)
            certain[name].append(gap.certain)
    for name in (MAP, MRR):
        inside = np.abs(means[name] - np.mean(means[name])) <= reach[name]
        assert np.mean(inside) == pytest.approx(0.955, abs=0.025)
        within = np.abs(class_means[name] - np.mean(class_means[name])) <= class_reach[name]
        assert np.mean(within) >= 0.92
        assert np.mean(certain[name]) <= 0.07


def test_the_functions_need_no_good_neighbor():
    same = np.array([[False, True, True], [False, False, False]])
    assert whole_ranking.reciprocal_rank(same).tolist() == [0.5, 0.0]
