"""Folders of collections that were copied, renamed or moved, with catalogs in each kind of database."""

import json
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from core import collections
from core.collections import Collection, catalog, labelled_dataset, lifecycle, names
from core.collections.catalog import Catalog
from core.collections.state import DESCRIPTION
from core.collections.uploads import Upload
from core.errors import CollectionError, ForeignCatalogError
from core.settings import settings
from tests.collections import version1
from tests.collections.pixels import create, draw, open_, picture, png
from tests.collections.test_read_only import forbid_writing, without_rights


def fill(collection: Collection, tmp_path: Path) -> None:
    collection.add([draw(tmp_path / "photos" / f"{i}.png", i) for i in range(3)])
    collection.add_uploads([Upload("upload.png", png(9))])


def described(folder: Path) -> dict:
    return json.loads((folder / DESCRIPTION).read_text())


def rename_inside(folder: Path) -> None:
    """What the first version asked of who wanted to open a copy."""
    (folder / DESCRIPTION).write_text(json.dumps({**described(folder), "name": folder.name}))


@pytest.fixture
def in_postgresql(folder: Path, postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "CATALOG_URL", postgresql_url)
    return folder


def test_a_copied_folder_is_a_collection_of_its_own(folder, tmp_path):
    with create() as pets:
        fill(pets, tmp_path)
    original = described(folder / "pets")
    shutil.copytree(folder / "pets", folder / "copy")
    with open_("copy") as copy:
        assert (copy.about.name, copy.info().images) == ("copy", 4)
        assert copy.verify() == [] and copy.about.uuid != original["uuid"]
        assert described(folder / "copy")["uuid"] == copy.about.uuid
        copy.remove(where=["name=upload.png"])
        copy.optimize()
    with open_() as pets:
        assert described(folder / "pets") == original
        assert pets.info().images == 4 and pets.verify() == []
        assert pets.search([picture(9)], k=1)[0][0].distance < 1e-3
    with open_("copy") as again:
        assert again.about == copy.about


def test_a_copy_that_was_given_its_name_by_hand_gets_an_identity_too(folder):
    create().close()
    shutil.copytree(folder / "pets", folder / "copy")
    rename_inside(folder / "copy")
    with open_("copy") as copy, open_() as pets:
        assert copy.about.uuid != pets.about.uuid


@pytest.mark.slow
def test_a_copied_folder_that_can_only_be_read_opens_too(folder, tmp_path):
    with create() as pets:
        fill(pets, tmp_path)
    shutil.copytree(folder / "pets", folder / "copy")
    before = described(folder / "copy")
    forbid_writing(folder / "copy")
    assert without_rights(folder).count("4 4 {None} []") == 2
    assert described(folder / "copy") == before


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("beside", [True, False])
def test_a_copy_of_a_folder_never_touches_its_catalog_in_postgresql(
    in_postgresql, tmp_path, monkeypatch, named, beside
):
    with create() as pets:
        fill(pets, tmp_path)
    where = in_postgresql if beside else tmp_path / "elsewhere"
    shutil.copytree(in_postgresql / "pets", where / "copy")
    if named:
        rename_inside(where / "copy")
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", where)
    with pytest.raises(ForeignCatalogError, match=r"collection backup.*collection restore"):
        open_("copy")
    for delete in (collections.delete, labelled_dataset.delete):
        with pytest.raises(ForeignCatalogError):
            delete("copy")
    assert "copy" in names()
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", in_postgresql)
    with open_() as pets:
        assert pets.info().images == 4 and pets.verify() == []
        assert pets.add([draw(tmp_path / "more.png", 20)]).added == 1


@pytest.mark.parametrize("way", ["renamed", "moved", "copied and removed"])
def test_a_folder_that_was_moved_keeps_its_catalog_in_postgresql(in_postgresql, tmp_path, monkeypatch, way):
    with create() as pets:
        fill(pets, tmp_path)
    target = in_postgresql / "cats" if way == "renamed" else tmp_path / "elsewhere" / "cats"
    if way == "copied and removed":
        shutil.copytree(in_postgresql / "pets", target)
        shutil.rmtree(in_postgresql / "pets")
    else:
        target.parent.mkdir(exist_ok=True)
        (in_postgresql / "pets").rename(target)
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", target.parent)
    with open_("cats") as cats:
        assert cats.about.name == "cats" and cats.info().images == 4
        assert cats.add_uploads([Upload("more.png", png(20))]).added == 1
        assert cats.verify() == []
    collections.delete("cats")
    assert names() == []


def test_a_copy_whose_original_can_not_be_read_is_refused(in_postgresql, tmp_path, monkeypatch):
    with create() as pets, pets._catalog.writing() as connection:
        known = catalog.get_fact(connection, "folder")
        catalog.set_fact(connection, "folder", {**known, "host": "another-machine"})
    (in_postgresql / "pets").rename(in_postgresql / "cats")
    with pytest.raises(ForeignCatalogError, match="back to where it was"):
        open_("cats")
    (in_postgresql / "cats").rename(in_postgresql / "pets")
    assert open_().info().images == 0


def test_an_older_copy_of_a_folder_is_not_taken_for_the_moved_one(in_postgresql, tmp_path):
    pets = create()
    shutil.copytree(in_postgresql / "pets", tmp_path / "before")
    fill(pets, tmp_path)
    pets.close()
    shutil.rmtree(in_postgresql / "pets")
    shutil.move(tmp_path / "before", in_postgresql / "cats")
    with pytest.raises(ForeignCatalogError, match="state"):
        open_("cats")


def test_an_old_collection_and_its_copy_are_refused_until_one_is_left(in_postgresql, tmp_path):
    version1.unpack(tmp_path, settings.CATALOG_URL)
    shutil.copytree(in_postgresql / "pets", in_postgresql / "copy")
    rename_inside(in_postgresql / "copy")
    for name in ("copy", "pets"):
        with pytest.raises(ForeignCatalogError, match="name the same catalog"):
            open_(name)
    shutil.rmtree(in_postgresql / "copy")
    assert open_().info().images == 7


def test_a_collection_whose_folder_is_moved_while_it_is_open_is_not_written(anywhere, tmp_path):
    pets = create()
    fill(pets, tmp_path)
    (anywhere / "pets").rename(anywhere / "cats")
    new = draw(tmp_path / "new.png", 30)
    for _ in range(2):
        with pytest.raises(CollectionError, match="moved or replaced"):
            pets.add([new])
    assert not (anywhere / "pets").exists()
    # Another one in its place.
    create()
    with pytest.raises(CollectionError, match="moved or replaced"):
        pets.add([new])
    assert open_().info().images == 0
    assert open_("cats").info().images == 4


def test_a_deletion_that_was_killed_leaves_no_collection_without_a_catalog(in_postgresql, monkeypatch):
    with create() as pets:
        name = pets.about.schema_name

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "drop", killed)
        with pytest.raises(KeyboardInterrupt):
            lifecycle.delete("pets")
    assert lifecycle.names() == []
    # The next change to the folder of collections drops the schema.
    with create("more") as more, more.frozen() as (connection, _):
        assert name not in sa.inspect(connection).get_schema_names()
    assert [path.name for path in in_postgresql.iterdir()] == ["more"]
