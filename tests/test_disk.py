"""Disks are refused before they are full: with a real small one where tests may mount it, and with limits that none meets."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import disk
from core.collections import collection_projection, export
from core.errors import DiskError
from core.progress import Silent
from core.settings import settings
from tests.collections import pixels
from tests.collections.pixels import draw
from tests.experiments.synthetic import draw_dataset, random_run


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("disks can't be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_what_would_leave_too_little_is_refused(small, monkeypatch):
    monkeypatch.setattr(settings, "MIN_FREE_BYTES", 1_000_000)
    disk.require(small, 2_000_000)
    with pytest.raises(DiskError, match="PLAYGROUND_MIN_FREE_BYTES"):
        disk.require(small, 3_500_000)
    with pytest.raises(DiskError):
        disk.require(small / "not" / "there yet", 3_500_000)
    (small / "other").write_bytes(bytes(3_500_000))
    with pytest.raises(DiskError):
        disk.require(small)


def test_a_collection_on_a_disk_that_fills_up_stays_whole_and_can_be_changed(small, monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "MIN_FREE_BYTES", 1_000_000)
    monkeypatch.setattr(settings, "CATALOG_URL", None)
    for seed in range(6):
        draw(tmp_path / "photos" / f"{seed}.png", seed)
    pets = pixels.create(folder=small)
    pets.add([str(tmp_path / "photos" / "0.png"), str(tmp_path / "photos" / "1.png")])
    filled = small / "other"
    filled.write_bytes(bytes(shutil.disk_usage(small).free - 900_000))

    with pytest.raises(DiskError):
        pets.add([str(tmp_path / "photos")])
    with pytest.raises(DiskError):
        export.write(pets, small / "export.parquet", Silent())
    with pytest.raises(DiskError):
        collection_projection.compute(pets, "pca", 2, Silent())
    with pytest.raises(DiskError):
        pets.optimize()
    assert not list(small.glob("*.parquet")) and pets.info().images == 2 and pets.verify() == []
    # What makes room is never refused.
    pets.remove([str(tmp_path / "photos" / "0.png")])
    assert pets.info().images == 1

    filled.unlink()
    pets.add([str(tmp_path / "photos")], restore_removed=True)
    assert pets.verify() == [] and pets.info().images == 6


def test_no_experiments_are_written_to_a_nearly_full_disk(tmp_path, monkeypatch):
    dataset = draw_dataset(tmp_path / "grid" / "drawings" / "images")
    monkeypatch.setattr(settings, "MIN_FREE_BYTES", 10**15)
    with pytest.raises(DiskError):
        random_run(tmp_path / "grid", dataset)
    assert not list(tmp_path.rglob("*.parquet"))
