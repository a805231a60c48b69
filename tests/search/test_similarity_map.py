import numpy as np
import pytest
from scipy.spatial.distance import cosine

from core.errors import UserError
from core.search import similarity_map


@pytest.fixture
def activations():
    rng = np.random.default_rng(0)
    return rng.normal(size=(7, 5, 32)), rng.normal(size=(4, 6, 32))


@pytest.mark.parametrize(("pooling", "pool"), [("avg", np.mean), ("max", np.max)])
def test_the_shares_of_each_image_add_up_to_the_similarity(activations, pooling, pool):
    similarity = 1 - cosine(*(pool(a, axis=(0, 1)) for a in activations))
    for shares, activation in zip(similarity_map.regions(*activations, pooling), activations, strict=True):
        assert shares.shape == activation.shape[:2]
        assert shares.sum() == pytest.approx(similarity)


@pytest.mark.parametrize("pooling", similarity_map.POOLINGS)
def test_the_region_that_two_images_share_stands_out(pooling):
    rng = np.random.default_rng(1)
    pattern = rng.uniform(5, 6, 16)
    query, result = rng.uniform(0, 0.1, (2, 6, 6, 16))
    query[1, 4] = pattern
    result[5, 0] = pattern
    found = similarity_map.regions(query, result, pooling)
    assert np.unravel_index(found[0].argmax(), (6, 6)) == (1, 4)
    assert np.unravel_index(found[1].argmax(), (6, 6)) == (5, 0)


def test_an_empty_activation_has_no_shares():
    assert not np.any(similarity_map.regions(np.zeros((2, 2, 3)), np.ones((2, 2, 3)), "avg")[0])


def test_where_it_does_not_apply_a_sentence_says_so(activations):
    assert similarity_map.applies("avg", "cosine")
    assert not similarity_map.applies("avg", "euclidean") and not similarity_map.applies("flatten", "cosine")
    with pytest.raises(UserError, match="avg and max pooling, not for gem"):
        similarity_map.regions(*activations, "gem")
