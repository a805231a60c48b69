import os

import pytest

from core.collections import server_folders
from core.data.image_sources import SourceError
from core.settings import settings
from tests.collections.pixels import draw


@pytest.fixture
def root(tmp_path, monkeypatch):
    for place in (
        "root/cats/a.png",
        "root/cats/small/b.png",
        "root/dogs/c.png",
        "root/d.png",
        "outside/e.png",
    ):
        draw(tmp_path / place, len(place))
    (tmp_path / "root" / ".hidden").mkdir()
    (tmp_path / "root" / "notes.txt").write_text("x")
    (tmp_path / "root" / "out").symlink_to(tmp_path / "outside")
    (tmp_path / "root" / "in").symlink_to(tmp_path / "root" / "cats")
    (tmp_path / "root" / "self").symlink_to(tmp_path / "root" / "self")
    monkeypatch.setattr(settings, "IMAGE_ROOT", tmp_path / "root")
    return tmp_path / "root"


def test_folders_are_walked_by_their_names(root):
    top = server_folders.list_folder()
    assert (top.relative, top.folders, top.images, top.complete) == (
        "",
        ("cats", "dogs", "in", "out"),
        1,
        True,
    )
    cats = server_folders.list_folder("cats")
    assert (cats.path, cats.folders, cats.images) == (str(root / "cats"), ("small",), 1)
    assert server_folders.list_folder("/cats//./small/").relative == "cats/small"
    assert server_folders.list_folder("in").images == 1


@pytest.mark.parametrize("relative", ["..", "cats/../..", "out", "cats/../../outside", "\0", "cats\0"])
def test_no_path_leads_out_of_the_root(root, relative):
    with pytest.raises(SourceError, match="outside"):
        server_folders.list_folder(relative)


@pytest.mark.parametrize("relative", ["none", "d.png", "d.png/x", "self", "x" * 5000])
def test_an_error_names_what_is_not_a_folder(root, relative):
    with pytest.raises(SourceError):
        server_folders.list_folder(relative)


def test_without_a_root_there_is_no_folder(root, monkeypatch):
    monkeypatch.setattr(settings, "IMAGE_ROOT", None)
    with pytest.raises(SourceError, match="PLAYGROUND_IMAGE_ROOT"):
        server_folders.list_folder()


def test_a_very_large_folder_is_not_read_to_its_end(root, monkeypatch):
    monkeypatch.setattr(server_folders, "_MOST", 1)
    assert server_folders.list_folder().folders == ("cats",) and not server_folders.list_folder().complete


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_reported(root):
    (root / "dogs").chmod(0)
    with pytest.raises(SourceError, match="can't be read"):
        server_folders.list_folder("dogs")
