import json
import unicodedata

import pytest
from PIL import Image

from core.data import datasets
from core.errors import DatasetError, UnknownNameError


@pytest.fixture
def folder(tmp_path):
    for label, names in {"cats": ["b.png", "a.jpg"], "dogs": ["c.webp"]}.items():
        (tmp_path / "Pets" / label).mkdir(parents=True)
        for name in names:
            Image.new("RGB", (4, 4), "red").save(tmp_path / "Pets" / label / name)
    (tmp_path / "Pets" / "cats" / "notes.txt").write_text("no picture")
    return tmp_path / "Pets"


def test_a_folder_of_class_named_folders_is_a_dataset(folder):
    dataset = datasets.find(str(folder))
    assert dataset.name == "pets"
    assert dataset.classes == ("cats", "dogs")
    assert [(item.id, item.file, item.label) for item in dataset.items] == [
        (0, "cats/a.jpg", "cats"),
        (1, "cats/b.png", "cats"),
        (2, "dogs/c.webp", "dogs"),
    ]


def test_a_class_in_both_unicode_forms_is_one_class(tmp_path):
    for place, form in enumerate(("NFC", "NFD")):
        folder = tmp_path / unicodedata.normalize(form, "café")
        folder.mkdir()
        Image.new("RGB", (4, 4)).save(folder / f"{place}.png")
    (tmp_path / "cafz").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "cafz" / "2.png")
    dataset = datasets.scan(tmp_path)
    assert dataset.classes == ("cafz", unicodedata.normalize("NFC", "café"))
    assert [item.label for item in dataset.items] == ["cafz", *["caf\u00e9"] * 2]


def test_the_fingerprint_changes_with_any_image_or_label(folder):
    before = datasets.scan(folder).fingerprint
    assert datasets.scan(folder).fingerprint == before
    (folder / "dogs").rename(folder / "wolves")
    renamed = datasets.scan(folder).fingerprint
    Image.new("RGB", (4, 4), "blue").save(folder / "cats" / "a.jpg")
    assert len({before, renamed, datasets.scan(folder).fingerprint}) == 3


def test_a_folder_without_class_folders_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="class-named folders"):
        datasets.scan(tmp_path)


def test_a_link_out_of_the_folder_is_left_out(folder, tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    (folder / "cats" / "link.png").symlink_to(tmp_path / "secret.png")
    assert len(datasets.scan(folder)) == 3


def test_a_link_that_leads_to_itself_has_a_path_and_no_content(folder):
    (folder / "cats" / "loop.png").symlink_to("loop.png")
    found = datasets.scan(folder)
    [place] = [item.id for item in found.items if item.title == "loop"]
    assert found.path(place) == (folder / "cats" / "loop.png")


def test_no_name_is_not_the_current_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    assert len(datasets.find(".", tmp_path)) > 0
    with pytest.raises(UnknownNameError):
        datasets.find("", tmp_path)


def test_an_unknown_name_lists_the_valid_ones(tmp_path):
    with pytest.raises(UnknownNameError, match="folder of class-named folders"):
        datasets.find("nothing", tmp_path)


def test_a_description_survives_writing_and_reading(folder, tmp_path):
    dataset = datasets.scan(folder)
    (tmp_path / "grid" / "pets").mkdir(parents=True)
    (tmp_path / "grid" / "pets" / "dataset.json").write_text(datasets.describe(dataset, str(folder)))
    assert datasets.find("pets", tmp_path / "grid") == dataset


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"items": []},
        {"items": [{"id": 5, "file": "a", "label": "cats"}]},
        {"items": [{"id": 0, "file": 7, "label": "cats"}]},
        {"items": [{"id": 0, "file": "a", "label": "cows"}]},
        {"items": 3},
        {"classes": None},
    ],
)
def test_a_wrong_description_gives_a_sentence(folder, tmp_path, change):
    data = json.loads(datasets.describe(datasets.scan(folder), str(folder)))
    (tmp_path / "dataset.json").write_text(json.dumps({**data, **change}))
    with pytest.raises(DatasetError, match=r"dataset\.json"):
        datasets.load(tmp_path)


def test_a_description_cannot_reach_outside_its_folder(folder, tmp_path):
    data = json.loads(datasets.describe(datasets.scan(folder), str(folder)))
    data["items"][0]["file"] = "../../etc/passwd"
    (tmp_path / "dataset.json").write_text(json.dumps(data))
    with pytest.raises(DatasetError, match="outside its folder"):
        datasets.load(tmp_path).path(0)
