"""Extractions and imports of shards killed at random moments give what undisturbed ones give."""

import multiprocessing
import random
import time
from pathlib import Path

import pytest

from core.collections import ingest_images
from core.progress import Silent
from core.settings import settings
from core.shards import manifest, shard_set
from core.shards.shard_store import Store
from tests.collections.pixels import Pixels, create, draw, open_
from tests.collections.test_shard_import import content, scan

pytestmark = pytest.mark.slow

KILLS = 25


class Slow(Pixels):
    """Slow enough to be killed within a shard."""

    def __call__(self, pixels):
        time.sleep(0.01)
        return super().__call__(pixels)


def work(folder: Path, place: str, started: object) -> None:
    """Extract what is missing, then import it, with several commits in each shard."""
    settings.COLLECTIONS_DIR = folder
    ingest_images._COMMIT_IMAGES = 2
    store = Store(place)
    found = manifest.read(store)
    pets = open_()
    started.set()
    list(shard_set.extract_planned(store, found, shard_set.missing(store, found), lambda _: Slow(), Silent()))
    pets.import_shards(place)


def test_killed_and_repeated_is_as_undisturbed(folder, tmp_path):
    for number in range(90):
        # Some have the same content.
        draw(tmp_path / "pets" / f"{number % 3}" / f"{number}.png", number % 70)
    (tmp_path / "pets" / "0" / "broken.png").write_text("no image")
    place, context = str(tmp_path / "shards"), multiprocessing.get_context("spawn")
    with create() as pets, create("undisturbed") as undisturbed:
        scan(pets, place, tmp_path / "pets", shards=9)
        choose, kills, written = random.Random(4), 0, set()
        while True:
            started = context.Event()
            process = context.Process(target=work, args=(folder, place, started))
            process.start()
            assert started.wait(120)
            process.join(choose.uniform(0, 0.6) if kills < KILLS else 120)
            if process.exitcode is not None:
                assert process.exitcode == 0
                break
            process.kill()
            process.join()
            kills += 1
            found = manifest.read(Store(place))
            done = set(range(9)) - set(shard_set.missing(Store(place), found))
            assert written <= done
            written = done
            assert pets.verify() == []
        assert kills > 3
        undisturbed.import_shards(place)
        assert content(pets) == content(undisturbed)
        assert pets.verify() == []
        # But for the parts of files that were being written.
        assert {path.name for path in Path(place).glob("[!.]*")} == {
            "manifest.json",
            *(f"{kind}-{shard:05}-of-00009.parquet" for kind in ("plan", "shard") for shard in range(9)),
        }
