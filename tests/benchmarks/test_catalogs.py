import pytest

from benchmarks import catalogs


@pytest.mark.slow
def test_both_catalogs_are_asked_for_the_same(tmp_path, pgvector_url, monkeypatch):
    monkeypatch.setattr(catalogs, "_ROUNDS", 1)
    rows = catalogs.compared(tmp_path, pgvector_url, 2_000)
    assert len(rows) == 9 and all(row.figure > 0 and row.peer > 0 for row in rows)
