"""Processes killed at random moments while they change a collection."""

import contextlib
import itertools
import json
import multiprocessing
import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from core.collections import ingest_images
from core.collections.index import engines
from core.errors import CollectionError
from core.settings import settings
from tests.collections.pixels import create, draw, open_

pytestmark = pytest.mark.slow

KILLS = {"sqlite": 200, "postgresql": 40, "pgvector": 60, "milvus": 20}
GROUPS, PER_GROUP = 8, 6


def work(folder: Path, urls: tuple[str | None, str | None], photos: Path, journal: Path, seed: int) -> None:
    """Change the collection at random until somebody ends this; writes down what it begins and what was reported as done."""
    settings.COLLECTIONS_DIR, (settings.CATALOG_URL, settings.MILVUS_URI) = folder, urls
    # A few images are several commits then.
    ingest_images._COMMIT_IMAGES = 2
    choose = random.Random(seed)
    log = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(**line: object) -> None:
        os.write(log, (json.dumps({**line, "at": time.monotonic()}) + "\n").encode())

    pets = open_()
    while True:
        group = f"g{choose.randrange(GROUPS)}"
        kind = choose.choice(("add", "add", "update", "remove", "remove", "restore", "optimize"))
        if kind == "update":
            # Some files are new, some have other content.
            for _ in range(3):
                name = f"{choose.randrange(PER_GROUP)}.png"
                draw(photos / f"g{choose.randrange(GROUPS)}" / name, choose.randrange(10**6))
        note(begin=kind, group=group)
        if kind == "add":
            pets.add([str(photos / group)], restore_removed=True)
        elif kind == "update":
            pets.update()
        elif kind in ("remove", "restore"):
            change = pets.remove if kind == "remove" else pets.restore
            with contextlib.suppress(CollectionError):
                change([str(photos / group)])
        else:
            pets.optimize(index=choose.choice(("flat", "hnsw", "auto")))
        note(end=kind, group=group)


def read_journal(journal: Path) -> list[dict]:
    """What the process has written down, without a last line that it did not finish."""
    text = journal.read_text() if journal.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


@pytest.mark.parametrize("backend", KILLS)
def test_after_a_kill_at_any_moment_it_is_complete_and_has_all_that_was_reported_as_added(
    backend, folder, tmp_path, request, monkeypatch
):
    catalog_url = request.getfixturevalue(f"{backend}_url") if backend in ("postgresql", "pgvector") else None
    milvus_uri = request.getfixturevalue("milvus_uri") if backend == "milvus" else None
    monkeypatch.setattr(settings, "CATALOG_URL", catalog_url)
    monkeypatch.setattr(settings, "MILVUS_URI", milvus_uri)
    photos, journal = tmp_path / "photos", tmp_path / "journal"
    for group in range(GROUPS):
        for name in range(PER_GROUP):
            draw(photos / f"g{group}" / f"{name}.png", group * PER_GROUP + name)
    create(engine=backend if backend in engines.names() else engines.DEFAULT).close()

    # Forked from a process that has imported everything and has no threads.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.collections.test_kill", "faiss", "scipy.spatial"])
    killed_in: Counter[str] = Counter()
    moments = random.Random(0)
    # The longest that a change has taken, so that its end is hit as often as its beginning on any machine.
    longest: dict[str, float] = {}
    expected: dict[str, bool] = {}
    for kill in range(KILLS[backend]):
        journal.unlink(missing_ok=True)
        process = context.Process(
            target=work, args=(folder, (catalog_url, milvus_uri), photos, journal, kill)
        )
        process.start()
        begun = moments.randint(1, 3)
        while len(kinds := [line["begin"] for line in read_journal(journal) if "begin" in line]) < begun:
            assert process.is_alive()
            time.sleep(0.001)
        time.sleep(moments.uniform(0, longest.get(kinds[-1], 0.05)))
        process.kill()
        process.join()
        assert process.exitcode == -9

        lines = read_journal(journal)
        for before, line in itertools.pairwise(lines):
            if "end" in line:
                longest[line["end"]] = max(longest.get(line["end"], 0), line["at"] - before["at"])
        for line in lines:
            if "begin" in line and line["begin"] == "remove":
                # From here on they may be gone.
                expected[line["group"]] = False
            elif line.get("end") == "add":
                expected[line["group"]] = True
        if "begin" in lines[-1]:
            killed_in[lines[-1]["begin"]] += 1
        with open_() as pets:
            assert pets.verify() == [], (kill, lines[-1])
            stored = {image.path for image in pets.images()}
            for group, there in expected.items():
                if there:
                    missing = {str(path) for path in (photos / group).glob("*.png")} - stored
                    assert not missing, (kill, lines[-1])
    assert all(killed_in[kind] >= KILLS[backend] // 40 for kind in ("add", "update", "remove", "optimize")), (
        killed_in
    )
