import pytest

from core.experiments.store import Summary
from dashboard import url
from dashboard.url import Address
from tests.conftest import ROOT


@pytest.mark.parametrize("name", ["../x", "none", "pets/../pets", "PETS", "<b>", ""])
def test_only_collections_that_are_there_are_shown(name):
    address = Address({"collection": name})
    assert address.collection(["pets"]) is None
    assert "does not exist here" in address.notices[0]


@pytest.mark.parametrize(("key", "verb"), [(url.WEIGHTS, "do not exist"), (url.MODEL, "does not exist")])
def test_a_notice_has_the_verb_of_its_noun(key, verb):
    address = Address({key: "nothing"})
    assert address.choice(key, ["first", "second"], "first") == "first"
    assert verb in address.notices[0]


def test_a_collection_is_shown_or_the_dataset_made_of_it():
    address = Address({"collection": "pets"})
    assert address.collection(["cats", "pets"]) == "pets"
    assert address.dataset(["collection-pets", "objects200"]) == "collection-pets"
    assert address.dataset(["objects200"]) == "objects200"
    assert address.notices == []


def test_a_collection_that_only_says_which_dataset_to_show_gets_a_notice_where_there_is_none():
    address = Address({"collection": "pets"}, hints={"collection"})
    assert address.dataset(["collection-pets", "objects200"]) == "collection-pets"
    assert address.notices == []
    assert address.dataset(["objects200"]) == "objects200"
    assert "no experiments on a collection `pets`" in address.notices[0]


def summary(model="net", weights="imagenet", depth=1, pooling="avg", metric="cosine", score=50.0) -> Summary:
    return Summary(
        "drawings", model, weights, f"{model}-{depth}", depth, pooling, metric, 8, score, score, score / 100
    )


SUMMARIES = [
    summary(depth=1, score=30),
    summary(depth=2, score=60),
    summary(depth=2, pooling="max", score=55),
    summary(depth=3, metric="euclidean", score=50),
    summary("other", depth=1, score=20),
    summary("other", depth=3, score=40),
    summary("net", "untrained", depth=2, score=99),
]


def test_the_default_is_the_best_trained_configuration():
    assert Address({}).configuration(SUMMARIES) == SUMMARIES[1]


def test_an_untrained_control_is_the_default_only_where_there_is_nothing_else():
    assert Address({}).configuration(SUMMARIES[-1:]) == SUMMARIES[-1]
    assert Address({"weights": "untrained"}).configuration(SUMMARIES) == SUMMARIES[-1]


def test_a_part_of_a_configuration_is_completed_by_the_score():
    address = Address({"model": "other"})
    assert address.configuration(SUMMARIES) == SUMMARIES[5]
    assert not address.notices


def test_an_unknown_layer_is_reported_and_the_model_kept():
    address = Address({"model": "other", "weights": "imagenet", "layer": "nope"})
    assert address.configuration(SUMMARIES) == SUMMARIES[5]
    assert len(address.notices) == 1
    assert "`nope`" in address.notices[0]
    assert "`other-3`" in address.notices[0]


def test_a_second_configuration_has_keys_of_its_own():
    address = Address({"model": "other", "model2": "net", "layer2": "net-1"})
    assert address.configuration(SUMMARIES, url.SECOND) == SUMMARIES[0]
    assert (
        Address({"model": "other"}).configuration(SUMMARIES, url.SECOND, default=lambda: SUMMARIES[3])
        == SUMMARIES[3]
    )


def test_another_model_gets_the_nearest_depth():
    wanted = {"model": "other", "weights": "imagenet"}
    assert url.closest(SUMMARIES, wanted, like=SUMMARIES[0]).depth == 1
    assert url.closest(SUMMARIES, wanted, like=SUMMARIES[3]).depth == 3


def test_the_depth_counts_before_the_pooling_and_the_pooling_before_the_metric():
    like = summary("other", depth=2, pooling="max", metric="euclidean")
    wanted = {"model": "net", "weights": "imagenet"}
    assert url.closest(SUMMARIES, wanted, like=like) == SUMMARIES[2]


@pytest.mark.parametrize("text", ["", "7.0", "1_0", " 7", "+7", "-", "--7", "٧", "9" * 10_000, "0x7", "nan"])
def test_only_plain_whole_numbers_are_numbers(text):
    address = Address({"k": text})
    assert address.number(url.K, 5, 20, 10) == 10
    assert len(address.notices) == 1
    assert len(address.notices[0]) < 200


def test_a_range_of_one_is_no_range():
    address = Address({"k": "100"})
    assert address.number(url.K, 3, 3, 3) == 3
    assert "from" not in address.notices[0] and "3" in address.notices[0]


@pytest.mark.parametrize(("text", "number"), [("5", 5), ("20", 20), ("07", 7)])
def test_numbers_in_range_are_taken(text, number):
    address = Address({"k": text})
    assert address.number(url.K, 5, 20, 10) == number
    assert not address.notices


@pytest.mark.parametrize(
    ("text", "numbers"), [("3-5,9", [3, 4, 5, 9]), ("9,3", [3, 9]), ("8-99", [8, 9]), ("", [])]
)
def test_numbers_in_a_row_are_short(text, numbers):
    address = Address({url.SELECTED: text})
    assert address.numbers(url.SELECTED, range(10)) == numbers
    assert not address.notices


@pytest.mark.parametrize("text", ["20", "5-3", "-", "a", "1-", "0-999999999", "3-x"])
def test_numbers_that_do_not_exist_get_a_notice(text):
    address = Address({url.SELECTED: f"7,{text}"})
    assert 7 in address.numbers(url.SELECTED, range(10))
    assert text == "1-" or f"`{text}`" in address.notices[0]


def test_a_selection_that_is_too_long_is_left_out_of_the_address():
    assert url.SELECTED.text([1, 2, 3, 8]) == "1-3,8"
    assert url.SELECTED.text(range(10_000)) == "0-9999"
    assert url.SELECTED.text(range(0, 10_000, 2)) is None


@pytest.mark.parametrize(
    "text", ["0,0,1", "0,0,1,1,1", "0.5,0,0.5,1", "-1,0,1,1", "0,0,nan,1", "a,b,c,d", ""]
)
def test_a_region_that_is_none_is_the_whole_image(text):
    address = Address({url.CROP: text})
    assert address.region(url.CROP) == url.WHOLE
    assert len(address.notices) == 1


@pytest.mark.parametrize("text", ["0", "-3", "nan", "inf", "many"])
def test_a_limit_that_is_none_does_not_count(text):
    address = Address({url.MOST_TIME: text})
    assert address.limit(url.MOST_TIME) == 0.0
    assert len(address.notices) == 1


@pytest.mark.parametrize(("key", "value"), [(url.ONLY_MODEL, "a,b"), (url.CROP, "0,0,0.5,1"), (url.K, "7")])
def test_a_value_of_an_address_stays_as_it_is(key, value):
    assert key.text(value) == value


def test_every_page_folder_has_a_path():
    assert set(url.PAGES) == {path.parent.name for path in (ROOT / "dashboard" / "pages").glob("*/page.py")}
