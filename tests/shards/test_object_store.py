"""Images and shards in an object store, over HTTP."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.data import image_sources, object_store
from core.data.folder_walker import LeftOut
from core.data.image_sources import Entry
from core.errors import CollectionError, ShardError, UserError
from core.settings import settings
from core.shards.shard_store import Store
from tests.collections.pixels import create, draw, picture
from tests.collections.test_shard_import import brought, content, extract
from tests.shards import object_server


@pytest.fixture(scope="module")
def buckets(tmp_path_factory) -> Iterator[Path]:
    """The folder of the buckets."""
    folder = tmp_path_factory.mktemp("objects") / "buckets"
    folder.mkdir()
    before = dict(os.environ)
    with object_server.serving(folder) as environment:
        os.environ |= environment
        yield folder
    os.environ.clear()
    os.environ |= before


@pytest.fixture
def pets(buckets, request, tmp_path, monkeypatch) -> Path:
    """The folder of the bucket ``pets-N``, with two labels, a hidden file and one that is no image."""
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", tmp_path / "collections")
    monkeypatch.setattr(settings, "CATALOG_URL", None)
    monkeypatch.setattr(settings, "IMAGE_ROOT", None)
    root = buckets / f"pets-{len(list(buckets.iterdir()))}"
    for name, seed in (("cat/1", 1), ("cat/ä 2%20", 2), ("dog/3", 3)):
        draw(root / "photos" / f"{name}.png", seed)
    (root / "photos" / "dog" / "4.png").write_text("no image")
    (root / "photos" / "notes.txt").write_text("no image")
    draw(root / "photos" / ".thumbs" / "1.png", 1)
    return root


def test_a_folder_is_listed_with_labels_sizes_and_times(pets):
    url = f"s3://{pets.name}/photos"
    [source] = image_sources.parse(f"{url}/")
    found = list(source.entries())
    assert [one.path for one in found if isinstance(one, Entry)] == [
        f"{url}/cat/1.png",
        f"{url}/cat/ä 2%20.png",
        f"{url}/dog/3.png",
        f"{url}/dog/4.png",
    ]
    assert [one.path for one in found if isinstance(one, LeftOut)] == [f"{url}/.thumbs"]
    stat = (pets / "photos" / "cat" / "1.png").stat()
    assert (found[1].size, found[1].mtime_ns) == (stat.st_size, int(stat.st_mtime) * 10**9)


def test_objects_are_added_updated_and_shown_like_images_from_the_web(pets, tmp_path):
    url = f"s3://{pets.name}/photos"
    with create() as made:
        report = made.add([url, f"{url}/dog/3.png"])
        assert (report.added, report.failed) == (3, 1)
        assert made.info().labels == {"cat": 2, "dog": 1}
        embedded = made.embedder.embedded
        assert made.add([url]).unchanged == 3 and made.embedder.embedded == embedded
        draw(pets / "photos" / "dog" / "5.png", 5)
        (pets / "photos" / "cat" / "1.png").unlink()
        report = made.update()
        assert (report.added, report.removed) == (1, 1)
        assert made.verify() == []
        hit = made.search([picture(3)], 1)[0][0]
        assert hit.path == f"{url}/dog/3.png"
        with pytest.raises(CollectionError, match="object store"):
            made.file(hit.path)
        assert image_sources.public_path(hit.path, {}, [url]) == "photos/dog/3.png"


def test_nothing_is_forgotten_when_the_bucket_is_gone_or_empty(pets):
    with create() as made:
        made.add([f"s3://{pets.name}/photos"])
        (pets / "photos").rename(pets / "elsewhere")
        report = made.update()
        assert (report.removed, len(report.problems), made.info().images) == (0, 1, 3)


def test_a_list_names_objects(pets, tmp_path):
    (tmp_path / "list.csv").write_text(f"url,label\ns3://{pets.name}/photos/cat/1.png,tiger\n")
    with create() as made:
        assert made.add([str(tmp_path / "list.csv")]).added == 1
        assert made.info().labels == {"tiger": 1}


@pytest.mark.slow
def test_sources_and_shards_in_a_bucket_give_what_add_gives(pets):
    url, place = f"s3://{pets.name}/photos", f"s3://{pets.name}/shards/one"
    with create("added") as added, create("imported") as imported:
        expected = added.add([url])
        assert brought(imported, place, url).to_json() == expected.to_json()
        assert content(imported) == content(added)
        draw(pets / "photos" / "dog" / "5.png", 5)
        assert imported.scan(place).update is not None
        extract(place)
        assert imported.import_shards(place).to_json() == added.update().to_json()
        assert content(imported) == content(added)


def test_what_is_not_there_gets_a_sentence(pets):
    with pytest.raises(UserError, match="does not exist"):
        image_sources.parse(f"s3://{pets.name}/nothing")
    with pytest.raises(UserError, match="no-such-bucket"):
        image_sources.parse("s3://no-such-bucket-of-ours/x")
    with pytest.raises(ShardError, match="no-such-bucket"):
        Store("s3://no-such-bucket-of-ours/x").write("a", b"1")
    with pytest.raises(ShardError, match="no bucket"):
        Store("s3://")
    (pets / "list.csv").write_text("path\n")
    with pytest.raises(UserError, match="copy it to this machine"):
        image_sources.parse(f"s3://{pets.name}/list.csv")


def test_no_store_is_asked_for_a_url_that_only_looks_like_one():
    assert not object_store.is_object("s3:/bucket") and not object_store.is_object("/s3://bucket")
