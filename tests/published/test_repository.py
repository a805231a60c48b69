"""Downloading the published data from a server that stands in for GitHub's."""

import shutil
import socket
from pathlib import Path

import pytest

from core import cli
from core.experiments.store import Grid
from core.published import names, reader, repository
from tests.published import copies
from tests.reference import PUBLISHED, needs_published


@pytest.fixture
def archive(tmp_path, server, monkeypatch) -> Path:
    """The archive that is served, of a made-up copy whose digest is the known one."""
    folder = tmp_path / "repository"
    copies.make(folder, inside="app/frontend/build/assets/semsearch")
    [copy] = reader.find(folder)
    monkeypatch.setattr(names, "DIGESTS", {"shapes18": repository.digest(copy)})
    monkeypatch.setattr(names, "ARCHIVE_URL", f"{server.url}archive.tar.gz")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pack(folder, server.folder)
    return server.folder / "archive.tar.gz"


def pack(folder: Path, into: Path) -> None:
    shutil.make_archive(str(into / "archive"), "gztar", folder)


def run(tmp_path) -> int:
    return cli.main(["published", "fetch", "--out", str(tmp_path / "grid")])


def cached(tmp_path) -> list[Path]:
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_what_comes_is_imported_and_downloaded_once(archive, tmp_path, server, capsys):
    assert run(tmp_path) == run(tmp_path) == 0
    assert "shapes18: 10 published experiments" in capsys.readouterr().out
    grid = Grid(tmp_path / "grid")
    source = grid.run(grid.dataset("shapes18"), "resnet50", "published").about.weights_source
    assert names.COMMIT[:12] in source and names.REPOSITORY in source
    assert len(server.requests) == len(cached(tmp_path)) == 1


def test_other_results_than_the_published_are_thrown_away(archive, tmp_path, capsys):
    lists = "app/frontend/build/assets/semsearch/similarity/shapes18/resnet50/cosine/res2a_branch2a.json"
    copies.write(tmp_path / "repository" / lists, copies.lists(99))
    pack(tmp_path / "repository", archive.parent)
    assert run(tmp_path) == 2
    assert "the results of shapes18 are others" in capsys.readouterr().err
    assert not cached(tmp_path) and not (tmp_path / "grid").exists()


def test_what_is_no_archive_is_thrown_away(archive, tmp_path, capsys):
    archive.write_bytes(b"<html>Sign in</html>" * 1000)
    assert run(tmp_path) == 2
    assert "was refused" in capsys.readouterr().err
    assert not cached(tmp_path)


def test_a_connection_that_breaks_off_leaves_nothing(archive, tmp_path, server, capsys):
    server.cut = True
    assert run(tmp_path) == 2
    assert "broke off" in capsys.readouterr().err
    assert not cached(tmp_path)


def test_a_missing_archive_is_an_error(archive, tmp_path, capsys):
    archive.unlink()
    assert run(tmp_path) == 2
    assert "answered 404" in capsys.readouterr().err


def test_without_a_network_one_sentence_says_what_works_instead(archive, tmp_path, monkeypatch, capsys):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}/a.tar.gz"
    monkeypatch.setattr(names, "ARCHIVE_URL", address)
    assert run(tmp_path) == 2
    message = capsys.readouterr().err
    assert "can't be reached (Connection refused)" in message
    assert "playground published import" in message


@needs_published
def test_the_known_digest_is_that_of_the_published_results():
    [copy] = reader.find(PUBLISHED)
    assert {copy.name: repository.digest(copy)} == names.DIGESTS
