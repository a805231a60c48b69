"""Cropping and resizing."""

import io

import numpy as np
import pytest
from PIL import Image

from core.imaging import decode, transform
from core.imaging.transform import Reduction


def gradient(width: int, height: int) -> Image.Image:
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([columns * 255 / width, rows * 255 / height, 0 * rows], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def test_without_a_share_the_whole_image_is_squeezed():
    image = gradient(80, 40)
    expected = np.asarray(image.resize((20, 20), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(transform.resize(image, 20, "bilinear"), expected)


@pytest.mark.parametrize(("width", "height"), [(80, 40), (40, 80), (20, 20)])
def test_a_share_takes_the_middle_square(width, height):
    image = gradient(width, height)
    side = min(width, height) / 2
    left, top = (width - side) / 2, (height - side) / 2
    expected = image.resize((20, 20), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
    np.testing.assert_array_equal(transform.resize(image, 20, "bicubic 0.5"), expected)
    left, top, right, bottom = transform.seen(image, "bicubic 0.5")
    assert (right - left) * width == pytest.approx(side)
    assert (bottom - top) * height == pytest.approx(side)


@pytest.mark.parametrize("resample", ["nearest", "lanczos", "bicubic 0.875", "bilinear 1.0"])
def test_the_decoder_reduces_to_the_same_pixels_and_nothing_is_cut_twice(resample):
    image = gradient(20, 20)
    expected = transform.resize(image, 20, resample)
    reduced = decode.decode_guarded(png(image), Reduction(20, resample))
    np.testing.assert_array_equal(np.asarray(reduced), expected)
    np.testing.assert_array_equal(transform.resize(reduced, 20, resample), expected)


@pytest.mark.parametrize(
    "reduction", [None, Reduction(9), Reduction(9, "nearest"), Reduction(9, "bicubic 0.9")]
)
def test_a_reduction_survives_the_pipe(reduction):
    unpacked = Reduction.unpack(Reduction.pack(reduction))
    if reduction is None:
        assert unpacked is None
    else:
        assert (unpacked.size, unpacked.resample) == (reduction.size, reduction.resample)
