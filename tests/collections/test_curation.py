"""Near-duplicates, outliers and label errors, compared with SciPy on the same vectors."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from core.collections import Collection, curation
from core.errors import CollectionError
from tests.collections.pixels import create, draw

rng = np.random.default_rng(0)


def filled(count: int = 120, metric: str = "euclidean") -> tuple[Collection, np.ndarray, list[str]]:
    """Vectors around three centers, labelled by them but for some."""
    made = create(metric=metric, dtype="float32")
    centers = rng.normal(size=(3, made.about.dimensions))
    kinds = rng.integers(0, 3, count)
    vectors = (centers[kinds] + rng.normal(scale=0.6, size=(count, made.about.dimensions))).astype(np.float32)
    labels = [f"k{kind}" for kind in kinds]
    for i in range(0, count, 15):
        labels[i] = f"k{(kinds[i] + 1) % 3}"
    made.add_vectors(
        [str(i) for i in range(count)], vectors, labels, [{"name": f"n{i}"} for i in range(count)]
    )
    return made, vectors, labels


def others(vectors: np.ndarray, metric: str = "euclidean") -> np.ndarray:
    distances = cdist(vectors, vectors, metric)
    np.fill_diagonal(distances, np.inf)
    return distances


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_outliers_are_those_with_the_largest_mean_distance_to_ten_neighbors(folder, metric):
    made, vectors, labels = filled(metric=metric)
    means = np.sort(others(vectors, metric), axis=1)[:, :10].mean(axis=1)
    found = curation.outliers(made, 20)
    assert [int(one.path) for one in found] == np.argsort(-means)[:20].tolist()
    np.testing.assert_allclose([one.value for one in found], np.sort(means)[::-1][:20], rtol=1e-4)
    first = found[0]
    assert first.label == labels[int(first.path)] and first.metadata == {"name": f"n{first.path}"}
    assert made.image(first.id).path == first.path


def test_label_errors_are_those_that_most_neighbors_contradict(folder):
    made, vectors, labels = filled()
    near = np.argsort(others(vectors), axis=1)[:, :10]
    shares = {i: np.mean([labels[j] != labels[i] for j in near[i]]) for i in range(len(labels))}
    found = curation.label_errors(made, 500).found
    assert {int(one.path) for one in found} == {i for i, share in shares.items() if share > 0.5}
    assert {int(one.path) for one in found} >= set(range(0, 120, 15))
    for one in found:
        votes = [labels[j] for j in near[int(one.path)]]
        assert one.value == pytest.approx(shares[int(one.path)])
        assert votes.count(one.suggestion) == max(map(votes.count, votes)) and one.suggestion != one.label
    assert [one.value for one in found] == sorted((one.value for one in found), reverse=True)
    assert len(curation.label_errors(made, 3).found) == 3


def test_small_classes_are_judged_by_as_many_neighbors_as_they_can_have(folder):
    sizes = {"one": 1, "three": 3, "five": 5, "large": 40, "largest": 60}
    made = create(metric="euclidean", dtype="float32")
    labels = [label for label, size in sizes.items() for _ in range(size)]
    centers = dict(zip(sizes, 20 * np.eye(len(sizes), made.about.dimensions), strict=True))
    vectors = np.stack([centers[label] for label in labels]) + rng.normal(
        scale=0.1, size=(len(labels), made.about.dimensions)
    )
    wrong = {20: "largest", 60: "three", 70: "only here"}
    made.add_vectors(
        [str(i) for i in range(len(labels))], vectors, [wrong.get(i, label) for i, label in enumerate(labels)]
    )
    found = curation.label_errors(made, 500)
    assert {int(one.path): one.suggestion for one in found.found} == {20: "large", 60: "largest"}
    assert found.too_small == ["one", "only here"]


@pytest.mark.parametrize("labels", [("cat", "dog"), ("dog", "cat")])
def test_the_same_content_under_two_labels_is_found_whichever_is_older(folder, tmp_path, labels):
    made = create()
    for label in labels:
        for i in range(4):
            draw(tmp_path / label / f"{i}.png", {"cat": 0, "dog": 100}[label] + i)
        draw(tmp_path / label / "same.png", 50)
        rows = "".join(f"{label}/{name}.png,{label}\n" for name in (0, 1, 2, 3, "same"))
        (tmp_path / f"{label}.csv").write_text(f"path,label\n{rows}")
        made.add([str(tmp_path / f"{label}.csv")])
    found = [one for one in curation.label_errors(made, 500).found if one.same_content]
    assert {(one.path.removeprefix(f"{tmp_path}/"), one.label, one.suggestion) for one in found} == {
        ("cat/same.png", "cat", "dog"),
        ("dog/same.png", "dog", "cat"),
    }


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_blank_images_are_duplicates_of_each_other_and_no_outliers(folder, metric):
    made = create(metric=metric, dtype="float32")
    vectors = rng.normal(size=(60, made.about.dimensions))
    blank = [3, 17, *range(30, 50)]
    vectors[blank] = 0
    made.add_vectors([str(i) for i in range(60)], vectors)
    [group] = curation.near_duplicates(made, 1e-6)
    assert sorted(int(one.path) for one in group) == blank and {one.value for one in group} == {0.0}
    last = curation.outliers(made, 60)[-len(blank) :]
    assert sorted(int(one.path) for one in last) == blank and {one.value for one in last} == {0.0}


def test_removed_images_are_not_neighbors(folder):
    made, vectors, _ = filled()
    made.remove([str(i) for i in range(60)])
    means = np.sort(others(vectors[60:]), axis=1)[:, :10].mean(axis=1)
    assert [int(one.path) - 60 for one in curation.outliers(made, 5)] == np.argsort(-means)[:5].tolist()


@pytest.mark.parametrize("share", [0.02, 0.2])
def test_near_duplicates_are_what_is_connected_by_small_distances(folder, share):
    import scipy.sparse.csgraph

    made, vectors, _ = filled()
    distances = others(vectors)
    threshold = float(np.quantile(distances[np.isfinite(distances)], share / 10)) + 1e-4
    count, component = scipy.sparse.csgraph.connected_components(distances <= threshold)
    expected = {frozenset(np.flatnonzero(component == i)) for i in range(count) if (component == i).sum() > 1}
    groups = curation.near_duplicates(made, threshold)
    assert {frozenset(int(one.path) for one in group) for group in groups} == expected
    firsts = [group[0].value for group in groups]
    assert firsts == sorted(firsts) and max(firsts) <= threshold


def test_the_usual_distance_is_that_to_the_nearest_other_one(folder):
    made, vectors, _ = filled()
    assert curation.usual_distance(made) == pytest.approx(np.median(others(vectors).min(axis=1)), rel=1e-4)


def test_with_nothing_to_compare_nothing_is_found(folder):
    made = create()
    assert curation.outliers(made, 5) == [] and curation.near_duplicates(made, 1) == []
    assert curation.usual_distance(made) == 1
    made.add_vectors(["a"], rng.normal(size=(1, made.about.dimensions)), ["x"])
    assert curation.outliers(made, 5) == [] and curation.near_duplicates(made, 1) == []
    assert curation.usual_distance(made) == 1
    with pytest.raises(CollectionError, match="two labels"):
        curation.label_errors(made, 5)
    for threshold in (-1, float("nan")):
        with pytest.raises(CollectionError, match="0 or more"):
            curation.near_duplicates(made, threshold)
