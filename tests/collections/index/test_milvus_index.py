"""What only Milvus has: an index beside the catalog, which may be late, away or lost. The server is Milvus Lite in a process of its own."""

import shutil
import sys
from itertools import product

import numpy as np
import pytest
import sqlalchemy as sa

from core.collections import backup, filters, lifecycle
from core.collections.index import milvus_filters, milvus_index
from core.collections.index.milvus_index import MilvusEngine
from core.collections.schema import images, outbox
from core.errors import CollectionError
from core.metrics import get_metric
from core.settings import settings
from tests.collections import milvus
from tests.collections.pixels import create, open_

pytestmark = pytest.mark.slow

VECTORS = np.random.default_rng(0).standard_normal((60, 192)).astype(np.float16).astype(np.float32)


@pytest.fixture
def made(folder, milvus_uri, monkeypatch):
    monkeypatch.setattr(settings, "MILVUS_URI", milvus_uri)
    with create(engine="milvus") as made:
        made.add_vectors([str(i) for i in range(50)], VECTORS[:50], [str(i % 5) for i in range(50)])
        yield made


def waiting(made) -> list[int]:
    return made._catalog.read(lambda connection: list(connection.scalars(sa.select(outbox.c.row))))


def found(made, k=1) -> list[list[str]]:
    return [[hit.path for hit in hits] for hits in made.search_vectors(VECTORS, k)]


def test_a_crash_between_catalog_and_milvus_is_repaired_at_the_next_open(made, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(MilvusEngine, "commit", lambda *_: None)
        made.add_vectors([str(i) for i in range(50, 60)], VECTORS[50:])
        made.remove(["3"])
        made.add_vectors(["4"], VECTORS[4:5] * -1)
        assert waiting(made)
        # A search is right all the same.
        near = found(made)
        assert near[55] == ["55"] and near[3] != ["3"] and near[4] != ["4"]
        assert any("not received" in problem for problem in made.verify())
    with open_() as again:
        assert waiting(again) == []
        assert again.verify() == []
        assert found(again) == near


def test_while_milvus_is_away_others_go_on_and_nothing_is_lost(folder, monkeypatch, tmp_path):
    with create("here") as here:
        here.add_vectors([str(i) for i in range(50)], VECTORS[:50])
    with milvus.server(tmp_path / "data") as uri:
        monkeypatch.setattr(settings, "MILVUS_URI", uri)
        monkeypatch.setattr(milvus_index, "_SECONDS", 2)
        with create(engine="milvus") as made:
            made.add_vectors([str(i) for i in range(50)], VECTORS[:50])
    with pytest.raises(CollectionError, match=r"127\.0\.0\.1.*kept"):
        create("more", engine="milvus")
    assert not (folder / "more").exists()
    with open_() as made:
        made.add_vectors([str(i) for i in range(50, 60)], VECTORS[50:])
        with pytest.raises(CollectionError, match=r"127\.0\.0\.1"):
            made.search_vectors(VECTORS[:1])
        with open_("here") as here:
            assert here.search_vectors(VECTORS[:1], 1)[0][0].path == "0"
        assert made.info().images == 60
        made.migrate("faiss")
        assert found(made)[55] == ["55"]
        with pytest.raises(CollectionError, match="kept"):
            made.migrate("milvus")
        assert made.verify() == []


def test_what_lite_lacks_and_what_is_not_set_up_is_refused_with_what_to_do(made, monkeypatch):
    cosine = get_metric("cosine")
    for kind in ("ivf_pq", "diskann", "gpu_cagra"):
        with pytest.raises(CollectionError, match=f"Lite.*{kind}.*PLAYGROUND_MILVUS_URI"):
            MilvusEngine.check(made.about, kind, cosine)
    with pytest.raises(CollectionError, match="32,768"):
        MilvusEngine.check(made.about.model_copy(update={"dimensions": 32_769}), "flat", cosine)
    monkeypatch.setattr(settings, "MILVUS_URI", None)
    with pytest.raises(CollectionError, match="PLAYGROUND_MILVUS_URI"):
        create("more", engine="milvus")
    monkeypatch.setattr(settings, "MILVUS_URI", "http://127.0.0.1:1")
    # So Python says that a module is not there.
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(CollectionError, match=r"requirements-milvus\.txt"):
        create("more", engine="milvus")


def test_verify_names_what_differs_and_optimize_repairs_it(made):
    client = milvus_index._client(settings.MILVUS_URI, "")
    name = made.state.index.name
    client.delete(name, ids=[7])
    [entity] = client.get(name, ids=[8], output_fields=["id", "vector", "terms", "numbers"])
    client.upsert(name, [{**entity, "vector": [1.0] * 192}])
    [entity] = client.get(name, ids=[9], output_fields=["id", "vector", "terms", "numbers"])
    client.upsert(name, [{**entity, "terms": []}, {**entity, "id": 99}])
    problems = " ".join(made.verify())
    assert "lacks 1" in problems and "2 vectors or metadata" in problems and "1 vectors that no" in problems
    made.optimize()
    assert made.verify() == []
    client.drop_collection(made.state.index.name)
    assert "missing" in " ".join(made.verify())
    with pytest.raises(CollectionError, match="optimize"):
        made.search_vectors(VECTORS[:1])
    made.optimize()
    assert found(made)[:50] == [[str(i)] for i in range(50)]


def test_a_copy_of_the_folder_never_touches_the_index_of_the_original(made, folder, tmp_path):
    for place in (folder / "copy", tmp_path / "elsewhere" / "pets"):
        shutil.copytree(made.folder, place)
        with open_(place.name, place.parent) as copy:
            assert found(copy)[:50] == [[str(i)] for i in range(50)]
            copy.remove(["1"])
            copy.optimize()
            assert copy.verify() == [] and copy.state.engine == "milvus"
        assert made.verify() == []
        lifecycle.delete(place.name, place.parent)
        assert found(made)[1] == ["1"]


def test_deleting_a_collection_deletes_it_in_milvus(made):
    client, name = milvus_index._client(settings.MILVUS_URI, ""), made.state.index.name
    assert client.has_collection(name)
    made.close()
    lifecycle.delete("pets")
    assert not client.has_collection(name)


def test_a_backup_is_restored_without_milvus(made, tmp_path, monkeypatch):
    backup.write(made, tmp_path / "pets.tar")
    monkeypatch.setattr(settings, "MILVUS_URI", None)
    backup.restore(tmp_path / "pets.tar", "restored")
    with open_("restored") as restored:
        assert found(restored)[:50] == [[str(i)] for i in range(50)]
        assert restored.verify() == []


CELLS = [
    *(1, 1.0, -3, 20.5, "20.5", "1e1", " 7 ", "cheap", "Cheap", "", "1", "0", True, False, "true", None),
    *("2019", "2019-05", "2024-02-29", "2024-02-29T12:00Z", "2024-02-29T12:00+02:00", 2019, 10**20),
    *(0.1, "0.10000000000000001", ["a", "b"], [1, 2], ["2019-05-01"], "it's", 'a"b', "ü", "x" * 5_000),
]
VALUES = [
    "1",
    "1.0",
    "20.5",
    "10",
    "7",
    "cheap",
    "",
    "true",
    "0",
    "2019",
    "2019-05",
    "2024",
    "2024-02-29",
    "0.1",
    "a",
]
VALUES += ["100000000000000000000", "it's", 'a"b', "ü", "x" * 5_000, "-3"]


def test_an_expression_of_milvus_never_leaves_out_what_a_condition_keeps(folder, milvus_uri, monkeypatch):
    monkeypatch.setattr(settings, "MILVUS_URI", milvus_uri)
    with create(engine="milvus") as made:
        vectors = np.random.default_rng(1).standard_normal((len(CELLS), 192))
        made.add_vectors(
            [str(i) for i in range(len(CELLS))],
            vectors,
            [None if i % 3 else str(i) for i in range(len(CELLS))],
            [{} if cell is None else {"a b": cell} for cell in CELLS],
        )
        client = milvus_index._client(milvus_uri, "")
        kept = 0
        conditions = [
            f"a b{operator}{value}" for operator, value in product(("=", "!=", "<", "<=", ">", ">="), VALUES)
        ]
        conditions += ["label=3", "label!=3", "label<4", "size>3", "path=3"]
        with made.frozen() as (connection, state):
            for condition in conditions:
                compiled = filters.compile_(connection, [condition], filters.Fields(state.version))
                query = sa.select(images.c.faiss_id).where(*compiled.expressions)
                wanted = set(connection.scalars(query))
                expression = milvus_filters.expression(compiled.conditions)
                answer = client.query(
                    made.state.index.name,
                    filter=expression or "id >= 0",
                    output_fields=["id"],
                    consistency_level="Strong",
                )
                assert wanted <= {entity["id"] for entity in answer}, condition
                kept += len(wanted)
        assert kept > 300
        assert milvus_filters.expression(()) == ""


def test_a_row_with_too_many_terms_meets_every_expression(made):
    made.add_vectors(["many"], VECTORS[50:51], ["0"], [{f"f{i}": i for i in range(2_000)}])
    assert made.search_vectors(VECTORS[50:51], 1, ["f1999=1999"])[0][0].path == "many"
    assert made.verify() == []


def test_a_new_index_is_not_sent_what_it_has(folder, milvus_uri, monkeypatch):
    monkeypatch.setattr(settings, "MILVUS_URI", milvus_uri)
    sent = []
    entities = milvus_index._entities
    monkeypatch.setattr(
        milvus_index, "_entities", lambda rows, *rest: sent.extend(rows.tolist()) or entities(rows, *rest)
    )
    with create(engine="milvus") as made:
        made.add_vectors([str(i) for i in range(50)], VECTORS[:50])
        assert sorted(sent) == list(range(50)) and waiting(made) == []
        made.optimize(index="hnsw")
        assert len(sent) == 100 and made.verify() == []
