"""Shards come from other machines: what can't be true is refused with a sentence, and nothing is stored."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.collections import Collection
from core.errors import UserError
from core.settings import settings
from core.shards import manifest, shard_file
from core.shards.shard_file import Row
from core.shards.shard_store import Store
from tests.collections.pixels import create, draw
from tests.collections.test_shard_import import extract, scan

NAME = shard_file.name(0, 1)


@pytest.fixture
def pets(folder, tmp_path):
    draw(tmp_path / "pets" / "cat" / "1.png", 1)
    draw(tmp_path / "pets" / "dog" / "2.png", 2)
    with create() as made:
        scan(made, str(tmp_path / "shards"), tmp_path / "pets", shards=1)
        extract(str(tmp_path / "shards"))
        yield made


@pytest.fixture
def place(tmp_path) -> Path:
    return tmp_path / "shards"


def refused(pets: Collection, place: Path, match: str) -> None:
    before = pets.state
    with pytest.raises(UserError, match=match) as raised:
        pets.import_shards(str(place))
    assert str(raised.value).endswith(".") and len(str(raised.value)) < 1500
    assert (pets.state, pets.info().images, pets.info().failures, pets.source_paths) == (before, 0, 0, ())


def with_row(place: Path, change: Callable[[Row], Row]) -> None:
    store = Store(str(place))
    found = manifest.read(store)
    rows = [row for part in shard_file.read(store, 0, 1, found.configuration) for row in part]
    shard_file.write(store, 0, 1, [change(rows[0]), *rows[1:]], found.configuration, found.plans[0])


def with_table(place: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    table = pq.read_table(place / NAME)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), place / NAME)


def with_manifest(place: Path, **changes: object) -> None:
    data = json.loads((place / "manifest.json").read_text())
    (place / "manifest.json").write_text(json.dumps({**data, **changes}))


@pytest.mark.parametrize(
    "change",
    [
        lambda row: replace(row, vector=np.full_like(row.vector, np.nan)),
        lambda row: replace(row, vector=row.vector * np.float32(np.inf)),
        lambda row: replace(row, vector=None),
        lambda row: replace(row, sha256="../../etc"),
        lambda row: replace(row, sha256=None),
        lambda row: replace(row, state="stored"),
        lambda row: replace(row, state="failed"),
        lambda row: replace(row, reason="it failed"),
        lambda row: replace(row, size=-1),
        lambda row: replace(row, source=1),
        lambda row: replace(row, source=-1),
        lambda row: replace(row, label="x" * 501),
        lambda row: replace(row, label="a\0b"),
        lambda row: replace(row, metadata={"a": "\0"}),
        lambda row: replace(row, metadata={"a": float("nan")}),
        lambda row: replace(row, metadata={"a": "x" * 1_000_001}),
        lambda row: replace(row, metadata=["no", "object"]),
        lambda row: replace(row, path=f"{row.path}\0"),
        lambda row: replace(row, path="x" * 2_000_000),
        lambda row: replace(row, path=row.path.replace("/cat/", "/cat/../../")),
        lambda row: replace(row, path="relative.png"),
        lambda row: replace(row, path=f"uploads/{'0' * 64}"),
        lambda row: replace(row, path="/etc/hostname"),
        lambda row: replace(row, path="http://127.0.0.1/secret.png"),
        lambda row: replace(row, path="s3://bucket/secret.png"),
    ],
)
def test_a_row_that_can_not_be_true(pets, place, change):
    with_row(place, change)
    refused(pets, place, NAME)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop_columns(["sha256"]),
        lambda table: table.set_column(0, "path", pa.array([1, 2])),
        lambda table: table.set_column(
            table.column_names.index("vector"),
            "vector",
            pa.array([[1.0, 2.0]] * 2, pa.list_(pa.float32(), 2)),
        ),
        lambda table: table.set_column(
            table.column_names.index("vector"), "vector", pa.array([[1.0] * 192] * 2, pa.list_(pa.float32()))
        ),
        lambda table: table.set_column(
            table.column_names.index("vector"),
            "vector",
            pa.array([[None] * 192] * 2, pa.list_(pa.float32(), 192)),
        ),
        lambda table: table.set_column(
            table.column_names.index("path"), "path", pa.array([None, None], pa.string())
        ),
        lambda table: table.set_column(
            table.column_names.index("metadata"), "metadata", pa.array(["[" * 100_000] * 2)
        ),
        lambda table: table.set_column(
            table.column_names.index("metadata"), "metadata", pa.array(['{"a": NaN}'] * 2)
        ),
    ],
)
def test_columns_that_are_not_as_they_should_be(pets, place, change):
    with_table(place, change)
    refused(pets, place, "shard")


@pytest.mark.parametrize("size", [0, 1, 100, -1, -9])
def test_a_truncated_file(pets, place, size):
    whole = (place / NAME).read_bytes()
    (place / NAME).write_bytes(whole[:size])
    refused(pets, place, "missing, damaged")


def test_a_changed_byte_anywhere_in_the_vectors(pets, place):
    whole = bytearray((place / NAME).read_bytes())
    column = pq.ParquetFile(place / NAME).metadata.row_group(0).column(10)
    assert column.path_in_schema.startswith("vector")
    whole[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    (place / NAME).write_bytes(whole)
    refused(pets, place, "damaged")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"format": 2}, "format '2'"),
        ({"format": "x" * 10_000}, "format"),
        ({"plans": []}, "damaged"),
        ({"plans": ["0" * 64]}, "missing"),
        ({"images": -1}, "damaged"),
        ({"extra": 1}, "damaged"),
        ({"sources": [{"kind": "device", "path": "/dev/zero"}]}, "damaged"),
        ({"sources": []}, NAME),
        ({"configuration": {}}, "damaged"),
        ({"update": {"collection": "others", "run": 3}}, "others"),
    ],
)
def test_a_manifest_that_does_not_fit(pets, place, changes, match):
    with_manifest(place, **changes)
    refused(pets, place, match)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "\0", '{"format": 1}'])
def test_a_manifest_that_is_none(pets, place, text):
    (place / "manifest.json").write_text(text)
    refused(pets, place, "damaged")


def test_files_outside_of_the_allowed_folder_are_refused(pets, place, tmp_path, monkeypatch):
    """Whatever the shards say, the server shows no file that `add` would not have taken."""
    draw(tmp_path / "private" / "1.png", 1)
    monkeypatch.setattr(settings, "IMAGE_ROOT", tmp_path / "pets")
    private = tmp_path / "private" / "1.png"
    with_row(place, lambda row: replace(row, path=str(private)))
    refused(pets, place, "outside")
    with_manifest(place, sources=[{"kind": "folder", "path": str(tmp_path)}])
    refused(pets, place, "outside")
    (tmp_path / "pets" / "link").symlink_to(tmp_path / "private")
    with_manifest(place, sources=[{"kind": "folder", "path": str(tmp_path / "pets")}])
    with_row(place, lambda row: replace(row, path=str(tmp_path / "pets" / "link" / "1.png")))
    refused(pets, place, "outside")


def test_uploads_of_another_collection_are_refused(pets, place, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "IMAGE_ROOT", tmp_path / "pets")
    upload = settings.COLLECTIONS_DIR / "other" / "uploads" / ("0" * 64)
    draw(upload, 3)
    with_manifest(place, sources=[{"kind": "file", "path": str(upload)}])
    with_row(place, lambda row: replace(row, path=str(upload)))
    refused(pets, place, "outside")


def test_a_folder_without_a_manifest(pets, tmp_path):
    refused(pets, tmp_path / "nowhere", "no manifest")


def test_a_failed_row_keeps_a_stored_image(pets, place, tmp_path):
    """A machine that could not read an unchanged file takes nothing away."""
    pets.add([str(tmp_path / "pets")])
    with_row(
        place, lambda row: replace(row, state="failed", vector=None, sha256=None, reason="Permission denied")
    )
    assert pets.import_shards(str(place)).unchanged == 2
    assert (pets.info().images, pets.info().failures) == (2, 0)
