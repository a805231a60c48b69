import numpy as np
import pytest

from core.experiments.column_file import ColumnBlocks
from core.settings import settings


@pytest.mark.parametrize("memory", [10**9, 0])
@pytest.mark.parametrize("n_columns", [1, 7, 40_001])
def test_blocks_hold_what_was_appended(monkeypatch, tmp_path, memory, n_columns):
    monkeypatch.setattr(settings, "MEMORY_BYTES", memory)
    monkeypatch.setattr(settings, "SCRATCH_DIR", tmp_path)
    rows = np.random.default_rng(0).normal(size=(9, n_columns)).astype(np.float32)
    blocks = ColumnBlocks(12, n_columns)
    assert blocks.in_memory is (memory > 0)
    for start, stop in ((0, 4), (4, 5), (5, 9)):
        blocks.append(rows[start:stop])
    np.testing.assert_array_equal(blocks.whole(), rows)
    np.testing.assert_array_equal(np.concatenate(list(blocks.blocks()), axis=1), rows)
    blocks.close()


def test_a_scratch_file_has_no_name_that_could_be_left_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "MEMORY_BYTES", 1)
    monkeypatch.setattr(settings, "SCRATCH_DIR", tmp_path)
    blocks = ColumnBlocks(2, 100_000)
    blocks.append(np.ones((2, 100_000), np.float32))
    assert not list(tmp_path.iterdir())
    blocks.close()
