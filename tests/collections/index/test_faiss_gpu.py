"""What may go to a GPU, and that everything stays on the processor where there is none; no test here runs on a GPU."""

import faiss
import numpy as np
import pytest

from core.collections.index import faiss_file, faiss_gpu
from core.collections.index.faiss_file import Ann
from core.collections.vector_file import VectorFile
from core.exact_index import prepared
from core.metrics import get_metric

ROWS, DIMENSIONS = 12_000, 32
VECTORS = np.random.default_rng(0).standard_normal((ROWS, DIMENSIONS), np.float32)
COSINE = get_metric("cosine")


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    stored = VectorFile(tmp_path_factory.mktemp("vectors") / "vectors.bin", DIMENSIONS, "float32")
    stored.write(0, VECTORS)
    return stored


class Clone(faiss_gpu.Copy):
    """A copy on the processor, which counts the batches that were searched."""

    searched = 0

    def search(self, queries, k, effort):
        type(self).searched += 1
        return super().search(queries, k, effort)


@pytest.fixture
def gpu(monkeypatch):
    """A stand-in for a GPU: copies are clones."""
    monkeypatch.setattr(faiss_gpu, "count", lambda: 1)
    monkeypatch.setattr(faiss_gpu, "_free_bytes", lambda: 10**12)
    monkeypatch.setattr(
        faiss_gpu,
        "upload",
        lambda index, rows: Clone(None, faiss.clone_index(index)) if faiss_gpu.has_kind(index) else None,
    )
    monkeypatch.setattr(faiss, "index_gpu_to_cpu", faiss.clone_index, raising=False)
    monkeypatch.setattr(Clone, "searched", 0)


def test_without_faiss_gpu_nothing_is_uploaded(monkeypatch):
    if not hasattr(faiss, "StandardGpuResources"):
        assert faiss_gpu.count() == 0
    monkeypatch.setattr(faiss_gpu, "count", lambda: 0)
    index = faiss.index_factory(DIMENSIONS, "Flat")
    assert faiss_gpu.upload(index, 10) is None
    assert faiss_gpu.trained(index, VECTORS) is None
    assert faiss_gpu.filled(index, ROWS, [VECTORS]) is None


@pytest.mark.parametrize(
    ("factory", "metric", "has"),
    [
        ("Flat", faiss.METRIC_INNER_PRODUCT, True),
        ("Flat", faiss.METRIC_L2, True),
        ("Flat", faiss.METRIC_L1, False),
        ("IVF16,Flat", faiss.METRIC_L2, True),
        ("IVF16,Flat", faiss.METRIC_Linf, False),
        ("IVF16,PQ8np", faiss.METRIC_INNER_PRODUCT, True),
        ("SQfp16", faiss.METRIC_L2, True),
        ("SQ8", faiss.METRIC_L2, False),
        ("IVF16,SQ8", faiss.METRIC_L2, False),
        ("HNSW32", faiss.METRIC_L2, False),
        ("PCA16,IVF16,Flat", faiss.METRIC_L2, False),
    ],
)
def test_kinds_and_metrics_that_gpus_lack_stay(factory, metric, has):
    assert faiss_gpu.has_kind(faiss.index_factory(DIMENSIONS, factory, metric)) is has


@pytest.mark.parametrize("kind", ["flat", "ivf", "ivfpq"])
def test_the_memory_that_is_asked_for_holds_the_index(kind, vectors, tmp_path):
    built = faiss_file.build(tmp_path, vectors, ROWS, COSINE, kind)
    index = faiss.read_index(str(tmp_path / built.file))
    assert built.size < faiss_gpu.needed(index, ROWS) - faiss_gpu._WORK_BYTES < 2.2 * built.size


def test_an_index_that_does_not_fit_the_memory_stays(monkeypatch):
    monkeypatch.setattr(faiss_gpu, "count", lambda: 1)
    index = faiss.index_factory(DIMENSIONS, "Flat")
    monkeypatch.setattr(faiss_gpu, "_free_bytes", lambda: faiss_gpu.needed(index, ROWS) - 1)
    assert faiss_gpu.upload(index, ROWS) is None
    # Where CUDA is not loaded, nobody knows what is free.
    monkeypatch.undo()
    if not faiss_gpu.count():
        assert faiss_gpu._free_bytes() == 0


@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_files_of_a_gpu_are_those_of_the_processor(kind, vectors, tmp_path, gpu, monkeypatch):
    with_gpu = faiss_file.build(tmp_path, vectors, ROWS - 1_000, COSINE, kind)
    longer = faiss_file.extend(tmp_path, with_gpu, vectors, ROWS, COSINE)
    monkeypatch.undo()
    without = faiss_file.build(tmp_path, vectors, ROWS - 1_000, COSINE, kind)
    assert (with_gpu.sha256, with_gpu.effort) == (without.sha256, without.effort)
    assert longer.sha256 == faiss_file.extend(tmp_path, without, vectors, ROWS, COSINE).sha256


def test_a_gpu_searches_many_queries_and_no_filters(vectors, tmp_path, gpu):
    known = faiss_file.build(tmp_path, vectors, ROWS, COSINE, "ivf")
    queries = prepared(VECTORS[:100] + 0.1, COSINE)
    index, mask = Ann(tmp_path, known, "cosine"), np.arange(ROWS) % 2 == 0
    many, _ = index.search(queries, 10, None)
    assert Clone.searched == 1
    np.testing.assert_array_equal(
        many, np.concatenate([index.search(one[None], 10, None)[0] for one in queries])
    )
    filtered, _ = index.search(queries, 10, mask)
    assert Clone.searched == 1 and mask[filtered].all()
    index.search(queries, faiss_gpu._MOST + 1, None)
    assert Clone.searched == 1


def test_what_fails_on_a_gpu_is_done_by_the_processor(vectors, tmp_path, gpu, monkeypatch):
    class Broken:
        def train(self, sample):
            raise RuntimeError("no memory")

        add = train

        def search(self, *_, **__):
            raise RuntimeError("no memory")

    monkeypatch.setattr(faiss_gpu, "upload", lambda index, rows: faiss_gpu.Copy(None, Broken()))
    known = faiss_file.build(tmp_path, vectors, ROWS, COSINE, "ivf")
    rows, _ = Ann(tmp_path, known, "cosine").search(prepared(VECTORS[:50], COSINE), 1, None)
    assert (rows[:, 0] == np.arange(50)).mean() > 0.9
