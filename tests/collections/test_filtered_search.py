"""The recall of an approximate index under a condition, compared with its recall without one."""

import numpy as np
import pytest

from core.collections.index import exact_search, faiss_file
from core.collections.index.faiss_index import FaissSnapshot
from core.collections.snapshot import Snapshot
from core.exact_index import prepared
from core.metrics import get_metric
from tests.collections.pixels import create

ROWS, CLUSTERS, SHARES = 6_000, 30, (0.9, 0.45, 0.1, 0.01)
# Training the codes takes seconds.
CODES = pytest.param("IVF32,PQ48x4np", marks=pytest.mark.slow)
KINDS = ["hnsw", "ivf", CODES, "PCA32,IVF32,Flat", "IVF32,SQ8", "SQ8"]


@pytest.fixture(scope="module")
def clustered():
    """(rows, 192) vectors in clusters, and the cluster of each, those of neighboring numbers near each other."""
    random = np.random.default_rng(0)
    centers = 0.6 * random.standard_normal((CLUSTERS, 192))
    line = centers @ random.standard_normal(192)
    centers = centers[np.argsort(line)]
    cluster = random.integers(0, CLUSTERS, ROWS)
    spread = random.standard_normal((CLUSTERS, 12, 192)) / np.sqrt(12)
    inner = np.einsum("nl,nld->nd", random.standard_normal((ROWS, 12)), spread[cluster])
    return (centers[cluster] + inner + 0.1 * random.standard_normal((ROWS, 192))).astype(np.float32), cluster


@pytest.fixture(scope="module", params=KINDS)
def searched(request, clustered, tmp_path_factory):
    """A collection's vectors in an index of each kind, as a view."""
    folder = tmp_path_factory.mktemp("collections")
    with pytest.MonkeyPatch.context() as patch:
        # What is few there would be everything here.
        patch.setattr("core.collections.index.faiss_index._FEW", 100)
        vectors, _ = clustered
        with create("many", folder, index=request.param) as made:
            made.add_vectors([str(i) for i in range(ROWS)], vectors)
            yield made


def recall(snapshot: Snapshot, queries: np.ndarray, allowed: np.ndarray | None) -> float:
    vectors = np.asarray(snapshot.stored[queries], np.float32)
    metric = get_metric(snapshot.state.metric)
    counting = np.setdiff1d(np.arange(ROWS), snapshot.tombstones) if allowed is None else allowed
    truth, _ = exact_search.exact(snapshot.stored, prepared(vectors, metric), 10, metric, counting)
    found, distances = snapshot.nearest(vectors, 10, allowed)
    assert np.isin(found, counting).all()
    assert (np.diff(distances, axis=1) >= 0).all()
    return exact_search.recall(found, truth)


def conditions(cluster: np.ndarray):
    """Rows that a condition leaves and queries: the rows at random, and clusters with queries from the others, far and near."""
    random = np.random.default_rng(1)
    for share in SHARES:
        count = int(share * ROWS)
        yield np.sort(random.choice(ROWS, count, replace=False)), random.choice(ROWS, 60)
        together = np.sort(np.argsort(cluster, kind="stable")[:count])
        others = np.setdiff1d(np.arange(ROWS), together)
        yield together, others[np.argsort(-cluster[others], kind="stable")][: 60 * 5 : 5]
        yield together, random.choice(ROWS, 60)


@pytest.mark.slow
def test_a_condition_costs_no_recall(searched, clustered):
    snapshot = searched.snapshot()
    goal = 0.95 * recall(snapshot, np.arange(0, ROWS, 100), None)
    found = [recall(snapshot, queries, allowed) for allowed, queries in conditions(clustered[1])]
    assert min(found) >= goal, found


def test_removed_rows_cost_no_recall(searched, clustered):
    whole, (_, cluster) = searched.snapshot(), clustered
    goal = 0.95 * recall(whole, np.arange(0, ROWS, 100), None)
    gone = np.flatnonzero(cluster >= 14)
    snapshot = FaissSnapshot(whole.state, whole.vectors, gone, whole.index)
    assert recall(snapshot, gone[::60], None) >= goal


def test_without_a_condition_the_index_is_searched_once_for_k_neighbors(searched, monkeypatch):
    snapshot, asked = searched.snapshot(), []
    search = faiss_file.Ann.search
    monkeypatch.setattr(
        faiss_file.Ann,
        "search",
        lambda self, q, k, *rest: asked.append((k, *rest)) or search(self, q, k, *rest),
    )
    snapshot.nearest(snapshot.stored[:1], 10)
    assert asked == [(10 * (faiss_file.RERANK if snapshot.index.known.compressed else 1), None, None)]
