"""Collections over the REST API, with a real network."""

import io
import json
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.collections import Collection
from core.search import shared_engine
from core.server import api, media
from core.settings import settings
from tests.collections.pixels import draw, picture
from tests.server.test_api import SEARCH, assert_problem


@pytest.fixture
def pets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Collection:
    """Three labelled drawings with prices and one without either."""
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", tmp_path / "collections")
    monkeypatch.setattr(settings, "CATALOG_URL", None)
    monkeypatch.setattr(settings, "IMAGE_ROOT", None)
    for name, seed in (("cat/a", 1), ("cat/b", 2), ("dog/c", 3), ("e", 4)):
        draw(tmp_path / "photos" / f"{name}.png", seed)
    listed = tmp_path / "photos" / "list.csv"
    listed.write_text("path,label,price\ncat/a.png,cat,5\ncat/b.png,cat,15\ndog/c.png,dog,25\n")
    made = Collection.create(
        "pets", model="squeezenet", layer="conv1_activation", load=shared_engine.engine()._embedder
    )
    made.add([str(tmp_path / "photos"), str(listed)])
    return made


@pytest.fixture
def client() -> TestClient:
    return TestClient(api.create("/base"), raise_server_exceptions=False)


def png(seed: int) -> bytes:
    out = io.BytesIO()
    picture(seed).save(out, "PNG")
    return out.getvalue()


def post(client: TestClient, seed: int = 2, **fields):
    return client.post(SEARCH, files={"image": ("p.png", png(seed))}, data={"collection": "pets", **fields})


def test_the_collections_are_listed_with_their_configuration(client, pets, tmp_path):
    (tmp_path / "collections" / "broken").mkdir()
    (tmp_path / "collections" / "broken" / "collection.json").write_text("{")
    [one] = client.get("/v1/collections").json()
    assert (one["name"], one["images"], one["labels"]) == ("pets", 4, {"cat": 2, "dog": 1})
    assert one["configuration"]["model"] == "squeezenet" and one["configuration"]["metric"] == "cosine"
    assert one["engine"] == "faiss"


def test_the_nearest_come_with_what_is_known_of_them_and_no_path_above_what_was_added(client, pets, tmp_path):
    response = post(client, k="4", vector="true")
    assert response.status_code == 200, response.text
    answer = response.json()
    first = answer["results"][0]
    assert (first["label"], first["path"], first["metadata"]) == ("cat", "photos/cat/b.png", {"price": 15})
    assert first["distance"] == pytest.approx(0, abs=1e-4)
    assert len(answer["results"]) == 4 and len(answer["vector"]) == 64
    assert str(tmp_path) not in response.text
    served = TestClient(Starlette(routes=media.routes("/base"))).get(first["picture"])
    assert served.status_code == 200 and "immutable" in served.headers["cache-control"]


def test_integers_are_exact_beyond_what_floats_hold(client, pets, tmp_path):
    (tmp_path / "photos" / "ids.csv").write_text("path,id\ncat/b.png,9007199254740993\n")
    pets.add([str(tmp_path / "photos" / "ids.csv")])
    response = post(client)
    assert '"id":9007199254740993' in response.text.replace(" ", "")
    assert response.json()["results"][0]["metadata"] == {"price": 15, "id": 9007199254740993}


def test_conditions_narrow_and_may_be_repeated(client, pets):
    found = post(client, where=["label=cat", "price<10"]).json()["results"]
    assert [one["path"] for one in found] == ["photos/cat/a.png"]
    assert post(client, where="label=nobody").json()["results"] == []


def test_an_image_whose_file_is_gone_is_found_without_a_url(client, pets, tmp_path):
    (tmp_path / "photos" / "cat" / "b.png").unlink()
    first = post(client).json()["results"][0]
    assert first["path"].endswith("b.png") and "picture" not in first


@pytest.mark.parametrize(
    ("fields", "status", "word"),
    [
        ({"collection": "../x"}, 404, "Unknown collection"),
        ({"collection": "pets/../pets"}, 404, "Unknown collection"),
        ({"collection": ""}, 404, "Unknown collection"),
        ({"where": "';DROP TABLE images"}, 422, "DROP TABLE"),
        ({"where": "path>/"}, 422, "compares a path"),
        ({"where": " path =/etc/passwd"}, 422, "compares a path"),
        ({"where": "size<big"}, 422, "not a number"),
        ({"where": [f"price>{i}" for i in range(11)]}, 422, "where"),
        ({"where": "x" * 300 + "=1"}, 422, "where"),
        ({"model": "squeezenet"}, 422, "leave out model"),
        ({"dataset": "objects200", "metric": "cosine"}, 422, "leave out dataset, metric"),
        ({"k": "0"}, 422, "k: "),
        ({"crop": "0.5,0,0.5,1"}, 422, "shares from 0 to 1"),
    ],
)
def test_an_impossible_search_is_a_problem(client, pets, fields, status, word):
    assert_problem(post(client, **fields), status, word)
    assert pets.verify() == []


def test_values_of_conditions_are_values(client, pets):
    for where in ("label=cat' OR '1'='1", "price='; DROP TABLE images; --", "label=%"):
        assert post(client, where=where).json()["results"] == []
    assert pets.info().images == 4


def test_what_a_condition_cannot_compare_is_counted_beside_the_results(client, pets):
    answer = post(client, where="price>=10").json()
    assert [one["label"] for one in answer["results"]] == ["cat", "dog"] or len(answer["results"]) == 2
    [note] = answer["notes"]
    assert "1 of 4" in note and "price" in note
    assert post(client, where="label=cat").json()["notes"] == []


def test_an_unknown_field_is_answered_with_those_there_are_but_no_path(client, pets):
    for where, meant in (("Label=cat", "label"), ("prize>3", "price"), ("pat=x", None)):
        response = post(client, where=where)
        assert_problem(response, 422, "hash, size, price")
        detail = response.json()["detail"]
        assert "path" not in detail and (f"'{meant}'?" in detail) == (meant is not None)


def test_conditions_without_a_collection_are_refused(client):
    response = client.post(SEARCH, files={"image": ("p.png", png(1))}, data={"where": "label=cat"})
    assert_problem(response, 422, "Only collections")


def test_a_damaged_collection_is_a_problem_of_the_server(client, pets, tmp_path):
    (tmp_path / "collections" / "pets" / "collection.json").write_text(json.dumps({"format": 99}))
    assert_problem(post(client), 503, "format 99")


@pytest.mark.parametrize("others", [True, False])
def test_collections_whose_database_is_down_are_not_an_empty_list(
    client, pets, tmp_path, monkeypatch, others
):
    if others:
        Collection.create("cats", model="squeezenet", layer="conv1_activation").close()
    about = tmp_path / "collections" / "pets" / "collection.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "catalog": "postgresql"}))
    monkeypatch.setattr(settings, "CATALOG_URL", f"postgresql://tester@/postgres?host={tmp_path}")
    assert_problem(client.get("/v1/collections"), 503, "catalog")


def test_a_list_of_which_nothing_can_be_read_is_not_an_empty_one(client, pets, tmp_path):
    (tmp_path / "collections" / "pets" / "collection.json").write_text("{")
    assert_problem(client.get("/v1/collections"), 503, "can't be read")
