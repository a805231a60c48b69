"""Images that several rows and several lists name."""

import itertools
import json
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from core.collections import Collection, list_rows
from core.collections.list_rows import Place
from core.collections.state import read_about
from core.data.image_sources import SourceError
from core.settings import settings
from tests.collections import version1
from tests.collections.pixels import create, draw, open_

LABELS = {"0": ("round", "red"), "1": ("square", "blue")}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with the images ``i/0-0.png`` to ``i/1-2.png``."""
    for place, (k, n) in enumerate(itertools.product(range(2), range(3))):
        draw(tmp_path / "i" / f"{k}-{n}.png", place)
    return tmp_path


def write(path: Path, rows: dict[str, str] | list[tuple[str, str]], columns: str = "label") -> str:
    """A list of images below ``i``."""
    rows = list(rows.items()) if isinstance(rows, dict) else rows
    path.write_text(f"path,{columns}\n" + "".join(f"i/{name}.png,{cells}\n" for name, cells in rows))
    return str(path)


def labels(collection: Collection) -> dict[str, str | None]:
    return {Path(image.path).stem: image.label for image in collection.images() if image.label}


def metadata(collection: Collection) -> dict[str, dict]:
    return {Path(image.path).stem: image.metadata for image in collection.images()}


def nothing_changed(report) -> bool:
    return (report.added, report.changed, report.removed, report.failed) == (0, 0, 0, 0)


def settled(collection: Collection, lists: list[str]) -> bool:
    """Whether adding and updating again changes nothing and leaves every label."""
    before = [(image.path, image.label, image.metadata) for image in collection.images()]
    again = [collection.update(), collection.add(lists), collection.add(lists[::-1]), collection.update()]
    after = [(image.path, image.label, image.metadata) for image in collection.images()]
    return before == after and all(map(nothing_changed, again))


# Rows of one list


@pytest.mark.parametrize("backwards", [False, True])
def test_rows_that_disagree_are_a_conflict_and_one_image(anywhere, here, backwards):
    rows = [(f"{k}-{n}", label) for k in LABELS for n in range(3) for label in LABELS[k]]
    path = write(here / "l.csv", rows[::-1] if backwards else rows)
    pets = create()
    report = pets.add([path])
    assert (report.added, report.changed, report.read) == (6, 0, 6)
    assert labels(pets) == {}
    assert report.conflicting == 6 and len(report.conflicts) == 6
    first = report.conflicts[0]
    assert first.path == str(here / "i" / "0-0.png")
    numbers = (13, 12) if backwards else (2, 3)
    assert first.labels == {
        "round": [Place(path, numbers[0])],
        "red": [Place(path, numbers[1])],
    }
    assert settled(pets, [path])
    assert pets.update().conflicting == 6


def test_rows_that_agree_and_empty_cells_are_no_conflict(folder, here):
    path = write(here / "l.csv", [("0-0", "cat"), ("0-0", ""), ("0-1", ""), ("0-0", "cat"), ("0-1", "dog")])
    pets = create()
    report = pets.add([path])
    assert (report.added, report.conflicting) == (2, 0)
    assert labels(pets) == {"0-0": "cat", "0-1": "dog"}
    assert settled(pets, [path])


def test_of_an_object_detection_table_every_value_is_kept(anywhere, here):
    rows = [("0-0", "cat,train,10"), ("0-1", "dog,train,5"), ("0-0", "cat,train,7"), ("0-0", "cat,train,10")]
    path = write(here / "l.csv", rows, "label,split,x")
    pets = create()
    pets.add([path])
    assert metadata(pets) == {"0-0": {"split": "train", "x": [10, 7]}, "0-1": {"split": "train", "x": 5}}
    assert settled(pets, [path])


def test_more_conflicts_than_can_be_read_are_counted(folder, here):
    rows = []
    for i in range(30):
        draw(here / "i" / f"m{i:02}.png", 100 + i)
        rows += [(f"m{i:02}", "a"), (f"m{i:02}", "b")]
    report = create().add([write(here / "l.csv", rows)])
    assert (report.conflicting, len(report.conflicts)) == (30, 20)
    assert "30 images" in report.conflict_summary() and "first 20" in report.conflict_summary()


# Several lists


def test_lists_that_disagree_do_so_in_any_order(folder, here):
    one = write(here / "one.csv", {"0-0": "round", "0-1": "round"})
    two = write(here / "two.csv", {"0-0": "red", "0-2": "red"})
    found = []
    for order in ([one, two], [two, one]):
        pets = create(f"pets{len(found)}")
        report = pets.add(order)
        assert report.conflicting == 1
        assert report.conflicts[0].labels == {"round": [Place(one, 2)], "red": [Place(two, 2)]}
        found.append(labels(pets))
        assert settled(pets, order)
    assert found == [{"0-1": "round", "0-2": "red"}] * 2


def test_an_image_in_conflict_keeps_the_label_it_had(anywhere, here):
    one = write(here / "one.csv", {"0-0": "round", "0-1": "round"})
    pets = create()
    pets.add([one])
    two = write(here / "two.csv", {"0-0": "red", "0-2": "red"})
    report = pets.add([two])
    assert (report.conflicting, report.changed) == (1, 0)
    assert labels(pets) == {"0-0": "round", "0-1": "round", "0-2": "red"}
    assert settled(pets, [one, two])
    # The list that disagreed is put right, then is forgotten.
    write(here / "two.csv", {"0-0": "round", "0-2": "red"})
    report = pets.update()
    assert (report.conflicting, report.changed) == (0, 0)
    write(here / "two.csv", {"0-0": "blue", "0-2": "red"})
    assert pets.update().conflicting == 1
    pets.remove([one])
    report = pets.update()
    assert (report.conflicting, report.changed) == (0, 1)
    assert labels(pets) == {"0-0": "blue", "0-1": "round", "0-2": "red"}


def test_editing_a_list_relabels(anywhere, here):
    path = write(here / "l.csv", {"0-0": "cat", "0-1": "cat", "0-2": "cat"})
    pets = create()
    pets.add([path])
    write(here / "l.csv", {"0-0": "dog", "0-1": "", "0-2": "cat"})
    report = pets.update()
    assert (report.changed, report.unchanged, report.conflicting) == (2, 1, 0)
    assert labels(pets) == {"0-0": "dog", "0-2": "cat"}
    write(here / "l.csv", {"0-0": "wolf", "0-1": "", "0-2": "cat"})
    assert pets.add([path]).changed == 1
    assert labels(pets)["0-0"] == "wolf"


def test_lists_that_are_edited_together_are_compared_as_they_are_now(folder, here):
    lists = [write(here / f"{name}.csv", {"0-0": "cat"}) for name in ("one", "two")]
    pets = create()
    pets.add(lists)
    for name in ("one", "two"):
        write(here / f"{name}.csv", {"0-0": "dog"})
    report = pets.add([lists[0]])
    assert (report.changed, report.conflicting) == (1, 0)
    assert labels(pets) == {"0-0": "dog"}
    assert settled(pets, lists)


def test_labels_of_one_list_win(anywhere, here):
    one = write(here / "one.csv", {"0-0": "round", "0-1": "round"})
    two = write(here / "two.csv", {"0-0": "red", "0-2": "red"})
    pets = create()
    report = pets.add([one, two], labels_from=two)
    assert report.conflicting == 0
    assert labels(pets) == {"0-0": "red", "0-1": "round", "0-2": "red"}
    # Without it the image keeps what it has.
    assert (pets.update().changed, labels(pets)["0-0"]) == (0, "red")
    report = pets.update(labels_from=one)
    assert (report.changed, report.conflicting, labels(pets)["0-0"]) == (1, 0, "round")
    with pytest.raises(SourceError, match=r"collection's lists.*one\.csv"):
        pets.update(labels_from=str(here / "three.csv"))


def test_a_list_that_wins_does_not_win_over_itself(folder, here):
    one = write(here / "one.csv", [("0-0", "round"), ("0-0", "oval")])
    two = write(here / "two.csv", {"0-0": "red"})
    pets = create()
    assert pets.add([one, two], labels_from=one).conflicting == 1
    assert labels(pets) == {}


@pytest.mark.slow
def test_metadata_of_several_lists_come_together(folder, here):
    one = write(here / "one.csv", {"0-0": "5,x", "0-1": "6,y"}, "price,split")
    two = write(here / "two.csv", {"0-0": "x,me", "0-1": "z,you"}, "split,author")
    for number, order in enumerate(([one], [two]), 1):
        pets = create(f"pets{number}")
        pets.add(order)
        pets.add([one, two])
        assert metadata(pets) == {
            "0-0": {"price": 5, "split": "x", "author": "me"},
            "0-1": {"price": 6, "split": ["y", "z"], "author": "you"},
        }
        assert settled(pets, [one, two])


def test_what_another_list_still_names_is_not_removed(folder, here):
    one = write(here / "one.csv", {"0-0": "a", "0-1": "a"})
    two = write(here / "two.csv", {"0-0": "a", "0-2": "a"})
    pets = create()
    pets.add([one, two])
    write(here / "one.csv", {"0-1": "a"})
    Path(two).rename(here / "away.csv")
    report = pets.update()
    assert report.removed == 0 and "two.csv" in report.problems[0]
    (here / "away.csv").rename(two)
    assert nothing_changed(pets.update())
    write(here / "two.csv", {"0-2": "a"})
    assert pets.update().removed == 1
    assert set(labels(pets)) == {"0-1", "0-2"}


# Lists and folders


@pytest.mark.parametrize("first", ["folder", "list", "both"])
def test_a_list_counts_before_the_folder_it_names_images_of(anywhere, here, first):
    for place in range(3):
        draw(here / "i" / "kind" / f"{place}.png", 20 + place)
    path = write(here / "l.csv", {"kind/0": "mine,1", "kind/1": ",2"}, "label,n")
    sources = {"folder": [str(here / "i")], "list": [path]}
    pets = create()
    if first == "both":
        pets.add([path, str(here / "i")])
    else:
        pets.add(sources[first])
        pets.add(sources["list" if first == "folder" else "folder"])
    assert labels(pets) == {"0": "mine", "1": "kind", "2": "kind"}
    assert (metadata(pets)["0"], metadata(pets)["1"], metadata(pets)["2"]) == ({"n": 1}, {"n": 2}, {})
    assert settled(pets, [path, str(here / "i")])
    write(here / "l.csv", {"kind/0": ",1"}, "label,n")
    pets.add([path])
    assert labels(pets)["0"] == "kind"
    # Forgotten, it says nothing any more; its images are the folder's.
    pets.remove([path])
    pets.update()
    assert labels(pets) == {"0": "kind", "1": "kind", "2": "kind"}
    assert all(facts == {} for facts in metadata(pets).values())


def test_a_forgotten_source_gives_its_number_to_no_other(folder, here):
    path = write(here / "l.csv", {"0-0": "a"})
    pets = create()
    pets.add([path])
    pets.remove([path])
    draw(here / "other" / "x.png", 50)
    pets.add([str(here / "other")])
    assert pets.update().removed == 0
    assert len(list(pets.images())) == 2


# Reports


def test_what_is_left_out_is_counted_by_reason(folder, here):
    (here / "i" / "bad.png").write_bytes(b"")
    rows = "i/0-0.png,a\n,a\n ,b\ni/gone.png,a\ni/lost.png,a\ni/bad.png,a\ni/0-1.png,a,b\n"
    (here / "l.csv").write_text(f"path,label\n{rows}")
    report = create().add([str(here / "l.csv")])
    assert report.reasons == {
        "row without a path": 2,
        "file not found": 2,
        "the file is empty": 1,
        "it has 3 cells, the header has 2": 1,
    }
    assert (report.read, report.added, report.failed) == (7, 1, 4)
    assert report.summary() == (
        "7 read, 1 added, 6 left out: file not found (2); row without a path (2); "
        "it has 3 cells, the header has 2 (1); the file is empty (1)."
    )
    failed = {image.path: image.reason for image in open_().images("failed")}
    assert failed[f"{here / 'l.csv'}, row 8"] == "it has 3 cells, the header has 2"


def test_a_list_that_can_not_be_read_leaves_nothing_of_others_either(folder, here):
    good = write(here / "good.csv", {"0-0": "a"})
    (here / "bad.csv").write_bytes(b"path,label\ni/0-1.png,a\n\xff,b\n")
    pets = create()
    with pytest.raises(SourceError, match=r"bad\.csv"):
        pets.add([good, str(here / "bad.csv")])
    assert pets.info().sources == () and pets.info().images == 0


# Older catalogs


def _write_decomposed(folder: Path) -> None:
    """Give the images of the class cat a label and metadata as a Mac writes them, in a catalog of version 1."""
    decomposed = unicodedata.normalize("NFD", "café")
    about = read_about(folder / "pets")
    address, table = f"sqlite:///{folder / 'pets' / 'catalog.sqlite'}", "images"
    if about.catalog == "postgresql":
        address = sa.make_url(settings.CATALOG_URL).set(drivername="postgresql+psycopg")
        table = f'"{about.schema_name}".images'
    engine = sa.create_engine(address)
    with engine.begin() as connection:
        update = sa.text(f"UPDATE {table} SET label = :label, metadata = :metadata WHERE label = 'cat'")
        connection.execute(update, {"label": decomposed, "metadata": json.dumps({decomposed: decomposed})})
    engine.dispose()


def test_an_older_catalog_keeps_labels_and_metadata_in_composed_form(anywhere, tmp_path):
    version1.unpack(tmp_path, settings.CATALOG_URL)
    _write_decomposed(anywhere)
    pets = open_()
    assert pets.info().labels == {"bird": 2, "café": 2, "dog": 1, "fish": 1, "frog": 1}
    assert (metadata(pets)["a"], metadata(pets)["7"]) == ({"café": "café"}, {"price": 5})
    assert {Path(i.path).stem: i.folder_label for i in pets.images() if i.source} == {
        **{"a": "café", "b": "café", "c": "dog"},
        **{"7": None, "8": None},
    }
    (seven,) = [image.path for image in pets.images() if image.path.endswith("/7.png")]
    with pets.writing() as writer:
        [[row]] = writer.catalog.read(list_rows.of_paths, [seven]).values()
    assert (row.label, row.metadata, row.number < 0) == ("bird", {"price": 5}, True)


# Parquet


def test_labels_of_parquet_are_text_and_stay_exact(anywhere, here):
    table = pa.table(
        {
            "path": ["i/0-0.png", "i/0-1.png"],
            "label": pa.array([1, None], pa.int64()),
            "id": pa.array([9007199254740993, None], pa.int64()),
        }
    )
    pq.write_table(table, here / "l.parquet")
    pets = create()
    pets.add([str(here / "l.parquet")])
    assert labels(pets) == {"0-0": "1"}
    assert metadata(pets) == {"0-0": {"id": 9007199254740993}, "0-1": {}}
    assert settled(pets, [str(here / "l.parquet")])


def test_a_label_that_lists_do_not_give_any_more_survives_a_file_that_can_not_be_read(anywhere, here):
    first, second = write(here / "a.csv", {"0-0": "round"}), write(here / "b.csv", {"0-0": "red"})
    pets = create()
    pets.add([str(here / "i"), first])
    assert pets.add([second]).conflicting == 1 and labels(pets) == {"0-0": "round"}
    file = here / "i" / "0-0.png"
    content = file.read_bytes()
    file.write_bytes(content[:60])
    assert pets.update().failed == 1 and labels(pets) == {} and pets.verify() == []
    file.write_bytes(content)
    assert pets.update().conflicting == 1 and labels(pets) == {"0-0": "round"}
