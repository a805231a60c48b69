import numpy as np
import pytest
from PIL import Image

from core.errors import ConditionError, UserError
from core.experiments.store import Configuration
from core.imaging import decode, transform
from core.search import query, shared_engine
from core.search.dataset_source import DatasetSource

CONFIGURATION = Configuration("efficientnet-lite0", "imagenet", "block6_output", "avg", "cosine")


def test_an_answer_names_results_votes_and_times():
    engine = shared_engine.engine()
    dataset = engine.grid.dataset("objects200")
    found = query.search(DatasetSource(engine, dataset, CONFIGURATION), decode.read(dataset.path(12)), 10)
    assert found.neighbors[0].item == dataset.item(12) and len(found.neighbors) == 10
    assert (np.diff([one.distance for one in found.neighbors]) >= 0).all()
    assert sum(vote.count for vote in found.votes) == 10
    assert found.votes[0].count == max(vote.count for vote in found.votes)
    assert found.features_ms > 0 and found.search_ms > 0


def test_a_region_is_searched_as_if_it_were_the_image():
    engine = shared_engine.engine()
    dataset = engine.grid.dataset("objects200")
    picture = decode.read(dataset.path(30))
    half = picture.crop((0, 0, picture.width // 2, picture.height))
    source = DatasetSource(engine, dataset, CONFIGURATION)
    by_box = query.search(source, picture, 5, (0, 0, (picture.width // 2) / picture.width, 1))
    np.testing.assert_array_equal(by_box.vector, engine.embed(half, CONFIGURATION))


def test_the_whole_image_as_region_changes_nothing():
    picture = Image.new("RGB", (10, 20))
    assert transform.crop(picture, (0, 0, 1, 1)) is picture


def test_a_region_has_at_least_one_pixel():
    assert transform.crop(Image.new("RGB", (10, 10)), (0.999, 0.999, 1, 1)).size == (1, 1)
    assert transform.crop(Image.new("RGB", (10, 10)), (0.5, 0.5, 0.5001, 0.5001)).size == (1, 1)


@pytest.mark.parametrize(
    "box", [(0.5, 0, 0.5, 1), (0, 0.9, 1, 0.1), (-0.1, 0, 1, 1), (0, 0, 1.1, 1), (float("nan"), 0, 1, 1)]
)
def test_an_impossible_region_is_refused(box):
    with pytest.raises(UserError, match="shares from 0 to 1"):
        transform.crop(Image.new("RGB", (10, 10)), box)


def test_votes_go_to_the_nearer_label_when_equal():
    assert query.vote(["b", "a", "a", "b", "c"]) == (
        query.Vote("b", 2),
        query.Vote("a", 2),
        query.Vote("c", 1),
    )


def test_k_below_one_is_refused():
    engine = shared_engine.engine()
    source = DatasetSource(engine, engine.grid.dataset("objects200"), CONFIGURATION)
    with pytest.raises(UserError, match="k is 0"):
        query.search(source, Image.new("RGB", (9, 9)), 0)


def test_a_dataset_takes_no_conditions():
    engine = shared_engine.engine()
    source = DatasetSource(engine, engine.grid.dataset("objects200"), CONFIGURATION)
    with pytest.raises(ConditionError):
        query.search(source, Image.new("RGB", (9, 9)), 1, where=["label=cat"])
