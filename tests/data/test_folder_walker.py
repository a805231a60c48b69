"""Folders as they come from a Mac, a NAS, Windows and Jupyter: everything that looks into them sees the same pictures."""

import contextlib
import io
import os
import signal
import socket
import zipfile
from pathlib import Path

import pytest

from core import cli
from core.collections import Collection, server_folders
from core.collections.uploads import Upload
from core.data import datasets, folder_walker
from core.errors import CollectionError, DatasetError
from core.server import media
from core.settings import settings
from tests.collections.pixels import create, draw, picture
from tests.hostile import HEIC, encoded

JUNK = (
    "__MACOSX/cat/._0.png",
    "#recycle/dog/old.png",
    "$RECYCLE.BIN/x.png",
    "System Volume Information/y.png",
    "lost+found/z.png",
    ".hidden/a.png",
    "cat/.ipynb_checkpoints/0-checkpoint.png",
    "cat/._0.png",
    "cat/Thumbs.db",
    "dog/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg",
    "dog/desktop.ini",
    "dog/.DS_Store",
)
PICTURES = {"cat/0.png", "cat/web.jfif", "dog/1.png", "dog/phone.heic", "dog/deep/scan.jpe"}


@pytest.fixture
def collections_dir(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", tmp_path / "collections")
    monkeypatch.setattr(settings, "CATALOG_URL", None)
    monkeypatch.setattr(settings, "IMAGE_ROOT", None)
    monkeypatch.setattr(settings, "GRID_DIR", tmp_path / "no grid")


@pytest.fixture
def messy(tmp_path):
    """Five pictures of two classes, and twelve files and folders that computers made."""
    root = tmp_path / "set"
    for number, name in enumerate(JUNK):
        path = Path(draw(root / name, 100 + number))
        if name.endswith("._0.png"):
            path.write_bytes(b"\0\5\x16\7" + bytes(60))
    draw(root / "cat/0.png", 0)
    draw(root / "dog/1.png", 1)
    (root / "dog/deep").mkdir()
    (root / "cat/web.jfif").write_bytes(encoded(picture(2), "JPEG"))
    (root / "dog/deep/scan.jpe").write_bytes(encoded(picture(3), "JPEG"))
    (root / "dog/phone.heic").write_bytes(HEIC)
    (root / "dog/notes.txt").write_text("no picture")
    return root


def zipped(root: Path) -> Upload:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(root.rglob("*")):
            if path.suffix != ".txt":
                archive.write(path, path.relative_to(root))
    return Upload("set.zip", out)


def labels_of(collection: Collection) -> dict[str, str | None]:
    """By the name of the file alone, which an upload keeps as metadata."""
    return {
        (image.metadata.get("name") or image.path).rpartition("/")[2]: image.label
        for image in collection.images()
    }


@contextlib.contextmanager
def at_most(seconds: int):
    """What opens a named pipe waits forever."""
    previous = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits"))
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def test_a_walk_finds_the_images_and_counts_what_is_left_out(messy):
    found = list(folder_walker.walk(str(messy), lambda path: True))
    assert {"/".join(one.parts) for one in found if isinstance(one, folder_walker.ImageFile)} == PICTURES
    left_out = {os.path.relpath(one.path, messy) for one in found if isinstance(one, folder_walker.LeftOut)}
    assert len(left_out) == len(JUNK)
    assert {"__MACOSX", "#recycle", "cat/.ipynb_checkpoints", "dog/@eaDir", "cat/Thumbs.db"} <= left_out
    assert len(found) == len(PICTURES) + len(JUNK)


def test_collection_zip_pattern_and_dataset_see_the_same(messy, collections_dir):
    expected = {Path(name).name: name.split("/")[0] for name in PICTURES}
    with create("folder") as one:
        report = one.add([str(messy)])
        assert (report.added, report.failed, report.left_out) == (5, 0, len(JUNK))
        assert labels_of(one) == expected
        assert one.update().left_out == len(JUNK)
    with create("zip") as one:
        report = one.add_uploads([zipped(messy)])
        assert (report.added, report.failed, report.left_out) == (5, 0, len(JUNK))
        assert labels_of(one) == expected
    with create("pattern") as one:
        report = one.add([f"{messy}/**/*"])
        assert (report.added, report.failed, report.left_out) == (5, 0, len(JUNK))
    with create("folders") as one:
        report = one.add([f"{messy}/*"])
        assert (report.added, report.failed, set(labels_of(one))) == (5, 0, set(expected))
        assert not any("#" in path or "$" in path for path in one.source_paths)
    dataset = datasets.scan(messy)
    assert {item.file for item in dataset.items} == PICTURES and dataset.classes == ("cat", "dog")


def test_odd_names_are_seen_alike_by_a_collection_and_a_dataset(tmp_path, collections_dir):
    names = ("a\nb", "=cmd", 'a,b "q"', "100%", "x#1", " lead", "[1] new", "\u202eevil")
    root = tmp_path / "names [2024]"
    for number, name in enumerate(names):
        draw(root / f"k{number % 2}" / f"{name}.png", number)
    expected = {f"{name}.png": f"k{number % 2}" for number, name in enumerate(names)}
    with create() as one:
        report = one.add([str(root)])
        assert (report.added, report.failed) == (8, 0) and labels_of(one) == expected
        assert one.update().unchanged == 8
    dataset = datasets.scan(root)
    assert {item.file.split("/")[1]: item.label for item in dataset.items} == expected
    assert all(dataset.path(item.id).is_file() for item in dataset.items)


def test_browsing_counts_the_same(messy, monkeypatch):
    os.mkfifo(messy / "cat" / "pipe.png")
    monkeypatch.setattr(settings, "IMAGE_ROOT", messy)
    assert server_folders.list_folder().folders == ("cat", "dog")
    assert server_folders.list_folder("cat").images == 2


def test_a_hidden_folder_that_is_named_is_taken(tmp_path, collections_dir):
    draw(tmp_path / ".photos/cat/0.png", 0)
    draw(tmp_path / ".photos/dog/1.png", 1)
    for argument in (".photos", ".photos/*/*.png"):
        with create(f"c{len(argument)}") as one:
            assert one.add([str(tmp_path / argument)]).added == 2


def test_pipes_and_sockets_are_named_and_never_opened(tmp_path, collections_dir):
    root = tmp_path / "set"
    draw(root / "cat/0.png", 0)
    os.mkfifo(root / "cat/x.png")
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(root):
        server.bind("y.png")
    (root / "list.csv").write_text("path\ncat/0.png\ncat/x.png\n")
    with at_most(20), create() as one:
        assert one.add([str(root)]).added == 1
        reasons = {Path(row.path).name: row.reason for row in one.images("failed")}
        assert "named pipe" in reasons["x.png"] and "socket" in reasons["y.png"]
        one.forget_failures()
        one.add([f"{root}/*/*.png"])
        assert [row.reason for row in one.images("failed")] == [reasons["x.png"]]
        one.add([str(root / "list.csv")])
        with pytest.raises(CollectionError, match="named pipe"):
            one.add([str(root / "cat/x.png")])
        said: list[str] = []
        assert len(datasets.find(str(root), tmp_path / "grid", say=said.append)) == 1
        assert any("cat/x.png" in sentence and "named pipe" in sentence for sentence in said)


def test_an_image_that_became_a_pipe_is_not_served(tmp_path, monkeypatch):
    from starlette.applications import Starlette
    from starlette.testclient import TestClient

    from core.experiments import store

    draw(tmp_path / "set/cat/0.png", 0)
    monkeypatch.setattr(settings, "GRID_DIR", tmp_path / "grid")
    store.write_dataset(tmp_path / "grid", datasets.scan(tmp_path / "set"))
    client = TestClient(Starlette(routes=media.routes()))
    assert client.get("/pictures/set/0").status_code == 200
    (tmp_path / "set/cat/0.png").unlink()
    os.mkfifo(tmp_path / "set/cat/0.png")
    with at_most(20):
        answer = client.get("/pictures/set/0")
    assert answer.status_code == 404 and "named pipe" in answer.text


def test_names_that_are_not_utf8_are_named_and_left_out_by_a_dataset(tmp_path):
    root = tmp_path / "set"
    for number, name in enumerate((b"cat/0.png", b"cat/bad-\xff.png", b"dog-\xff/1.png", b"dog/2.png")):
        draw(root / os.fsdecode(name), number)
    said: list[str] = []
    dataset = datasets.find(str(root), tmp_path / "grid", say=said.append)
    assert {item.file for item in dataset.items} == {"cat/0.png", "dog/2.png"}
    assert [sentence for sentence in said if "cat/bad-\ufffd.png" in sentence and "UTF-8" in sentence]
    assert [sentence for sentence in said if "dog-\ufffd/1.png" in sentence]
    with pytest.raises(DatasetError, match="UTF-8"):
        datasets.scan(root.rename(tmp_path / os.fsdecode(b"set-\xff")))


def test_grid_run_refuses_two_folders_of_one_name_before_anything_runs(tmp_path, capsys, collections_dir):
    for number, name in enumerate(("a/train/x", "a/train/y", "b/train/x", "b/train/y")):
        draw(tmp_path / name / "0.png", number)
    a, b, out = (str(tmp_path / name) for name in ("a/train", "b/train", "out"))
    command = ["grid", "run", "--model", "mobilenetv2", "--weights", "untrained", "--out", out, "--dataset"]
    assert cli.main([*command, a, "--dataset", b]) == 2
    error = capsys.readouterr().err
    assert repr(a) in error and repr(b) in error
    assert not Path(out).exists()


def test_a_folder_that_was_run_keeps_its_items_until_a_rescan(tmp_path, messy):
    from core.experiments import store

    grid = tmp_path / "grid"
    # As an earlier version saw it: thumbnails of the NAS are pictures, .jfif is none.
    files = ["cat/0.png", "dog/1.png", "dog/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg"]
    old = datasets.scan(messy)
    labels = [name.split("/")[0] for name in files]
    old = datasets.Dataset(
        name=old.name,
        title=old.title,
        description=old.description,
        classes=("cat", "dog"),
        items=tuple(
            datasets.Item(id=place, file=file, label=label)
            for place, (file, label) in enumerate(zip(files, labels, strict=True))
        ),
        fingerprint=datasets.fingerprint(labels, [messy / file for file in files]),
        images=messy,
    )
    store.write_dataset(grid, old)
    said: list[str] = []
    assert datasets.find(str(messy), grid, say=said.append) == old
    assert len(said) == 1 and "leave out 1" in said[0] and "add 3" in said[0] and "--rescan" in said[0]
    again = datasets.find(str(messy), grid, rescan=True)
    assert {item.file for item in again.items} == PICTURES
    # Experiments on other pixels are not valid, whatever is recorded.
    draw(messy / "cat/0.png", 50)
    assert {item.file for item in datasets.find(str(messy), grid, say=said.append).items} == PICTURES
    assert "changed" in said[-2]


# Labels


@pytest.mark.parametrize(
    ("names", "level"),
    [
        ("cat/1 dog/2", 1),
        ("train/cat/1 train/dog/2 test/cat/3 test/dog/4", 2),
        ("train/cat/1", 2),
        ("Train/cat/1 Validation/cat/2", 2),
        ("training_set/cat/1 test_set/dog/2", 2),
        ("set/train/cat/1 set/test/cat/2", 3),
        ("set/cat/1 set/dog/deep/2", 2),
        ("cat/1 2", 1),
        ("1 2", None),
        ("photos/1 photos/2", None),
        ("train/1 test/2", None),
        # What is beside the splits has no label; a class may be called train.
        ("train/cat/1 test/dog/2 docs/3 4", 2),
        ("train/cat/1 test/2", 2),
        ("car/1 train/2 bus/3", 1),
        ("car/red/1 train/red/2", 1),
        ("train/side/1 car/2 bus/3", 1),
        # One name in both of its Unicode forms is one folder.
        ("cafe\u0301/x/1 caf\u00e9/y/2", 2),
    ],
)
def test_the_level_of_the_labels_is_found_from_the_structure(names, level):
    assert folder_walker.label_level(name.split("/")[:-1] for name in names.split()) == level


def test_splits_of_a_dataset_are_no_classes_and_unicode_forms_are_one_class(tmp_path):
    root = tmp_path / "set"
    names = ("train/caf\u00e9/0", "train/dog/1", "test/cafe\u0301/2", "test/dog/3", "sample")
    for number, name in enumerate(names):
        draw(root / f"{name}.png", number)
    said: list[str] = []
    dataset = datasets.scan(root, said.append)
    assert dataset.classes == ("caf\u00e9", "dog") and dataset.labels == ["caf\u00e9"] * 2 + ["dog"] * 2
    assert any("no class-named folder" in sentence and "1" in sentence for sentence in said)
    for name in ("only/cat/0.png", "flat/train/0.png"):
        draw(tmp_path / name, 0)
    assert datasets.scan(tmp_path / "only").classes == ("cat",)
    with pytest.raises(DatasetError, match="class-named folders"):
        datasets.scan(tmp_path / "flat")


def test_a_pattern_of_folders_in_folders_follows_no_links_in_circles(collections_dir, tmp_path):
    root = tmp_path / "set"
    for number, name in enumerate(("0", "cat/1", "cat/deep/2", "dog/3", ".hidden/4")):
        draw(root / f"{name}.png", number)
    # A way through them all would never end.
    for name in ("back", "again"):
        (root / "cat" / name).symlink_to(".")
    pets = create()
    assert pets.add([f"{root}/**/*.png"]).added == 4
    assert pets.add([f"{root}/cat/**"]).unchanged == 2 and pets.add([f"{root}/*/**/[23].png"]).unchanged == 2
    with pytest.raises(CollectionError, match="nowhere"):
        pets.add([f"{root}/nowhere/**/*.png"])
    assert pets.update().unchanged == 4 and pets.info().images == 4
