"""The queries of a search in SQLite, which use indexes and do not slow down with the number of images."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import numpy as np
import sqlalchemy as sa

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
