"""Backups: one archive of a collection, restored completely or not at all."""

import io
import json
import multiprocessing
import random
import shutil
import sqlite3
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from core import collections
from core.cli import main
from core.collections import Collection, backup, names
from core.collections.backup import BackupError
from core.collections.uploads import Upload
from core.errors import CollectionError, UnknownNameError
from core.settings import settings
from tests.collections.pixels import create, draw, open_, picture, png

DATABASES = ("sqlite", "postgresql")


@pytest.fixture
def use(folder: Path, tmp_path: Path, postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Another folder of collections, with catalogs in one of the databases."""

    def use(where: str, database: str = "sqlite") -> Path:
        monkeypatch.setattr(settings, "COLLECTIONS_DIR", tmp_path / where)
        monkeypatch.setattr(settings, "CATALOG_URL", postgresql_url if database == "postgresql" else None)
        return tmp_path / where

    return use


def fill(tmp_path: Path) -> Collection:
    """Labelled images of a folder, uploads, an image that was removed, and one that can't be read."""
    photos = tmp_path / "photos"
    for i in range(8):
        draw(photos / ("cat" if i % 2 else "dog") / f"{i}.png", i)
    (photos / "dog" / "broken.png").write_bytes(b"\x89PNG")
    pets = create()
    pets.add([str(photos)])
    pets.add_uploads([Upload(f"{'fish' if i % 2 else 'frog'}/{i}.png", png(i)) for i in range(20, 24)])
    pets.remove([str(photos / "cat" / "3.png")])
    return pets


def rows(collection: Collection) -> list:
    return [image for state in ("indexed", "failed", "removed") for image in collection.images(state)]


def schemas(url: str) -> set[str]:
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    found = {name for name in sa.inspect(engine).get_schema_names() if name.startswith("collection_")}
    engine.dispose()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("target", DATABASES)
@pytest.mark.parametrize("source", DATABASES)
def test_what_is_restored_is_what_was_backed_up(use, tmp_path, source, target):
    use("here", source)
    pets = fill(tmp_path)
    before, found, info = rows(pets), pets.search([picture(5)], k=20), pets.info()
    made = backup.write(pets, tmp_path / "pets.tar")
    assert (made.images, made.uploads, made.missing) == (11, 4, 0)
    assert made.size == (tmp_path / "pets.tar").stat().st_size
    pets.close()
    collections.delete("pets")

    there = use("there", target)
    assert backup.restore(tmp_path / "pets.tar") == "pets"
    with open_() as again:
        assert again.about.catalog == target and again.about.uuid != pets.about.uuid
        assert rows(again) == before and again.search([picture(5)], k=20) == found
        assert again.info().labels == info.labels and again.info().sources == info.sources
        assert again.verify() == []
        sent = [image for image in again.images() if "name" in image.metadata]
        assert len(sent) == 4
        for image in sent:
            number = int(Path(image.metadata["name"]).stem)
            assert again.file(image.path).read_bytes() == png(number).getvalue()
        # It goes on: the next image gets a number of its own, what was removed stays so.
        assert again.add_uploads([Upload("new.png", png(40))]).added == 1
        again.update()
        assert again.verify() == [] and again.info().images == 12
    assert [path.name for path in there.iterdir()] == ["pets"]


def test_a_collection_is_restored_beside_the_original_under_another_name(anywhere, tmp_path):
    pets = fill(tmp_path)
    backup.write(pets, tmp_path / "pets.tar")
    with pytest.raises(CollectionError, match="'pets' already"):
        backup.restore(tmp_path / "pets.tar")
    with pytest.raises(CollectionError, match="can't be the name"):
        backup.restore(tmp_path / "pets.tar", "../pets")
    assert backup.restore(tmp_path / "pets.tar", "cats") == "cats"
    with open_("cats") as cats:
        cats.remove(where=["label=fish"])
        cats.optimize()
    assert pets.info().images == 11 and pets.verify() == []


def test_a_file_that_is_there_is_not_written_over(folder, tmp_path):
    (tmp_path / "mine.tar").write_text("mine")
    with pytest.raises(BackupError, match="already"):
        backup.write(fill(tmp_path), tmp_path / "mine.tar")
    assert (tmp_path / "mine.tar").read_text() == "mine"
    with pytest.raises(BackupError, match="There is a folder"):
        backup.write(open_(), folder)
    with pytest.raises(BackupError, match="nowhere"):
        backup.write(open_(), tmp_path / "nowhere" / "mine.tar")


def test_a_missing_upload_is_counted_and_missing_vectors_are_refused(folder, tmp_path):
    pets = fill(tmp_path)
    pets.add_uploads([Upload("page.png", io.BytesIO(b"<html>"))])
    assert backup.write(pets, tmp_path / "whole.tar").missing == 0
    next(pets.uploads.iterdir()).unlink()
    assert backup.write(pets, tmp_path / "a.tar").missing == 1
    backup.restore(tmp_path / "a.tar", "cats")
    [problem] = open_("cats").verify()
    assert "1 were uploaded" in problem
    (folder / "pets" / pets.state.vector_file).unlink()
    with pytest.raises(BackupError, match="verify"):
        backup.write(pets, tmp_path / "b.tar")
    assert {path.name for path in tmp_path.glob("*.tar*")} == {"a.tar", "whole.tar"} and not list(
        tmp_path.glob(".b*")
    )


def test_a_backup_is_one_state_while_others_change_the_collection(anywhere, tmp_path):
    create().close()
    done, failed = threading.Event(), []

    def change() -> None:
        try:
            with open_() as pets:
                for i in range(0, 800, 4):
                    pets.add_uploads([Upload(f"{i + j}.png", png(i + j)) for j in range(4)])
                    if i % 20 == 16:
                        pets.remove(where=[f"name={i - 5}.png"])
                        pets.optimize()
                    if done.is_set():
                        break
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        sizes = []
        with open_() as reader:
            for i in range(5):
                # At another moment of the writer's than before.
                deadline = time.monotonic() + 60
                while reader.info().images <= (sizes[-1] if sizes else 0) and time.monotonic() < deadline:
                    time.sleep(0.002)
                made = backup.write(reader, tmp_path / f"{i}.tar")
                assert made.missing == 0
                sizes.append(made.images)
    finally:
        done.set()
        thread.join()
    assert not failed and sizes == sorted(set(sizes))
    for i, images in enumerate(sizes):
        backup.restore(tmp_path / f"{i}.tar", f"at-{i}")
        with open_(f"at-{i}") as restored:
            assert restored.info().images == images and restored.verify() == []


# Archives that are none


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def pack(path: Path, parts: dict[str, bytes], **others: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in parts.items():
            member = others.get(name) or tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def kind(name: str, type_: bytes, target: str = "/etc/passwd") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = type_, target
    return made


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tmp_path = tmp_path_factory.mktemp("archive")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "COLLECTIONS_DIR", tmp_path / "collections")
        patch.setattr(settings, "CATALOG_URL", None)
        patch.setattr(settings, "IMAGE_ROOT", None)
        with fill(tmp_path) as pets:
            backup.write(pets, tmp_path / "pets.tar")
    return tmp_path / "pets.tar"


# Statements that make a catalog one that no version wrote.
STATEMENTS = {
    "a trigger": "CREATE TRIGGER evil AFTER INSERT ON images BEGIN DELETE FROM images; END",
    "sources without a path": """UPDATE facts SET value = '[{"id": 1}]' WHERE name = 'sources'""",
    "sources of a kind that is none": """UPDATE facts SET value = replace(value, '"folder"', '"disk"') WHERE name = 'sources'""",
    "sources that are text": """UPDATE facts SET value = '"x"' WHERE name = 'sources'""",
    "a run that is text": """UPDATE facts SET value = '"x"' WHERE name = 'run'""",
    "metadata that are a list": "UPDATE images SET metadata = '[1]'",
    "a size that is text": "UPDATE images SET size = 'large'",
}


def changed(data: bytes, statement: str, tmp_path: Path) -> bytes:
    file = tmp_path / "evil.sqlite"
    file.write_bytes(data)
    connection = sqlite3.connect(file)
    assert connection.execute(statement).rowcount != 0
    connection.commit()
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    return file.read_bytes()


def hostile(path: Path, how: str, tmp_path: Path) -> Path:
    parts = members(path)
    manifest = json.loads(parts.pop("manifest.json"))
    upload = next(name for name in parts if name.startswith("uploads/"))
    vectors = next(name for name in parts if name.startswith("vectors-"))
    evil = tmp_path / "evil.tar"
    end = {"manifest.json": json.dumps(manifest).encode()}
    if how == "a path that leads out":
        return pack(evil, {**parts, "../evil": b"x", **end})
    if how == "an absolute path":
        return pack(evil, {**parts, str(tmp_path / "evil"): b"x", **end})
    if how == "a symbolic link":
        return pack(evil, {**parts, upload: b"", **end}, **{upload: kind(upload, tarfile.SYMTYPE)})
    if how == "a hard link":
        return pack(evil, {**parts, upload: b"", **end}, **{upload: kind(upload, tarfile.LNKTYPE, vectors)})
    if how == "a device":
        return pack(evil, {**parts, upload: b"", **end}, **{upload: kind(upload, tarfile.CHRTYPE)})
    if how == "a folder":
        return pack(evil, {**parts, "uploads": b"", **end}, uploads=kind("uploads", tarfile.DIRTYPE))
    if how == "another picture":
        return pack(evil, {**parts, upload: b"other bytes", **end})
    if how == "a missing picture":
        return pack(evil, {**{name: data for name, data in parts.items() if name != upload}, **end})
    if how == "other vectors":
        return pack(evil, {**parts, vectors: bytes(len(parts[vectors])), **end})
    if how == "fewer vectors, listed":
        import hashlib

        short = parts[vectors][:-384]
        manifest["files"][vectors] = [len(short), hashlib.sha256(short).hexdigest()]
        return pack(evil, {**parts, vectors: short, "manifest.json": json.dumps(manifest).encode()})
    if how in STATEMENTS:
        import hashlib

        data = changed(parts["catalog.sqlite"], STATEMENTS[how], tmp_path)
        manifest["files"]["catalog.sqlite"] = [len(data), hashlib.sha256(data).hexdigest()]
        return pack(evil, {**parts, "catalog.sqlite": data, "manifest.json": json.dumps(manifest).encode()})
    if how == "a newer format":
        return pack(evil, {**parts, "manifest.json": json.dumps({**manifest, "format": 99}).encode()})
    if how == "something behind the end":
        return pack(evil, {**parts, **end, "vectors-99.bin": b""})
    if how == "no end":
        return pack(evil, parts)
    if how == "a header of many megabytes":
        with tarfile.open(evil, "w", format=tarfile.PAX_FORMAT) as made:
            member = tarfile.TarInfo("collection.json")
            member.pax_headers = {"comment": "x" * 8_000_000}
            made.addfile(member, io.BytesIO())
        return evil
    raise AssertionError(how)


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize(
    "how",
    [
        "a path that leads out",
        "an absolute path",
        "a symbolic link",
        "a hard link",
        "a device",
        "a folder",
        "another picture",
        "a missing picture",
        "other vectors",
        "fewer vectors, listed",
        *STATEMENTS,
        "a newer format",
        "something behind the end",
        "no end",
        "a header of many megabytes",
    ],
)
def test_an_archive_that_is_no_backup_leaves_nothing(use, archive, tmp_path, postgresql_url, how, database):
    there, before = use("there", database), schemas(postgresql_url)
    there.mkdir()
    evil = hostile(archive, how, tmp_path)
    with pytest.raises(
        BackupError, match="update the project" if how == "a newer format" else "not restored"
    ):
        backup.restore(evil)
    assert names() == [] and list(there.iterdir()) == []
    assert not (tmp_path / "evil").exists() and schemas(postgresql_url) == before


def test_damage_anywhere_is_noticed(use, archive, tmp_path):
    there = use("there")
    data, choose = archive.read_bytes(), random.Random(0)
    damaged = tmp_path / "damaged.tar"
    for cut in (0, 100, 512, len(data) // 3, len(data) // 2, len(data) - 12_000):
        damaged.write_bytes(data[:cut])
        with pytest.raises(BackupError):
            backup.restore(damaged)
    with tarfile.open(archive) as made:
        places = [(member.offset_data, member.size) for member in made if member.name != "collection.json"]
    for start, size in places:
        at = start + choose.randrange(size)
        damaged.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        with pytest.raises(BackupError):
            backup.restore(damaged)
    assert list(there.iterdir()) == []
    with pytest.raises(BackupError):
        backup.restore(tmp_path / "none.tar")


# Processes that are killed


def _write(folder: Path, url: str | None, path: Path) -> None:
    settings.COLLECTIONS_DIR, settings.CATALOG_URL = folder, url
    with open_() as pets:
        backup.write(pets, path)
    time.sleep(10)


def _restore(folder: Path, url: str | None, path: Path) -> None:
    settings.COLLECTIONS_DIR, settings.CATALOG_URL = folder, url
    backup.restore(path)
    time.sleep(10)


def kill(work: Callable, *arguments: object, after: float, begun: Callable[[], object]) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.collections.test_backup", "faiss"])
    process = context.Process(target=work, args=arguments)
    process.start()
    deadline = time.monotonic() + 30
    while not begun() and time.monotonic() < deadline:
        time.sleep(0.0005)
    time.sleep(after)
    process.kill()
    process.join()
    assert process.exitcode == -9


@pytest.mark.slow
def test_a_backup_that_is_killed_leaves_a_complete_archive_or_none(folder, tmp_path):
    fill(tmp_path).close()
    path, part = tmp_path / "pets.tar", tmp_path / ".pets.tar.part"
    ended = []
    for after in (0, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, None):
        begun = path.exists if after is None else lambda: part.exists() or path.exists()
        kill(_write, folder, None, path, after=after or 0, begun=begun)
        ended.append(path.exists())
        if path.exists():
            backup.restore(path, "cats")
            assert open_("cats").verify() == []
            collections.delete("cats")
            path.unlink()
    assert {True, False} == set(ended)
    with open_() as pets:
        assert pets.verify() == []
        backup.write(pets, path)
    assert not part.exists()


@pytest.mark.slow
@pytest.mark.parametrize("database", DATABASES)
def test_a_restore_that_is_killed_leaves_a_complete_collection_or_none(
    use, archive, tmp_path, postgresql_url, database
):
    there = use("there", database)
    there.mkdir()
    before, ended = schemas(postgresql_url), []
    for after in (0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, None):
        begun = names if after is None else lambda: any(there.iterdir())
        kill(_restore, there, settings.CATALOG_URL, archive, after=after or 0, begun=begun)
        ended.append(names() == ["pets"])
        if names():
            with open_() as pets:
                assert pets.verify() == [] and pets.info().images == 11
            collections.delete("pets")
        # The next change clears up what is left of it.
        backup.restore(archive, "cats")
        collections.delete("cats")
        assert list(there.iterdir()) == [] and schemas(postgresql_url) == before
    assert {True, False} == set(ended)


def test_an_unfinished_folder_that_was_copied_drops_no_finished_collection(use, tmp_path):
    here = use("here", "postgresql")
    create().close()
    shutil.copytree(here / "pets", tmp_path / "there" / ".new-0123456789ab")
    use("there", "postgresql")
    create("cats").close()
    use("here", "postgresql")
    assert open_().info().images == 0


def test_the_command_line_backs_up_and_restores(folder, tmp_path, capsys, monkeypatch):
    fill(tmp_path).close()
    file = str(tmp_path / "pets.tar")
    assert main(["collection", "backup", "pets", file]) == 0
    assert "11 images and 4 uploaded files" in capsys.readouterr().out
    assert main(["collection", "backup", "pets", file]) == 2
    assert "already" in capsys.readouterr().err
    assert main(["collection", "restore", file]) == 2
    assert main(["collection", "restore", file, "--as", "cats"]) == 0
    assert "'cats' with 11 images" in capsys.readouterr().out
    assert main(["collection", "verify", "cats"]) == 0
    with pytest.raises(UnknownNameError):
        open_("dogs")
