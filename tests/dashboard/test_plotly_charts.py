"""Names of classes in charts: long ones, many, and those of others that look like markup."""

import numpy as np
import pytest

from core.evaluation import rankings
from dashboard.pages.compare.sections import classes
from dashboard.widgets import plotly_charts


def test_long_names_are_cut_and_shown_literally():
    assert plotly_charts.short(["birds", "<b>birds</b>"]) == ["birds", "&lt;b&gt;birds&lt;/b&gt;"]
    assert [len(one) for one in plotly_charts.short(["n" * 200])] == [24]


@pytest.mark.parametrize("count", [1, 12, 100, 1000])
def test_heads_of_columns_take_little_room(count: int):
    heads = plotly_charts.heads([f"a name that is very long {place} " * 8 for place in range(count)])
    assert len(set(heads)) == count
    lines = heads[0].split("<br>")
    assert len(lines) <= 4 and max(map(len, lines)) <= 16


def test_ticks_are_apart():
    ticks = [(float(place), place) for place in range(100)]
    kept = [place for _, place in classes._apart(ticks, 12.5)]
    assert kept == [0, 13, 26, 39, 52, 65, 78, 91]
    assert classes._apart([], 1.0) == []


@pytest.mark.parametrize("count", [3, 100, 1000])
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


def test_of_many_classes_the_shares_of_those_shown_are_the_highest():
    rng = np.random.default_rng(0)
    shares = np.zeros((200, 200))
    shares[rng.integers(0, 200, 900), rng.integers(0, 200, 900)] = rng.random(900)
    rows, columns = classes._mistaken(shares, np.ones(200, int))
    wrong = shares - np.diag(np.diag(shares))
    in_order = np.column_stack(np.unravel_index(np.argsort(-wrong, axis=None, kind="stable"), wrong.shape))
    assert set(columns.tolist()) == set(list(dict.fromkeys(in_order.ravel().tolist()))[:20])
    assert rows.tolist() == columns.tolist()
