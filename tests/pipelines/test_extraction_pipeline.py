"""Extraction on Apache Beam, in ``.venv-pipeline``, beside the functions of ``playground shards``."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from core.data import image_sources
from core.models import image_embedder
from core.progress import Silent
from core.shards import extraction, manifest, plan, scanning, shard_file, shard_set
from core.shards.manifest import Configuration
from core.shards.shard_file import Row
from core.shards.shard_store import Store
from tests.collections.pixels import LAYER, MODEL, Pixels, draw
from tests.conftest import ROOT
from tests.pipelines import environments
from tests.shards import object_server

pytestmark = pytest.mark.scale

SHARDS = 3
# What ``.venv-pipeline`` runs: the command itself, or the one whose vectors are pixels.
REAL, PIXELS = "core.pipelines.extraction_pipeline", "tests.pipelines.pixels_pipeline"
# A runner of Beam's that tries a failed bundle again.
RETRYING = "apache_beam.runners.direct.direct_runner.BundleBasedDirectRunner"


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Thirty images in two classes, one of them a copy of another, a file that is no image, and a hidden one."""
    folder = tmp_path / "pets"
    for number in range(30):
        draw(folder / ("cat", "dog")[number % 2] / f"{number}.png", max(1, number))
    (folder / "dog" / "broken.png").write_text("no image")
    draw(folder / ".hidden" / "1.png", 1)
    return folder


def start(module: str, *arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [environments.python(".venv-pipeline"), "-m", module, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def counted(running: subprocess.Popen) -> dict[str, int]:
    """The counters that a pipeline prints."""
    out, errors = running.communicate(timeout=300)
    assert running.returncode == 0, errors
    return {row[""]: row["count"] for row in json.loads(out)}


def pixels(*arguments: object, trouble: str = "none") -> dict[str, int]:
    """Run the pipeline whose vectors are pixels."""
    model = ("--model", MODEL, "--layer", LAYER, "--json")
    return counted(start(PIXELS, trouble, *arguments, *model))


def expected(out: Path, *sources: Path) -> Path:
    """The folder that ``playground shards extract`` writes."""
    store, configuration = Store(str(out)), Configuration.of(MODEL, "imagenet", LAYER, "avg")
    parsed = image_sources.parse_all(list(map(str, sources)), None, None)
    found = scanning.scan(store, parsed, configuration, shards=SHARDS)
    waiting = shard_set.missing(store, found)
    assert sum(
        counts.total()
        for counts in shard_set.extract_planned(store, found, waiting, lambda _: Pixels(), Silent())
    )
    return out


def rows(out: Path | str) -> list[Row]:
    """The rows of all shards of a folder, which are complete."""
    store = Store(str(out))
    found = manifest.read(store)
    assert shard_set.missing(store, found) == []
    return [
        row
        for shard, digest in enumerate(found.plans)
        if digest
        for part in shard_file.read(store, shard, found.shards, found.configuration)
        for row in part
    ]


def plain(row: Row) -> dict[str, object]:
    return {**vars(row), "vector": None if row.vector is None else row.vector.tolist()}


def assert_same(out: Path, other: Path) -> None:
    """Two folders of shards hold the same."""
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in other.iterdir())
    first, second = Store(str(out)), Store(str(other))
    found = manifest.read(first)
    assert found == manifest.read(second)
    assert list(map(plain, rows(out))) == list(map(plain, rows(other)))
    for shard in range(found.shards):
        assert plan.read(first, shard, found.shards) == plan.read(second, shard, found.shards)


def test_the_pipeline_writes_what_the_command_line_writes(tmp_path, pets):
    (tmp_path / "list.csv").write_text("path,label,price\npets/cat/0.png,tiger,3\npets/cat/2.png,,4\n")
    sources = (tmp_path / "list.csv", pets, pets / "d*" / "*.png")
    counters = pixels(*sources, "--out", tmp_path / "out", "--shards", SHARDS)
    assert_same(tmp_path / "out", expected(tmp_path / "expected", *sources))
    assert (counters["images"], counters["failures"]) == (30, 1)


def test_what_fails_is_a_row_with_a_reason_and_a_line_of_its_own(tmp_path, pets):
    pixels(pets, "--out", tmp_path / "out", "--failures", tmp_path / "failed")
    [failed] = [row for row in rows(tmp_path / "out") if row.vector is None]
    [line] = (tmp_path / "failed-00000-of-00001.jsonl").read_text().splitlines()
    told = json.loads(line)
    assert told["path"] == failed.path == str(pets / "dog" / "broken.png")
    assert told["reason"] == failed.reason is not None


def test_a_bundle_that_fails_once_is_tried_again_and_gives_the_same_shards(tmp_path, pets):
    pixels(*(pets, "--out", tmp_path / "out", "--shards", SHARDS, "--runner", RETRYING), trouble="fail_once")
    assert_same(tmp_path / "out", expected(tmp_path / "expected", pets))


def test_every_bundle_processed_twice_gives_the_same_shards(tmp_path, pets):
    pixels(pets, "--out", tmp_path / "out", "--shards", SHARDS, "--direct_runner_bundle_repeat=1")
    assert_same(tmp_path / "out", expected(tmp_path / "expected", pets))


def test_a_killed_run_goes_on_where_it_was(tmp_path, pets):
    out = tmp_path / "out"
    arguments = (pets, "--out", out, "--shards", SHARDS)
    running = start(PIXELS, "slow", *arguments, "--model", MODEL, "--layer", LAYER)
    while not list(out.glob("shard-*.parquet")):
        assert running.poll() is None
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    done = {path: path.stat().st_mtime_ns for path in out.glob("shard-*.parquet")}
    assert 0 < len(done) < SHARDS and not (out / manifest.NAME).exists()
    counters = pixels(*arguments)
    assert counters["images"] + counters["kept"] in (30, 31) and counters["kept"] > 0
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert_same(out, expected(tmp_path / "expected", pets))


def test_without_sources_the_missing_shards_of_a_plan_are_extracted(tmp_path, pets):
    out, other = expected(tmp_path / "out", pets), expected(tmp_path / "expected", pets)
    lost = next(out.glob("shard-*.parquet"))
    lost.unlink()
    counters = pixels("--out", out)
    assert 0 < counters["images"] < 30
    assert_same(out, other)


def test_a_worker_that_computes_other_vectors_is_refused(tmp_path, pets):
    arguments = (pets, "--out", tmp_path / "out", "--model", MODEL, "--layer", LAYER)
    running = start(PIXELS, "other_pillow", *arguments)
    _, errors = running.communicate(timeout=120)
    assert running.returncode == 2
    assert "pillow" in errors and "1.0" in errors
    assert not list(tmp_path.glob("out/*"))


def test_images_and_shards_may_be_in_an_object_store(tmp_path, monkeypatch):
    for name, seed in (("cat/1", 1), ("cat/2", 2), ("dog/3", 3)):
        draw(tmp_path / "scale" / "photos" / f"{name}.png", seed)
    with object_server.serving(tmp_path) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        counters = pixels("s3://scale/photos", "--out", "s3://scale/shards")
        found = rows("s3://scale/shards")
    assert counters["images"] == 3
    assert {row.path: row.label for row in found} == {
        "s3://scale/photos/cat/1.png": "cat",
        "s3://scale/photos/cat/2.png": "cat",
        "s3://scale/photos/dog/3.png": "dog",
    }


def test_processes_give_the_vectors_of_the_command_line(tmp_path, pets):
    """With the network, in two processes that Beam starts."""
    layer, out = "top_activation", tmp_path / "out"
    processes = ("--direct_running_mode", "multi_processing", "--direct_num_workers", "2")
    arguments = (pets, "--out", out, "--model", MODEL, "--layer", layer, "--shards", 2, "--json")
    counters = counted(start(REAL, *arguments, *processes))
    assert counters["images"] == 30 and counters["network, ms"] > 0
    embedder = image_embedder.load(MODEL, "imagenet", layer, "avg")
    store, found = Store(str(out)), manifest.read(Store(str(out)))
    for shard in range(2):
        listed = shard_set.planned(store, found, shard)
        for ours, theirs in zip(
            (row for part in shard_file.read(store, shard, 2, found.configuration) for row in part),
            extraction.extract(listed, lambda: embedder),
            strict=True,
        ):
            assert {**vars(ours), "vector": None} == {**vars(theirs), "vector": None}
            if ours.vector is not None:
                assert cosine_distance(ours.vector, theirs.vector) < 1e-6


def cosine_distance(a: np.ndarray, b: np.ndarray) -> float:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return 1 - a @ b / np.sqrt((a @ a) * (b @ b))
