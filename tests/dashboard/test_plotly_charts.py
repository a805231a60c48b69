"""Names of classes in charts: long ones, many, and those of others that look like markup."""

import numpy as np
import pytest

from core.evaluation import rankings
from dashboard.pages.compare.sections import classes
from dashboard.widgets import plotly_charts


def test_long_names_are_cut_and_shown_literally():
    assert plotly_charts.short("birds") == "birds"
    assert plotly_charts.short("<b>birds</b>") == "&lt;b&gt;birds&lt;/b&gt;"
    assert len(plotly_charts.short("n" * 200)) == 24


@pytest.mark.parametrize("count", [1, 12, 100, 1000])
def test_heads_of_columns_take_little_room(count: int):
    heads = plotly_charts.heads(["a name that is very long " * 8] * count)
    assert len(heads) == count
    lines = heads[0].split("<br>")
    assert len(lines) <= 4 and max(map(len, lines)) <= 16


def test_ticks_are_apart():
    ticks = [(float(place), place) for place in range(100)]
    kept = [place for _, place in classes._apart(ticks, 12.5)]
    assert kept == [0, 13, 26, 39, 52, 65, 78, 91]
    assert classes._apart([], 1.0) == []


@pytest.mark.parametrize("count", [3, 100])
def test_of_many_classes_those_mistaken_most_are_shown(count: int):
    rng = np.random.default_rng(0)
    by_id = np.arange(4 * count) % count
    ids = rng.integers(0, len(by_id), (len(by_id), 10))
    # Class 1 is always taken for class 2.
    ids[by_id == 1] = np.flatnonzero(by_id == 2)[0]
    shares, counts = rankings.confusion(np.arange(len(by_id)), ids, by_id, count)
    rows, columns = classes._mistaken(shares, counts)
    assert len(columns) == min(count, 20)
    assert {1, 2} <= set(columns.tolist())
    assert set(rows.tolist()) <= set(columns.tolist())
