"""Images that come from shards are in a collection as if they had been added."""

from pathlib import Path

import pytest

from core.collections import Collection, catalog, shard_import
from core.collections.ingest_report import Report
from core.errors import ShardError
from core.progress import Silent
from core.shards import manifest, scanning, shard_set
from core.shards.manifest import Manifest
from core.shards.shard_store import Store
from tests.collections.pixels import Pixels, create, draw


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Cats, of which two have the same content, dogs, a hidden file and a file that is no image."""
    root = tmp_path / "pets"
    for name, seed in (("cat/1", 1), ("cat/2", 1), ("cat/3", 3), ("dog/4", 4), ("dog/5", 5)):
        draw(root / f"{name}.png", seed)
    (root / "dog" / "6.png").write_text("no image")
    draw(root / ".hidden.png", 7)
    return root


@pytest.fixture
def out(tmp_path: Path) -> str:
    return str(tmp_path / "shards")


def extract(place: str) -> Manifest:
    store = Store(place)
    found = manifest.read(store)
    waiting = shard_set.missing(store, found)
    list(shard_set.extract_planned(store, found, waiting, lambda _: Pixels(), Silent()))
    return found


def scan(collection: Collection, place: str, *paths: object, shards: int = 3) -> Manifest:
    """Scan for an add, with the configuration of a collection."""
    from core.data import image_sources

    sources = image_sources.parse_all([str(path) for path in paths], None, None)
    return scanning.scan(Store(place), sources, shard_import.configuration(collection.about), shards=shards)


def brought(collection: Collection, place: str, *paths: object) -> Report:
    scan(collection, place, *paths)
    extract(place)
    return collection.import_shards(place)


def content(collection: Collection) -> dict[str, dict[str, object]]:
    """All that the catalog has of each image, with its vector and source in place of their numbers."""
    sources = {
        record["id"]: record["path"] for record in collection._catalog.read(catalog.get_fact, "sources")
    }
    vectors = collection.state.vectors(collection.folder, collection.about)
    found = {}
    for state in ("indexed", "failed", "removed"):
        for row in collection.images(state):
            values = row._asdict()
            at = values.pop("faiss_id")
            values |= {
                "id": None,
                "seen": None,
                "source": sources[row.source],
                "vector": None if at is None else next(vectors.chunks(at, at + 1))[1][0].tolist(),
            }
            found[row.path] = values
    return found


def test_shards_give_what_add_gives(anywhere, tree, out, tmp_path):
    (tmp_path / "list.csv").write_text(
        "path,label,price\npets/cat/1.png,tiger,3\npets/gone.png,ghost,\n,,\nhttp://127.0.0.1:9/x.jpg,far,1\n"
    )
    sources = [str(tree), str(tmp_path / "list.csv"), str(tree / "dog" / "4.png")]
    with create("added") as added, create("imported") as imported:
        expected, report = added.add(sources), brought(imported, out, *sources)
        assert report.to_json() == expected.to_json()
        assert (report.added, report.duplicates, report.failed) == (5, 1, 3)
        assert content(imported) == content(added)
        assert sorted(imported.source_paths) == sorted(added.source_paths)
        assert imported.verify() == []
        assert imported.update().to_json() == added.update().to_json()
        assert content(imported) == content(added)


def test_a_second_import_changes_nothing(folder, tree, out):
    with create() as pets:
        brought(pets, out, tree)
        before, state = content(pets), pets.state
        report = pets.import_shards(out)
        assert (report.added, report.changed, report.unchanged, report.failed) == (0, 0, 6, 0)
        assert content(pets) == before
        assert (pets.state.rows, pets.state.version) == (state.rows, state.version)


def test_an_incremental_scan_updates(anywhere, tree, out, tmp_path):
    with create("updated") as updated, create("imported") as imported:
        for pets in (updated, imported):
            pets.add([str(tree)])
            pets.remove([str(tree / "cat" / "3.png")])
        draw(tree / "dog" / "4.png", 40)
        draw(tree / "dog" / "8.png", 8)
        (tree / "cat" / "1.png").unlink()
        imported.scan(out, shards=2)
        embedder = Pixels()
        store = Store(out)
        found = manifest.read(store)
        counts = list(shard_set.extract_planned(store, found, [0, 1], lambda _: embedder, Silent()))
        assert embedder.embedded == 2
        assert sum(count["present"] for count in counts) == 4
        report = imported.import_shards(out)
        assert report.to_json() == updated.update().to_json()
        assert (report.added, report.changed, report.removed) == (1, 1, 1)
        assert content(imported) == content(updated)
        assert imported.verify() == []


def test_an_update_forgets_nothing_of_a_source_that_is_missing_or_empty(folder, tree, out, tmp_path):
    draw(tmp_path / "usb" / "1.png", 11)
    draw(tmp_path / "disk" / "2.png", 12)
    with create() as pets:
        pets.add([str(tree), str(tmp_path / "usb"), str(tmp_path / "disk")])
        (tmp_path / "usb" / "1.png").unlink()
        (tmp_path / "disk").rename(tmp_path / "away")
        pets.scan(out)
        extract(out)
        report = pets.import_shards(out)
        assert (report.removed, len(report.problems), pets.info().images) == (0, 2, 7)


def test_what_is_added_after_the_scan_stays(folder, tree, out):
    with create() as pets:
        pets.add([str(tree)])
        pets.scan(out)
        extract(out)
        draw(tree / "dog" / "9.png", 9)
        draw(tree / "dog" / "4.png", 44)
        pets.add([str(tree)])
        before = content(pets)
        assert pets.import_shards(out).removed == 0
        assert content(pets) == before


def test_removed_images_stay_removed_until_asked_for(folder, tree, out):
    with create() as pets:
        pets.add([str(tree)])
        pets.remove([str(tree / "cat")])
        scan(pets, out, tree)
        extract(out)
        assert pets.import_shards(out).kept_out == 3
        assert pets.import_shards(out, restore_removed=True).restored == 3
        assert pets.info().images == 5


@pytest.mark.parametrize(
    "change",
    [{"layer": "block5_output"}, {"weights_fingerprint": "0" * 64}, {"dimensions": 8}, {"pooling": "max"}],
    ids=lambda change: next(iter(change)),
)
def test_shards_of_another_configuration_are_refused(folder, tree, out, change):
    with create() as pets:
        found = scan(pets, out, tree)
        extract(out)
        changed = found.configuration.model_copy(update=change)
        manifest.write(Store(out), found.model_copy(update={"configuration": changed}))
        with pytest.raises(ShardError, match=next(iter(change)).partition("_")[0]):
            pets.import_shards(out)
        assert (pets.info().images, pets.source_paths) == (0, ())


def test_shards_of_other_versions_are_refused_unless_they_are_allowed(folder, tree, out):
    with create() as pets:
        found = scan(pets, out, tree)
        extract(out)
        older = {**found.versions, "pillow": "12.3.0"}
        manifest.write(Store(out), found.model_copy(update={"versions": older}))
        with pytest.raises(ShardError, match=r"pillow 12\.3\.0"):
            pets.import_shards(out)
        assert pets.import_shards(out, allow_other_versions=True).added == 5


def test_missing_shards_are_named(folder, tree, out):
    with create() as pets:
        found = scan(pets, out, tree)
        with pytest.raises(ShardError, match="are missing"):
            pets.import_shards(out)
        assert found.shards == 3 and pets.source_paths == ()
