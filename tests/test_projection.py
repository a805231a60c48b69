"""Projections: faithful to the layers, aligned between them, and the same each time."""

import json
import math
import time
import warnings

import numpy as np
import pytest

from core import metrics
from core.errors import UnknownNameError, UserError
from core.projection import JUDGED_NEIGHBORS, METHODS, _DistanceLayer, clusters, continuity, project

N, CLASSES, LAYERS = 60, 4, 4
LABELS = [f"class {i % CLASSES}" for i in range(N)]


# The first projection by UMAP compiles it, which takes seconds.
EACH_METHOD = pytest.mark.parametrize(
    "method", [pytest.param(name, marks=[pytest.mark.slow] if name == "umap" else []) for name in METHODS]
)


def _vectors(n=N, layers=LAYERS, separation=3.0, n_classes=CLASSES, seed=0):
    """Layers of growing width under which the classes come apart."""
    rng = np.random.default_rng(seed)
    own, centers = rng.normal(size=(n, 8)), rng.normal(size=(n_classes, 8))
    for depth in range(layers):
        push = separation * depth / max(layers - 1, 1)
        hidden = np.hstack([own, push * centers[np.arange(n) % n_classes]])
        yield np.maximum(hidden @ rng.normal(size=(16, 32 * 2**depth)), 0)


def _distances(**options):
    return [metrics.pairwise("cosine", layer) for layer in _vectors(**options)]


def _move(projections):
    """Mean distance that an image moves from layer to layer, in units of the root mean square radius."""
    places = np.stack([projection.coordinates for projection in projections])
    radius = np.sqrt(np.square(places).sum(axis=2).mean())
    return np.linalg.norm(np.diff(places, axis=0), axis=2).mean() / radius


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["distances", "vectors"])
@pytest.mark.parametrize("dimensions", [2, 3])
@EACH_METHOD
def test_each_layer_has_a_projection_within_the_common_frame(method, dimensions, kind):
    layers = list(_vectors()) if kind == "vectors" else _distances()
    projections = project(LABELS, **{kind: layers}, method=method, dimensions=dimensions)
    assert [projection.layer for projection in projections] == list(range(LAYERS))
    for projection in projections:
        assert projection.method == method
        assert projection.coordinates.shape == (N, dimensions)
        assert projection.coordinates.dtype == np.float32
        np.testing.assert_allclose(projection.coordinates.mean(axis=0), 0, atol=1e-5)
        assert json.loads(json.dumps(projection.parameters)) == projection.parameters
    assert max(np.abs(projection.coordinates).max() for projection in projections) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["distances", "vectors"])
@EACH_METHOD
def test_images_that_no_layer_tells_apart_lie_at_one_point_and_move_no_other(method, kind):
    layers = list(_vectors())
    # Image 5 three more times, once as a brighter one; image 0 is told from its copy by the last layer.
    again = [np.vstack([layer, layer[[5, 5]], 2 * layer[5:6], layer[:1]]) for layer in layers]
    again[-1][-1] = again[-1][1]
    once = np.array([*range(N), N + 3])
    if kind == "vectors":
        without = [layer[once] for layer in again]
    else:
        again = [metrics.pairwise("cosine", layer) for layer in again]
        without = [layer[np.ix_(once, once)] for layer in again]
    found = project([*LABELS, *["class 1"] * 3, "class 0"], **{kind: again}, method=method)
    expected = project([*LABELS, "class 0"], **{kind: without}, method=method)
    for projection, plain in zip(found, expected, strict=True):
        assert len(projection.coordinates) == N + 4
        assert len(np.unique(projection.coordinates[[5, N, N + 1, N + 2]], axis=0)) == 1
        np.testing.assert_array_equal(projection.coordinates[once], plain.coordinates)
        assert projection.trustworthiness == plain.trustworthiness
    assert not np.array_equal(found[-1].coordinates[0], found[-1].coordinates[N + 3])


@EACH_METHOD
def test_vectors_of_zeros_lie_at_one_point(method):
    [vectors] = _vectors(layers=1)
    vectors[[2, 9, 30]] = 0
    vectors[9] *= -1
    [projection] = project(LABELS, vectors=[vectors], method=method)
    assert len(np.unique(projection.coordinates[[2, 9, 30]], axis=0)) == 1
    assert len(np.unique(projection.coordinates, axis=0)) == N - 2


@pytest.mark.parametrize("kind", ["distances", "vectors"])
@EACH_METHOD
def test_the_same_seed_gives_the_same_projections(method, kind):
    layers = list(_vectors()) if kind == "vectors" else _distances()
    once, again = (project(LABELS, **{kind: layers}, method=method, seed=7) for _ in range(2))
    for first, second in zip(once, again, strict=True):
        np.testing.assert_array_equal(first.coordinates, second.coordinates)
        assert (first.trustworthiness, first.silhouette) == (second.trustworthiness, second.silhouette)


@pytest.mark.slow
def test_another_seed_gives_another_umap():
    layers = _distances(layers=1)
    one, other = (project(LABELS, distances=layers, seed=seed)[0] for seed in (0, 1))
    assert not np.array_equal(one.coordinates, other.coordinates)


@pytest.mark.slow
@pytest.mark.parametrize("dimensions", [2, 3])
def test_aligned_layers_move_less_than_layers_laid_out_alone(dimensions):
    layers = _distances()
    aligned = project(LABELS, distances=layers, dimensions=dimensions)
    alone = [project(LABELS, distances=[layer], dimensions=dimensions)[0] for layer in layers]
    assert _move(aligned) < 0.5 * _move(alone)
    faith, best = (
        np.mean([projection.trustworthiness for projection in projections])
        for projections in (aligned, alone)
    )
    assert faith > best - 0.05


def test_principal_components_are_turned_onto_the_next_layer():
    vectors = next(_vectors(layers=1, separation=0))
    swapped = vectors.copy()
    swapped[:, 0] += 0.01
    first, second = project(LABELS, vectors=[vectors, swapped], method="pca")
    # Alone, the signs and order of components could differ; aligned, hardly anything moves.
    assert np.abs(first.coordinates - second.coordinates).max() < 0.02


def _components(vectors: np.ndarray, dimensions: int) -> np.ndarray:
    return _DistanceLayer(metrics.pairwise("cosine", vectors), "the layer").components(dimensions)[0]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_principal_components_from_distances_equal_those_of_the_scaled_vectors(dimensions):
    from sklearn.decomposition import PCA

    vectors = list(_vectors())[-1]
    expected = PCA(dimensions, svd_solver="full").fit_transform(
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    )
    actual = _components(vectors, dimensions)
    signs = np.sign((actual * expected).sum(axis=0))
    np.testing.assert_allclose(actual * signs, expected, atol=1e-9)


def test_principal_components_keep_their_digits_where_distances_are_tiny():
    vectors = 1 + 1e-4 * np.random.default_rng(0).normal(size=(30, 3))  # cosine distances near 1e-8
    flat = _components(vectors, 2)
    between = np.square(flat[:, None] - flat[None]).sum(axis=2) / 2
    np.testing.assert_allclose(between, metrics.pairwise("cosine", vectors), atol=1e-14)


@EACH_METHOD
def test_distances_and_vectors_tell_the_same(method):
    layers = list(_vectors())
    from_vectors = project(LABELS, vectors=layers, method=method)
    from_distances = project(LABELS, distances=_distances(), method=method)
    for one, other in zip(from_vectors, from_distances, strict=True):
        assert one.silhouette == pytest.approx(other.silhouette, abs=1e-9)
        assert one.trustworthiness == pytest.approx(other.trustworthiness, abs=0.03)
        if method == "pca":
            assert one.parameters["explained_variance"] == other.parameters["explained_variance"]
            # Whole axes may be mirrored; distances in the projection do not know of it.
            np.testing.assert_allclose(
                np.linalg.norm(one.coordinates, axis=1) / np.linalg.norm(one.coordinates),
                np.linalg.norm(other.coordinates, axis=1) / np.linalg.norm(other.coordinates),
                atol=1e-5,
            )


@EACH_METHOD
def test_well_separated_classes_score_high(method):
    # With two classes the plane has room for both.
    rng = np.random.default_rng(1)
    labels = np.arange(N) % 2
    vectors = np.eye(10)[labels] + 0.03 * rng.normal(size=(N, 10))
    [projection] = project(labels, vectors=[vectors], method=method)
    assert projection.silhouette > 0.95
    assert projection.trustworthiness > 0.75
    from sklearn.metrics import silhouette_score

    assert silhouette_score(projection.coordinates, labels) > 0.75


@pytest.mark.parametrize("n", [5, 31, 200])
def test_continuity_is_scikit_learns_trustworthiness_with_the_spaces_swapped(n):
    from sklearn.manifold import trustworthiness

    rng = np.random.default_rng(n)
    vectors = rng.normal(size=(n, 8))
    # Among vectors of length one, those that are near in cosine distance are near in euclidean distance too.
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = metrics.pairwise("cosine", vectors)
    [projection] = project(None, distances=[distances], method="pca")
    k = projection.parameters["trustworthiness_neighbors"]
    assert k == min(JUDGED_NEIGHBORS, (n - 1) // 2)
    expected = trustworthiness(projection.coordinates.astype(float), unit, n_neighbors=k)
    assert continuity(distances, projection.coordinates) == pytest.approx(expected, abs=1e-9)
    assert projection.parameters["continuity"] == pytest.approx(expected, abs=1e-5)
    # The other way around the same function is trustworthiness itself.
    in_chart = metrics.pairwise("euclidean", projection.coordinates)
    assert continuity(in_chart, unit) == pytest.approx(projection.trustworthiness, abs=1e-9)


def test_the_number_of_neighbors_that_projections_are_judged_by_is_fixed():
    few, many = (
        project(LABELS, distances=_distances(layers=1), method="pca", n_neighbors=k)[0] for k in (3, 40)
    )
    assert few.parameters["trustworthiness_neighbors"] == many.parameters["trustworthiness_neighbors"] == 15
    assert few.trustworthiness == many.trustworthiness


def test_a_projection_that_keeps_all_neighbors_has_continuity_1_and_chance_about_half():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(100, 2))
    assert continuity(metrics.pairwise("euclidean", flat), flat) == 1.0
    assert continuity(metrics.pairwise("euclidean", flat), rng.permutation(flat)) == pytest.approx(
        0.5, abs=0.05
    )


@pytest.mark.slow
def test_umap_keeps_the_neighbors_of_separated_classes():
    last = project(LABELS, distances=_distances(separation=6))[-1]
    assert last.silhouette > 0.5
    assert last.trustworthiness > 0.9


def test_silhouette_grows_as_the_classes_come_apart_and_belongs_to_the_layer():
    flat = project(LABELS, distances=_distances(), method="pca", dimensions=2)
    deep = project(LABELS, distances=_distances(), method="pca", dimensions=3)
    silhouettes = [projection.silhouette for projection in flat]
    assert silhouettes == sorted(silhouettes)
    assert silhouettes == [projection.silhouette for projection in deep]
    assert flat[0].trustworthiness < deep[0].trustworthiness


@pytest.mark.slow
def test_min_dist_spreads_the_points():
    def nearest(min_dist):
        [projection] = project(None, distances=_distances(layers=1), min_dist=min_dist)
        between = metrics.pairwise("euclidean", projection.coordinates) + 9 * np.eye(N)
        return np.median(between.min(axis=1))

    assert nearest(0.8) > 1.2 * nearest(0.0)


@pytest.mark.slow
def test_many_images_as_vectors_take_seconds():
    n = 2500
    layers = list(_vectors(n=n, layers=1, n_classes=10))
    started = time.process_time()  # which other programs do not slow down
    projections = project(np.arange(n) % 10, vectors=layers)
    assert time.process_time() - started < 40
    assert projections[-1].coordinates.shape == (n, 2)
    assert projections[-1].parameters["judged_images"] == 2000
    assert projections[-1].trustworthiness > 0.8


@pytest.mark.parametrize("kind", ["distances", "vectors"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_fewer_than_four_images_get_principal_components(n, kind):
    vectors = np.eye(4)[:n]
    layer = vectors if kind == "vectors" else metrics.pairwise("cosine", vectors)
    [projection] = project(["a"] * n, **{kind: [layer]}, method="umap", dimensions=3)
    assert projection.method == "pca"
    assert "at least 4 images" in projection.parameters["fallback"]
    assert projection.coordinates.shape == (n, 3)
    assert np.isfinite(projection.coordinates).all()
    assert math.isnan(projection.silhouette)


@pytest.mark.slow
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("n", [4, 5, 15])
def test_neighbors_are_cut_to_the_images_there_are(n, dimensions):
    first, last = project(
        [i % 2 for i in range(n)], distances=_distances(n=n, layers=2), dimensions=dimensions
    )
    assert last.parameters["n_neighbors"] == n - 1
    assert np.isfinite(first.coordinates).all()
    assert 0 <= last.trustworthiness <= 1


@pytest.mark.parametrize("kind", ["distances", "vectors"])
@EACH_METHOD
def test_copies_of_an_image_are_laid_out_together(method, kind):
    vectors = next(_vectors(layers=1, separation=0))
    vectors[1:20] = vectors[0]
    layer = vectors if kind == "vectors" else metrics.pairwise("cosine", vectors)
    [projection] = project(LABELS, **{kind: [layer]}, method=method)
    assert np.isfinite(projection.coordinates).all()
    copies = projection.coordinates[:20]
    assert np.linalg.norm(copies - copies.mean(axis=0), axis=1).max() < 0.5


@pytest.mark.parametrize("labels", [None, ["one"] * N, list(range(N))])
def test_silhouette_is_nan_without_classes_to_compare(labels):
    [projection] = project(labels, distances=_distances(layers=1), method="pca")
    assert math.isnan(projection.silhouette)
    assert projection.trustworthiness > 0.5


@pytest.mark.parametrize("kind", ["distances", "vectors"])
@EACH_METHOD
def test_a_layer_that_cannot_tell_images_apart_is_one_point(method, kind):
    same = np.outer(np.arange(1, N + 1), [0.3, 0.1, 0.7])  # one direction, as cosine sees it
    vectors = [*_vectors(layers=2), same]
    layers = vectors if kind == "vectors" else [metrics.pairwise("cosine", layer) for layer in vectors]
    first, _, last = project(LABELS, **{kind: layers}, method=method)
    assert not last.coordinates.any()
    assert math.isnan(last.trustworthiness) and math.isnan(last.silhouette)
    assert first.coordinates.any()
    [alone] = project(LABELS, **{kind: layers[-1:]}, method=method)
    assert not alone.coordinates.any()


@pytest.mark.slow
def test_a_vector_of_zeros_is_as_far_from_the_others_as_in_metrics():
    vectors = next(_vectors(layers=1))
    vectors[3] = 0
    labels = np.arange(N) % 2
    [one] = project(labels, vectors=[vectors], method="umap")
    distances = metrics.pairwise("cosine", vectors)
    np.fill_diagonal(distances, 0)
    [other] = project(labels, distances=[distances], method="umap")
    assert one.silhouette == pytest.approx(other.silhouette)
    assert np.isfinite(one.coordinates).all()


@pytest.mark.slow
def test_tiny_distances_are_laid_out_as_well_as_large_ones():
    rng = np.random.default_rng(0)
    labels = np.arange(N) % 2
    vectors = 1 + 1e-5 * (np.eye(10)[labels] + 0.1 * rng.normal(size=(N, 10)))  # cosine distances near 1e-11
    for projection in (
        *project(labels, distances=[metrics.pairwise("cosine", vectors)]),
        *project(labels, vectors=[vectors]),
    ):
        assert projection.silhouette > 0.8
        assert projection.coordinates[labels == 0].mean(axis=0) == pytest.approx(
            -projection.coordinates[labels == 1].mean(axis=0), abs=1e-5
        )
        assert projection.trustworthiness > 0.75


@pytest.mark.slow
def test_no_warning_reaches_the_caller():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", RuntimeWarning)
        project(LABELS, distances=_distances(layers=2))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda d: d * np.nan, "layer 2 that are not finite"),
        (lambda d: np.where(d > 0.1, np.inf, d), "layer 2 that are not finite"),
        (lambda d: d - 0.5, "layer 2 are not cosine distances"),
        (lambda d: d * 100, "layer 2 are not cosine distances"),
        (lambda d: np.triu(d), "layer 2 are not symmetric"),
        (lambda d: d[:, :5], "one row and one column per image"),
        (lambda d: d[0], "one row per image"),
        (lambda d: d[:9, :9], "different numbers of images: 9, 60"),
    ],
)
def test_distances_that_are_none_are_refused_in_a_sentence(spoil, sentence):
    first, second = _distances(layers=2)
    with pytest.raises(UserError, match=sentence):
        project(LABELS, distances=[first, spoil(second)])


def test_vectors_that_are_not_finite_are_refused_in_a_sentence():
    with pytest.raises(UserError, match="layer 1 that are not finite"):
        project(LABELS, vectors=[np.full((N, 3), np.nan)])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dimensions": 4}, "2 or 3 dimensions, not 4"),
        ({"n_neighbors": 1}, "at least 2, not 1"),
        ({"min_dist": 1.5}, "from 0 to 1, not 1.5"),
        ({"seed": -1}, "not -1"),
    ],
)
def test_parameters_out_of_range_are_refused_in_a_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        project(LABELS, distances=_distances(layers=1), **options)


def test_an_unknown_method_is_refused_with_the_known_ones():
    with pytest.raises(UnknownNameError, match="umap, pca"):
        project(LABELS, distances=_distances(layers=1), method="tsne")


def test_labels_must_fit_the_images():
    with pytest.raises(UserError, match="3 labels for 60 images"):
        project(["a", "b", "c"], distances=_distances(layers=1))
    with pytest.raises(UserError, match="no images"):
        project([], distances=[np.zeros((0, 0))])


def test_one_kind_of_input_with_a_layer_in_it_must_be_given():
    with pytest.raises(ValueError, match="either"):
        project(LABELS)
    with pytest.raises(ValueError, match="either"):
        project(LABELS, distances=_distances(layers=1), vectors=list(_vectors(layers=1)))
    with pytest.raises(ValueError, match="at least one layer"):
        project(LABELS, vectors=[])


def test_clusters_are_where_points_are_dense_the_largest_first():
    rng = np.random.default_rng(0)
    middles = np.array([[0, 0], [10, 0], [0, 10]])
    sizes = (20, 40, 30)
    points = np.concatenate(
        [rng.normal(middle, 0.2, (n, 2)) for middle, n in zip(middles, sizes, strict=True)]
    )
    found = clusters(np.concatenate([points, [[50.0, 50.0]]]).astype(np.float32))
    assert found[-1] == -1
    by_blob = [set(found[start : start + n].tolist()) - {-1} for start, n in ((0, 20), (20, 40), (60, 30))]
    assert by_blob == [{2}, {0}, {1}]


def test_clusters_of_many_points_are_those_of_a_sample_joined_by_the_others():
    rng = np.random.default_rng(0)
    blob = rng.integers(4, size=60_000)
    points = rng.normal(np.array([[0, 0], [10, 0], [0, 10], [10, 10]])[blob], 0.5).astype(np.float32)
    points = np.concatenate([points, np.full((1, 2), 5.0, np.float32), points[:1]])
    begun = time.process_time()
    clusters(points[:20_000])
    of_a_third = time.process_time() - begun
    found = clusters(points)
    # HDBSCAN of all of them takes nine times as long.
    assert time.process_time() - begun - of_a_third < 5 * of_a_third
    assert found[-2] == -1
    assert found[-1] == found[0]
    assert np.bincount(found[found >= 0]).tolist() == sorted(np.bincount(found[found >= 0]), reverse=True)
    of_blob = [np.bincount(found[:-2][blob == one] + 1, minlength=5) for one in range(4)]
    assert sorted(int(np.argmax(counts)) for counts in of_blob) == [1, 2, 3, 4]
    for counts in of_blob:
        assert counts.max() > 0.98 * counts.sum()
        assert counts[1:].sum() == counts.max()


def test_few_points_are_no_cluster():
    assert clusters(np.zeros((9, 3), np.float32)).tolist() == [-1] * 9
