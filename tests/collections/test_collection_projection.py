"""Projections of a collection: stored for the state that they were computed from, and found by it."""

import numpy as np
import pytest
from PIL import Image

from core import collections
from core.collections import Collection, collection_projection
from core.errors import CollectionError
from core.jobs import Cancelled, Job
from core.progress import Silent
from core.projection import project
from core.settings import settings
from tests.collections.pixels import create, draw


@pytest.fixture
def pets(folder, tmp_path) -> Collection:
    """Ten drawings, half of them cats, the last one twice."""
    for seed in range(10):
        draw(tmp_path / "photos" / ("cat" if seed < 5 else "dog") / f"{seed}.png", seed)
    draw(tmp_path / "photos" / "dog" / "again.png", 9)
    made = create(dtype="float32")
    made.add([str(tmp_path / "photos")])
    return made


def test_the_projection_of_the_stored_vectors_is_computed_and_read_again(pets):
    assert collection_projection.read(pets, "pca", 2) is None
    collection_projection.compute(pets, "pca", 2, Silent())
    found = collection_projection.read(pets, "pca", 2)
    images = {image.id: image for image in pets.images()}
    assert found.total == len(found.ids) == 10
    assert all(found.hashes[i] == images[id_].hash for i, id_ in enumerate(found.ids))
    assert sorted(found.titles)[0] == "0.png" and set(found.labels) == {"cat", "dog"}
    vectors = pets.snapshot().stored[[images[id_].faiss_id for id_ in found.ids]]
    [expected] = project(list(found.labels), vectors=[vectors], method="pca")
    np.testing.assert_allclose(found.coordinates, expected.coordinates, atol=1e-6)
    assert found.silhouette == pytest.approx(expected.silhouette)
    assert pets.verify() == []


@pytest.mark.slow
@pytest.mark.parametrize("method", ["umap", "pca"])
def test_different_files_with_the_same_vector_are_one_point(folder, tmp_path, method):
    for seed in range(12):
        draw(tmp_path / "photos" / f"{seed:02}.png", seed)
    with Image.open(tmp_path / "photos" / "03.png") as same:
        same.save(tmp_path / "photos" / "12.bmp")
    made = create(dtype="float32")
    made.add([str(tmp_path / "photos")])
    collection_projection.compute(made, method, 2, Silent())
    found = collection_projection.read(made, method, 2)
    places = dict(zip(found.titles, map(tuple, found.coordinates.tolist()), strict=True))
    assert len(set(found.hashes)) == 13 and len(set(places.values())) == 12
    assert places["03.png"] == places["12.bmp"]


def test_a_projection_is_invalid_after_a_change_and_removed_by_the_next_one(pets, tmp_path):
    collection_projection.compute(pets, "pca", 2, Silent())
    collection_projection.compute(pets, "pca", 3, Silent())
    pets.add([draw(tmp_path / "more.png", 20)])
    assert collection_projection.read(pets, "pca", 2) is None
    collection_projection.compute(pets, "pca", 2, Silent())
    found = collection_projection.read(pets, "pca", 2)
    # A image without a label leaves nothing to say about how far classes are apart.
    assert len(found.ids) == 11 and None in found.labels and found.silhouette is None
    kept = sorted(path.name for path in (pets.folder / "layouts").iterdir())
    assert len(kept) == 2 and kept[0] == f"pca-2-{pets.state.version}.parquet"
    collections.delete("pets")
    with pytest.raises(CollectionError):
        collection_projection.compute(pets, "pca", 2, Silent())


def test_a_fixed_sample_of_many_images_is_projected(pets, monkeypatch):
    monkeypatch.setattr(settings, "MAX_LAYOUT_IMAGES", 6)
    found = []
    for _ in range(2):
        collection_projection.compute(pets, "pca", 2, Silent())
        found.append(collection_projection.read(pets, "pca", 2))
    assert found[0].ids == found[1].ids and len(found[0].ids) == 6 and found[0].total == 10
    monkeypatch.setattr(settings, "MEMORY_BYTES", 3 * 8 * pets.about.dimensions)
    collection_projection.compute(pets, "pca", 2, Silent())
    assert len(collection_projection.read(pets, "pca", 2).ids) == 3


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"\0" * 2000])
def test_a_damaged_projection_counts_as_not_computed(pets, damage):
    collection_projection.compute(pets, "pca", 2, Silent())
    [path] = (pets.folder / "layouts").iterdir()
    path.write_bytes(damage)
    assert collection_projection.read(pets, "pca", 2) is None


def test_a_cancelled_projection_leaves_nothing(pets):
    job = Job("layout")
    job.cancel()
    with pytest.raises(Cancelled):
        collection_projection.compute(pets, "pca", 2, job)
    assert not (pets.folder / "layouts").exists()


def test_the_nearest_to_a_stored_image_are_the_others(pets):
    images = {image.path.rpartition("/")[2]: image for image in pets.images()}
    near = pets.nearest_to(images["9.png"].id, 3)
    assert len(near) == 3 and images["9.png"].faiss_id not in {hit.row for hit in near}
    vector = pets.snapshot().stored[images["9.png"].faiss_id]
    expected = pets.search_vectors(vector, 4)[0][1:]
    assert [hit.id for hit in near] == [hit.id for hit in expected]
    pets.remove([images["9.png"].path])
    with pytest.raises(CollectionError, match="removed"):
        pets.nearest_to(images["9.png"].id, 3)


def test_the_nearest_to_the_mean_of_some_are_others(pets):
    images = {image.path.rpartition("/")[2]: image for image in pets.images()}
    own = [images["1.png"], images["9.png"]]
    near = pets.nearest_to_mean([one.id for one in own], 3)
    assert len(near) == 3 and not {hit.row for hit in near} & {one.faiss_id for one in own}
    vectors = pets.snapshot().stored[[one.faiss_id for one in own]].astype(np.float64)
    mean = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).mean(axis=0)
    expected = [
        hit for hit in pets.search_vectors(mean, 5)[0] if hit.row not in {one.faiss_id for one in own}
    ]
    assert [hit.id for hit in near] == [hit.id for hit in expected[:3]]
    pets.remove([images["9.png"].path])
    assert (
        pets.nearest_to_mean([one.id for one in own], 3)[0].id == pets.nearest_to(images["1.png"].id, 3)[0].id
    )
    with pytest.raises(CollectionError, match="none of these"):
        pets.nearest_to_mean([images["9.png"].id], 3)
