"""The live page on a collection: a real network, real files, whatever stands in the address."""

import re

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.collections import Collection
from core.collections.uploads import Upload
from dashboard.frontend.gallery import gallery
from dashboard.widgets import image_input
from dashboard.widgets.image_input import QueryImage
from tests.collections.pixels import picture, png
from tests.dashboard.conftest import app, gallery_of
from tests.dashboard.test_compare_page import words


@pytest.fixture
def priced(pets: Collection, photos) -> Collection:
    """The collection with prices: a 5, b 15, c 25."""
    listed = photos / "list.csv"
    listed.write_text("path,label,price\ncat/a.png,cat,5\ncat/b.png,cat,15\ndog/c.png,dog,25\n")
    pets.add([str(listed)])
    return pets


def open_live(image: Image.Image | None = None, **address: str) -> AppTest:
    page = app("your_picture")
    if image is not None:
        page.session_state[image_input._PICTURES] = {"mine": QueryImage("mine", "mine.png", image, 1.0)}
        page.query_params["input"] = "mine"
    for key, value in address.items():
        page.query_params[key] = value
    page.run()
    # The network is loaded in the background, and the page draws itself again when it is there.
    for _ in range(60):
        if not any("once per server" in status.label for status in page.get("status")):
            break
        page.run()
    assert not page.exception
    return page


def found(page: AppTest) -> list[dict]:
    return gallery_of(page, 0)["tiles"]


def test_the_configuration_is_shown_and_the_nearest_come_with_all_that_is_known(priced):
    page = open_live(picture(2), collection="pets", k="3")
    assert "SqueezeNet 1.1** · ImageNet · layer conv1_activation" in words(page)
    assert "5 images" in words(page)
    tiles = found(page)
    assert tiles[0]["title"] == "cat" and tiles[0]["detail"] == [
        "photos/cat/b.png",
        "price: 15",
        "distance 0",
    ]
    image = next(image for image in priced.images() if image.path.endswith("b.png"))
    assert tiles[0]["src"] == f"./collections/pets/{image.id}?v={image.hash[:12]}"
    assert "They vote" in words(page)
    assert page.get("download_button")
    assert "pets" in page.query_params["collection"] and "dataset" not in page.query_params


def test_labels_and_conditions_narrow_what_is_found(priced):
    page = open_live(picture(2), collection="pets", label="dog")
    assert {tile["title"] for tile in found(page)} == {"dog"}
    page = open_live(picture(2), collection="pets", label="cat", where="price<10")
    assert [tile["detail"][0] for tile in found(page)] == ["photos/cat/a.png"]
    assert "1 nearest" in [one.value for one in page.header]
    page = open_live(picture(2), collection="pets", where="price>100")
    assert "No image of the collection meets the conditions." in words(page)


def test_images_that_a_condition_cannot_compare_are_counted(priced):
    page = open_live(picture(2), collection="pets", where="price<10")
    [note] = [one.value for one in page.caption if "left out" in one.value]
    assert "price" in note and " of 5 images" in note


def test_the_snippet_is_the_same_search(priced):
    page = open_live(picture(2), collection="pets", label="cat", where="price<10\nsize>0")
    page.segmented_control(key="live-part").set_value("api").run()
    command = page.code[0].value
    assert "-F collection=pets" in command
    assert re.findall(r"-F '?where=([^'\s]+)", command) == ["label=cat", "price<10", "size>0"]


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("';DROP TABLE images", "DROP TABLE"),
        ("x';DROP TABLE images;--=1", "has no field"),
        ("Price<3", "Did you mean 'price'?"),
        ("path>/", "compares a path"),
        ("path=/etc/passwd", "compares a path"),
        ("size<big", "not a number"),
        ("<script>=1", "can't be parsed"),
        ("label=cat' OR '1'='1", None),
    ],
)
def test_any_text_is_a_condition_or_an_error_message(priced, where, sentence):
    page = open_live(picture(2), collection="pets", where=where)
    if sentence:
        assert sentence in page.error[0].value.replace("\\", "")
    else:
        assert "No image of the collection meets the conditions." in words(page)
    assert priced.info().images == 5 and priced.verify() == []


def test_an_unknown_collection_gives_a_notice_and_a_dataset(pets):
    page = open_live(collection="../x")
    assert "The collection `../x` does not exist here; this shows a dataset" in page.warning[0].value
    assert "collection" not in page.query_params and page.selectbox(key="pick-dataset").value == "objects200"


def test_far_too_many_conditions_are_cut(priced):
    page = open_live(picture(2), collection="pets", where="\n".join(f"price>{i}" for i in range(50)))
    assert "Conditions may be 10" in words(page)
    assert len(page.multiselect(key="pick-where").value) == 10


def test_an_image_whose_file_is_gone_is_shown_as_missing(pets, photos):
    (photos / "cat" / "b.png").unlink()
    first = found(open_live(picture(2), collection="pets"))[0]
    assert first["src"] == gallery.MISSING and "is gone" in " ".join(first["lines"])


@pytest.mark.slow
def test_uploads_go_by_their_own_names(collections_dir):
    sent = Collection.create("sent", model="squeezenet", layer="conv1_activation")
    sent.add_uploads([Upload("holiday.png", png(2))])
    [stored] = sent.images()
    [tile] = found(open_live(picture(2), collection="sent"))
    assert tile["title"] == "holiday.png" and stored.hash[:8] not in str(tile["detail"])


def test_an_empty_collection_says_how_to_fill_it(collections_dir):
    Collection.create("pets", model="squeezenet", layer="conv1_activation")
    page = open_live(collection="pets")
    assert "There are no images in the collection" in page.info[0].value
    assert "collection add pets" in page.code[0].value


def test_a_damaged_collection_gives_an_error_message(pets, collections_dir):
    (collections_dir / "pets" / "collection.json").write_text("{")
    page = open_live(collection="pets")
    assert "can't be read" in page.error[0].value
    page.selectbox(key="pick-dataset").set_value("objects200").run()
    assert not page.exception and not page.error
