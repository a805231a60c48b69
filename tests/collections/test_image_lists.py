"""Lists as spreadsheets, databases and notebooks write them."""

import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.collections import export
from core.data import image_lists
from core.data.image_sources import SourceError
from core.progress import Silent
from core.settings import settings
from tests.collections.pixels import create, draw, open_, picture


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with the images ``a.png``, ``b.png`` and ``c d.png``; the lists need no more of them than to be there."""
    for name in ("a.png", "b.png", "c d.png"):
        (tmp_path / name).touch()
    return tmp_path


def read(folder: Path, content: str | bytes, name: str = "list.csv", **options: str) -> list[image_lists.Row]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(image_lists.read(path, **options))


def names(rows: list[image_lists.Row]) -> list[str]:
    return [Path(row.path).name for row in rows]


# What cells hold


@pytest.mark.parametrize(
    "label",
    ["0", "000", "007", "1.0", "1.50", "NA", "None", "null", "nan", "True", "1e5", "-", "2024-01-31", " x"],
)
def test_a_label_is_the_text_of_its_cell(here, label):
    rows = read(here, f'path,label\na.png,"{label}"\nb.png,\n')
    assert [row.label for row in rows] == [label, None]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "-20", ""], [1, -20, None]),
        (["9007199254740993", "1", "9223372036854775807"], [9007199254740993, 1, 2**63 - 1]),
        (["0.5", "20", "-1.25"], [0.5, 20, -1.25]),
        # A code, a version, a sign, an exponent, an integer that databases have not: writing the number gives another text.
        (["1", "02", "3"], ["1", "02", "3"]),
        (["1.9", "1.10", "2.0"], ["1.9", "1.10", "2.0"]),
        (["+1", "2", "3"], ["+1", "2", "3"]),
        (["1e5", "2", "3"], ["1e5", "2", "3"]),
        (["9223372036854775808", "1", ""], ["9223372036854775808", "1", None]),
        (["0.1000000000000000055", "1", "2"], ["0.1000000000000000055", "1", "2"]),
        (["nan", "1", "inf"], ["nan", "1", "inf"]),
        (["2018", "unknown", "2020"], ["2018", "unknown", "2020"]),
        (["True", "False", ""], ["True", "False", None]),
        (["2024-01-15", "", "NA"], ["2024-01-15", None, "NA"]),
        (["-0", "1", "2"], ["-0", "1", "2"]),
    ],
)
def test_a_column_is_of_numbers_only_when_every_cell_is_one(here, cells, values):
    paths = ["a.png", "b.png", "c d.png"]
    content = "path,value\n" + "".join(f"{p},{c}\n" for p, c in zip(paths, cells, strict=True))
    found = [row.metadata.get("value") for row in read(here, content)]
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


def test_the_type_of_a_column_does_not_depend_on_where_its_only_other_cell_is(here):
    rows = "".join(f"a.png,{i}\n" for i in range(6_000))
    found = read(here, f"path,value\n{rows}a.png,x\n")
    assert {type(row.metadata["value"]) for row in found} == {str}


def test_rows_are_numbered_as_a_spreadsheet_shows_them(here):
    rows = read(here, 'path,note\na.png,"two\nlines"\n\n,,\nb.png,x\n')
    assert [(row.number, row.metadata) for row in rows] == [(2, {"note": "two\nlines"}), (5, {"note": "x"})]


def test_a_row_with_more_cells_than_the_header_is_a_problem_of_that_row(here):
    rows = read(here, "path,label\na.png,x,y\nb.png,x,,\nc d.png\n,x\n")
    assert "3 cells" in rows[0].problem and rows[0].number == 2
    assert [(row.label, row.problem) for row in rows[1:]] == [
        ("x", None),
        (None, None),
        (None, image_lists.NO_PATH),
    ]


def test_text_and_names_of_columns_are_composed(here):
    decomposed = "cafe\u0301"
    (row,) = read(here, f"path,label,{decomposed}\na.png,{decomposed},{decomposed}\n")
    assert (row.label, row.metadata) == ("caf\u00e9", {"caf\u00e9": "caf\u00e9"})


def test_a_very_long_label_is_a_problem_of_its_row(here):
    rows = read(here, f"path,label\na.png,{'x' * 501}\nb.png,y\n")
    assert "500" in rows[0].problem and rows[1].problem is None


# Forms of a file


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_separator_and_byte_order_mark_are_recognized(here, separator, encoding):
    content = separator.join(["path", "label", "size"]) + "\n" + separator.join(["a.png", "é, ;", "1"]) + "\n"
    content = content.replace("é, ;", '"é, ;"').encode(encoding)
    (row,) = read(here, content)
    assert (names([row]), row.label, row.metadata) == (["a.png"], "é, ;", {"size": 1})


def test_spaces_behind_the_separators_of_the_header_belong_to_the_separator(here):
    (row,) = read(here, 'path, label, size\na.png, "cat, small", 5\n')
    assert (row.label, row.metadata) == ("cat, small", {"size": 5})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("path,label\na.png,x\nb.png,café\n".encode("latin-1"), ["line 3", "café", "UTF-8", "Latin-1"]),
        ("path,label\na.png,x\n".encode("utf-16-le"), ["NUL", "UTF-16"]),
        (b"path,label\na.png,x\0\n", ["NUL", "line 2"]),
        (b'path,label\na.png,x\nb.png,"never closed\n', ["row 3"]),
        (b'path,label\na.png,"x"y\n', ["row 2"]),
        (b"", ["empty"]),
        (b"\n\n", ["empty"]),
        (b"path,label\n", ["header and no rows"]),
        (b"x,y\na.png,1\n", ["no column of paths", "'x', 'y'", "--path-column"]),
        (b"path,x,x\na.png,1,2\n", ["several columns named 'x'"]),
        (b"path,label\n,x\n", ["'path'", "empty"]),
        (b"path,label\nnone.png,x\n", ["'path'", "'none.png'", "row 2", "--path-column"]),
    ],
)
def test_a_list_that_can_not_be_used_says_why(here, content, words):
    with pytest.raises(SourceError) as refused:
        read(here, content)
    assert "'list.csv'" in str(refused.value)
    assert [word for word in words if word not in str(refused.value)] == []


def test_a_cell_that_is_too_long_is_refused(here, monkeypatch):
    assert read(here, f"path,mask\na.png,{'1' * 200_000}\n")[0].metadata["mask"] == "1" * 200_000
    monkeypatch.setattr(settings, "MAX_CELL_CHARACTERS", 1000)
    with pytest.raises(SourceError, match="row 2"):
        read(here, f"path,mask\na.png,{'1' * 2000}\n")


# Paths


@pytest.mark.parametrize(
    "column", ["path", "file", "File Name", "filepath", "image_path", "image-file", "IMG", "url", "uri"]
)
def test_usual_names_of_the_path_column(here, column):
    assert names(read(here, f"id,{column}\n1,a.png\n")) == ["a.png"]


def test_the_first_usual_column_that_holds_paths_is_taken(here):
    rows = read(here, "file,image_path,url\n17,none.png,https://example.org/1.png\n18,a.png,\n")
    assert rows[1].path == str(here / "a.png")
    assert rows[1].metadata == {"file": 18}


def test_a_named_path_column_is_taken_whatever_others_hold(here):
    content = "path,thumb\na.png,b.png\n"
    assert names(read(here, content, path_column="thumb")) == ["b.png"]
    with pytest.raises(SourceError, match="'nothing'"):
        read(here, content, path_column="nothing")


@pytest.mark.parametrize(
    "cell",
    [
        " sub/x.png ",
        "sub\\x.png",
        ".\\sub\\x.png",
        "{here}/sub/x.png",
        "file://{here}/sub/x.png",
        "FILE://localhost{here}/sub/%78.png",
    ],
)
def test_ways_to_write_a_path(here, cell):
    (here / "sub").mkdir()
    (here / "sub" / "x.png").touch()
    (row,) = read(here, f'path\n"{cell.format(here=here)}"\n')
    assert (row.path, row.problem) == (str(here / "sub" / "x.png"), None)


def test_a_file_that_is_named_as_written_is_taken_before_others(here):
    for name in (" x.png", "x.png", "a\\b.png"):
        (here / name).touch()
    assert names(read(here, "path\n x.png\na\\b.png\n")) == [" x.png", "a\\b.png"]


def test_urls_and_files_of_other_machines(here):
    rows = read(here, "path\n https://example.org/a b.png \nfile://server/share/x.png\n")
    assert rows[0].path == "https://example.org/a b.png"
    assert "another machine" in rows[1].problem


# Parquet


def test_parquet_keeps_the_types_of_its_columns(here):
    table = pa.table(
        {
            "path": pa.array(["a.png", "b.png"]).dictionary_encode(),
            "label": pa.array([7, None], pa.int64()),
            "big": pa.array([9007199254740993, None], pa.int64()),
            "larger": pa.array([2**63, 1], pa.uint64()),
            "code": ["007", "NA"],
            "fine": [True, None],
            "day": [datetime.date(2024, 1, 31), None],
            "at": pa.array([datetime.datetime(2024, 1, 31, 12), None], pa.timestamp("ns")),
            "price": [Decimal("1.10"), None],
            "ratio": [float("nan"), 0.5],
            "tags": [["x"], []],
            "bytes": [b"\xff", b""],
        }
    )
    pq.write_table(table, here / "list.parquet")
    first, second = image_lists.read(here / "list.parquet")
    assert (first.number, first.label, second.label) == (2, "7", None)
    assert first.metadata == {
        "big": 9007199254740993,
        "larger": "9223372036854775808",
        "code": "007",
        "fine": True,
        "day": "2024-01-31",
        "at": "2024-01-31T12:00:00",
        "price": "1.10",
        "tags": ["x"],
    }
    assert second.metadata == {"larger": "1", "code": "NA", "ratio": 0.5, "tags": []}


# In a collection


def _pictures(folder: Path) -> list[str]:
    for k in range(3):
        for n in range(4):
            draw(folder / "i" / f"{k}-{n}.png", 10 * k + n)
    return sorted(path.name for path in (folder / "i").iterdir())


def test_class_ids_codes_and_words_stay_what_they_are(anywhere, tmp_path):
    files = _pictures(tmp_path)
    tables = {
        "ids": [
            f"{'' if i == 5 else f[0]},{'' if i == 2 else 9007199254740993 + i}" for i, f in enumerate(files)
        ],
        "codes": [f"00{f[0]},0{i:04d}" for i, f in enumerate(files)],
        "words": [f"{['NA', 'None', 'dent'][int(f[0])]},{i}" for i, f in enumerate(files)],
    }
    labels = {
        "ids": {"0": 4, "1": 3, "2": 4},
        "codes": {"000": 4, "001": 4, "002": 4},
        "words": {"NA": 4, "None": 4, "dent": 4},
    }
    for name, cells in tables.items():
        rows = "".join(f"i/{file},{cell}\n" for file, cell in zip(files, cells, strict=True))
        (tmp_path / f"{name}.csv").write_text(f"path,label,sku\n{rows}")
        pets = create(name)
        assert pets.add([str(tmp_path / f"{name}.csv")]).added == 12
        assert pets.info().labels == labels[name]
        again = pets.add([str(tmp_path / f"{name}.csv")])
        assert (again.added, again.changed, again.unchanged) == (0, 0, 12)
    ids, codes = open_("ids"), open_("codes")
    skus = {Path(image.path).name: image.metadata.get("sku") for image in ids.images()}
    assert [skus[file] for file in files] == [None if i == 2 else 9007199254740993 + i for i in range(12)]
    assert len(ids.search([picture(0)], 20, ["label=0"])[0]) == 4
    assert len(codes.search([picture(0)], 20, ["label=000"])[0]) == 4
    assert [Path(hit.path).name for hit in codes.search([picture(0)], 20, ["sku=00001"])[0]] == [files[1]]


def test_integers_stay_exact_in_export_and_answers(folder, tmp_path):
    big = 9007199254740993
    draw(tmp_path / "a.png", 0)
    (tmp_path / "list.csv").write_text(f"path,id\na.png,{big}\n")
    pets = create()
    pets.add([str(tmp_path / "list.csv")])
    export.write(pets, tmp_path / "pets.parquet", Silent())
    [written] = pq.read_table(tmp_path / "pets.parquet").column("metadata").to_pylist()
    assert written == f'{{"id": {big}}}'
    [[hit]] = pets.search([picture(0)], 1)
    assert hit.metadata == {"id": big}


def test_a_class_is_not_split_by_one_empty_cell_far_below(folder, tmp_path):
    draw(tmp_path / "i" / "0.png", 0)
    for i in range(1, 5_003):
        (tmp_path / "i" / f"{i}.png").hardlink_to(tmp_path / "i" / "0.png")
    rows = "".join(f"i/{i}.png,{'' if i == 5_002 else i % 2}\n" for i in range(5_003))
    (tmp_path / "list.csv").write_text(f"path,label\n{rows}")
    found = [row.label for row in image_lists.read(tmp_path / "list.csv")]
    assert set(found) == {"0", "1", None} and found[-1] is None


def test_a_named_path_column_is_remembered_for_update(folder, tmp_path):
    draw(tmp_path / "a.png", 0)
    draw(tmp_path / "b.png", 1)
    (tmp_path / "list.csv").write_text("path,thumb\na.png,b.png\n")
    pets = create()
    pets.add([str(tmp_path / "list.csv")], path_column="thumb")
    for report in (pets.update(), pets.add([str(tmp_path / "list.csv")])):
        assert (report.unchanged, report.added, report.removed) == (1, 0, 0)
    assert [Path(image.path).name for image in pets.images()] == ["b.png"]
    with pytest.raises(SourceError, match="not a list"):
        pets.add([str(tmp_path / "a.png")], path_column="thumb")


def test_update_removes_nothing_when_no_file_of_a_list_is_there(folder, tmp_path):
    draw(tmp_path / "disk" / "a.png", 0)
    (tmp_path / "list.csv").write_text("path,label\ndisk/a.png,x\n")
    pets = create()
    pets.add([str(tmp_path / "list.csv")])
    (tmp_path / "disk").rename(tmp_path / "unplugged")
    report = pets.update()
    assert (report.removed, report.failed) == (0, 0) and "Nothing of it was removed" in report.problems[0]
    assert pets.info().labels == {"x": 1}
