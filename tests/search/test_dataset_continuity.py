"""Continuity of stored projections, also of grids that do not store it."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from core.experiments.store import Configuration, Grid
from core.search.dataset_source import DatasetSource

LAYER = "fire9_concat"


def source(pooling: str = "avg") -> DatasetSource:
    grid = Grid().load("objects200")
    return DatasetSource(
        None, grid.dataset, Configuration("squeezenet", "imagenet", LAYER, pooling, "cosine"), grid
    )


def test_the_continuity_of_a_shipped_projection_follows_from_its_vectors():
    found = source()
    shown = found.projection("umap", 2)
    place = shown.layers.index(LAYER)
    _, vectors = found.grid.runs["squeezenet", "imagenet"].vectors(LAYER)
    unit = vectors.astype(float) / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    expected = trustworthiness(shown.coordinates[place].astype(float), unit, n_neighbors=15)
    assert shown.parameters[place]["continuity"] == pytest.approx(expected, abs=1e-3)
    # Only at the layer that is shown: the others take as long again.
    assert [place for place, one in enumerate(shown.parameters) if "continuity" in one] == [place]


def test_without_vectors_it_is_not_known():
    assert all("continuity" not in one for one in source("flatten").projection("umap", 2).parameters)


def test_what_is_stored_is_shown_and_not_computed_again():
    found = source()
    [stored] = [
        one for one in found.grid.projections("squeezenet", "imagenet", "avg", "pca", 2) if one.layer == LAYER
    ]
    newer = replace(stored, parameters=stored.parameters | {"continuity": 0.5})
    assert found._parameters(newer)["continuity"] == 0.5
