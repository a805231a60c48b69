"""Configurations whose distances do not separate the images, wherever they appear; on the grids that ship."""

import pytest

from core.experiments import experiment_table
from core.experiments.query_scores import evaluate
from core.experiments.store import Grid

SATURATED = {
    "model": "efficientnet-lite0",
    "weights": "imagenet",
    "layer": "top_activation",
    "pooling": "flatten",
    "metric": "chebyshev",
}
SENTENCE = "do not separate the images"


def said(page) -> str:
    kinds = (page.markdown, page.caption, page.info, page.warning)
    return "\n".join(part.value for kind in kinds for part in kind)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "section"),
    [
        ("search", ""),
        ("compare", "pair"),
        ("compare", "classes"),
        ("compare", "pictures"),
        ("compare", "use"),
    ],
)
def test_pages_mark_it(open_page, page, section):
    asked = {"section": section} if section else {}
    shown = open_page(page, dataset="emoji200", **SATURATED, **asked)
    assert not shown.exception
    assert SENTENCE in said(shown)
    assert SENTENCE not in said(
        open_page(page, dataset="emoji200", **(SATURATED | {"metric": "cosine"}), **asked)
    )


@pytest.mark.parametrize(("dataset", "n"), [("emoji200", 24), ("objects200", 26), ("fashion1000", 0)])
def test_the_leaderboard_knows_those_that_ids_would_decide(dataset, n):
    table = experiment_table.load(Grid().load(dataset), 10, untrained=False)
    assert table is not None
    assert len(table.saturated) == n
    assert not table.certainty.alike[list(table.saturated)].any()


def test_all_pages_have_the_same_scores_of_it():
    grid = Grid().load("emoji200")
    table = experiment_table.load(grid, 10, untrained=False)
    assert table is not None
    for place in table.saturated:
        found = evaluate(grid, table.experiments[place].configuration, 10)
        assert found.saturated
        assert found.mean == pytest.approx(table.means[place])
        assert found.mean == pytest.approx(table.experiments[place].score_10)
        assert (found.low, found.high) == pytest.approx([end[place] for end in table.intervals])
