"""The datasets that ship: complete, consistent with their files, licensed, and rebuildable."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data import datasets, fashion_mnist
from core.data.datasets import Dataset
from scripts import build_datasets

PRECOMPUTED = Path(__file__).resolve().parents[2] / "precomputed"
NAMES = ("objects200", "emoji200", "fashion1000")
PER_CLASS = {"objects200": 20, "emoji200": 20, "fashion1000": 100}
LICENSE_TEXTS = {
    "GPL-2.0-or-later": ("LICENSE-GPL-2.txt", "GNU GENERAL PUBLIC LICENSE"),
    "GFDL-1.2-or-later": ("LICENSE-GFDL-1.3.txt", "GNU Free Documentation License"),
    "CC-BY-2.5": ("LICENSE.txt", "https://creativecommons.org/licenses/by/2.5/"),
    "LicenseRef-public-domain": ("LICENSE.txt", "LicenseRef-public-domain"),
    "OFL-1.1": ("LICENSE-OFL-1.1.txt", "SIL OPEN FONT LICENSE Version 1.1"),
    "MIT": ("LICENSE-package.txt", "Permission is hereby granted, free of charge"),
}


@pytest.fixture(params=NAMES)
def dataset(request: pytest.FixtureRequest) -> Dataset:
    return datasets.load(PRECOMPUTED / request.param)


def pixels(path: Path) -> np.ndarray:
    """The picture as signed integers, so that two can be subtracted."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int16)


def files(dataset: Dataset) -> list[Path]:
    return [dataset.path(item.id) for item in dataset.items]


def test_ten_classes_of_as_many_images_in_order(dataset: Dataset) -> None:
    count = PER_CLASS[dataset.name]
    assert [item.id for item in dataset.items] == list(range(10 * count))
    assert list(Counter(dataset.labels).items()) == [(label, count) for label in dataset.classes]
    assert len(dataset.classes) == 10
    for start in range(0, 10 * count, count):
        names = [item.file for item in dataset.items[start : start + count]]
        assert names == sorted(names)


def test_images_are_small(dataset: Dataset) -> None:
    for path in files(dataset):
        with Image.open(path) as image:
            image.load()
            if dataset.name == "fashion1000":
                assert (image.format, image.mode, image.size) == ("PNG", "L", (28, 28)), path.name
            else:
                assert image.mode == "RGB", path.name
                assert 64 <= max(image.size) <= 320, path.name


def test_folder_holds_exactly_the_listed_files(dataset: Dataset) -> None:
    assert sorted(path.name for path in dataset.images.iterdir()) == sorted(
        item.file for item in dataset.items
    )


def test_every_item_has_title_source_and_license(dataset: Dataset) -> None:
    for item in dataset.items:
        assert item.title and item.source and item.license, item.file
    titles = [item.title for item in dataset.items]
    assert len(set(titles)) == len(titles)
    assert len({item.source for item in dataset.items}) == len(dataset)


def test_license_text_stands_beside_the_images(dataset: Dataset) -> None:
    folder = dataset.images.parent
    notice = (folder / "LICENSE.txt").read_text("utf-8")
    for license_id in {item.license for item in dataset.items}:
        name, words = LICENSE_TEXTS[license_id]
        assert words in (folder / name).read_text("utf-8")
        assert license_id in notice
    assert "Copyright:" in (folder / "LICENSE-package.txt").read_text("utf-8")


def test_licenses_that_ask_for_credit_name_the_author() -> None:
    for item in datasets.load(PRECOMPUTED / "objects200").items:
        if item.license.startswith(("GFDL", "CC-BY")):
            assert "(by " in item.source, item.file


def test_readme_counts_the_licenses_right() -> None:
    counts = Counter(item.license for item in datasets.load(PRECOMPUTED / "objects200").items)
    assert (
        f"{counts['GFDL-1.2-or-later']} images GFDL-1.2-or-later, {counts['CC-BY-2.5']} CC-BY-2.5, "
        f"{counts['LicenseRef-public-domain']} public domain"
    ) in (PRECOMPUTED / "README.md").read_text("utf-8")


def test_fingerprint_matches_the_files(dataset: Dataset) -> None:
    lines = [
        f"{item.label}\t{hashlib.sha256(dataset.path(item.id).read_bytes()).hexdigest()}\n"
        for item in dataset.items
    ]
    assert dataset.fingerprint == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert dataset.fingerprint == datasets.fingerprint(dataset.labels, files(dataset))


def test_no_image_occurs_twice() -> None:
    paths = [path for name in NAMES for path in files(datasets.load(PRECOMPUTED / name))]
    assert len({path.read_bytes() for path in paths}) == 1400
    assert len({(array.shape, array.tobytes()) for array in map(pixels, paths)}) == 1400


def test_fashion_is_the_first_hundred_of_each_class_of_the_test_set() -> None:
    if not fashion_mnist.FOLDER.is_dir():
        pytest.skip(f"Debian's package {fashion_mnist.PACKAGE} is not installed")
    images, labels = fashion_mnist.read(fashion_mnist.FOLDER, "test")
    shipped = datasets.load(PRECOMPUTED / "fashion1000")
    assert shipped.classes == fashion_mnist.CLASSES
    numbers = [int(item.title.removeprefix("test ")) for item in shipped.items]
    assert numbers == [number for label in range(10) for number in np.flatnonzero(labels == label)[:100]]
    for item, number in zip(shipped.items, numbers, strict=True):
        np.testing.assert_array_equal(pixels(shipped.path(item.id))[..., 0], images[number])


def test_all_datasets_together_are_under_eight_megabytes() -> None:
    shipped = [path for name in NAMES for path in files(datasets.load(PRECOMPUTED / name))]
    shipped += [path for name in NAMES for path in (PRECOMPUTED / name).glob("*.*") if path.is_file()]
    assert sum(path.stat().st_size for path in shipped) < 8_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_rebuilding_gives_what_ships(name: str, tmp_path: Path) -> None:
    package, path = {
        "objects200": (build_datasets.STAMPS_PACKAGE, build_datasets.STAMPS),
        "emoji200": (build_datasets.EMOJI_PACKAGE, build_datasets.EMOJI_FONT),
        "fashion1000": (fashion_mnist.PACKAGE, fashion_mnist.FOLDER),
    }[name]
    if not path.exists():
        pytest.skip(f"Debian's package {package} is not installed")
    assert build_datasets.main(["--only", name, "--out", str(tmp_path)]) == 0
    shipped, rebuilt = datasets.load(PRECOMPUTED / name), datasets.load(tmp_path / name)
    version = shipped.items[0].source.partition(":")[0]
    if rebuilt.items[0].source.partition(":")[0] != version:
        pytest.skip(f"another version of {package} is installed; what ships comes from {version}")
    assert rebuilt.classes == shipped.classes
    assert rebuilt.items == shipped.items
    for item in shipped.items:
        one, other = pixels(shipped.path(item.id)), pixels(rebuilt.path(item.id))
        assert one.shape == other.shape, item.file
        assert np.abs(one - other).mean() < 2, item.file  # encoders differ a little between versions
    assert [path.name for path in tmp_path.iterdir()] == [name]


def tiny_plan(colors: list[str], *, fails: bool = False) -> build_datasets.Plan:
    """A dataset of plain squares whose drawing may fail at the end."""

    def pictures() -> Iterator[build_datasets.Picture]:
        for color in colors:
            yield build_datasets.Picture("a & b", color, "test", "none", Image.new("RGB", (8, 8), color))
        if fails:
            raise RuntimeError("interrupted")

    return build_datasets.Plan("tiny", "Tiny", "Squares.", pictures(), {"LICENSE.txt": " ".join(colors)})


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_interrupted_build_leaves_the_old_dataset(tmp_path: Path) -> None:
    build_datasets.build(tiny_plan(["red", "green"]), tmp_path)
    before = content(tmp_path)
    with pytest.raises(RuntimeError):
        build_datasets.build(tiny_plan(["blue"], fails=True), tmp_path)
    assert content(tmp_path) == before


def test_failed_move_brings_the_old_images_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_datasets.build(tiny_plan(["red"]), tmp_path)
    before = content(tmp_path)
    rename = Path.rename

    def refuse_new_pictures(self: Path, target: Path) -> Path:
        if self.name == "images" and self.parent.parent.name.startswith(".build-"):
            raise OSError("disk full")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse_new_pictures)
    with pytest.raises(OSError, match="disk full"):
        build_datasets.build(tiny_plan(["blue"]), tmp_path)
    assert content(tmp_path) == before


def test_rebuild_replaces_images_and_keeps_the_models(tmp_path: Path) -> None:
    folder = build_datasets.build(tiny_plan(["red", "green"]), tmp_path)
    model = folder / "resnet50.imagenet" / "model.json"
    model.parent.mkdir()
    model.write_text("{}")
    (folder / "LICENSE-old.txt").write_text("no longer needed")
    build_datasets.build(tiny_plan(["blue"]), tmp_path)
    assert sorted(content(folder)) == [
        "LICENSE.txt",
        "dataset.json",
        "images/a-b-01.webp",
        "resnet50.imagenet/model.json",
    ]
    assert json.loads((folder / "dataset.json").read_text())["items"][0]["title"] == "blue"


def test_building_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    one = build_datasets.build(tiny_plan(["red", "green"]), tmp_path / "one")
    other = build_datasets.build(tiny_plan(["red", "green"]), tmp_path / "other")
    assert content(one) == content(other)


@pytest.mark.parametrize(
    ("option", "package"),
    [
        ("--stamps", "tuxpaint-stamps-default"),
        ("--emoji-font", "fonts-noto-color-emoji"),
        ("--fashion", "dataset-fashion-mnist"),
    ],
)
def test_missing_package_is_named_with_the_command_that_installs_it(
    option: str, package: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = {"--stamps": "objects200", "--emoji-font": "emoji200", "--fashion": "fashion1000"}[option]
    absent = str(tmp_path / "absent")
    assert build_datasets.main(["--only", name, "--out", str(tmp_path / "out"), option, absent]) == 2
    assert f"sudo apt-get install {package}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
