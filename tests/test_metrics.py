import numpy as np
import pytest
from scipy.spatial.distance import cdist

from core.errors import UnknownNameError
from core.metrics import METRICS, PairwiseDistances, get_metric, pairwise

SCIPY = {"cosine": "cosine", "euclidean": "euclidean", "manhattan": "cityblock", "chebyshev": "chebyshev"}


@pytest.fixture
def vectors():
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 517)).astype(np.float32), rng.normal(size=(20, 517)).astype(np.float32)


@pytest.mark.parametrize("metric", METRICS)
def test_distances_equal_scipys(metric, vectors):
    X, Y = vectors
    expected = cdist(X.astype(np.float64), Y.astype(np.float64), SCIPY[metric])
    np.testing.assert_allclose(pairwise(metric, X, Y), expected, rtol=2e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_blocks_of_columns_give_what_the_whole_gives(metric, vectors):
    X, Y = vectors
    blocked = PairwiseDistances([metric], len(X), len(Y))
    for start in range(0, X.shape[1], 100):
        blocked.add(X[:, start : start + 100], Y[:, start : start + 100])
    np.testing.assert_allclose(blocked.result(metric), pairwise(metric, X, Y), rtol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_a_vector_is_at_distance_zero_from_itself_and_distances_are_symmetric(metric, vectors):
    X, _ = vectors
    distances = pairwise(metric, X)
    np.testing.assert_allclose(np.diag(distances), 0, atol=1e-5)
    np.testing.assert_allclose(distances, distances.T, atol=1e-9)


def test_a_tiny_difference_between_long_vectors_is_not_lost():
    x = np.full((1, 1000), 100.0)
    y = x.copy()
    y[0, 0] += 1e-3
    assert pairwise("euclidean", x, y)[0, 0] == pytest.approx(1e-3, rel=1e-2)


def test_a_zero_vector_has_cosine_distance_one():
    assert pairwise("cosine", [[0.0, 0.0]], [[1.0, 2.0]])[0, 0] == 1.0


def test_numbers_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite"):
        pairwise("cosine", [[np.nan, 1.0]])


def test_different_lengths_are_refused():
    with pytest.raises(ValueError, match="features"):
        pairwise("cosine", [[1.0, 1.0]], [[1.0]])


def test_an_unknown_metric_is_refused_with_the_valid_ones():
    with pytest.raises(UnknownNameError, match="cosine, euclidean, manhattan, chebyshev"):
        get_metric("hamming")


@pytest.mark.parametrize("metric", METRICS)
def test_faiss_ranks_as_we_do(metric, vectors):
    import faiss

    X, Y = vectors
    definition = get_metric(metric)
    if definition.normalized:
        X, Y = (V / np.linalg.norm(V, axis=1, keepdims=True) for V in (X, Y))
    index = faiss.index_factory(X.shape[1], "Flat", getattr(faiss, definition.faiss_metric))
    index.add(X)
    _, found = index.search(Y, 5)
    np.testing.assert_array_equal(found, np.argsort(pairwise(metric, Y, X), axis=1)[:, :5])
