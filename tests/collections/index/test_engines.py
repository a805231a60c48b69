"""What every index engine does, whatever it is."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from core.collections import catalog, index_tuning, lifecycle, staging
from core.collections.index import engines, exact_search
from core.errors import CollectionError, UnknownNameError
from core.metrics import METRICS
from core.progress import Silent
from tests.collections.index.conftest import CASES, Case, marked
from tests.collections.pixels import create, open_

ROWS = 1_500
_SCIPY = {"manhattan": "cityblock"}


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """(ROWS, 192) in clusters."""
    random = np.random.default_rng(0)
    centers = random.standard_normal((12, 192))
    made = centers[np.arange(ROWS) % 12] + 0.5 * random.standard_normal((ROWS, 192))
    # As they are stored.
    return made.astype(np.float16).astype(np.float32)


def fill(made, vectors, start=0):
    """Store vectors under their numbers, labeled by their last digit, with the number as metadata."""
    numbers = range(start, start + len(vectors))
    made.add_vectors(
        [str(i) for i in numbers], vectors, [str(i % 10) for i in numbers], [{"number": i} for i in numbers]
    )


def recall(made, vectors, queries, among, where=(), metric="cosine", k=10):
    """Of the hits, compared with SciPy's distances; hits that are not among the allowed numbers fail."""
    distances = cdist(queries, vectors[among], _SCIPY.get(metric, metric))
    truth = np.asarray(among)[np.argsort(distances, axis=1)[:, :k]]
    hits = made.search_vectors(queries, k, where)
    found = [np.array([int(hit.path) for hit in row]) for row in hits]
    for row, exact in zip(hits, distances, strict=True):
        assert len(row) == min(k, len(among))
        assert {int(hit.path) for hit in row} <= set(among)
        for hit in row:
            expected = exact[np.flatnonzero(np.asarray(among) == int(hit.path))[0]]
            assert hit.distance == pytest.approx(expected, rel=2e-3, abs=2e-3)
    return exact_search.recall(found, truth)


KINDS = [marked(case, kind) for case in CASES for kind in case.recalls]


@pytest.mark.parametrize(("case", "kind"), KINDS, indirect=["case"])
def test_neighbors_are_those_of_exact_search_within_the_stated_recall(case, kind, vectors):
    with case.create(index=kind) as made:
        fill(made, vectors)
        queries = vectors[::37] + 0.05
        every = range(ROWS)
        assert recall(made, vectors, queries, every) >= case.recalls[kind]
        assert made.verify() == []


def test_a_filter_is_answered_by_the_engine_and_costs_no_recall(case: Case, vectors, monkeypatch):
    with case.create(index="hnsw") as made:
        fill(made, vectors)
        if case.engine != "faiss":
            # No list of the rows that match ever leaves the catalog.
            seen = []
            matching = catalog.matching_rows
            monkeypatch.setattr(
                catalog,
                "matching_rows",
                lambda *args: seen.append(matching(*args)) or seen[-1],
            )
        queries = vectors[:400:17] + 0.05
        half = [i for i in range(ROWS) if i >= ROWS // 2]
        assert recall(made, vectors, queries, half, [f"number>={ROWS // 2}"]) >= 0.95
        tenth = [i for i in range(ROWS) if i % 10 == 3]
        assert recall(made, vectors, queries, tenth, ["label=3"]) >= 0.95
        if case.engine != "faiss":
            assert seen and max(map(len, seen)) <= 21
        few = [i for i in range(ROWS) if i < 8]
        assert recall(made, vectors, queries, few, ["number<8"]) == 1
        assert made.search_vectors(queries[:1], 5, ["number<0"]) == [[]]


@pytest.mark.parametrize("metric", METRICS)
def test_each_metric_is_searched_or_refused_with_a_sentence(case: Case, metric, vectors):
    if metric in case.metrics:
        with case.create(index="flat", metric=metric) as made:
            fill(made, vectors)
            assert recall(made, vectors, vectors[::50] + 0.05, range(ROWS), metric=metric) == 1
    else:
        with pytest.raises(CollectionError, match=metric):
            case.create(metric=metric)
        with case.create() as made, pytest.raises(CollectionError, match=metric):
            made.optimize(metric=metric)


def test_what_is_added_replaced_removed_and_restored_is_searched_at_once(case: Case, vectors):
    with case.create(index="hnsw") as made:
        fill(made, vectors[:300])
        fill(made, vectors[300:320], 300)
        assert made.search_vectors(vectors[310:311], 1)[0][0].path == "310"
        moved = np.random.default_rng(1).standard_normal((1, 192)).astype(np.float32)
        made.add_vectors(["7"], moved)
        assert made.search_vectors(moved, 1)[0][0].path == "7"
        assert made.search_vectors(vectors[7:8], 1)[0][0].path != "7"
        made.remove(["9"])
        assert made.search_vectors(vectors[9:10], 1)[0][0].path != "9"
        assert made.verify() == []
        made.restore(["9"])
        assert made.search_vectors(vectors[9:10], 1)[0][0].path == "9"
        made.add_vectors(["11"], vectors[11:12], ["other"], [{"number": 2_000}])
        assert made.search_vectors(vectors[11:12], 1, ["label=other", "number>1999"])[0][0].path == "11"
        assert made.verify() == []


def test_compaction_keeps_what_is_left(case: Case, vectors):
    with case.create(index="hnsw") as made:
        fill(made, vectors[:400])
        made.remove([str(i) for i in range(0, 400, 2)])
        made.optimize()
        odd = range(1, 400, 2)
        assert made.info().tombstones == 0 and made.info().index_rows == 200
        assert recall(made, vectors[:400], vectors[:40], odd) >= 0.95
        thirds = [i for i in odd if i % 10 == 3]
        assert recall(made, vectors[:400], vectors[:40], thirds, ["label=3"]) >= 0.95
        assert made.verify() == []


def test_another_process_finds_the_same(case: Case, vectors):
    with case.create(index="hnsw") as made:
        fill(made, vectors[:300])
        before = made.search_vectors(vectors[:20], 5)
    with open_() as again:
        assert again.search_vectors(vectors[:20], 5) == before
        assert again.state.engine == case.engine
        assert again.info().index_rows == 300


def test_a_reader_follows_a_writer(case: Case, vectors):
    with case.create(index="hnsw") as made, open_() as reader:
        fill(made, vectors[:100])
        assert len(reader.search_vectors(vectors[:1], 200)[0]) == 100
        snapshot = reader.snapshot()
        made.remove([str(i) for i in range(50)])
        made.optimize()
        assert len(reader.search_vectors(vectors[:1], 200)[0]) == 50
        assert len(snapshot.tombstones) == 0


def test_vectors_of_another_length_are_refused(case: Case, vectors):
    with case.create() as made:
        with pytest.raises(CollectionError, match="192"):
            made.add_vectors(["a"], vectors[:1, :100])
        fill(made, vectors[:30])
        with pytest.raises(CollectionError, match="192"):
            made.search_vectors(vectors[:1, :100])


def test_a_vector_of_zeros_is_stored_and_searched(case: Case, vectors):
    zeros = np.zeros((1, 192), np.float32)
    for kind in ("flat", "hnsw"):
        with case.create(kind, index=kind) as made:
            fill(made, vectors[:60])
            made.add_vectors(["zero"], zeros)
            [hits] = made.search_vectors(vectors[:1], 61)
            assert {hit.path: hit.distance for hit in hits}["zero"] == 1
            [hits] = made.search_vectors(zeros, 5)
            assert [hit.distance for hit in hits] == [1] * 5


def test_float32_vectors_are_kept_as_they_are(case: Case, vectors):
    with case.create(dtype="float32") as made:
        fill(made, vectors[:100])
        assert made.search_vectors(vectors[5:6], 1)[0][0].distance == 0
        assert made.verify() == []


def test_an_empty_collection_is_searched(case: Case, vectors):
    with case.create() as made:
        assert made.search_vectors(vectors[:2], 5) == [[], []]
        assert made.verify() == []
        made.optimize()


def test_another_kind_of_index_is_built_and_an_unknown_one_refused(case: Case, vectors):
    with case.create(index="flat") as made:
        fill(made, vectors[:200])
        made.optimize(index="hnsw")
        assert "HNSW" in made.info().factory
        assert recall(made, vectors[:200], vectors[:20], range(200)) >= 0.95
        with pytest.raises(CollectionError, match="annoy"):
            made.optimize(index="annoy")
        assert made.verify() == []


def test_the_index_moves_to_another_engine_and_back(case: Case, vectors):
    with create() as made:
        fill(made, vectors[:200])
        if case.engine == "faiss":
            with pytest.raises(CollectionError, match="already"):
                made.migrate("faiss")
            return
        made.migrate(case.engine, "hnsw")
        assert made.state.engine == case.engine
        assert not list(made.folder.glob("index-*.faiss"))
        assert recall(made, vectors[:200], vectors[:20], range(200)) >= 0.95
        fill(made, vectors[200:220], 200)
        assert made.verify() == []
        made.migrate("faiss")
        assert made.state.engine == "faiss" and list(made.folder.glob("index-*.faiss"))
        assert recall(made, vectors[:220], vectors[:20], range(220)) == 1
        assert made.verify() == []


def test_a_staged_copy_has_an_index_of_its_own_and_is_published_with_it(case: Case, vectors, folder):
    with case.create(index="hnsw") as made:
        fill(made, vectors[:200])
        staging.stage("pets")
        with open_(folder=lifecycle.staged_folder(folder)) as staged:
            fill(staged, vectors[200:220], 200)
            staged.remove(["3"])
            assert staged.verify() == []
            assert made.search_vectors(vectors[3:4], 1)[0][0].path == "3"
            assert staged.search_vectors(vectors[3:4], 1)[0][0].path != "3"
        assert recall(made, vectors[:200], vectors[:20], range(200)) >= 0.95
        staging.publish("pets")
        assert made.verify() == []
        left = [i for i in range(220) if i != 3]
        assert recall(made, vectors[:220], vectors[:20], left) >= 0.95
        assert made.state.engine == case.engine


def test_engines_are_measured_side_by_side_and_leave_nothing(case: Case, vectors):
    with case.create(index="flat") as made:
        fill(made, vectors[:400])
        made.remove(["7"])
        found = index_tuning.measure(
            made, ["flat", "hnsw"], Silent(), list(dict.fromkeys(["faiss", case.engine]))
        )
        assert {(one.engine, one.kind) for one in found} >= {(case.engine, "flat"), ("faiss", "hnsw")}
        assert all(one.recall >= (1 if one.kind == "flat" else 0.95) for one in found)
        assert all(one.filtered_recall >= 0.95 and one.label_precision is not None for one in found)
        assert made.state.engine == case.engine and made.info().factory.lower() == "flat"
        assert len(list(made.folder.glob("index-*"))) == (case.engine == "faiss")
        assert made.verify() == []


def test_an_unknown_engine_is_refused_with_those_there_are(folder):
    with pytest.raises(UnknownNameError, match="pgvector"):
        create(engine="annoy")
    assert engines.names()[0] == "faiss"
