"""Hundreds of hostile and odd files through the door that strangers use: none crashes, hangs or gets through unnoticed."""

import time

import numpy as np
import pytest

from core.errors import ImageError
from core.imaging import decode
from core.settings import settings
from tests import hostile

SECONDS = settings.DECODE_SECONDS + 5
OK = "ok"


def outcome(data: bytes) -> str:
    """``"ok"`` for an RGB picture within the limits, or the sentence of the refusal."""
    start = time.monotonic()
    try:
        picture = decode.decode_guarded(data)
        assert picture.mode == "RGB"
        assert 0 < picture.width * picture.height <= settings.MAX_IMAGE_PIXELS
        result = OK
    except ImageError as error:
        result = str(error)
        assert 10 < len(result) < 200 and result.isprintable()
        assert "Error" not in result and "0x" not in result
    assert time.monotonic() - start < SECONDS
    return result


def test_the_corpus_is_large():
    files = (hostile.mutated, hostile.truncated, hostile.bombs, hostile.strangers, hostile.polyglots)
    assert sum(len(cases()) for cases in files) >= 300
    assert len(set(hostile.FORBIDDEN_URLS)) >= 150


@pytest.mark.parametrize("name", hostile.pictures())
def test_broken_versions_of_an_image_are_refused_or_shown(name):
    cases = {case: data for case, data in hostile.mutated().items() if case.startswith(f"{name}, ")}
    assert len(cases) == 12
    for data in cases.values():
        outcome(data)


@pytest.mark.parametrize("name", hostile.truncated())
def test_truncated_images_are_refused(name):
    assert "truncated" in outcome(hostile.truncated()[name])


@pytest.mark.parametrize("name", hostile.bombs())
def test_bombs_do_no_harm(name):
    outcome(hostile.bombs()[name])


@pytest.mark.parametrize(
    "name",
    [
        "png, 900 million pixels of zeros",
        "png, largest header",
        "gif, canvas of 4 billion pixels",
        "gif, frame larger than the canvas",
        "jpeg, 65500 x 65500",
        "bmp, 2 billion rows",
        "tiff, 4 billion x 4 billion",
        "webp, canvas of 268 million pixels",
    ],
)
def test_too_many_pixels_are_named_as_the_reason(name):
    assert "more than the 50 million allowed" in outcome(hostile.bombs()[name])


@pytest.mark.parametrize("name", hostile.strangers())
def test_what_is_no_image_is_refused(name):
    assert outcome(hostile.strangers()[name]) != OK


@pytest.mark.parametrize("name", hostile.polyglots())
def test_an_image_that_is_more_than_an_image_is_shown_as_one(name):
    assert outcome(hostile.polyglots()[name]) == OK


def test_broken_metadata_changes_no_pixel():
    cases = hostile.polyglots()
    plain = decode.decode_guarded(hostile.pictures()["jpeg"])
    for name in ("jpeg with broken exif", "jpeg with a broken profile", "jpeg and zip"):
        np.testing.assert_array_equal(decode.decode_guarded(cases[name]), plain)


def test_a_file_above_the_limit_is_not_decoded():
    padded = hostile.pictures()["jpeg"] + bytes(settings.MAX_IMAGE_BYTES)
    assert "MB is more than the 20 MB allowed" in outcome(padded)
