"""What searches keep in memory is what the catalog holds, whoever changes it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from core.collections import Collection, search_memory
from tests.collections import pixels

DOGS = ["label=dog"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(12):
        pixels.draw(tmp_path / "photos" / ("cat" if number % 2 else "dog") / f"{number}.png", number)
    return tmp_path / "photos"


@pytest.fixture
def pets(anywhere, photos) -> Iterator[Collection]:
    with pixels.create() as made:
        made.add([str(photos)])
        yield made


@contextmanager
def statements(pets: Collection) -> Iterator[list[str]]:
    """The statements that are sent to the database of a collection."""
    sent: list[str] = []

    def note(connection, cursor, statement, *_):
        sent.append(statement)

    engines = {pets._catalog._engine, pets._catalog._single_engine}
    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", note)
    yield sent
    for engine in engines:
        sa.event.remove(engine, "before_cursor_execute", note)


def found(pets: Collection, number: int, where=(), k: int = 4) -> list[tuple]:
    [hits] = pets.search([pixels.picture(number)], k, where)
    return [(hit.id, Path(hit.path).name, hit.label, round(hit.distance, 5), hit.also) for hit in hits]


@pytest.mark.parametrize("where", [(), DOGS])
def test_a_search_reads_nothing_twice(pets, where):
    first = found(pets, 3, where)
    with statements(pets) as sent:
        assert found(pets, 3, where) == first
    # Whether the catalog has changed is asked at its driver.
    assert sent == []


def test_state_sources_and_vectors_are_read_again_after_a_change(pets, photos):
    assert pets.snapshot() is pets.snapshot()
    before = (pets.state, pets.source_paths, pets.snapshot())
    with statements(pets) as sent:
        assert (pets.state, pets.source_paths, pets.snapshot()) == before
    assert before[1] == (str(photos),) and sent == []
    with pixels.open_() as other:
        other.remove([str(photos)])
    assert pets.state.version > before[0].version and pets.source_paths == ()
    assert len(pets.snapshot().tombstones) == 12


@pytest.mark.parametrize("where", [(), DOGS])
def test_changes_of_others_and_its_own_show_at_once(pets, photos, where):
    own = found(pets, 0, where)
    assert own[0][1:3] == ("0.png", "dog")
    with pixels.open_() as other:
        other.remove([str(photos / "dog" / "0.png")])
        assert "0.png" not in [name for _, name, *_ in found(pets, 0, where)]
        other.restore([str(photos / "dog" / "0.png")])
        assert found(pets, 0, where) == own
    copy = photos / "dog" / "copy.png"
    copy.write_bytes((photos / "dog" / "0.png").read_bytes())
    pets.add([str(photos)])
    assert found(pets, 0, where)[0][4] == (str(copy),)
    pixels.draw(photos / "dog" / "0.png", 99)
    pets.update()
    assert found(pets, 0, where)[0][1:] == ("copy.png", "dog", 0.0, ())
    pets.optimize(metric="euclidean")
    pets.remove(where=DOGS)
    assert [label for _, _, label, *_ in found(pets, 0, where)] == ([] if where else ["cat"] * 4)


def test_conditions_do_not_share_their_copies(pets, photos):
    """Of images with one content, a search shows those that meet its conditions."""
    twin = photos / "cat" / "twin.png"
    twin.write_bytes((photos / "dog" / "0.png").read_bytes())
    pets.add([str(photos)])
    for _ in range(2):
        assert found(pets, 0)[0][4] == (str(twin),)
        assert found(pets, 0, DOGS)[0][1:] == ("0.png", "dog", 0.0, ())
        assert found(pets, 0, ["label=cat"])[0][1:] == ("twin.png", "cat", 0.0, ())


def test_what_a_caller_does_with_a_hit_changes_no_other(pets):
    [hits] = pets.search([pixels.picture(3)], 1)
    hits[0].metadata["mine"] = 1
    [again] = pets.search([pixels.picture(3)], 1)
    assert again[0].metadata == {}


def test_what_is_kept_is_bounded(pets, monkeypatch):
    monkeypatch.setattr(search_memory, "_MOST_IMAGES", 6)
    monkeypatch.setattr(search_memory, "_MOST_CONDITIONS", 1)
    expected = {number: found(pets, number, [], 3) for number in range(12)}
    for number in range(12):
        assert found(pets, number, [], 3) == expected[number]
        assert len(pets._memory._images) <= 6
    for label in ("cat", "dog", "cat"):
        assert {one[2] for one in found(pets, 1, [f"label={label}"])} == {label}
        # The latest condition, whatever was asked before.
        assert list(pets._memory._matching) == [(f"label={label}",)]


def test_searches_beside_a_writer_never_mix_states(pets, photos):
    path, done, wrong = str(photos / "dog" / "0.png"), threading.Event(), []

    def search() -> None:
        while not done.is_set():
            hits = found(pets, 0, [], 3)
            # With the image, or without it: never its row with another image.
            if len(hits) != 3 or (hits[0][1] == "0.png") != (hits[0][3] == 0):
                wrong.append(hits)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    with pixels.open_() as writer:
        for _ in range(5):
            writer.remove([path])
            writer.restore([path])
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
