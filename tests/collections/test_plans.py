"""The queries of catalogs, which use indexes and do not slow down with the number of images."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import numpy as np
import pytest
import sqlalchemy as sa

from core.settings import settings
from tests.collections.pixels import create

RANDOM = np.random.default_rng(0)


@contextmanager
def asked(collection) -> Iterator[dict[str, tuple]]:
    """The statements with their parameters that a collection sends to its catalog in the block."""
    statements: dict[str, tuple] = {}

    def note(_connection, _cursor, statement, parameters, _context, many):
        if not many:
            statements[statement] = parameters

    sa.event.listen(collection._catalog._engine, "before_cursor_execute", note)
    yield statements
    sa.event.remove(collection._catalog._engine, "before_cursor_execute", note)


def test_a_search_looks_images_up_by_their_rows(folder):
    with create() as pets:
        pets.add_vectors(
            [f"/pictures/{i}.png" for i in range(500)], RANDOM.standard_normal((500, 192)), ["cat"] * 500
        )
        with asked(pets) as statements:
            pets.search_vectors(RANDOM.standard_normal((1, 192)))
            pets.nearest_to(1, 5)
            pets.sample(20)
    with closing(sqlite3.connect(folder / "pets" / "catalog.sqlite")) as database:
        plans = {
            statement: [
                row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            ]
            for statement, parameters in statements.items()
            if "FROM images" in statement
        }
    assert len(plans) > 1
    for statement, plan in plans.items():
        found = [step for step in plan if "images" in step]
        assert all("faiss_id" in step or "PRIMARY KEY" in step for step in found), (statement, plan)


@pytest.fixture
def stored(folder, pgvector_url, monkeypatch):
    """A collection of 3,000 images with its catalog in PostgreSQL."""
    monkeypatch.setattr(settings, "CATALOG_URL", pgvector_url)
    with create() as pets:
        count = 3_000
        pets.add_vectors(
            [f"/pictures/{i}.png" for i in range(count)],
            RANDOM.standard_normal((count, 192)),
            [f"class {i % 100}" for i in range(count)],
            [{"number": i} for i in range(count)],
        )
        yield pets


@contextmanager
def explained(collection, without_scans: bool = False) -> Iterator[dict[str, str]]:
    """The plans of PostgreSQL for the queries that a collection sends to its catalog in the block, by query."""
    plans: dict[str, str] = {}

    def note(connection, _cursor, statement, parameters, _context, many):
        if "images" in statement and not many and not statement.startswith(("INSERT", "ANALYZE")):
            with connection.connection.driver_connection.cursor() as driver:
                # A small table is read as a whole, whatever indexes it has.
                driver.execute(f"SET enable_seqscan = {'off' if without_scans else 'on'}")
                driver.execute(f"EXPLAIN {statement}", parameters)
                plans[statement] = "\n".join(line for (line,) in driver.fetchall())
                driver.execute("RESET enable_seqscan")

    engines = collection._catalog._engine, collection._catalog._single_engine
    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", note)
    yield plans
    for engine in engines:
        sa.event.remove(engine, "before_cursor_execute", note)


def test_postgresql_finds_images_by_indexes(stored):
    number = next(stored.images(most=1)).id
    with explained(stored, without_scans=True) as plans:
        stored.image(number)
        stored.search_vectors(RANDOM.standard_normal((1, 192)), 10, ["label=class 7"])
        list(stored.images(most=60))
        stored.remove(["/pictures/7.png"])
        stored.restore(["/pictures/7.png"])
        stored.add_vectors(["/pictures/new.png"], RANDOM.standard_normal((1, 192)))
        with stored.writing() as writer:
            writer.known([f"{i:064x}" for i in range(300)])
    assert len(plans) > 8
    for statement, plan in plans.items():
        assert "Seq Scan on images" not in plan, (statement, plan)


def test_postgresql_knows_what_is_stored_as_soon_as_it_is_added(stored):
    with explained(stored) as plans:
        list(stored.images(most=60))
        stored.search_vectors(RANDOM.standard_normal((1, 192)), 10, ["label=class 7"])
    pages = [plan for statement, plan in plans.items() if "LIMIT" in statement and "ORDER BY" in statement]
    labels = [
        plan for statement, plan in plans.items() if "label =" in statement and "faiss_id IN" not in statement
    ]
    # A page reads no more than it shows, and a label leads to its images.
    assert all("ix_images_faiss_id" in plan for plan in pages) and pages
    assert all("ix_images_label" in plan for plan in labels) and labels


@pytest.mark.slow
def test_connections_to_postgresql_are_shared_and_bounded(folder, pgvector_url, monkeypatch):
    monkeypatch.setattr(settings, "CATALOG_URL", pgvector_url + "&application_name=bounded")
    monkeypatch.setattr(settings, "CATALOG_CONNECTIONS", 2)
    opened = [create(f"pets-{number}") for number in range(6)]
    most = []

    def use(one) -> None:
        for _ in range(5):
            with one.frozen() as (connection, _):
                count = sa.text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bounded'")
                most.append(connection.scalar(count))

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(use, opened))
    assert len(most) == 30 and max(most) <= 2
    for one in opened:
        one.close()
    # Others go on.
    with create("another") as another:
        assert another.info().images == 0
