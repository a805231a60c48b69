"""Many files with the same content cost no more than different ones."""

import os
import sqlite3
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from core.collections import curation
from core.imaging import decode
from tests.collections.pixels import create, draw, open_, picture


def copies(folder: Path, count: int) -> Path:
    """Hard links to one image."""
    first = draw(folder / "copies" / "0.png", 0)
    for i in range(1, count):
        os.link(first, folder / "copies" / f"{i}.png")
    return folder / "copies"


def different(folder: Path, count: int) -> Path:
    for i in range(count):
        draw(folder / "different" / f"{i}.png", i)
    return folder / "different"


@pytest.fixture
def fetched(folder):
    """Counts the rows that SQLite gives to whom it is opened for."""
    counted = [0]

    def count(_: sqlite3.Cursor, row: tuple) -> tuple:
        counted[0] += 1
        return row

    def watch(collection):
        @sa.event.listens_for(collection._catalog._engine, "checkout")
        def _(connection, *_):
            connection.row_factory = count

        return collection

    return watch, counted


@pytest.mark.slow
def test_rows_read_per_file_do_not_grow_with_the_copies(fetched, tmp_path):
    watch, counted = fetched
    read = {}
    for make in (copies, different):
        with watch(create(make.__name__)) as collection:
            source = make(tmp_path, 300)
            counted[0] = 0
            assert collection.add([str(source)]).added == 300
            added = counted[0]
            for file in source.iterdir():
                os.utime(file, (1, 1))
            assert collection.update().changed == 300
            read[make.__name__] = (added, counted[0] - added)
    for of_copies, of_different in zip(read["copies"], read["different"], strict=True):
        assert of_copies <= 1.1 * of_different + 50


@pytest.mark.slow
def test_adding_copies_takes_no_more_processor_time(folder, tmp_path):
    took = {}
    for make in (copies, different):
        with create(make.__name__) as collection:
            source = str(make(tmp_path, 1000))
            started = time.process_time()
            report = collection.add([source])
            took[make.__name__] = time.process_time() - started
            assert report.added == 1000
    assert took["copies"] < 1.3 * took["different"]


def test_copies_side_by_side_are_decoded_once(folder, tmp_path, monkeypatch):
    original, decoded = decode.decode, []
    monkeypatch.setattr(decode, "decode", lambda data: decoded.append(1) or original(data))
    with create() as pets:
        report = pets.add([str(copies(tmp_path, 100))])
        assert (report.added, report.duplicates) == (100, 99)
    assert len(decoded) == 1


def test_a_search_reads_the_copies_paths_and_no_more(fetched, tmp_path):
    watch, counted = fetched
    create().add([str(copies(tmp_path, 300)), draw(tmp_path / "other.png", 7)])
    pets = watch(open_())
    [hit, other] = pets.search([picture(0)], k=2)[0]
    assert len({hit.path, *hit.also}) == 300 and other.also == ()
    counted[0] = 0
    found = curation.outliers(pets, 2)
    assert len(found) == 2
    assert counted[0] < 50


@pytest.mark.parametrize("removed", [299, 300])
def test_a_vector_stays_until_its_last_copy_is_removed(anywhere, tmp_path, removed):
    pets = create()
    folder = copies(tmp_path, 300)
    pets.add([str(folder), draw(tmp_path / "other.png", 7)])
    pets.remove([str(folder / f"{i}.png") for i in range(removed)])
    assert len(pets.snapshot().tombstones) == (1 if removed == 300 else 0)
    assert pets.verify() == []
    best = pets.search([picture(0)], k=1)[0][0]
    assert best.path == str(folder / "299.png" if removed == 299 else tmp_path / "other.png")
