import numpy as np

from benchmarks import many_points
from core.experiments.store import Grid


def test_the_grid_of_the_benchmark_has_points_of_every_layer(tmp_path):
    many_points.write_grid(tmp_path, 60)
    grid = Grid(tmp_path).load("many")
    assert grid.notices == () and len(grid.dataset) == 60
    assert grid.dataset.path(59).is_file()
    [(model, weights)] = grid.runs
    projections = grid.projections(model, weights, "avg", "umap", 2)
    layers = [one.name for one in grid.runs[model, weights].about.layers]
    assert [one.layer for one in projections] == layers
    assert all(one.coordinates.shape == (60, 2) and np.abs(one.coordinates).max() <= 1 for one in projections)
