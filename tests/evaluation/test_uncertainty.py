from itertools import product

import numpy as np
import pytest
from scipy import stats

from core.evaluation import comparison, scoring, uncertainty

N_CLASSES, PER_CLASS, TOP = 10, 20, 20


def draw(
    rng: np.random.Generator, classes: np.ndarray, shared: float, n: int = 2, per_class: int = PER_CLASS
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of classes around their centers, and the neighbors of each under some embeddings that are equally good.

    Returns
    -------
    codes : (n_items,); ids : (n, n_items, 20) nearest first.
    """
    codes = np.repeat(np.arange(len(classes)), per_class)
    common = rng.normal(size=(len(codes), classes.shape[1]))
    found = []
    for _ in range(n):
        own = rng.normal(size=common.shape)
        vectors = classes[codes] + np.sqrt(shared) * common + np.sqrt(1 - shared) * own
        squares = (vectors**2).sum(axis=1)
        distances = squares[:, None] + squares - 2 * vectors @ vectors.T
        np.fill_diagonal(distances, np.inf)
        nearest = np.argpartition(distances, TOP, axis=1)[:, :TOP]
        order = np.argsort(np.take_along_axis(distances, nearest, 1), axis=1)
        found.append(np.take_along_axis(nearest, order, 1))
    return codes, np.array(found)


def measured(codes: np.ndarray, ids: np.ndarray, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n, n_items) and contributions (n, n_items)."""
    same = codes[ids] == codes[:, None]
    scores = np.array([scoring.score(one, k) for one in same])
    return scores, uncertainty.contributions(np.arange(len(codes)), ids, same, codes, scoring.gains(k))


def centers(spread: float, n: int = N_CLASSES, dimensions: int = 6) -> np.ndarray:
    return spread * np.random.default_rng(3).normal(size=(n, dimensions))


# What a picture contributes


def test_contributions_are_those_of_all_ways_to_leave_pictures_out():
    codes = np.array([0, 0, 0, 1, 1, 1, 0, 1])
    n, k = len(codes), 2
    rng = np.random.default_rng(0)
    ids = np.array([rng.permutation(np.delete(np.arange(n), q)) for q in range(n)])
    same = codes[ids] == codes[:, None]
    gains = scoring.gains(k)
    sums = np.zeros((n, 2))
    # A score is measured by what all pictures allow: the three others of a class fill two places.
    allowed = gains @ [stats.binom.sf(rank, 3, 1 - uncertainty.LEFT_OUT) for rank in range(k)] / 100.0
    for kept in product((False, True), repeat=n):
        keep = np.array(kept)
        chance = np.prod(np.where(keep, 1 - uncertainty.LEFT_OUT, uncertainty.LEFT_OUT))
        total = 0.0
        for q in range(n):
            found = same[q][keep[ids[q]]][:k]
            total += keep[q] * (gains[: len(found)] @ found) / allowed
        for j in range(n):
            sums[j, int(keep[j])] += chance * total
    share = 1 - uncertainty.LEFT_OUT
    raw = sums[:, 1] / share - sums[:, 0] / (1 - share)
    expected = np.zeros(n)
    for code in (0, 1):
        members = codes == code
        expected[members] = (raw[members] - raw[members].mean()) * np.sqrt(4 / 3) / n
    found = uncertainty.contributions(np.arange(n), ids[None], same[None], codes, gains)[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_interval_is_about_that_of_a_drawn_delete_d_jackknife():
    rng = np.random.default_rng(4)
    codes, ids = draw(rng, centers(1.5), shared=0.5)
    scores, contributed = measured(codes, ids)
    same, d = codes[ids] == codes[:, None], PER_CLASS // 4
    means = []
    for _ in range(400):
        keep = np.ones(len(codes), bool)
        for code in range(N_CLASSES):
            keep[rng.permutation(np.flatnonzero(codes == code))[:d]] = False
        rank = np.cumsum(keep[ids], axis=-1)
        gain = np.where(
            keep[ids] & (rank <= 10), np.append(scoring.gains(10), 0)[np.minimum(rank, 11) - 1], 0
        )
        means.append((gain * same).sum(axis=-1)[:, keep].mean(axis=1))
    means = np.array(means)
    drawn = np.sqrt((PER_CLASS - d) / d) * np.append(means, means[:, :1] - means[:, 1:], axis=1).std(axis=0)
    closed = uncertainty.standard_errors(np.vstack([contributed, contributed[:1] - contributed[1:]]))
    np.testing.assert_allclose(closed, drawn, rtol=0.15)
    # Queries alone vary by much less.
    assert scores.std(axis=1).mean() / np.sqrt(len(codes)) < 0.85 * closed[:2].mean()


def test_contributions_of_a_class_add_up_to_zero_also_where_only_some_pictures_are_asked():
    rng = np.random.default_rng(5)
    codes, ids = draw(rng, centers(1.0), shared=0.5)
    same = codes[ids] == codes[:, None]
    asked = rng.random(len(codes)) < 0.5
    found = uncertainty.contributions(np.arange(len(codes)), ids, same, codes, scoring.gains(10), asked=asked)
    sums = np.array([found[:, codes == code].sum(axis=1) for code in range(N_CLASSES)])
    np.testing.assert_allclose(sums, 0, atol=1e-4)
    everything = measured(codes, ids)[1]
    assert (uncertainty.standard_errors(found) > uncertainty.standard_errors(everything)).all()


def test_queries_may_be_some_of_the_pictures_and_lists_may_end_early():
    queries, codes = np.array([1, 3]), np.array([0, 0, 1, 1, 2])
    ids = np.array([[[0, 3], [2, -1]]])
    same = scoring.same_label(queries, ids, ["a", "a", "b", "b", "c"])
    found = uncertainty.contributions(queries, ids, same, codes, scoring.gains(2))
    assert found.shape == (1, 5)
    assert np.isfinite(found).all()


def test_a_configuration_that_finds_everything_has_no_spread():
    codes, ids = draw(np.random.default_rng(6), centers(100.0), shared=0.5)
    scores, contributed = measured(codes, ids)
    low, high = uncertainty.interval(scores.mean(axis=1), contributed, codes, highest=100.0)
    assert scores.min() == 100
    assert low == pytest.approx(100, abs=0.5)
    assert high.max() <= 100


@pytest.mark.parametrize("freedom", [5, 12, 190])
@pytest.mark.parametrize("probability", [0.9, 0.975])
def test_students_quantile_agrees_with_scipy(probability, freedom):
    expected = stats.t.ppf(probability, freedom)
    assert uncertainty.students_quantile(probability, freedom) == pytest.approx(expected, abs=0.01)


# Differences


def test_the_difference_of_a_configuration_from_itself_is_nothing():
    codes, ids = draw(np.random.default_rng(7), centers(1.0), shared=0.5)
    scores, contributed = measured(codes, ids)
    gap = uncertainty.difference(scores[0], scores[0], contributed[0] - contributed[0], codes, 100 / 55)
    assert (gap.mean, gap.low, gap.high, gap.differing, gap.p) == (0, 0, 0, 0, 1)
    assert not gap.certain


def test_a_difference_turns_with_its_sides():
    codes, ids = draw(np.random.default_rng(8), centers(1.0), shared=0.5)
    (a, b), (of_a, of_b) = measured(codes, ids)
    one = uncertainty.difference(a, b, of_a - of_b, codes, 100 / 55)
    other = uncertainty.difference(b, a, of_b - of_a, codes, 100 / 55)
    assert (one.mean, one.low, one.high) == pytest.approx((-other.mean, -other.high, -other.low))
    assert one.low < one.mean < one.high
    assert one.p is other.p is None


def test_four_images_that_differ_decide_nothing_and_six_do():
    def gap(differing: int) -> uncertainty.Difference:
        a = np.where(np.arange(200) < differing, 60.0, 50.0)
        return uncertainty.difference(a, np.full(200, 50.0), np.zeros(200), np.zeros(200, int), 10.0)

    assert gap(4).p == pytest.approx(0.125)
    assert not gap(4).certain
    assert gap(6).p == pytest.approx(2 / 64)
    assert gap(6).certain


@pytest.mark.parametrize("seed", range(5))
def test_the_sign_flip_test_agrees_with_scipy(seed):
    gaps = np.random.default_rng(seed).integers(-20, 30, 11)
    expected = stats.permutation_test((gaps,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert uncertainty.sign_flip_p(gaps) == pytest.approx(expected.pvalue)


def test_different_queries_are_refused():
    with pytest.raises(ValueError, match="same queries"):
        uncertainty.difference(np.ones(3), np.ones(4), np.zeros(4), np.zeros(4, int), 1.0)


# The best of many


def test_equal_configurations_can_not_be_told_apart_and_share_the_chance_of_being_best():
    codes, ids = draw(np.random.default_rng(9), centers(1.5), shared=0.5)
    scores, contributed = measured(codes, ids)
    three = [0, 0, 1]
    found = uncertainty.compare_with_best(scores[three], contributed[three], 0, 100 / 55)
    assert found.alike[:2].all()
    assert found.probability.sum() == pytest.approx(1)
    assert found.probability[0] == pytest.approx(found.probability[1])


def test_one_that_is_clearly_worse_is_told_apart_and_never_the_best():
    codes, good = draw(np.random.default_rng(10), centers(2.0), shared=0.5)
    _, bad = draw(np.random.default_rng(10), centers(0.5), shared=0.5)
    scores, contributed = measured(codes, np.concatenate([good[:1], bad]))
    found = uncertainty.compare_with_best(scores, contributed, 0, 100 / 55)
    assert found.alike.tolist() == [True, False, False]
    assert found.probability[0] == 1
    assert abs(found.optimism) < 0.3


def test_one_of_two_that_differ_on_four_images_is_not_told_apart():
    values = np.full((2, 200), 50.0)
    values[1, :4] = 40.0
    contributed = (values - values.mean(axis=1, keepdims=True)) / 200
    found = uncertainty.compare_with_best(values, contributed.astype(np.float32), 0, 10.0)
    assert found.alike.tolist() == [True, True]


def test_a_single_configuration_is_the_best():
    found = uncertainty.compare_with_best(np.full((1, 5), 50.0), np.zeros((1, 5), np.float32), 0, 10.0)
    assert (found.alike.tolist(), found.probability.tolist(), found.optimism) == ([True], [1.0], 0.0)


def test_the_limit_of_two_is_that_of_one_normal_difference():
    # One comparison: the one-sided 5% limit of a normal variable.
    rng = np.random.default_rng(13)
    values = np.full((2, 400), 50.0)
    contributed = rng.normal(size=(2, 400)).astype(np.float32) / 400
    error = float(uncertainty.standard_errors(contributed[0] - contributed[1]))
    for factor, alike in ((0.93, True), (1.07, False)):
        values[1] = 50.0 - factor * stats.norm.ppf(0.95) * error
        found = uncertainty.compare_with_best(values, contributed, 0, 1e-6)
        assert found.alike[1] == alike
        assert found.probability[0] == pytest.approx(stats.norm.cdf(factor * stats.norm.ppf(0.95)), abs=0.02)


def test_the_front_of_resampled_means_is_that_of_each_resample():
    rng = np.random.default_rng(15)
    means, cost = rng.integers(40, 44, 9).astype(float), np.array([3, 1, 2, 2, 5, 1, 4, np.nan, 3.0])
    contributed = rng.normal(size=(9, 50)).astype(np.float32) / 10
    # The same twice: they share every place.
    means[8], contributed[8] = means[0], contributed[0]
    found = uncertainty.front_probability(means, contributed, cost)
    signs = np.random.default_rng(0).integers(0, 2, (uncertainty.n_resamples(50), 50), np.int8)
    counts = np.zeros(9)
    for one in signs:
        reached = means + contributed @ (2.0 * one - 1.0)
        counts[comparison.pareto_front(reached.round(4), cost)] += 1
    np.testing.assert_allclose(found, counts / len(signs), atol=0.01)
    assert found[0] == found[8] and found[7] == 0


def test_the_front_of_two_is_a_comparison_of_two():
    rng = np.random.default_rng(16)
    contributed = rng.normal(size=(2, 400)).astype(np.float32) / 400
    error = float(uncertainty.standard_errors(contributed[0] - contributed[1]))
    for factor in (-1.0, 0.0, 1.0):
        means = np.array([50.0, 50.0 + factor * error])
        cheap, dear = uncertainty.front_probability(means, contributed, np.array([1.0, 2.0]))
        assert cheap == 1
        assert dear == pytest.approx(stats.norm.cdf(factor), abs=0.03)


def test_large_datasets_take_fewer_resamples():
    assert [uncertainty.n_resamples(n) for n in (200, 10_000, 10**7)] == [2000, 400, 200]


def test_halves_take_half_of_each_class_and_are_always_the_same():
    codes = np.array([0, 1] * 10 + [2])
    half = uncertainty.halves(codes)
    assert [int(half[codes == code].sum()) for code in (0, 1)] == [5, 5]
    assert (half == uncertainty.halves(codes)).all()


# Simulation: many sets of pictures from the same classes, two configurations that are equally good.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shared", "least"),
    [
        (0.5, 0.04),
        # Two embeddings that are nearly the same: the test is cautious.
        (0.9999, 0.01),
    ],
)
def test_intervals_hold_the_mean_and_equal_configurations_rarely_differ(shared, least):
    rng = np.random.default_rng(11)
    means, inside, certain, few = [], [], [], []
    for _ in range(1000):
        codes, ids = draw(rng, centers(1.5), shared)
        scores, contributed = measured(codes, ids)
        means.append(scores.mean(axis=1))
        inside.append(uncertainty.interval(means[-1], contributed, codes))
        gap = uncertainty.difference(*scores, contributed[0] - contributed[1], codes, 100 / 55)
        certain.append(gap.certain)
        few.append(gap.p is not None)
    low, high = np.array(inside)[:, 0], np.array(inside)[:, 1]
    truth = np.mean(means)
    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(0.95, abs=0.02)
    # At least 30 images differ in nearly all sets.
    assert np.mean(few) < 0.05
    assert least <= np.mean(certain) <= 0.06


@pytest.mark.slow
def test_equal_configurations_rarely_differ_where_few_images_do():
    rng = np.random.default_rng(12)
    found = []
    for _ in range(500):
        codes, ids = draw(rng, centers(1.5), shared=0.999995)
        scores, contributed = measured(codes, ids)
        found.append(uncertainty.difference(*scores, contributed[0] - contributed[1], codes, 100 / 55))
    few = [gap for gap in found if gap.p is not None]
    assert len(few) > 300
    assert np.mean([gap.certain for gap in few]) <= 0.06


@pytest.mark.slow
def test_the_best_of_equal_configurations_seldom_excludes_one_and_its_luck_is_known():
    rng, n, left_out, lucky, said = np.random.default_rng(14), 12, [], [], []
    means = []
    for _ in range(200):
        codes, ids = draw(rng, centers(1.5), shared=0.5, n=n)
        scores, contributed = measured(codes, ids)
        means.append(scores.mean(axis=1))
        best = int(means[-1].argmax())
        found = uncertainty.compare_with_best(scores, contributed, best, 100 / 55)
        left_out.append(1.0 - found.alike.mean())
        lucky.append(means[-1][best])
        said.append(found.optimism)
    # Each of them is as good as any, so none should be left out more often than in 5 of 100 sets.
    assert np.mean(left_out) <= 0.05
    assert np.mean(said) == pytest.approx(np.mean(lucky) - np.mean(means), rel=0.35)
