"""Exact search by a scan of rounded numbers: the neighbors of a comparison with every stored vector."""

import faiss
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from core.collections.index import exact_search, faiss_file, faiss_scan, proven_search
from core.collections.index.faiss_file import Ann
from core.collections.vector_file import VectorFile
from core.exact_index import prepared
from core.metrics import METRICS, get_metric

ROWS, DIMENSIONS = 25_000, 24
RANDOM = np.random.default_rng(0)
# Clusters, a thousand copies, and vectors that float16 can't tell apart.
SPREAD = RANDOM.standard_normal((ROWS, DIMENSIONS)) + 3 * RANDOM.integers(0, 5, (ROWS, 1))
SPREAD[3_000:4_000] = SPREAD[2_999]
SPREAD[5_000:9_000] = SPREAD[4_999] * (1 + 1e-6 * RANDOM.standard_normal((4_000, DIMENSIONS)))
SPREAD = SPREAD.astype(np.float32)
MASKS = {
    "all": None,
    "half": np.arange(ROWS) % 2 == 0,
    "few": np.arange(ROWS) % 5_000 == 7,
    "none": np.zeros(ROWS, bool),
}


def stored_as(folder, vectors: np.ndarray, dtype: str) -> VectorFile:
    file = VectorFile(folder / "vectors.bin", vectors.shape[1], dtype)
    file.write(0, vectors)
    return file


@pytest.fixture(scope="module", params=["cosine", "euclidean"])
def metric(request):
    return get_metric(request.param)


@pytest.fixture(scope="module", params=["float16", "float32"])
def indexed(request, metric, tmp_path_factory):
    """The opened index and the vectors that it was built of."""
    folder = tmp_path_factory.mktemp("index")
    vectors = stored_as(folder, SPREAD, request.param)
    known = faiss_file.build(folder, vectors, ROWS, metric, faiss_scan.FACTORY)
    assert known.factory == faiss_scan.FACTORY
    return Ann(folder, known, metric.name), vectors.map(ROWS)


def queries_of(metric) -> np.ndarray:
    """Rows of all sorts, changed ones, and one that is zero."""
    chosen = SPREAD[[0, 2_999, 3_500, 4_999, 6_000, 20_000, 24_999]]
    changed = SPREAD[10_000:10_010] + 0.1 * RANDOM.standard_normal((10, DIMENSIONS)).astype(np.float32)
    return prepared(np.concatenate([chosen, changed, np.zeros((1, DIMENSIONS), np.float32)]), metric)


def distances_of(metric, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """SciPy's, in float64; a vector of zeros is at 1 of all others."""
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(cdist(X.astype(float), Y.astype(float), metric.name), nan=1)


def check(found, stored, queries, k, metric, mask=None, tied=1e-5) -> None:
    """The neighbors are those of SciPy's distances, apart from rows whose distances differ by less than ``tied``."""
    rows, distances = found
    allowed = np.arange(len(stored)) if mask is None else np.flatnonzero(mask)
    assert rows.shape == distances.shape == (len(queries), k)
    count = min(k, len(allowed))
    assert (rows[:, count:] == -1).all() and np.isinf(distances[:, count:]).all()
    expected = distances_of(metric, queries, stored[allowed])
    for place, row in enumerate(rows[:, :count]):
        assert len(set(row.tolist())) == count and np.isin(row, allowed).all()
        own = expected[place][np.searchsorted(allowed, row)]
        np.testing.assert_allclose(own, np.sort(expected[place])[:count], atol=tied)
        np.testing.assert_allclose(distances[place, :count], own, atol=1e-5)


@pytest.mark.parametrize("k", [1, 10, 60])
@pytest.mark.parametrize("which", MASKS)
def test_neighbors_are_those_of_all_distances(indexed, metric, which, k):
    index, stored = indexed
    queries = queries_of(metric)
    found = proven_search.nearest(index, stored, queries, k, MASKS[which])
    check(found, stored, queries, k, metric, MASKS[which])


def test_many_queries_find_what_single_ones_find(indexed, metric):
    index, stored = indexed
    queries = prepared(SPREAD[10_000 : 10_000 + 2 * proven_search._MANY : 2] + 0.1, metric)
    many = proven_search.nearest(index, stored, queries, 5, None)
    check(many, stored, queries, 5, metric)
    single = [proven_search.nearest(index, stored, one[None], 5, None)[0][0] for one in queries]
    assert (many[0] == np.array(single)).mean() > 0.99


@pytest.mark.parametrize("mask", [None, MASKS["half"]])
def test_all_cores_together_find_what_one_finds(indexed, mask):
    index, _ = indexed
    threads, [query] = faiss.omp_get_max_threads(), queries_of(index.metric)[7:8]
    try:
        faiss.omp_set_num_threads(1)
        one = faiss_scan.search(index._index, query[None], 40, mask)
        faiss.omp_set_num_threads(2)
        two = faiss_scan.search(index._index, query[None], 40, mask)
    finally:
        faiss.omp_set_num_threads(threads)
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


@pytest.mark.parametrize("size", [1e-6, 1e-3, 1, 300, 5_000])
def test_no_row_appears_farther_than_the_bound_says(metric, size, tmp_path):
    """Whatever the sizes of the numbers, also where float16 has few digits left."""
    random = np.random.default_rng(1)
    vectors = (size * random.standard_normal((2_000, 64)) * random.uniform(0, 2, (2_000, 1))).astype(
        np.float32
    )
    known = faiss_file.build(
        tmp_path, stored_as(tmp_path, vectors, "float32"), 2_000, metric, faiss_scan.FACTORY
    )
    queries = prepared(vectors[:50] * random.uniform(0.9, 1.1, (50, 64)).astype(np.float32), metric)
    rows, shown = Ann(tmp_path, known, metric.name).search(queries, 2_000, None)
    true = np.take_along_axis(distances_of(metric, queries, vectors), rows, 1)
    bound = np.array([proven_search.farthest(one, queries, metric) for one in true.T]).T
    assert (shown <= bound).all()
    # And the bound is not far away.
    lengths = np.linalg.norm(queries, axis=1, keepdims=True)
    assert (bound - true < 0.004 * (lengths + true) + 1e-5).all()


def test_what_a_scan_can_not_prove_is_compared_in_full(indexed, metric, monkeypatch):
    """Four thousand rows are within the bound: three scans reach fewer."""
    index, stored = indexed
    asked = []
    exact = exact_search.exact
    monkeypatch.setattr(exact_search, "exact", lambda *given: asked.append(len(given[1])) or exact(*given))
    queries = prepared(SPREAD[[4_999, 12_345]], metric)
    monkeypatch.setattr(proven_search, "_SCANS", 2)
    found = proven_search.nearest(index, stored, queries, 10, None)
    # FAISS takes squares of lengths off each other.
    check(found, stored, queries, 10, metric, tied=1e-3)
    assert asked == [1]


def test_a_file_is_as_faiss_writes_it(metric, tmp_path):
    vectors = stored_as(tmp_path, SPREAD, "float16")
    known = faiss_file.build(tmp_path, vectors, ROWS, metric, faiss_scan.FACTORY)
    index = faiss.index_factory(DIMENSIONS, "SQfp16", getattr(faiss, metric.faiss_metric))
    index.add(prepared(vectors.map(ROWS), metric))
    faiss.write_index(index, str(tmp_path / "expected"))
    assert (tmp_path / known.file).read_bytes() == (tmp_path / "expected").read_bytes()


def test_numbers_too_large_for_float16_stay_float32(tmp_path):
    large = SPREAD.copy()
    large[-1, 0] = 70_000
    vectors = stored_as(tmp_path, large, "float32")
    euclidean = faiss_file.build(tmp_path, vectors, ROWS, get_metric("euclidean"), faiss_scan.FACTORY)
    cosine = faiss_file.build(tmp_path, vectors, ROWS, get_metric("cosine"), faiss_scan.FACTORY)
    assert (euclidean.factory, cosine.factory) == ("Flat", faiss_scan.FACTORY)
    index = Ann(tmp_path, euclidean, "euclidean")
    assert index.search(large[-1:], 1, None)[0][0, 0] == ROWS - 1


def test_exact_search_is_in_float16_where_that_is_faster():
    dimensions = 1_000
    for name in METRICS:
        few, many = (
            faiss_file.factory("flat", rows, dimensions, get_metric(name)) for rows in (7_999, 8_000)
        )
        assert few == "Flat"
        assert many == (faiss_scan.FACTORY if name in ("cosine", "euclidean") else "Flat")
