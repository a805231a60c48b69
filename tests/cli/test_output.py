import pytest

from core.cli import output


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        (
            [{"rank": 1, "distance": 0.0, "label": "cat"}, {"rank": 10, "distance": 0.275983, "label": None}],
            ["rank distance label", "   1 0.000000 cat", "  10 0.275983"],
        ),
        ([{"ms": 12.5, "n": 3}, {"ms": 1.0, "n": 4}], ["  ms n", "12.5 3", " 1.0 4"]),
        (
            [{"a": float("nan"), "b": True}, {"b": "None", "c": ["x"]}],
            ["  a b    c", "nan True", "    None ['x']"],
        ),
        ([{"whole": 2.0, "part": 1e-9}], ["whole part", "  2.0  0.0"]),
    ],
)
def test_a_table_has_its_columns_side_by_side(capsys, rows, lines):
    output.table(rows, False, "")
    assert capsys.readouterr().out.splitlines() == lines


def test_a_table_needs_no_pandas(capsys, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pandas", None)
    output.table([{"a": 1}], False, "")
    assert capsys.readouterr().out == "a\n1\n"


def test_an_empty_table_says_so(capsys):
    output.table([], False, "Nothing found.")
    assert capsys.readouterr().out == "Nothing found.\n"
