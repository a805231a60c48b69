"""The DAG that updates collections, run by ``airflow dags test`` in ``.venv-airflow``; the server of a collection goes on meanwhile."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from core.collections import Collection, lifecycle
from core.settings import settings
from tests.conftest import ROOT
from tests.pipelines import environments

pytestmark = pytest.mark.scale

IMAGES = ROOT / "precomputed" / "objects200" / "images"
LABELS = ("birds", "flowers", "vehicles")
PER_LABEL, MOST = 8, 14


class Airflow:
    """Airflow with a database of its own in a temporary folder, and the collection ``pets``."""

    def __init__(self, folder: Path):
        self.folder, self.photos = folder, folder / "photos"
        self.program = environments.python(".venv-airflow").with_name("airflow")
        command = folder / "playground"
        command.write_text(f'#!/bin/sh\ncd "{ROOT}" && exec "{sys.executable}" -m core "$@"\n')
        command.chmod(0o755)
        self.environment = {name: value for name, value in os.environ.items() if "AIRFLOW" not in name} | {
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "core" / "pipelines" / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
            "PLAYGROUND_COLLECTIONS_DIR": str(folder / "collections"),
            "UPDATE_COLLECTIONS": "pets",
            "UPDATE_SHARDS": str(folder / "shards"),
            "UPDATE_COMMAND": str(command),
        }
        self.environment.pop("PLAYGROUND_CATALOG_URL", None)

    def run(self, *arguments: str) -> str:
        """What a command of Airflow prints; nothing that it started is left behind."""
        log = self.folder / "log"
        with log.open("w") as out:
            process = subprocess.Popen(
                [self.program, *arguments],
                cwd=self.folder,
                env=self.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                process.wait(timeout=900)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return log.read_text()

    def states(self) -> dict[str, set[str]]:
        """The states of the tasks in the last run."""
        with sqlite3.connect(self.folder / "airflow" / "airflow.db") as connection:
            rows = connection.execute(
                "select task_id, state, try_number from task_instance where run_id = (select run_id from dag_run order by id desc limit 1)"
            ).fetchall()
        return {
            task: {f"{state} {tries}" for name, state, tries in rows if name == task} for task, *_ in rows
        }


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    made = Airflow(tmp_path_factory.mktemp("airflow"))
    made.run("db", "migrate")
    return made


@pytest.fixture
def pets(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collection]:
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", airflow.folder / "collections")
    monkeypatch.setattr(settings, "CATALOG_URL", None)
    if "pets" not in lifecycle.names():
        for label in LABELS:
            (airflow.photos / label).mkdir(parents=True)
            for file in images(label)[:PER_LABEL]:
                shutil.copy(file, airflow.photos / label)
        with Collection.create("pets", model="efficientnet-lite0", layer="block6_output") as created:
            created.add([str(airflow.photos)])
    with Collection.open("pets") as opened:
        yield opened


def images(label: str) -> list[Path]:
    return sorted(IMAGES.glob(f"{label}-*"))[:MOST]


def labels(collection: Collection) -> dict[str, str | None]:
    return {Path(image.path).name: image.label for image in collection.images()}


def test_new_images_are_published(airflow, pets):
    """The collection stays open, as a server has it."""
    before = labels(pets)
    # More of the labels that it has: one that looks like them would make searches for them worse.
    for label in LABELS:
        for file in images(label)[PER_LABEL:]:
            shutil.copy(file, airflow.photos / label)
    gone = sorted((airflow.photos / "birds").iterdir())[0]
    gone.unlink()
    # Two shards.
    log = airflow.run("dags", "test", "update_pets", "--conf", json.dumps({"shard_size": 21}))
    states = airflow.states()
    assert set().union(*states.values()) == {"success 1"}, log
    assert states.keys() == {"scan", "extract", "stage", "import", "index", "verify", "publish"}
    after = labels(pets)
    assert len(after.keys() - before.keys()) == len(LABELS) * (MOST - PER_LABEL)
    assert before.keys() - after.keys() == {gone.name}
    assert pets.verify() == [] and pets.info().index_rows == len(after)
    assert lifecycle.names(lifecycle.staged_folder()) == []


def test_a_worse_copy_is_not_published_and_stays(airflow, pets):
    before = pets.state, labels(pets)
    # Every second image is filed under another label.
    for label, other in zip(LABELS, (*LABELS[1:], LABELS[0]), strict=True):
        for file in sorted((airflow.photos / label).glob(f"{label}-*"))[::2]:
            shutil.move(file, airflow.photos / other)
    log = airflow.run("dags", "test", "update_pets")
    states = airflow.states()
    # It is not tried again.
    assert states.pop("publish") == {"failed 1"}, log
    assert set().union(*states.values()) <= {"success 1", "skipped 1", "skipped 0"}, log
    assert "label precision@10 would fall" in log
    assert (pets.state, labels(pets)) == before
    with Collection.open("pets", lifecycle.staged_folder()) as copy:
        assert copy.verify() == [] and labels(copy) != before[1]
