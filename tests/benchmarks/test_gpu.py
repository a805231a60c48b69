import pytest

from benchmarks import gpu
from benchmarks.measure import LeftOut
from core.collections.index import faiss_gpu


def test_without_a_gpu_it_is_left_out():
    if faiss_gpu.count():
        pytest.skip("There is a GPU here.")
    with pytest.raises(LeftOut, match="requirements-gpu"):
        gpu.rows()


def test_both_are_measured_with_the_same_index(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "_COUNT", 2_000)
    monkeypatch.setattr(gpu, "_QUERIES", 40)
    monkeypatch.setattr(gpu, "_ROUNDS", 1)
    # The processor is compared with itself where there is no GPU.
    rows = gpu._compared(tmp_path, "ivf")
    assert [row.name.partition(", ")[0] for row in rows] == ["ivf"] * 3
    assert rows[2].figure > 0.9 and rows[0].peer > 0
