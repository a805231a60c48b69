"""From sources to shards, and back."""

from pathlib import Path

import numpy as np
import pytest

from core.data import image_sources
from core.errors import ShardError
from core.shards import listing, manifest, plan, shard_file, shard_set
from core.shards.manifest import Configuration, Manifest
from core.shards.plan import Listed
from core.shards.shard_store import Store
from tests.collections.pixels import Pixels, draw

PIXELS = Configuration(
    model="pixels", weights="imagenet", weights_fingerprint="f", layer="l", pooling="avg", dimensions=192
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two cats with the same content, a dog, and a file that is no image."""
    for name, seed in (("cat/1", 1), ("cat/2", 1), ("dog/3", 3)):
        draw(tmp_path / "pets" / f"{name}.png", seed)
    (tmp_path / "pets" / "dog" / "4.png").write_text("no image")
    return tmp_path / "pets"


def planned(*paths: str) -> list[Listed]:
    sources = listing.describe(image_sources.parse_all([str(path) for path in paths], None, None))
    found = [one for place in range(len(sources)) for one in listing.entries(sources, place)]
    return plan.merged([one for one in found if isinstance(one, Listed)], listing.lists(sources))


def extracted(store: Store, listed: list[Listed]) -> list[shard_file.Row]:
    digest = plan.digest(listed, PIXELS, {})
    shard_set.extract(store, 0, 1, listed, PIXELS, digest, Pixels)
    return [row for rows in shard_file.read(store, 0, 1, PIXELS) for row in rows]


def test_a_shard_has_what_was_listed_and_read(tmp_path, tree):
    rows = extracted(Store(str(tmp_path / "out")), planned(tree))
    assert [(Path(row.path).name, row.label, row.state) for row in rows] == [
        ("1.png", "cat", "embedded"),
        ("2.png", "cat", "embedded"),
        ("3.png", "dog", "embedded"),
        ("4.png", "dog", "failed"),
    ]
    assert rows[0].sha256 == rows[1].sha256 != rows[2].sha256
    assert np.array_equal(rows[0].vector, rows[1].vector) and rows[3].vector is None
    assert {(row.width, row.height) for row in rows} == {(24, 24), (None, None)}
    assert [row.size for row in rows] == [Path(row.path).stat().st_size for row in rows]


def test_rows_of_lists_give_label_and_metadata(tmp_path, tree):
    (tmp_path / "list.csv").write_text("path,label,price\npets/cat/1.png,tiger,3\npets/cat/2.png,,4\n")
    listed = planned(tmp_path / "list.csv", tree)
    assert [(one.source, one.label, one.metadata) for one in listed] == [
        (0, "tiger", {"price": 3}),
        (0, "cat", {"price": 4}),
        (0, "dog", {}),
        (0, "dog", {}),
    ]


def test_a_plan_is_read_as_it_was_written(tmp_path, tree):
    store, listed = Store(str(tmp_path / "out")), planned(tree)
    plan.write(store, 3, 8, listed)
    assert plan.read(store, 3, 8) == listed


def test_a_shard_of_another_plan_is_missing(tmp_path, tree):
    store = Store(str(tmp_path / "out"))
    before = planned(tree)
    extracted(store, before)
    draw(tree / "dog" / "5.png", 5)
    for listed, expected in ((before, []), (planned(tree), [0])):
        found = Manifest(
            configuration=PIXELS, versions={}, sources=(), plans=(plan.digest(listed, PIXELS, {}),), images=4
        )
        assert shard_set.missing(store, found) == expected


def test_a_manifest_is_read_as_it_was_written(tmp_path, tree):
    sources = listing.describe(image_sources.parse(str(tree)))
    written = Manifest(
        configuration=PIXELS, versions=manifest.versions(), sources=sources, plans=("",), images=0
    )
    store = Store(str(tmp_path / "out"))
    with pytest.raises(ShardError, match="no manifest"):
        manifest.read(store)
    manifest.write(store, written)
    assert manifest.read(store) == written
    assert {"pillow", "pillow.libjpeg_turbo", "tensorflow"} <= written.versions.keys()


def test_images_spread_over_shards_the_same_way_everywhere():
    shards = [plan.shard_of(f"/images/{number}.jpg", 8) for number in range(800)]
    assert all(60 < shards.count(shard) < 140 for shard in range(8))
    assert shards[:4] == [2, 1, 0, 5]
