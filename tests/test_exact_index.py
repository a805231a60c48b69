import numpy as np
import pytest
from scipy.spatial.distance import cdist

from core.exact_index import Index, as_float32, prepared
from core.metrics import METRICS, get_metric


def test_every_finite_float16_keeps_its_value():
    numbers = np.arange(2**16, dtype=np.uint16).view(np.float16)
    numbers = numbers[np.isfinite(numbers)]
    found = as_float32(numbers)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, numbers.astype(np.float32))
    np.testing.assert_array_equal(np.signbit(found), np.signbit(numbers))


def test_rows_that_do_not_lie_together_keep_their_values():
    numbers = np.random.default_rng(0).standard_normal((20, 30)).astype(np.float16)
    np.testing.assert_array_equal(as_float32(numbers[::3, ::2]), numbers[::3, ::2].astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32])
def test_other_types_keep_their_values_and_are_not_changed(dtype):
    numbers = np.arange(12, dtype=dtype).reshape(3, 4)
    found = prepared(numbers, get_metric("cosine"))
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(numbers, np.arange(12).reshape(3, 4))


@pytest.mark.parametrize("metric", list(METRICS))
def test_searching_half_precision_finds_what_scipy_finds(metric):
    random = np.random.default_rng(1)
    vectors, queries = random.standard_normal((200, 16)).astype(np.float16), random.standard_normal((5, 16))
    scipy_name = {"manhattan": "cityblock"}.get(metric, metric)
    expected = cdist(queries, vectors.astype(float), scipy_name)
    places, distances = Index(vectors, metric).search(queries, 7)
    np.testing.assert_array_equal(places, np.argsort(expected, axis=1)[:, :7])
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, :7], rtol=1e-5, atol=1e-6)
