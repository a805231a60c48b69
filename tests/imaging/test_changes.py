import hashlib

import numpy as np
import pytest
from PIL import Image
from scipy.stats import kurtosis, skew

from core.imaging import decode
from core.imaging.changes import CHANGES, STRENGTHS
from tests.conftest import ROOT

PHOTO = decode.read(ROOT / "precomputed" / "objects200" / "images" / "birds-01.webp")
PIXELS = np.asarray(PHOTO).astype(float)


@pytest.mark.parametrize("name", CHANGES)
def test_the_same_image_gives_the_same_changed_images_which_differ(name):
    change = CHANGES[name]
    assert len(change.levels) == len(change.words) == len(STRENGTHS)
    before = PHOTO.tobytes()
    changed = [change(PHOTO, strength) for strength in (1, 2, 3)]
    assert {one.mode for one in changed} == {"RGB"}
    assert [one.tobytes() for one in changed] == [change(PHOTO, s).tobytes() for s in (1, 2, 3)]
    assert len({before, *(one.tobytes() for one in changed)}) == 4
    assert PHOTO.tobytes() == before


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (28, 28)])
def test_images_of_every_size_can_be_changed(name, size):
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    for strength in (1, 2, 3):
        assert min(CHANGES[name](image, strength).size) >= 1


@pytest.mark.parametrize("name", [name for name in CHANGES if name not in ("rotate", "flip", "crop", "jpeg")])
def test_a_stronger_change_is_farther_from_the_image(name):
    changed = [np.asarray(CHANGES[name](PHOTO, strength)).astype(float) for strength in (1, 2, 3)]
    far = [np.abs(one - PIXELS).mean() for one in changed]
    assert 0 < far[0] < far[1] < far[2]


def test_jpeg_files_get_smaller_and_the_image_farther():
    far = [np.square(np.asarray(CHANGES["jpeg"](PHOTO, s)) - PIXELS).mean() for s in (1, 2, 3)]
    assert far == sorted(far) and far[0] > 0


def test_turns_and_mirrors_are_those_of_numpy():
    np.testing.assert_array_equal(CHANGES["rotate"](PHOTO, 3), np.rot90(PIXELS))
    np.testing.assert_array_equal(CHANGES["flip"](PHOTO, 1), PIXELS[:, ::-1])
    np.testing.assert_array_equal(CHANGES["flip"](PHOTO, 2), PIXELS[::-1])
    np.testing.assert_array_equal(CHANGES["flip"](PHOTO, 3), PIXELS[::-1, ::-1])


def test_a_turned_image_has_corners_of_the_color_of_its_edge():
    image = Image.new("RGB", (40, 30), (10, 200, 30))
    image.paste((250, 0, 0), (10, 10, 20, 20))
    assert CHANGES["rotate"](image, 2).getpixel((0, 0)) == (10, 200, 30)


def test_the_middle_is_left_of_a_cropped_image():
    np.testing.assert_array_equal(
        CHANGES["crop"](Image.fromarray(PIXELS[:100, :180].astype(np.uint8)), 3), PIXELS[25:75, 45:135]
    )


def test_light_contrast_and_color_are_those_of_an_independent_computation():
    gray = PIXELS @ [0.299, 0.587, 0.114]
    expected = {
        "brightness": PIXELS * 0.25,
        "contrast": gray.mean() + 0.25 * (PIXELS - gray.mean()),
        "gray": np.broadcast_to(gray[..., None], PIXELS.shape),
    }
    for name, pixels in expected.items():
        assert np.abs(np.asarray(CHANGES[name](PHOTO, 3)) - pixels).max() <= 1.5


def test_noise_is_normal_with_the_deviation_that_it_names_and_alike_everywhere():
    plain = Image.new("RGB", (200, 200), (128, 128, 128))
    for strength, deviation in enumerate(CHANGES["noise"].levels[:2], 1):
        noise = np.asarray(CHANGES["noise"](plain, strength)).astype(float) - 128
        assert abs(noise.mean()) < 0.3
        assert noise.std() == pytest.approx(deviation, rel=0.02)
        assert abs(skew(noise, axis=None)) < 0.05 and abs(kurtosis(noise, axis=None)) < 0.4
    other = np.asarray(CHANGES["noise"](Image.new("RGB", (200, 200), (129, 128, 128)), 1))
    assert (other - 128.0 != np.asarray(CHANGES["noise"](plain, 1)) - 128.0).mean() > 0.9
    digest = hashlib.sha256(CHANGES["noise"](plain, 1).tobytes()).hexdigest()
    assert digest.startswith("474e5e8beff38379")


def test_a_watermark_covers_all_parts_of_an_image():
    changed = np.asarray(CHANGES["watermark"](Image.new("RGB", (300, 200)), 3)).astype(int).sum(axis=2) > 0
    assert all(part.any() for rows in np.array_split(changed, 3) for part in np.array_split(rows, 3, axis=1))
    assert 0.02 < changed.mean() < 0.4
