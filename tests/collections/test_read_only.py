"""Collections in folders that can't be written, and catalogs that can't be read."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from core.collections import names, schema
from core.errors import CatalogUnreachableError
from core.settings import settings
from tests.collections import version1
from tests.collections.pixels import create, draw, open_
from tests.conftest import ROOT

WITHOUT_RIGHTS = """
import ctypes
# Root may read and write anywhere by its capabilities; without them permissions count for it too.
header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert ctypes.CDLL(None).capset(header, none) == 0
from core.errors import CollectionError
from core.collections import names
from tests.collections.pixels import open_, picture
try:
    for name in names():
        with open_(name) as pets:
            hits = pets.search([picture(0)], k=9)[0]
            print(pets.info().images, len(hits), {image.label for image in pets.images()}, pets.verify())
except CollectionError as error:
    print(error)
"""


def without_rights(folder: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-B", "-c", WITHOUT_RIGHTS],
        cwd=ROOT,
        env={**os.environ, "PLAYGROUND_COLLECTIONS_DIR": str(folder)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def forbid_writing(folder: Path) -> None:
    for path in folder.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    folder.chmod(0o555)


@pytest.fixture
def killed(folder: Path, tmp_path: Path) -> Path:
    """The folder of a collection as a writer leaves it that is killed: all of it in SQLite's log."""
    with create() as pets:
        pets.add([draw(tmp_path / "photos" / f"{i}.png", i) for i in range(3)])
        with pets._catalog.writing() as connection:
            connection.execute(sa.update(schema.images).values(label="late"))
        assert (folder / "pets" / "catalog.sqlite-wal").stat().st_size > 0
        shutil.copytree(folder, tmp_path / "killed")
    return tmp_path / "killed"


@pytest.mark.slow
@pytest.mark.parametrize("left", ["with its index", "copied without"])
def test_what_is_in_the_log_only_is_read_where_nothing_can_be_written(killed, left):
    if left == "copied without":
        (killed / "pets" / "catalog.sqlite-shm").unlink()
    forbid_writing(killed / "pets")
    assert without_rights(killed) == "3 3 {'late'} []"


@pytest.mark.slow
def test_on_a_read_only_mount_the_log_is_read_too(killed):
    script = f"mount --bind {killed} {killed} && mount -o remount,ro,bind {killed} && exec {sys.executable} -B -c '{WITHOUT_RIGHTS}'"
    ran = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        cwd=ROOT,
        env={**os.environ, "PLAYGROUND_COLLECTIONS_DIR": str(killed)},
        capture_output=True,
        text=True,
    )
    if "unshare" in ran.stderr or "mount:" in ran.stderr:
        pytest.skip("no right to mount here")
    assert ran.stdout.strip() == "3 3 {'late'} []", ran.stderr


@pytest.mark.slow
def test_an_old_catalog_is_read_where_it_can_not_be_brought_up_to_date(folder, tmp_path):
    version1.unpack(tmp_path)
    forbid_writing(folder / "pets")
    found = without_rights(folder)
    assert found.startswith("7 7 ") and "of which 0 were uploaded" in found


@pytest.mark.slow
def test_a_process_that_ends_without_closing_leaves_a_catalog_that_is_complete_without_its_log(
    folder, tmp_path
):
    create().close()
    draw(tmp_path / "photos" / "a.png", 1)
    script = f"""
import os, signal
from tests.collections.pixels import open_
pets = open_()
pets.add([{str(tmp_path / "photos")!r}])
os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {**os.environ, "PLAYGROUND_COLLECTIONS_DIR": str(folder)}
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, check=False)
    for end in ("-wal", "-shm"):
        (folder / "pets" / f"catalog.sqlite{end}").unlink(missing_ok=True)
    with open_() as pets:
        assert pets.info().images == 1 and pets.verify() == []


@pytest.mark.slow
def test_a_folder_of_collections_that_can_not_be_read_is_not_an_empty_one(folder):
    create().close()
    folder.chmod(0)
    assert "can't be read" in without_rights(folder)
    folder.chmod(0o755)
    assert names() == ["pets"]


def test_a_database_that_does_not_answer_is_reported(folder, postgresql_url, monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "CATALOG_URL", postgresql_url)
    create().close()
    monkeypatch.setattr(settings, "CATALOG_URL", f"postgresql://tester@/postgres?host={tmp_path}")
    with pytest.raises(CatalogUnreachableError):
        open_()
    monkeypatch.setattr(settings, "CATALOG_URL", None)
    with pytest.raises(CatalogUnreachableError, match="PLAYGROUND_CATALOG_URL"):
        open_()
