"""Collections whose folder was moved, including those of older versions."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from core.cli import main
from core.collections import Collection, export, labelled_dataset, schema, uploads
from core.collections.uploads import Upload
from core.data import datasets, image_sources
from core.experiments import store
from core.progress import Silent
from core.settings import settings
from tests.collections import version1
from tests.collections.pixels import create, draw, open_, picture, png


@pytest.fixture
def old(anywhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Collection:
    """The collection that the first version wrote."""
    version1.unpack(tmp_path, settings.CATALOG_URL)
    monkeypatch.setattr(settings, "GRID_DIR", tmp_path / "grid")
    return open_()


def sent(collection: Collection) -> dict[str, Path]:
    """The files of the uploaded images, by the names that they were sent with."""
    return {
        image.metadata["name"]: collection.file(image.path)
        for image in collection.images()
        if "name" in image.metadata
    }


def assert_uploads_are_there(collection: Collection) -> None:
    files = sent(collection)
    assert files.keys() == version1.SHOEBOX.keys()
    for name, seed in version1.SHOEBOX.items():
        assert files[name].read_bytes() == png(seed).getvalue()


def test_an_old_collection_opens_with_all_that_it_had(old):
    info = old.info()
    assert (info.images, info.failures, info.removed, info.contents) == (7, 2, 1, 7)
    assert info.labels == {"bird": 2, "cat": 2, "dog": 1, "fish": 1, "frog": 1}
    for seed, label in ((1, "cat"), (5, "fish"), (8, "bird")):
        [[best]] = old.search([picture(seed)], k=1)
        assert best.distance < 1e-3 and best.label == label
    [[priced]] = old.search([picture(1)], k=1, where=["price>10"])
    assert priced.metadata == {"price": 15}
    assert_uploads_are_there(old)
    [[upload]] = old.search([picture(5)], k=1)
    assert upload.path == f"uploads/{upload.hash}"


def test_old_uploads_survive_every_change(old, tmp_path):
    old.add_uploads([Upload("new.png", png(20))])
    old.remove(where=["label=cat"])
    old.optimize(index="hnsw")
    draw(tmp_path / "more" / "a.png", 21)
    old.add([str(tmp_path / "more")])
    old.update()
    assert old.uploads.is_dir() and len(list(old.uploads.iterdir())) == 3
    old.remove(where=["name=new.png"])
    assert_uploads_are_there(old)


def test_an_old_dataset_of_a_collection_finds_the_uploads_where_they_are_now(old):
    dataset = datasets.load(settings.GRID_DIR / "collection-pets")
    files = {item.title: dataset.path(item.id) for item in dataset.items}
    for name, seed in version1.SHOEBOX.items():
        assert files[name].read_bytes() == png(seed).getvalue()
    assert files["a.png"] == Path("/home/ada/embeddings/photos/cat/a.png")


def test_a_image_that_was_uploaded_again_after_the_move_is_one_image(folder, tmp_path):
    """With the first version, that was the way to bring back what it had deleted."""
    import sqlite3

    version1.unpack(tmp_path)
    with sqlite3.connect(folder / "pets" / "catalog.sqlite") as connection:
        # As that version stored it again: the same content at another path, without a label.
        connection.execute(
            "INSERT INTO images (path, hash, size, mtime_ns, metadata, faiss_id, state) "
            "SELECT '/elsewhere/pets/uploads/' || hash, hash, size, mtime_ns, '{\"name\": \"5.png\"}', faiss_id, state "
            "FROM images WHERE label = 'fish'"
        )
    connection.close()
    pets = open_()
    assert pets.info().images == 7 and pets.info().labels["fish"] == 1
    assert_uploads_are_there(pets)


def test_a_collection_moves_with_its_folder(folder, tmp_path, monkeypatch):
    with create() as pets:
        pets.add_uploads([Upload(name, png(seed)) for name, seed in version1.SHOEBOX.items()])
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", tmp_path / "elsewhere")
    shutil.move(folder, tmp_path / "elsewhere")
    pets = open_()
    assert pets.verify() == []
    assert_uploads_are_there(pets)
    report = pets.add_uploads([Upload("again.png", png(5)), Upload("new.png", png(7))])
    assert (report.added, report.unchanged) == (1, 1)
    pets.remove(where=["name=new.png"])
    pets.optimize()
    assert_uploads_are_there(pets)
    assert pets.verify() == []


def test_a_dataset_of_a_collection_moves_with_it(folder, tmp_path, monkeypatch):
    with create() as pets:
        pets.add_uploads([Upload(name, png(seed)) for name, seed in version1.SHOEBOX.items()])
        store.write_dataset(tmp_path / "grid", labelled_dataset.dataset(pets).dataset)
    assert str(tmp_path) not in (tmp_path / "grid" / "collection-pets" / "dataset.json").read_text()
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", tmp_path / "elsewhere")
    shutil.move(folder, tmp_path / "elsewhere")
    dataset = datasets.load(tmp_path / "grid" / "collection-pets")
    for item in dataset.items:
        assert dataset.path(item.id).read_bytes() == png(version1.SHOEBOX[item.title]).getvalue()
    # And stays the same dataset.
    assert labelled_dataset.dataset(open_()).dataset == dataset


def test_paths_that_leave_the_collection_name_files(folder, tmp_path, capsys):
    with create() as pets:
        pets.add([draw(tmp_path / "photos" / "a.png", 1)])
        pets.add_uploads([Upload("b.png", png(2))])
        export.write(pets, tmp_path / "pets.parquet", Silent())
    paths = pq.read_table(tmp_path / "pets.parquet")["path"].to_pylist()
    assert len(paths) == 2 and all(Path(path).is_file() for path in paths)
    assert main(["collection", "duplicates", "pets", "--threshold", "2", "--json"]) == 0
    assert {member["path"] for member in json.loads(capsys.readouterr().out)} == set(paths)
    # Such a path removes it, too.
    with open_() as pets:
        assert pets.remove([next(path for path in paths if "uploads" in path)]) == 1


def test_an_upload_whose_hash_the_catalog_names_is_never_swept(folder, tmp_path):
    pets = create()
    pets.add_uploads([Upload("a.png", png(1))])
    [image] = pets.images()
    # Also when it is the hash of another image, in whatever state.
    pets.add([draw(tmp_path / "photos" / "b.png", 2)])
    stranger = pets.uploads / next(one.hash for one in pets.images() if one.id != image.id)
    stranger.write_bytes(png(2).getvalue())
    mine = pets.uploads / "notes.txt"
    mine.write_text("put here by hand")
    orphan = pets.uploads / ("0" * 64)
    orphan.write_bytes(b"of an upload that did not end")
    with pets.writing() as writer:
        with pets._catalog.writing() as connection:
            connection.execute(schema.images.update().values(state=schema.REMOVED))
        uploads.sweep(writer)
    assert pets.file(image.path).is_file() and stranger.is_file() and mine.is_file()
    assert not orphan.exists()


def test_a_name_that_a_client_chose_is_no_path_of_an_upload(folder):
    pets = create()
    pets.add_uploads([Upload("cat/a.png", png(1))])
    [image] = pets.images()
    report = pets.add_uploads([Upload(image.path, png(2)), Upload(f"uploads.zip/{image.hash}", png(3))])
    assert report.added == 2
    pets.add_uploads([Upload("x/uploads", _archive({image.hash: b"x"}))])
    # What could not be read has not taken the place of the stored image.
    assert pets.image(image.id) == image and pets.file(image.path).is_file()
    assert [row.path for row in pets.images("failed")] == [f"./{image.path}"]


def test_verify_names_the_images_whose_files_are_missing(folder, tmp_path):
    pets = create()
    local = [draw(tmp_path / "photos" / f"{i:02}.png", i) for i in range(30)]
    pets.add([str(tmp_path / "photos")])
    pets.add_uploads([Upload("a.png", png(50))])
    pets.add_vectors(["no file at all"], [[1.0] * 192])
    assert pets.verify() == []
    Path(local[3]).unlink()
    gone = next(pets.uploads.iterdir())
    gone.unlink()
    [problem] = pets.verify()
    assert local[3] in problem and f"uploads/{gone.name}" in problem and local[4] not in problem
    # A removed upload can be brought back as long as it is not purged.
    pets.remove([f"uploads/{gone.name}"])
    assert pets.verify() == [problem]
    [named] = pets.verify(
        lambda image: image_sources.public_path(image.path, image.metadata, pets.source_paths)
    )
    assert "photos/03.png" in named and "a.png" in named and str(tmp_path) not in named
    for path in local[4:]:
        Path(path).unlink()
    [problem] = pets.verify()
    # 28 are missing, 20 are named.
    assert "28" in problem and local[22] in problem and local[23] not in problem and "8 more" in problem


def _archive(members: dict[str, bytes]):
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return out
