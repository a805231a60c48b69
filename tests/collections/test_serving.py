"""A collection behind the server: its images over HTTP, its vectors through the networks of the engine."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core import collections
from core.collections import Collection, schema
from core.collections.uploads import Upload
from core.errors import UnknownNameError, UserError
from core.experiments.store import Grid
from core.search import query, shared_engine
from core.search.collection_source import CollectionSource
from core.search.dataset_source import DatasetSource
from core.server import media
from core.settings import settings
from tests.collections.pixels import create, draw, picture, png
from tests.conftest import ROOT

OBJECTS = ROOT / "precomputed" / "objects200" / "images"


@pytest.fixture
def engine(folder, monkeypatch):
    shared_engine.of_grid.cache_clear()
    yield shared_engine.engine()
    shared_engine.of_grid.cache_clear()


@pytest.fixture
def client():
    return TestClient(Starlette(routes=media.routes("/base")))


def ids(collection: Collection) -> dict[str, int]:
    return {Path(image.path).name: image.id for image in collection.images()}


def test_images_are_served_by_their_number(engine, client, tmp_path):
    draw(tmp_path / "photos" / "a.png", 1)
    pets = create()
    pets.add([str(tmp_path / "photos")])
    image = next(pets.images())
    address = f"/base/collections/pets/{image.id}"
    found = client.get(address, params={"v": image.hash[:16]})
    assert found.status_code == 200 and found.headers["content-type"] == "image/webp"
    assert "immutable" in found.headers["cache-control"]
    assert client.get(address, params={"v": "0" * 16}).headers["cache-control"] == "no-cache"
    for wrong in ("pets/99999", "pets/-1", "pets/x", "none/1", "../pets/1", "pets/%2e%2e"):
        answer = client.get(f"/base/collections/{wrong}")
        assert answer.status_code == 404
    Path(image.path).unlink()
    assert "gone" in client.get(address).text


def test_images_outside_the_allowed_folder_are_not_served_but_uploads_are(
    engine, client, tmp_path, monkeypatch
):
    draw(tmp_path / "photos" / "a.png", 1)
    pets = create()
    pets.add([str(tmp_path / "photos")])
    pets.add_uploads([Upload("b.png", png(2))])
    monkeypatch.setattr(settings, "IMAGE_ROOT", tmp_path / "elsewhere")
    known = ids(pets)
    assert "outside" in client.get(f"/base/collections/pets/{known['a.png']}").text
    [upload] = {image.id for image in pets.images()} - {known["a.png"]}
    assert client.get(f"/base/collections/pets/{upload}").status_code == 200


@pytest.mark.slow
def test_a_query_runs_through_the_network_that_is_loaded_already(engine):
    made = Collection.create("objects", model="efficientnet-lite0", layer="block6_output")
    made.add([str(OBJECTS)])
    dataset = Grid(settings.GRID_DIR).dataset("objects200")
    best = next(
        one
        for one in engine.searchable(dataset)
        if (one.model, one.layer, one.pooling, one.metric)
        == ("efficientnet-lite0", "block6_output", "avg", "cosine")
    )
    image = Image.open(dataset.path(3)).convert("RGB")
    expected = query.search(DatasetSource(engine, dataset, best.configuration), image, 10)
    found = query.search(CollectionSource(engine, engine.collection("objects")), image, 10)
    # The same model on the same images, once from the grid's stored vectors and once from the collection.
    names = [[one.item.file().name for one in answer.neighbors[:5]] for answer in (found, expected)]
    assert names[0] == names[1]
    assert found.neighbors[0].distance < 1e-3 and found.votes == ()
    assert len(engine._networks._values) == 1


def test_a_collection_that_was_deleted_or_created_again_is_noticed(engine, tmp_path):
    with pytest.raises(UnknownNameError):
        engine.collection("pets")
    create().close()
    first = engine.collection("pets")
    assert engine.collection("pets") is first
    collections.delete("pets")
    with pytest.raises(UnknownNameError):
        engine.collection("pets")
    draw(tmp_path / "photos" / "a.png", 1)
    again = create()
    again.add([str(tmp_path / "photos")])
    assert engine.collection("pets").info().images == 1


def test_invalid_conditions_and_numbers_are_refused(engine):
    pets = create()
    for k, where in ((0, []), (3, ["nonsense"])):
        with pytest.raises(UserError):
            query.search(CollectionSource(engine, pets), picture(1), k, None, where)


def test_a_server_that_ends_leaves_catalogs_that_are_complete_without_their_log(engine, tmp_path):
    with create() as pets:
        pets.add([draw(tmp_path / "photos" / "a.png", 1)])
    log = pets.folder / "catalog.sqlite-wal"
    with TestClient(Starlette(routes=media.routes(), lifespan=shared_engine.lifespan)) as client:
        served = engine.collection("pets")
        with served._catalog.writing() as connection:
            connection.execute(sa.update(schema.images).values(label="late"))
        [image] = served.images()
        assert client.get(f"/collections/pets/{image.id}").status_code == 200
        assert log.stat().st_size > 0
    assert not log.exists()
    # The engine opens it again when it is asked.
    assert engine.collection("pets").info().labels == {"late": 1}
