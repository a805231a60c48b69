"""What only pgvector has: a table that changes with the catalog, in a real PostgreSQL server."""

import numpy as np
import pytest
import sqlalchemy as sa

from core.collections import backup, catalog, tombstones
from core.collections.index.pgvector_index import PgvectorEngine
from core.errors import CollectionError
from core.metrics import get_metric
from core.settings import settings
from tests.collections.pixels import create, open_

pytestmark = pytest.mark.slow


@pytest.fixture
def made(folder, pgvector_url, monkeypatch):
    monkeypatch.setattr(settings, "CATALOG_URL", pgvector_url)
    with create(engine="pgvector", index="flat") as made:
        vectors = np.random.default_rng(0).standard_normal((50, 192)).astype(np.float32)
        made.add_vectors([str(i) for i in range(50)], vectors)
        yield made


def table(made) -> str:
    return f"{made.about.schema_name}.{made.state.index.name}"


def test_a_catalog_in_sqlite_is_refused_and_nothing_is_created(folder):
    with pytest.raises(CollectionError, match="PLAYGROUND_CATALOG_URL"):
        create(engine="pgvector")
    assert not (folder / "pets").exists()
    with create() as made, pytest.raises(CollectionError, match="PLAYGROUND_CATALOG_URL"):
        made.migrate("pgvector")


def test_too_many_dimensions_are_refused_with_the_most(made):
    cosine = get_metric("cosine")
    for dimensions, dtype, kind, most in (
        (4_001, "float16", "hnsw", "4,000"),
        (2_001, "float32", "hnsw", "2,000"),
        (16_001, "float16", "flat", "16,000"),
    ):
        about = made.about.model_copy(update={"dimensions": dimensions, "dtype": dtype})
        with pytest.raises(CollectionError, match=most):
            PgvectorEngine.check(about, kind, cosine)
    PgvectorEngine.check(made.about.model_copy(update={"dimensions": 4_000}), "hnsw", cosine)
    PgvectorEngine.check(made.about.model_copy(update={"dimensions": 16_000}), "auto", cosine)


def test_catalog_and_index_change_together_or_not_at_all(made, monkeypatch):
    with made.frozen() as (connection, _):
        before = connection.scalar(sa.text(f"SELECT count(*) FROM {table(made)}"))

    def fail(*_):
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(catalog, "set_fact", fail)
        with pytest.raises(CollectionError, match="disk"):
            made.add_vectors(["new"], np.ones((1, 192)))
    with made.frozen() as (connection, _):
        assert connection.scalar(sa.text(f"SELECT count(*) FROM {table(made)}")) == before
    assert made.verify() == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("DELETE FROM {} WHERE id = 7", "lacks 1"),
        ("UPDATE {} SET embedding = embedding + embedding WHERE id = 7", "1 vectors other"),
        ("INSERT INTO {} SELECT 99, embedding FROM {} WHERE id = 7", "1 vectors that no image uses"),
        ("DROP TABLE {}", "missing"),
    ],
)
def test_verify_names_what_was_changed_and_optimize_repairs_it(made, change, problem):
    made._catalog.write(lambda connection: connection.execute(sa.text(change.replace("{}", table(made)))))
    [found] = made.verify()
    assert problem in found
    made.optimize()
    assert made.verify() == []


def test_a_search_repairs_an_index_that_is_gone(made):
    statement = sa.text(f"DROP TABLE {table(made)}")
    made._catalog.write(lambda connection: connection.execute(statement))
    with open_() as again:
        assert len(again.search_vectors(np.ones(192), 50)[0]) == 50
        assert again.verify() == []


def test_a_removed_vector_leaves_the_table_and_old_tables_are_dropped(made):
    made.remove(["3"])
    with made.frozen() as (connection, _):
        ids = connection.scalars(sa.text(f"SELECT id FROM {table(made)}")).all()
        assert set(ids) == set(range(50)) - set(tombstones.rows(connection))
    made.optimize()
    with made.frozen() as (connection, _):
        known = sa.inspect(connection).get_table_names(made.about.schema_name)
    assert [name for name in known if name.startswith("index_")] == [made.state.index.name]


def test_a_condition_is_checked_for_each_vector_along_the_graph(made, monkeypatch):
    monkeypatch.setattr("core.collections.index.server_search.FEW", 20)
    more = np.random.default_rng(1).standard_normal((1_000, 192)).astype(np.float32)
    made.add_vectors([f"m{i}" for i in range(1_000)], more, [str(i % 2) for i in range(1_000)])
    made.optimize(index="hnsw")
    plans = []

    def explain(connection, cursor, statement, parameters, context, executemany):
        if "<=>" in statement and statement.startswith("SELECT"):
            with connection.connection.driver_connection.cursor() as driver:
                driver.execute(f"EXPLAIN {statement}", parameters)
                plans.append("\n".join(line for (line,) in driver.fetchall()))

    sa.event.listen(made._catalog._engine, "before_cursor_execute", explain)
    made.search_vectors(more[:1], 10)
    made.search_vectors(more[:1], 10, ["label=1"])
    # A join would compare and sort all that meet the condition.
    assert len(plans) == 2
    assert "SubPlan" in plans[1] and "Nested Loop" not in plans[1] and "Join" not in plans[1]


def test_a_backup_is_restored_without_the_server(made, tmp_path, monkeypatch):
    backup.write(made, tmp_path / "pets.tar")
    expected = made.search_vectors(np.ones(192), 5)
    monkeypatch.setattr(settings, "CATALOG_URL", None)
    backup.restore(tmp_path / "pets.tar", "copy")
    with open_("copy") as copy:
        assert copy.state.engine == "faiss"
        found = copy.search_vectors(np.ones(192), 5)
        assert [hit.path for hit in found[0]] == [hit.path for hit in expected[0]]
        assert copy.verify() == []


def test_few_images_that_meet_a_condition_are_found_once(made):
    made.add_vectors(["cat"], np.ones((1, 192)), ["cat"])
    query, sent = np.ones((1, 192)), []
    [[first]] = made.search_vectors(query, 5, ["label=cat"])
    sa.event.listen(made._catalog._engine, "before_cursor_execute", lambda *given: sent.append(given[2]))
    [[again]] = made.search_vectors(query, 5, ["label=cat"])
    assert (first.path, sent) == ("cat", []) and again == first
    made.remove(["cat"])
    assert made.search_vectors(query, 5, ["label=cat"]) == [[]]
