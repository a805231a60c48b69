"""The search that our graphs give against independent numbers: the original PyTorch graphs on the reference dataset."""

import json

import numpy as np
import pytest
from PIL import Image

from core.models import registry, weights
from tests.reference import PUBLISHED

DATASET = PUBLISHED / "datasets" / "iconic200"
NEIGHBORS = 10
TOLERANCE = 1.0
EXPECTED = {
    "efficientnet-lite0": {"avg": 93.8, "flatten": 90.5},
    "efficientnet-lite1": {"avg": 95.4, "flatten": 92.0},
    "efficientnet-lite2": {"avg": 94.9, "flatten": 91.9},
    "mobilenetv2": {"avg": 90.3},
}
"""Mean score of the last layer under cosine distance, images resized with bicubic interpolation, not cropped."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATASET.is_dir(), reason="the reference dataset is not beside this checkout"),
]


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    entries = json.loads((DATASET / "classes.json").read_text())
    return np.array([label for entry in entries for label in entry.values()])


def mean_score(vectors: np.ndarray, labels: np.ndarray) -> float:
    """Weighted precision in percent of the nearest others by cosine."""
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :NEIGHBORS]
    rank_weights = (NEIGHBORS - np.arange(NEIGHBORS)) / NEIGHBORS
    same = labels[nearest] == labels[:, None]
    return float(100 * (same @ rank_weights).mean() / rank_weights.sum())


@pytest.mark.parametrize("name", EXPECTED)
def test_scores_are_those_of_the_original(name, labels):
    model = registry.get_model(name)
    installed, sentence = weights.availability(model)
    if not installed:
        pytest.skip(sentence)
    images = np.empty((len(labels), model.input_size, model.input_size, 3), np.float32)
    for number, image in enumerate(images):
        with Image.open(DATASET / f"{number}.jpg") as picture:
            size = (model.input_size, model.input_size)
            image[:] = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    graph, _ = weights.load(model, "imagenet")
    maps = graph.predict(model.preprocessing(images), batch_size=25, verbose=0)
    vectors = {"avg": maps.mean(axis=(1, 2)), "flatten": maps.reshape(len(maps), -1)}
    scores = {pooling: mean_score(vectors[pooling], labels) for pooling in EXPECTED[name]}
    assert scores == pytest.approx(EXPECTED[name], abs=TOLERANCE)
