"""The labelled images of a collection as a dataset, on the command line and over HTTP."""

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core import lock
from core.cli import main
from core.collections import Collection, labelled_dataset, names
from core.collections.uploads import Upload
from core.data import datasets
from core.errors import DatasetError, UserError
from core.experiments import store
from core.imaging import decode, servable_files
from core.search import shared_engine
from core.server import media
from core.settings import settings
from tests.collections.pixels import create, draw, png


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two cats, one of them twice, two dogs, and one image that is in no folder."""
    for name, seed in (("cat/a", 1), ("cat/b", 2), ("cat/copy", 1), ("dog/c", 3), ("dog/d", 4), ("e", 5)):
        draw(tmp_path / "photos" / f"{name}.png", seed)
    return tmp_path / "photos"


@pytest.fixture
def pets(folder: Path, photos: Path) -> Collection:
    made = create()
    made.add([str(photos)])
    return made


@pytest.fixture
def grid_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "GRID_DIR", tmp_path / "grid")
    shared_engine.of_grid.cache_clear()
    return settings.GRID_DIR


def test_the_labelled_images_are_the_dataset_and_the_others_are_counted(pets, photos):
    (photos / "dog" / "d.png").unlink()
    draw(photos.parent / "f.png", 6)
    pets.add([str(photos.parent / "f.png")])
    made = labelled_dataset.dataset(pets)
    dataset = made.dataset
    assert (dataset.name, dataset.title, dataset.collection) == ("collection-pets", "pets", "pets")
    assert [dataset.path(item.id).name for item in dataset.items] == ["a.png", "b.png", "c.png"]
    assert dataset.labels == ["cat", "cat", "dog"] and dataset.classes == ("cat", "dog")
    message = " ".join(made.left_out)
    for reason in (
        "2 images of 'pets' have no label",
        "1 image of 'pets' has the same content",
        "1 image of 'pets' is gone",
    ):
        assert reason in message


def test_an_upload_in_folders_goes_by_its_own_name_and_keeps_its_path(folder):
    with create() as sent:
        sent.add_uploads([Upload(f"pets/{name}.png", png(n)) for n, name in enumerate(("cat/a", "dog/b"))])
        item = labelled_dataset.dataset(sent).dataset.item(0)
    assert (item.name, item.title, item.path) == ("a.png", "pets/cat/a.png", "pets/cat/a.png")
    assert item.alt == "pets/cat/a.png (cat)"


def test_the_fingerprint_is_that_of_the_files(pets):
    dataset = labelled_dataset.dataset(pets).dataset
    read = datasets.fingerprint(dataset.labels, [dataset.path(item.id) for item in dataset.items])
    assert dataset.fingerprint == read


def test_a_dataset_is_written_and_read_with_its_origin(pets, tmp_path):
    dataset = labelled_dataset.dataset(pets).dataset
    store.write_dataset(tmp_path / "grid", dataset)
    assert datasets.load(tmp_path / "grid" / "collection-pets") == dataset


def test_fewer_than_two_labels_are_refused_with_the_reasons(folder, tmp_path):
    with create() as lonely:
        lonely.add([draw(tmp_path / "a.png", 1)])
        with pytest.raises(DatasetError, match=r"at least two labels.*1 image of 'pets' has no label"):
            labelled_dataset.dataset(lonely)


def test_its_images_are_served_within_the_allowed_folder_only(pets, photos, grid_dir, monkeypatch):
    dataset = labelled_dataset.dataset(pets).dataset
    store.write_dataset(grid_dir, dataset)
    client = TestClient(Starlette(routes=media.routes()))
    assert client.get(f"/{dataset.address(0)}").headers["content-type"] == "image/webp"
    monkeypatch.setattr(settings, "IMAGE_ROOT", photos / "dog")
    refused = client.get(f"/{dataset.address(0)}")
    assert refused.status_code == 404 and "outside the folder" in refused.text
    assert client.get(f"/{dataset.address(3)}").status_code == 200


@pytest.mark.slow
def test_uploaded_images_are_decoded_in_a_process_of_their_own_wherever_they_are_read(
    folder, grid_dir, monkeypatch
):
    pets = create()
    pets.add_uploads([Upload(f"{name}/{name}.png", png(seed)) for name, seed in (("cat", 1), ("dog", 2))])
    dataset = labelled_dataset.dataset(pets).dataset
    store.write_dataset(grid_dir, dataset)
    assert [item.title for item in dataset.items] == ["cat/cat.png", "dog/dog.png"]
    guarded = []
    original = decode.decode_guarded
    monkeypatch.setattr(
        decode,
        "decode_guarded",
        lambda data, reduction=None: guarded.append(len(data)) or original(data, reduction),
    )
    decode.read(dataset.path(0))
    client = TestClient(Starlette(routes=media.routes()))
    assert client.get(f"/{dataset.address(1)}").status_code == 200
    assert len(guarded) == 2
    monkeypatch.setattr(settings, "IMAGE_ROOT", grid_dir)
    assert client.get(f"/{dataset.address(0)}").status_code == 200


def test_what_only_looks_like_an_upload_is_none(folder, tmp_path):
    folder.mkdir()
    inside = folder / "pets" / "uploads" / "a.png"
    assert servable_files.uploaded(inside)
    for other in (
        "pets/a.png",
        "uploads/a.png",
        "../pets/uploads/a.png",
        "pets/uploads",
        "pets/uploads/../a.png",
    ):
        assert not servable_files.uploaded(folder / other)
    (tmp_path / "link").symlink_to(folder)
    assert servable_files.uploaded(tmp_path / "link" / "pets" / "uploads" / "a.png")


@pytest.mark.slow
def test_the_grid_runs_on_a_collection_by_name(pets, photos, grid_dir, capsys):
    pets.remove([str(photos / "dog" / "d.png")])
    command = [
        "grid",
        "run",
        "--model",
        "squeezenet",
        "--layer",
        "conv1_activation",
        "--pooling",
        "avg",
        "--dataset",
    ]
    assert main([*command, "collection:none"]) == 2
    assert "'none'" in capsys.readouterr().err
    assert main([*command, "collection:pets"]) == 0
    assert "1 image of 'pets' has no label" in capsys.readouterr().err
    run = store.Grid(grid_dir).run(datasets.load(grid_dir / "collection-pets"), "squeezenet", "imagenet")
    assert len(run.neighbors("conv1_activation", "avg", "cosine").queries) == 3


def test_deleting_a_collection_takes_the_experiments_on_it_along_and_no_other(pets, photos, grid_dir):
    store.write_dataset(grid_dir, labelled_dataset.dataset(pets).dataset)
    with lock.writing(grid_dir / "collection-pets"), pytest.raises(UserError, match="Another run"):
        labelled_dataset.delete("pets")
    assert (names(), datasets.names(grid_dir)) == (["pets"], ["collection-pets"])
    labelled_dataset.delete("pets")
    assert (names(), datasets.names(grid_dir)) == ([], [])

    # A folder of somebody's that only has such a name.
    (photos / "e.png").unlink()
    mine = datasets.scan(photos.rename(photos.with_name("collection-cats")))
    store.write_dataset(grid_dir, mine)
    create("cats").close()
    labelled_dataset.delete("cats")
    assert (names(), datasets.names(grid_dir)) == ([], ["collection-cats"])
