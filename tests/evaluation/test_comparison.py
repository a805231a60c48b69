from itertools import product

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import confusion_matrix

from core.evaluation import comparison, rankings, scoring
from core.evaluation.rankings import Neighbors

RNG = np.random.default_rng(7)


def lists(*rows: list[int]) -> np.ndarray:
    return np.array(rows)


def random_lists(n: int, k: int, n_items: int = 30) -> np.ndarray:
    return np.array([RNG.permutation(n_items)[:k] for _ in range(n)])


def neighbors(queries: list[int], *ids: list[int]) -> Neighbors:
    ids_ = np.array(ids)
    return Neighbors(np.array(queries), ids_, np.zeros(ids_.shape, np.float32))


# Lists of many experiments


def test_stacking_keeps_the_queries_all_have_and_marks_the_end_of_shorter_lists():
    stacked = comparison.stack(
        [neighbors([0, 1, 2], [1, 2], [0, 2], [0, 1]), neighbors([2, 0], [1], [2])],
    )
    assert stacked.queries.tolist() == [0, 2]
    assert stacked.ids.tolist() == [[[1, 2], [0, 1]], [[2, -1], [1, -1]]]
    assert stacked.lengths.tolist() == [2, 1]
    assert stacked.ids.dtype == np.int16


def test_stacking_takes_wider_numbers_for_many_images():
    stacked = comparison.stack([neighbors([0], [40_000])])
    assert stacked.ids.tolist() == [[[40_000]]]


def test_stacking_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing"):
        comparison.stack([])


def test_the_end_of_a_shorter_list_never_shares_the_label():
    same = scoring.same_label(np.array([0]), np.array([[[1, -1]]]), ["a", "a"])
    assert same.tolist() == [[[True, False]]]


def test_scores_of_many_experiments_are_those_of_each():
    same = RNG.random((4, 9, 12)) < 0.4
    relevant = RNG.integers(0, 6, 9)
    for place, one in enumerate(same):
        np.testing.assert_allclose(comparison.scores(same, 5)[place], scoring.score(one, 5))
        np.testing.assert_allclose(
            comparison.average_precision(same, 5, relevant)[place],
            scoring.average_precision_at_k(one, 5, relevant),
        )


# Quality against cost


def test_the_front_of_an_example_goes_from_low_to_high_cost():
    quality = np.array([50, 70, 60, 90, 90, 85])
    cost = np.array([1, 2, 3, 9, 5, 9])
    assert comparison.pareto_front(quality, cost).tolist() == [0, 1, 4]


def test_front_keeps_equals_and_passes_over_what_was_not_measured():
    assert comparison.pareto_front([5, 5, 9, np.nan], [1, 1, np.nan, 0]).tolist() == [0, 1]
    assert comparison.pareto_front([], []).tolist() == []


@pytest.mark.parametrize("seed", range(5))
def test_front_is_complete_and_nothing_on_it_is_beaten(seed: int):
    rng = np.random.default_rng(seed)
    quality, cost = rng.integers(0, 12, 60), rng.integers(0, 12, 60)

    def beaten(i: int) -> bool:
        return any(
            quality[j] >= quality[i] and cost[j] <= cost[i] and (quality[j] > quality[i] or cost[j] < cost[i])
            for j in range(60)
        )

    front = comparison.pareto_front(quality, cost)
    assert set(front) == {i for i in range(60) if not beaten(i)}
    assert (np.diff(cost[front]) >= 0).all()


def test_cheapest_within_a_margin_of_the_best():
    quality, cost = np.array([90, 89.2, 89.0, 88.9]), np.array([10, 5, 4, 1])
    assert comparison.cheapest_within(quality, cost, 1.0) == (0, 2)
    assert comparison.cheapest_within(quality, cost, 0.5) == (0, 0)


def test_cheapest_within_prefers_the_cheaper_of_equally_good_and_needs_numbers():
    assert comparison.cheapest_within([9, 9], [4, 3], 0.0) == (1, 1)
    assert comparison.cheapest_within([np.nan, 5], [1, np.nan], 1.0) is None


# What matters more


def test_variation_of_a_hand_worked_two_by_two():
    # Grand mean 4; total 20; rows give 16, columns 4, nothing is left.
    found = comparison.variation([1, 3, 5, 7], {"model": "aabb", "metric": "xyxy"})
    assert found.main == pytest.approx({"model": 0.8, "metric": 0.2})
    assert found.interactions == pytest.approx(0.0)


def test_variation_that_is_all_interaction():
    found = comparison.variation([1, 0, 0, 1], {"a": "ppqq", "b": "xyxy"})
    assert found.main == pytest.approx({"a": 0.0, "b": 0.0})
    assert found.pairs["a", "b"] == pytest.approx(1.0)


def test_variation_shares_add_up_and_agree_with_least_squares():
    rows = list(product("abc", range(4), "xy"))
    columns = dict(zip(("model", "layer", "metric"), zip(*rows, strict=True), strict=True))
    values = RNG.normal(size=len(rows))
    found = comparison.variation(values, columns)
    assert sum(found.main.values()) + found.interactions == pytest.approx(1.0)
    for name, column in columns.items():
        dummies = np.array([[one == level for level in sorted(set(column))] for one in column], float)
        fitted = dummies @ np.linalg.lstsq(dummies, values, rcond=None)[0]
        assert found.main[name] == pytest.approx(fitted.var() / values.var())


def test_variation_of_equal_values_is_nothing():
    found = comparison.variation([3.0, 3.0], {"model": "ab"})
    assert (found.main, found.interactions) == ({"model": 0.0}, 0)


def test_variation_refuses_a_design_with_a_hole():
    with pytest.raises(ValueError, match="full factorial"):
        comparison.variation([1, 2, 3], {"a": "ppq", "b": "xyx"})


def test_balanced_part_leaves_out_models_that_lack_combinations():
    full = list(product("ab", (1, 2), ("avg", "flatten"), ("cosine", "euclidean")))
    small = list(product("u", (1, 2), ("avg",), ("cosine",)))
    assert comparison.balanced_part(full + small).tolist() == list(range(len(full)))


def test_balanced_part_thins_a_level_that_is_not_everywhere():
    rows = [*product("ab", (1, 2), ("avg", "max")), ("a", 2, "flatten"), ("b", 2, "flatten")]
    part = comparison.balanced_part(rows)
    assert [rows[i] for i in part] == list(product("ab", (1, 2), ("avg", "max")))


def test_balanced_part_of_one_and_of_none():
    assert comparison.balanced_part([("a", 1, "avg")]).tolist() == [0]
    assert comparison.balanced_part([]).tolist() == []


@pytest.mark.parametrize("seed", range(5))
def test_balanced_part_is_always_a_full_design(seed: int):
    rng = np.random.default_rng(seed)
    rows = [row for row in product("abcd", range(4), "xyz", "pq") if rng.random() < 0.8]
    part = [rows[i] for i in comparison.balanced_part(rows)]
    sizes = [len(set(column)) for column in zip(*part, strict=True)]
    assert len(part) == np.prod(sizes)
    comparison.variation(rng.random(len(part)), dict(enumerate(zip(*part, strict=True))))


# Result lists


def test_rank_biased_overlap_of_a_hand_worked_example():
    # Shared at depths 1, 2, 3: 0, 2, 2. 2/3 * .125 + 1 * (0 + 1 * .25 + 2/3 * .125) = .41667
    found = rankings.rank_biased_overlap(lists([1, 2, 3]), lists([2, 1, 4]), p=0.5)
    assert found[0] == pytest.approx(5 / 12)


def test_rank_biased_overlap_follows_the_published_formula():
    a, b, p, k = random_lists(20, 8), random_lists(20, 8), 0.9, 8
    for place, (one, other) in enumerate(zip(a, b, strict=True)):
        x = [len(set(one[:d]) & set(other[:d])) for d in range(1, k + 1)]
        expected = x[-1] / k * p**k + (1 - p) / p * sum(x[d - 1] / d * p**d for d in range(1, k + 1))
        assert rankings.rank_biased_overlap(a, b, p)[place] == pytest.approx(expected)


def test_rank_biased_overlap_is_one_for_the_same_zero_for_nothing_shared_and_symmetric():
    a, b = random_lists(10, 6), random_lists(10, 6)
    np.testing.assert_allclose(rankings.rank_biased_overlap(a, a), 1.0)
    np.testing.assert_array_equal(rankings.rank_biased_overlap(a, a + 100), 0.0)
    np.testing.assert_allclose(rankings.rank_biased_overlap(a, b), rankings.rank_biased_overlap(b, a))


def test_an_early_difference_costs_more_overlap_than_a_late_one():
    a = lists([1, 2, 3, 4, 5])
    early, late = lists([9, 2, 3, 4, 5]), lists([1, 2, 3, 4, 9])
    assert rankings.rank_biased_overlap(a, early)[0] < rankings.rank_biased_overlap(a, late)[0]


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_rank_biased_overlap_refuses_a_p_out_of_range(p: float):
    with pytest.raises(ValueError, match="between 0 and 1"):
        rankings.rank_biased_overlap(lists([1]), lists([1]), p)


def test_rank_biased_overlap_refuses_lists_of_different_lengths():
    with pytest.raises(ValueError, match="one length"):
        rankings.rank_biased_overlap(lists([1, 2]), lists([1]))


def test_shared_counts_images_in_both_lists():
    assert rankings.shared(lists([1, 2], [3, 4]), lists([2, 5], [4, 3])).tolist() == [1, 2]


def test_occurrence_counts_lists_per_image_and_ignores_the_end_of_short_ones():
    ids = np.array([[[1, 2], [2, -1]], [[0, 1], [0, 1]]])
    assert rankings.k_occurrence(ids, 4).tolist() == [[0, 1, 2, 0], [2, 2, 0, 0]]


def test_skewness_agrees_with_scipy_and_is_zero_without_variation():
    counts = RNG.poisson(3, (5, 40))
    np.testing.assert_allclose(rankings.skewness(counts), stats.skew(counts, axis=1))
    assert rankings.skewness([4, 4, 4]) == 0.0


def test_confusion_rows_are_shares_of_neighbors():
    queries, ids, codes = np.array([0, 1, 2]), lists([1, 2], [0, 2], [0, 1]), np.array([0, 0, 1])
    shares, counts = rankings.confusion(queries, ids, codes, 3)
    assert shares.tolist() == [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert counts.tolist() == [2, 1, 0]


def test_confusion_agrees_with_sklearn():
    codes, ids = RNG.integers(0, 4, 30), random_lists(30, 5)
    shares, _ = rankings.confusion(np.arange(30), ids, codes, 4)
    expected = confusion_matrix(np.repeat(codes, 5), codes[ids].ravel(), normalize="true")
    np.testing.assert_allclose(shares, expected)


def test_class_means_are_those_of_each_class():
    values = np.array([[0.0, 100.0, 50.0], [10.0, 20.0, 30.0]])
    means = rankings.class_means(values, np.array([0, 0, 1]), 3)
    assert means[:, :2].tolist() == [[50.0, 50.0], [15.0, 30.0]]
    assert np.isnan(means[:, 2]).all()


def test_disagreement_is_the_standard_deviation_over_experiments():
    assert rankings.disagreement([[0.0, 50.0], [100.0, 50.0]]).tolist() == [50.0, 0.0]


def test_what_changes_one_choice_alone_is_found_for_each():
    rows = [("a", 1, "x"), ("b", 1, "x"), ("a", 2, "x"), ("a", 2, "y"), ("c", 1, "x"), ("a", 3, "x")]
    found = comparison.only_changing(rows, 0)
    assert [places.tolist() for places in found] == [[1, 4], [2, 5], []]
