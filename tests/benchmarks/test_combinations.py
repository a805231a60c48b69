"""The measurement of combinations: its distances are those of the joined vectors, and its gains those of paired differences."""

import numpy as np
import pytest

from benchmarks import combinations
from core.evaluation import scoring
from core.experiments.store import Configuration, Grid
from core.metrics import pairwise
from core.models.combined_weights import joined

PARTS = [
    Configuration("squeezenet", "imagenet", "fire9_concat", "avg", "cosine"),
    Configuration("mobilenetv2", "imagenet", "block6_output", "avg", "cosine"),
]


@pytest.fixture(scope="module")
def grid():
    return Grid().load("objects200")


@pytest.mark.parametrize("way", ["as they are", "centered"])
def test_distances_are_those_of_the_joined_vectors(grid, way):
    rows = [grid.run(one).vectors(one.layer)[1].astype(np.float64) for one in PARTS]
    means = [joined([one], [None]).mean(axis=0) if way == "centered" else None for one in rows]
    products = sum(combinations.similarities(grid, one, way) for one in PARTS)
    np.testing.assert_allclose(
        combinations.cosine(products), pairwise("cosine", joined(rows, means)), atol=1e-9
    )


def test_one_network_as_it_is_scores_as_its_experiment(grid):
    layers = combinations.chosen_layers(grid)
    alone = {one.name: one for one in combinations.combined(grid) if one.way == "as they are"}
    for name, configuration in layers.items():
        [stored] = [one for one in grid.summaries if one.configuration == configuration]
        # Stored vectors are float16, which swaps a few neighbors.
        assert alone[name].mean == pytest.approx(stored.score_10, abs=0.5)


def test_intervals_of_all_at_once_hold_those_of_each(grid):
    found = [one for one in combinations.combined(grid) if one.name.count("+") == 1]
    best = max(combinations.alone(grid), key=lambda one: one.mean)
    gains = combinations.gains(found, best, scoring.class_codes(grid.dataset.labels))
    for one, gain in zip(found, gains, strict=True):
        assert gain.mean == pytest.approx(one.mean - best.mean)
        assert gain.low <= gain.alone.low <= gain.mean <= gain.alone.high <= gain.high
