"""Shards on the command line, with a real model."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import cli
from core.collections import Collection
from core.settings import settings
from core.shards import manifest, shard_file, shard_set
from core.shards.shard_store import Store
from tests.collections.pixels import draw
from tests.conftest import ROOT

MODEL, LAYER = "efficientnet-lite0", "block6_output"
CONFIGURATION = ["--model", MODEL, "--layer", LAYER]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", tmp_path / "collections")
    monkeypatch.setattr(settings, "CATALOG_URL", None)
    monkeypatch.setattr(settings, "IMAGE_ROOT", None)
    return tmp_path


@pytest.fixture
def pets(folder: Path) -> str:
    for name, seed in (("cat/1", 1), ("cat/2", 2), ("dog/3", 3)):
        draw(folder / "pets" / f"{name}.png", seed)
    return str(folder / "pets")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert cli.main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def error(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(list(words)) == 2
    return capsys.readouterr().err


def vectors(name: str) -> dict[str, np.ndarray]:
    with Collection.open(name) as opened:
        matrix = opened.state.vectors(opened.folder, opened.about).map(opened.state.rows)
        return {row.path: matrix[row.faiss_id].astype(np.float64) for row in opened.images()}


@pytest.mark.slow
def test_vectors_from_shards_equal_those_of_add(folder, capsys):
    """On real photographs, JPEGs of several kinds among them, in another process."""
    photos = folder / "photos"
    photos.mkdir()
    shipped = sorted((ROOT / "precomputed" / "objects200" / "images").iterdir())[:12]
    for number, path in enumerate(shipped):
        (photos / path.name).write_bytes(path.read_bytes())
        with Image.open(path) as image:
            options = ({"quality": 60}, {"quality": 92, "progressive": True}, {"subsampling": 0})[number % 3]
            image.convert("CMYK" if number == 5 else "RGB").resize((331, 227)).save(
                photos / f"{number}.jpg", **options
            )
    out = str(folder / "out")
    for name in ("added", "imported"):
        assert cli.main(["collection", "create", name, *CONFIGURATION, "--dtype", "float32"]) == 0
    assert cli.main(["collection", "add", "added", str(photos)]) == 0
    command = [sys.executable, "-m", "core", "shards", "extract", str(photos), "--out", out, *CONFIGURATION]
    subprocess.run([*command, "--shards", "3"], cwd=ROOT, check=True)
    assert cli.main(["collection", "import", "imported", out]) == 0
    capsys.readouterr()
    added, imported = vectors("added"), vectors("imported")
    assert added.keys() == imported.keys() and len(added) == 24
    for path, one in added.items():
        other = imported[path]
        assert 1 - one @ other / np.linalg.norm(one) / np.linalg.norm(other) < 1e-6


@pytest.mark.slow
def test_scan_and_extract_one_shard_at_a_time(folder, pets, capsys):
    out = str(folder / "out")
    # Which shard an image is in follows from its path: of so many, each has some.
    for number in range(20):
        draw(Path(pets) / "bird" / f"{number}.png", 10 + number)
    scanned = run(capsys, "shards", "scan", pets, "--out", out, *CONFIGURATION, "--shards", "2")
    assert (scanned["images"], scanned["shards"], scanned["missing"]) == (23, 2, [0, 1])
    assert "no shard 2" in error(capsys, "shards", "extract", "--out", out, "--shard", "2")
    first = run(capsys, "shards", "extract", "--out", out, "--shard", "1")
    store = Store(out)
    assert shard_set.missing(store, manifest.read(store)) == [0]
    before = (Path(out) / shard_file.name(1, 2)).stat().st_mtime_ns
    rest = run(capsys, "shards", "extract", pets, "--out", out, *CONFIGURATION, "--shards", "2")
    assert first["images"]["embedded"] + rest["images"]["embedded"] == 23
    assert (Path(out) / shard_file.name(1, 2)).stat().st_mtime_ns == before
    assert run(capsys, "shards", "extract", "--out", out)["shards"] == 0


def test_mistakes_get_a_sentence(folder, pets, capsys):
    out = str(folder / "out")
    assert "--model" in error(capsys, "shards", "scan", pets, "--out", out)
    assert "what to scan" in error(capsys, "shards", "scan", "--out", out, *CONFIGURATION)
    assert "layer" in error(capsys, "shards", "scan", pets, "--out", out, "--model", MODEL, "--layer", "x")
    assert "no manifest" in error(capsys, "shards", "extract", "--out", out)
    assert "collection 'pets'" in error(capsys, "shards", "scan", "--out", out, "--collection", "pets")
    assert cli.main(["collection", "create", "pets", *CONFIGURATION]) == 0
    assert "no sources" in error(capsys, "shards", "scan", "--out", out, "--collection", "pets")
    assert "either" in error(capsys, "shards", "scan", "--out", out, "--collection", "pets", *CONFIGURATION)
    assert cli.main(["shards", "scan", pets, "--out", out, *CONFIGURATION]) == 0
    other = ["--model", MODEL, "--layer", "block5_output"]
    assert "another folder" in error(capsys, "shards", "scan", pets, "--out", out, *other)
    assert "are missing" in error(capsys, "collection", "import", "pets", out)


def test_a_machine_with_other_versions_extracts_nothing(folder, pets, capsys, monkeypatch):
    out = str(folder / "out")
    assert cli.main(["shards", "scan", pets, "--out", out, *CONFIGURATION]) == 0
    here = manifest.versions()
    monkeypatch.setattr(manifest, "versions", lambda: here | {"pillow": "12.3.0"})
    assert "pillow 13.0.0 and 12.3.0" in error(capsys, "shards", "extract", "--out", out)
