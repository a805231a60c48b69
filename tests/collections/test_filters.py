"""Conditions on a collection's images: the same results in SQLite, PostgreSQL and plain Python."""

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import psycopg
import pytest

from core.collections import Collection
from core.errors import ConditionError, UnknownFieldError
from core.settings import settings
from tests.collections.pixels import create, draw

# As the table of the example has them, twelve rows, and what other sources may add.
ROWS: list[dict[str, Any]] = [
    {"year": 2018, "taken": "2024-01-15", "checked": True, "id": 2**53, "price (EUR)": 0.5},
    {"year": 2019, "taken": "2024-02-15", "checked": "False", "id": 2**53 + 1, "price (EUR)": 1.5},
    {"year": "2020", "taken": "2023-12-31T23:30:00-05:00", "checked": "", "id": 2**53 + 2},
    {"year": "unknown", "taken": "2023-06", "checked": 1, "id": 2**64 + 1, "tags": ["red", 7]},
    {"year": "2019.0", "taken": "2023-02-31", "id": 2**64, "tags": ["blue"], "note": "a=b"},
    {"taken": "2022-01-01 10:00", "code": "007", 'it\'s "so"': "Z", "mixed": True, "on": "yes"},
    {"taken": "soon", "code": "7", 'it\'s "so"': "a", "mixed": "True", "id": str(2**63)},
    {
        "taken": 2024,
        "code": 7,
        'it\'s "so"': "\u00e9",
        "mixed": "true",
        "id": -(2**63) - 1,
        "nested": {"a": 1},
    },
    {"year": "12e45678", "taken": "2020-02-29", "code": " 7", 'it\'s "so"': "\U0001f600", "mixed": 0.5},
]
LABELS = ["cat", "Cat", "caf\u00e9", "\ue000", "\U0001f600", None, "cat", "\u00c4", "z"]


def filled() -> Collection:
    made = create(dtype="float32")
    vectors = np.random.default_rng(0).normal(size=(len(ROWS), made.about.dimensions))
    made.add_vectors([str(i) for i in range(len(ROWS))], vectors, LABELS, ROWS)
    return made


def found(made: Collection, *where: str) -> str:
    hits = made.search_vectors(np.ones((1, made.about.dimensions)), 100, where)[0]
    return "".join(sorted(hit.path for hit in hits))


CASES = {
    # Numbers with numbers, also those in text; other cells only by !=.
    "year>=2019": "124",
    "year!=2019": "0238",
    "year=2019": "14",
    "year<2019": "0",
    "year=2019.0": "14",
    "year>=12e45": "",
    "price (EUR)<1.25": "0",
    "price (EUR) >= .5": "01",
    # Integers of any size, never through a float.
    "id=9007199254740993": "1",
    "id>9007199254740992": "12346",
    "id=18446744073709551617": "3",
    "id>=18446744073709551617": "3",
    "id<=18446744073709551616": "012467",
    "id=9223372036854775808": "6",
    "id<-9223372036854775808": "7",
    "id!=9007199254740993": "023467",
    # Dates with dates: a partial one is the whole of its year, month or day.
    "taken>2023": "0127",
    "taken>=2023": "01237",
    "taken<=2023": "358",
    "taken<2023-01-01": "58",
    "taken=2023": "3",
    "taken!=2023": "01245678",
    "taken=2024-02": "1",
    "taken>=2024-02": "1",
    "taken>2024-01": "1",
    "taken=2024-01-01": "2",
    "taken=2024-01-01T04:30Z": "2",
    "taken>=2024-01-01T05:30+01:00": "012",
    "taken<2024-01-01 04:30": "358",
    "taken=2020-02-29": "8",
    "taken=2023-02-31": "4",
    "taken=soon": "6",
    # Truth in a column of nothing else; text and JSON's true where there is more.
    "checked=True": "03",
    "checked=true": "03",
    "checked=1": "03",
    "checked!=TRUE": "1",
    "checked=0": "1",
    "mixed=True": "6",
    "mixed=true": "57",
    "mixed=1": "",
    "mixed=0": "",
    # Text by code point, codes as they are written.
    "code=007": "5",
    "code=7": "67",
    "code!=007": "678",
    'it\'s "so">a': "78",
    'it\'s "so"<=a': "56",
    'it\'s "so">=\ue000': "8",
    "label>cat": "3478",
    "label<a": "1",
    "label>=\uffff": "4",
    "label=caf\u00e9": "2",
    "label=cafe\u0301": "2",
    "label!=cat": "123478",
    "on=yes": "5",
    "note=a=b": "4",
    "path>7": "8",
    # Lists by what is in them.
    "tags=red": "3",
    "tags=7": "3",
    "tags!=red": "4",
    "tags>a": "",
    "nested=1": "",
    "nested!=1": "7",
    "code='; DROP TABLE images --": "",
}


def test_conditions_find_the_same_in_every_database(anywhere):
    made = filled()
    assert {where: found(made, where) for where in CASES} == CASES
    assert found(made, "year>=2019", "taken>=2024") == "12"
    assert found(made, "size>0") == "" and made.info().images == len(ROWS)
    assert made.remove(where=["taken=2023"]) == 1
    assert found(made, "taken<=2023") == "58"
    # Removed images have their own fields.
    with pytest.raises(UnknownFieldError, match="'tags'"):
        made.restore(where=["tag=red"])
    assert made.restore(where=["tags=red", "taken=2023"]).restored == 1
    assert found(made, "taken=2023") == "3"


def test_text_is_compared_by_code_point_whatever_the_collation_of_the_database(
    folder, postgresql_url, monkeypatch
):
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(
            "CREATE DATABASE english TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en' LC_COLLATE 'C.UTF-8'"
        )
        assert connection.execute("SELECT 'a' < 'B' COLLATE \"en-x-icu\"").fetchone() == (True,)
    monkeypatch.setattr(settings, "CATALOG_URL", postgresql_url.replace("/postgres?", "/english?"))
    made = filled()
    for where in ("label<a", "label>cat", "label>=\uffff", 'it\'s "so"<=a', 'it\'s "so">a'):
        assert found(made, where) == CASES[where], where


def test_a_table_as_it_comes_is_compared_by_what_its_columns_hold(anywhere, tmp_path):
    rows = ["path,label,year,taken,checked,id,code,price (EUR)"]
    for i in range(12):
        kind, n = i % 3, i // 3
        draw(tmp_path / f"{i:02}.png", i)
        year, checked = ["2018", "2019", "2020", "unknown"][n], ["True", "False", ""][kind]
        label = "cat" if kind else ""
        rows.append(f"{i:02}.png,{label},{year},2024-0{n + 1}-15,{checked},{2**53 + i},A{kind}{n},{i}.5")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    made = create(dtype="float32")
    assert made.add([str(tmp_path / "list.csv")]).added == 12

    def numbers(where: str) -> list[int]:
        hits = made.search_vectors(np.ones((1, made.about.dimensions)), 12, [where])[0]
        return sorted(int(hit.path[-6:-4]) for hit in hits)

    assert numbers("year>=2019") == list(range(3, 9))
    assert numbers("year!=2019") == [0, 1, 2, *range(6, 12)]
    for where in ("year>=2019", "year!=2019"):
        [note] = made.notes([where])
        assert "3 of 12" in note and "year" in note
    assert numbers("taken>2023") == list(range(12)) and numbers("taken>2024-02") == list(range(6, 12))
    assert numbers("checked=True") == numbers("checked=1") == [0, 3, 6, 9]
    assert numbers("id=9007199254740993") == [1]
    assert numbers("price (EUR)<1") == [0] and numbers("code=A10") == [1]
    for where in ("Label=cat", "labl=cat"):
        with pytest.raises(UnknownFieldError, match=r"'label'.*checked, code, id, price"):
            numbers(where)


NOTES = {
    ("year>=2019",): [("year", "number", "2 of 9", "left out"), ("3 of 9",)],
    ("year!=2019",): [("year", "number", "2 of 9", "kept"), ("3 of 9",)],
    ("taken>2023-05",): [("taken", "date", "3 of 9", "left out")],
    ("code<b",): [("code", "text", "1 of 9"), ("5 of 9",)],
    ("label=cat", "checked=True", "code=007", "code!=x"): [],
}


def test_images_that_a_condition_cannot_compare_are_counted(anywhere):
    made = filled()
    for where, expected in NOTES.items():
        parts = [part for note in made.notes(where) for part in note.split(";")]
        assert len(parts) == len(expected), parts
        for part, words in zip(parts, expected, strict=True):
            assert all(word in part for word in words), part
    # A change is counted again.
    made.remove(["3"])
    assert "1 of 8 images hold no number" in made.notes(["year>=2019"])[0]


@pytest.mark.parametrize(
    ("name", "close"),
    [("Label", "label"), ("labl", "label"), ("Year", "year"), ("price", "price (EUR)"), ("zz", None)],
)
def test_an_unknown_field_is_an_error_that_lists_those_there_are(anywhere, name, close):
    made = filled()
    for ask in (
        found,
        lambda made, where: made.remove(where=[where]),
        lambda made, where: made.notes([where]),
    ):
        with pytest.raises(UnknownFieldError) as caught:
            ask(made, f"{name}=cat")
        assert caught.value.field == name
        assert set(caught.value.fields) == {
            "label",
            "path",
            "hash",
            "size",
            *(key for row in ROWS for key in row),
        }
        for field in ("label", "size", "year", "price (EUR)", *([repr(close)] if close else [])):
            assert field in str(caught.value)
        assert ("mean" in str(caught.value)) == (close is not None)
    assert made.info().images == len(ROWS)


def test_the_list_of_fields_is_bounded(folder):
    made = create()
    facts = {f"field {i:04}": i for i in range(1500)}
    made.add_vectors(["a"], np.ones((1, made.about.dimensions)), metadata=[facts])
    with pytest.raises(UnknownFieldError) as caught:
        found(made, "nothing=1")
    assert len(str(caught.value)) < 1500 and len(caught.value.fields) <= 1004
    assert found(made, "field 1499=1499") == "a"


@pytest.mark.parametrize(
    "where", ["", "label", "=3", "size<big", "label=a\0b", "label=\ud800", "a!b", "year<>2019", "label>>a"]
)
def test_what_is_no_condition_is_refused(anywhere, where):
    made = filled()
    with pytest.raises(ConditionError) as caught:
        found(made, where)
    assert not isinstance(caught.value, UnknownFieldError)


def test_operators_of_other_languages_are_noted_beside_the_result(folder):
    made = create()
    made.add_vectors(["a", "b"], np.eye(2, made.about.dimensions), ["=cat", "cat"])
    assert found(made, "label==cat") == "a" and found(made, "label=cat") == "b"
    assert "'=cat'" in made.notes(["label==cat"])[0] and made.notes(["label=cat"]) == ()
    assert "'>cat'" in made.notes(["label=>cat"])[0]


def test_what_is_nearly_a_date_is_named_as_text(folder):
    made = create()
    made.add_vectors(["a"], np.ones((1, made.about.dimensions)), metadata=[{"taken": "2024-05-01"}])
    for near in ("2024-13", "2024-02-30", "2024-5-1"):
        assert repr(near) in made.notes([f"taken>{near}"])[0]
    assert made.notes(["taken>2024-02"]) == ()


def test_conditions_are_composed_and_paths_found_in_either_form(anywhere):
    made = create()
    paths = ["caf\u00e9", "cafe\u0301"]
    made.add_vectors(paths, np.eye(2, made.about.dimensions), paths[:1] * 2, [{paths[0]: paths[0]}] * 2)
    everything = "".join(sorted(paths))
    for typed in paths:
        for where in (f"label={typed}", f"{typed}={typed}", f"path={typed}"):
            assert found(made, where) == everything, where
        assert found(made, f"label!={typed}") == found(made, f"path!={typed}") == ""


# The same in plain Python, for a random table.

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d{1,3})?")
_COMPARE = {
    "=": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def number(cell: Any) -> Decimal | None:
    if isinstance(cell, bool):
        return None
    text = cell if isinstance(cell, str) else repr(cell)
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def moment(cell: Any) -> datetime | None:
    if not isinstance(cell, str) or not re.match(r"\d{4}-\d\d", cell):
        return None
    try:
        read = datetime.fromisoformat(cell if len(cell) > 7 else f"{cell}-01")
    except ValueError:
        return None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def span(value: str) -> tuple[datetime, datetime] | None:
    if re.fullmatch(r"\d{4}", value):
        return moment(f"{value}-01"), moment(f"{int(value) + 1}-01")
    start = moment(value)
    if start is None:
        return None
    if len(value) == 7:
        return start, (start + timedelta(days=31)).replace(day=1)
    return start, start + timedelta(days=1) if len(value) == 10 else start + timedelta(minutes=1)


def truth(cell: Any) -> bool | None:
    if isinstance(cell, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(cell.lower())
    return bool(cell) if cell in (0, 1) else None


def holds(cells: list[Any], cell: Any, sign: str, value: str) -> bool:
    wanted, flag = number(value), truth(value)
    if cell is None:
        return False
    if flag is not None and all(truth(one) is not None for one in cells if one not in (None, "")):
        return cell != "" and (truth(cell) != flag if sign == "!=" else _COMPARE[sign](truth(cell), flag))
    if sign == "!=":
        return not holds(cells, cell, "=", value)
    if wanted is not None and number(cell) is not None:
        return _COMPARE[sign](number(cell), wanted)
    if (time := span(value)) is not None and (when := moment(cell)) is not None:
        start, end = time
        return {
            "=": start <= when < end,
            "<": when < start,
            "<=": when < end,
            ">": when >= end,
            ">=": when >= start,
        }[sign]
    text = str(cell).lower() if isinstance(cell, bool) else cell
    if sign == "=":
        return text == value
    plain = wanted is None and time is None and isinstance(cell, str)
    return plain and _COMPARE[sign](cell.encode(), value.encode())


@pytest.mark.slow
def test_conditions_agree_with_plain_python_on_random_tables(anywhere):
    random = np.random.default_rng(5)
    pools = {
        "numbers": [0, 1, -3, 2.5, 1e-7, 2**53, 2**53 + 1, 10**20, 10**20 + 1, "12", "-3", "2.50", "012", "1e3", "1,5", "n/a", ""],
        "dates": ["2023", 2023, "2023-05", "2023-05-31", "2024-02-29", "2023-02-29", "2023-05-31T23:30", "2023-05-31T23:30:00+02:00", "2023-06-01 00:15", "2023-05-31T23:30Z", "?"],
        "flags": [True, False, 0, 1, "True", "false", "", None],
        "texts": ["a", "B", "\u00e9", "\ue000", "\U0001f600", "a b", "", "10", "9", True, "true", 5],
    }  # fmt: skip
    table = [
        {key: pool[random.integers(len(pool))] for key, pool in pools.items() if random.random() < 0.9}
        for _ in range(60)
    ]
    made = create(dtype="float32")
    names = [f"{i:02}" for i in range(len(table))]
    made.add_vectors(names, random.normal(size=(60, made.about.dimensions)), None, table)
    for key, pool in pools.items():
        cells = [row.get(key) for row in table]
        for value in dict.fromkeys(str(one) for one in pool):
            value = unicodedata.normalize("NFC", value)
            for sign in ("=", "!=", "<", "<=", ">", ">="):
                expected = [
                    n for n, cell in zip(names, cells, strict=True) if holds(cells, cell, sign, value)
                ]
                assert found(made, f"{key}{sign}{value}") == "".join(expected), (key, sign, value)
