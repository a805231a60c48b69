import json

import pytest

from benchmarks.measure import Sample
from benchmarks.table import Row, render, to_json


@pytest.mark.parametrize(
    ("better", "figure", "met"),
    [
        ("lower", 9, True),
        ("lower", 10, True),
        ("lower", 11, False),
        ("higher", 9, False),
        ("higher", 10, True),
    ],
)
def test_a_goal_is_met_on_its_better_side(better, figure, met):
    assert Row("a", figure, "ms", better=better, goal=10).met is met


def test_a_goal_can_be_about_the_ratio():
    row = Row.of("a", Sample((30.0,)), "ms", "peer", Sample((10.0,)), goal=2, judged="ratio")
    assert row.ratio == 3
    assert row.met is False


def test_without_a_goal_there_is_no_verdict():
    assert Row("a", 1, "ms").met is None
    assert Row("a", 1, "ms", goal=2, judged="ratio").met is None


def test_a_row_of_samples_has_medians_spread_and_the_ratio_of_rounds():
    row = Row.of("a", Sample((1.0, 2.0, 9.0)), "ms", "peer", Sample((1.0, 1.0, 3.0)))
    assert (row.figure, row.peer, row.ratio) == (2, 1, 2)
    assert (row.low, row.high) == (1.5, 5.5)


def test_the_table_says_what_was_met_and_notes_stand_once_below():
    text = render(
        [
            Row("fast", 9.5, "ms", goal=10, note="warm", part="first"),
            Row("slow", 1234, "ms", goal=10, note="warm", part="first"),
            Row("often", 100, "images/s", "higher", 90, 110, "peer", 200, 0.5, 0.9, "ratio", part="second"),
        ]
    )
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    assert "≤ 10 ms" in lines["fast"] and " met" in lines["fast"] and "[1]" in lines["fast"]
    assert "1,234 ms" in lines["slow"] and "MISSED" in lines["slow"]
    assert all(
        word in lines["often"] for word in ("100 images/s", "90.0 – 110", "peer 200", "0.500 x", "≥ 0.9 x")
    )
    assert text.count("warm") == 1
    assert list(lines).index("FIRST") < list(lines).index("fast") < list(lines).index("SECOND")


def test_programs_get_the_same_with_names():
    answer = json.loads(to_json({"date": "today"}, [Row("a", 1, "ms", goal=2)], {"browser": "none here"}))
    assert answer["head"] == {"date": "today"}
    assert answer["left_out"] == {"browser": "none here"}
    (row,) = answer["rows"]
    assert row["name"] == "a" and row["figure"] == 1 and row["met"] is True and row["peer"] is None
