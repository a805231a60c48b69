import numpy as np
import pytest
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from core.evaluation import scoring
from core.evaluation.calibration import Calibration, Pairs
from core.experiments.query_scores import evaluate
from core.experiments.store import Grid
from core.settings import settings
from tests.evaluation.test_uncertainty import centers


def random_pairs(n: int = 400, images: int = 40, seed: int = 0) -> Pairs:
    rng = np.random.default_rng(seed)
    distances = rng.integers(0, 60, n) / 60.0
    return Pairs(
        rng.integers(0, images, n), rng.integers(0, images, n), distances, rng.random(n) < 1 - distances
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_share_is_scikit_learns_isotonic_regression(seed):
    pairs = random_pairs(seed=seed)
    expected = IsotonicRegression(increasing=False).fit(pairs.distances, pairs.same.astype(float))
    found = Calibration(pairs).shares(pairs.distances)
    np.testing.assert_allclose(found, expected.predict(pairs.distances), atol=1e-12)


def test_it_never_grows_and_ends_like_its_ends():
    found = Calibration(random_pairs()).shares(np.linspace(-1, 2, 500))
    assert (np.diff(found) <= 0).all()
    assert found[0] == found.max() and found[-1] == found.min()


def test_nothing_of_an_image_that_is_left_out_counts():
    pairs = random_pairs()
    one = pairs.without(np.array([7]))
    assert 7 not in one.queries and 7 not in one.ids
    turned = Pairs(pairs.queries, pairs.ids, pairs.distances, pairs.same ^ (pairs.queries == 7))
    own = pairs.queries == 7
    left, other = left_out(pairs), left_out(turned)
    np.testing.assert_array_equal(left[own], other[own])
    assert not np.array_equal(left, other)


def test_the_interval_of_independent_pairs_is_wilsons():
    # Every image is in one pair, all at one distance.
    n = 400
    same = np.arange(n) < 300
    share = Calibration(Pairs(np.arange(n), n + np.arange(n), np.zeros(n), same)).at(0.0)
    expected = stats.binomtest(300, n).proportion_ci(0.95, "wilson")
    assert share.value == 0.75
    assert (share.low, share.high) == pytest.approx((expected.low, expected.high), abs=0.002)


def test_pairs_of_the_same_images_count_less():
    n = 400
    same = np.arange(n) // 20 % 2 == 0
    alone = Calibration(Pairs(np.arange(n), n + np.arange(n), np.zeros(n), same)).at(0.0)
    queries = Calibration(Pairs(np.arange(n) // 20, n + np.arange(n), np.zeros(n), same)).at(0.0)
    assert queries.value == alone.value
    # Twenty queries whose pairs all agree or none: as good as twenty pairs.
    expected = stats.binomtest(10, 20).proportion_ci(0.95, "wilson")
    assert queries.high - queries.low == pytest.approx(expected.high - expected.low, abs=0.05)
    assert alone.high - alone.low < 0.11


def test_where_all_pairs_agree_the_interval_has_a_length():
    n = 50
    share = Calibration(Pairs(np.arange(n), n + np.arange(n), np.zeros(n), np.ones(n, bool))).at(0.0)
    assert share.value == share.high == 1
    assert share.low == pytest.approx(stats.binomtest(n, n).proportion_ci(0.95, "wilson").low, abs=0.01)


def left_out(pairs: Pairs, n_folds: int | None = None) -> np.ndarray:
    """The share at each pair, found from pairs without its query; so many parts of the queries are left out one after the other, or each query alone."""
    found = np.full(len(pairs.same), np.nan)
    asked = np.unique(pairs.queries)
    for fold in np.array_split(asked, n_folds or len(asked)):
        own = np.isin(pairs.queries, fold)
        found[own] = Calibration(pairs.without(fold)).shares(pairs.distances[own])
    return found


def expected_error(shares: np.ndarray, same: np.ndarray, distances: np.ndarray, n_bins: int = 10) -> float:
    """The expected calibration error (Naeini, Cooper and Hauskrecht, 2015, AAAI 29), over bins of equally many pairs.

    The bins are of distances, not of shares: a query that is left out moves its own shares against what it is, so that bins of shares would
    sort queries by their results.
    """
    bins = np.array_split(np.argsort(distances, kind="stable"), n_bins)
    return float(sum(abs((shares[part] - same[part]).sum()) for part in bins) / len(same))


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["objects200", "emoji200", "fashion1000"])
def test_shares_of_shipped_experiments_are_calibrated(dataset):
    grid = Grid(settings.GRID_DIR).load(dataset)
    best = sorted(grid.summaries, key=lambda one: one.best_first)
    folds = None if len(grid.dataset) <= 200 else 20
    errors = []
    for one in best[:: len(best) // 20]:
        found = evaluate(grid, one.configuration, 10)
        pairs = Pairs.of_lists(found.queries, found.ids, found.distances, found.same)
        # At one distance for all there is nothing to say.
        if found.saturated:
            continue
        errors.append(expected_error(left_out(pairs, folds), pairs.same, pairs.distances))
    # Single experiments of 200 images scatter: neighbors of one query are right or wrong together.
    assert len(errors) > 10 and np.mean(errors) < 0.03 and max(errors) < 0.08


@pytest.mark.slow
def test_intervals_hold_the_share_of_all_sets_of_images_like_these():
    rng, n, drawn = np.random.default_rng(5), 200, []
    middle, codes = centers(1.5), np.repeat(np.arange(10), 20)
    for _ in range(150):
        vectors = middle[codes] + rng.normal(size=(n, middle.shape[1]))
        distances = np.linalg.norm(vectors[:, None] - vectors, axis=2)
        np.fill_diagonal(distances, np.inf)
        ids = np.argsort(distances, axis=1)[:, :20]
        same = scoring.same_label(np.arange(n), ids, codes.astype(str))
        near = np.take_along_axis(distances, ids, axis=1)
        drawn.append(Pairs.of_lists(np.arange(n), ids, near, same))
    distances = np.concatenate([pairs.distances for pairs in drawn])
    same = np.concatenate([pairs.same for pairs in drawn])
    for level in (0.02, 0.1, 0.5, 0.98):
        distance = float(np.quantile(distances, level))
        truth = same[np.abs(distances - distance) < 0.03].mean()
        shares = [Calibration(pairs).at(distance) for pairs in drawn]
        assert np.mean([share.low <= truth <= share.high for share in shares]) >= 0.93
