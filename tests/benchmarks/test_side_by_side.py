import pytest

from benchmarks import collection, real, side_by_side
from core.settings import settings
from tests.benchmarks.test_real import fill


@pytest.mark.slow
def test_every_engine_is_measured_on_the_same_images(tmp_path, pgvector_url, milvus_uri, monkeypatch):
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", tmp_path)
    monkeypatch.setattr(settings, "CATALOG_URL", None)
    monkeypatch.setattr(collection, "QUERIES", 10)
    monkeypatch.setattr(side_by_side, "_FILTERED", 2)
    fill(3_000)
    cases = [("faiss", "flat"), ("pgvector", "hnsw"), ("milvus", "flat")]
    divided = real.Divided.load()
    rows = side_by_side.compared(divided, tmp_path / "copies", pgvector_url, milvus_uri, cases)
    figures = {row.name: row.figure for row in rows}
    assert len(figures) == len(rows) == 3 * (2 * 6 + 3)
    assert figures["recall@10: faiss flat"] == figures["recall@10: milvus flat"] == 1
    assert all(figure >= 0.9 for name, figure in figures.items() if name.startswith("recall"))
    assert figures["label precision@10: faiss flat"] == pytest.approx(1)
    assert figures["size of the index: pgvector hnsw"] > 0 == figures["size of the index: milvus flat"]
