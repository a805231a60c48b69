"""Index files that are built in pieces, compared with those that FAISS builds in memory."""

import subprocess
import sys

import numpy as np
import pytest

from core.collections.index import faiss_file, faiss_pieces
from core.collections.vector_file import VectorFile
from core.errors import CollectionError
from core.metrics import get_metric
from tests.collections.pixels import create, open_

pytestmark = pytest.mark.slow

ROWS = 6_000
KINDS = ["IVF32,Flat", "IVF32,PQ16np", "IVF32,SQ8"]


@pytest.fixture
def vectors(tmp_path):
    stored = VectorFile(tmp_path / "vectors-1.bin", 64, "float16")
    stored.write(0, np.random.default_rng(0).standard_normal((ROWS, 64)))
    return stored


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(faiss_pieces, "PIECE_BYTES", 100_000)


def files(folder) -> set[str]:
    return {path.name for path in folder.glob("index-*")}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_file_built_in_pieces_is_the_one_that_faiss_writes(tmp_path, vectors, monkeypatch, kind, metric):
    metric = get_metric(metric)
    whole = faiss_file.build(tmp_path, vectors, ROWS, metric, kind)
    # About ten pieces, whatever a vector takes in this kind.
    monkeypatch.setattr(faiss_pieces, "PIECE_BYTES", whole.size // 10)
    steps: list[int] = []
    merged = faiss_file.build(tmp_path, vectors, ROWS, metric, kind, steps.append)
    assert (tmp_path / merged.file).read_bytes() == (tmp_path / whole.file).read_bytes()
    assert (merged.effort, sum(steps)) == (whole.effort, ROWS)
    assert files(tmp_path) == {whole.file, merged.file}


@pytest.mark.parametrize("kind", KINDS)
def test_more_rows_are_merged_with_the_file_there_is(tmp_path, vectors, monkeypatch, kind):
    metric = get_metric("cosine")
    first = faiss_file.build(tmp_path, vectors, 4_000, metric, kind)
    before = (tmp_path / first.file).read_bytes()
    whole = faiss_file.extend(tmp_path, first, vectors, ROWS, metric)
    monkeypatch.setattr(faiss_pieces, "PIECE_BYTES", whole.size // 10)
    merged = faiss_file.extend(tmp_path, first, vectors, ROWS, metric)
    assert (tmp_path / merged.file).read_bytes() == (tmp_path / whole.file).read_bytes()
    assert (tmp_path / first.file).read_bytes() == before
    assert files(tmp_path) == {first.file, whole.file, merged.file}


def test_an_index_behind_a_transformation_finds_the_same(tmp_path, vectors, monkeypatch):
    metric, queries = get_metric("euclidean"), vectors.map(ROWS)[::100].astype(np.float32)
    whole = faiss_file.build(tmp_path, vectors, ROWS, metric, "PCA32,IVF16,Flat")
    monkeypatch.setattr(faiss_pieces, "PIECE_BYTES", whole.size // 10)
    first = faiss_file.build(tmp_path, vectors, 4_000, metric, "PCA32,IVF16,Flat")
    for merged in (
        faiss_file.build(tmp_path, vectors, ROWS, metric, "PCA32,IVF16,Flat"),
        faiss_file.extend(tmp_path, first, vectors, ROWS, metric),
    ):
        rows, _ = faiss_file.Ann(tmp_path, merged, "euclidean").search(queries, 1, None)
        assert rows[:, 0].tolist() == list(range(0, ROWS, 100))


def test_groups_without_vectors_are_written_as_faiss_does(tmp_path, monkeypatch):
    stored = VectorFile(tmp_path / "vectors-1.bin", 8, "float32")
    # Training sees all groups, the rows that are added are in one of them.
    stored.write(0, np.repeat(np.random.default_rng(0).standard_normal((3, 8)), 1_000, axis=0))
    metric = get_metric("euclidean")
    whole = faiss_file.build(tmp_path, stored, 3_000, metric, "IVF16,Flat")
    monkeypatch.setattr(faiss_pieces, "PIECE_BYTES", whole.size // 5)
    merged = faiss_file.build(tmp_path, stored, 3_000, metric, "IVF16,Flat")
    assert (tmp_path / merged.file).read_bytes() == (tmp_path / whole.file).read_bytes()


def test_a_collection_is_searched_filtered_and_verified(folder, small_pieces, monkeypatch):
    monkeypatch.setattr("core.collections.index.faiss_index._FEW", 20)
    vectors = np.random.default_rng(0).standard_normal((2_000, 192)).astype(np.float16).astype(np.float32)
    with create(index="IVF16,Flat") as made:
        made.add_vectors([str(i) for i in range(2_000)], vectors, [str(i % 2) for i in range(2_000)])
        made.add_vectors([str(i) for i in range(2_000, 2_100)], vectors[:100] * -1)
        assert made.info().index_rows == 2_100
        made.remove(["7"])
        found = made.search_vectors(vectors[:50], 1)
        assert sum(hits[0].path == str(i) for i, hits in enumerate(found)) >= 48
        assert {hit.label for hits in made.search_vectors(vectors[:5], 10, ["label=1"]) for hit in hits} == {
            "1"
        }
        assert made.verify() == []
    with open_() as again:
        again.optimize()
        assert again.verify() == [] and again.info().index_rows == 2_099


def test_an_open_index_is_mapped_and_takes_no_memory_of_its_own(tmp_path):
    program = f"""
from pathlib import Path
import numpy as np
from core.collections.index import faiss_file, faiss_pieces
from core.collections.vector_file import VectorFile
from core.metrics import get_metric

def anonymous():
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) * 1024

folder, metric = Path({str(tmp_path)!r}), get_metric("euclidean")
stored = VectorFile(folder / "vectors-1.bin", 256, "float16")
random = np.random.default_rng(0)
for start in range(0, 120_000, 10_000):
    stored.write(start, random.standard_normal((10_000, 256), np.float32))
faiss_pieces.PIECE_BYTES = 10_000_000
faiss_file._TRAINING_BYTES = 4_000_000
faiss_file._TUNING_QUERIES = 5
built = faiss_file.build(folder, stored, 120_000, metric, "IVF64,Flat")
before = anonymous()
index = faiss_file.Ann(folder, built, "euclidean")
index.search(np.zeros((1, 256), np.float32), 5, None)
print(built.size, anonymous() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    size, opened = map(int, done.stdout.split())
    assert size > 120_000_000
    assert opened < size / 10


def test_another_file_format_is_refused_before_anything_is_written(
    tmp_path, vectors, small_pieces, monkeypatch
):
    monkeypatch.setattr(faiss_pieces, "_NO_GROUPS", b"none")
    with pytest.raises(CollectionError, match="FAISS"):
        faiss_file.build(tmp_path, vectors, ROWS, get_metric("cosine"), "IVF32,Flat")
    assert files(tmp_path) == set()
