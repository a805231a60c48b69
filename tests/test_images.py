import io

import numpy as np
import pytest
from PIL import Image

from core import images, settings
from core.errors import ImageError


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_format_becomes_rgb(kind):
    picture = images.decode(encoded(Image.new("RGB", (8, 6), (200, 30, 30)), kind))
    assert (picture.mode, picture.size) == ("RGB", (8, 6))
    np.testing.assert_allclose(np.asarray(picture)[3, 3], (200, 30, 30), atol=12)


def test_transparency_is_laid_on_white():
    assert images.decode(encoded(Image.new("RGBA", (2, 2), (0, 0, 0, 0)), "PNG")).getpixel((0, 0)) == (
        255,
        255,
        255,
    )


def test_a_transparent_palette_is_laid_on_white():
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert images.decode(encoded(palette, "PNG", transparency=0)).getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bit_grey_keeps_its_tone():
    grey = Image.fromarray(np.full((4, 4), 32768, np.uint16))
    assert images.decode(encoded(grey, "PNG")).getpixel((0, 0)) == pytest.approx((127, 127, 127), abs=1)


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert images.decode(encoded(Image.new("RGB", (8, 4)), "JPEG", exif=exif)).size == (4, 8)


def test_the_first_frame_of_an_animation_is_taken():
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert images.decode(data).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("data", [b"", b"hello", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"<svg/>", b"%!PS-Adobe"])
def test_what_is_no_picture_is_refused_with_a_sentence(data):
    with pytest.raises(ImageError, match=r"empty|known format|broken"):
        images.decode(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_truncated_picture_is_refused(kind):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    data = encoded(noise, kind)
    with pytest.raises(ImageError):
        images.decode(data[: len(data) // 2])


def test_too_many_pixels_are_refused_from_the_header(monkeypatch):
    data = encoded(Image.new("RGB", (100, 100)), "PNG")
    monkeypatch.setattr(settings, "MAX_IMAGE_PIXELS", 9_999)
    with pytest.raises(ImageError, match="100 x 100 pixels"):
        images.decode(data)


def test_a_file_too_large_is_refused_and_named(tmp_path, monkeypatch):
    path = tmp_path / "big.png"
    path.write_bytes(encoded(Image.new("RGB", (10, 10)), "PNG"))
    monkeypatch.setattr(settings, "MAX_IMAGE_BYTES", 10)
    with pytest.raises(ImageError, match=r"big\.png: .* MB is more than"):
        images.read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.png"):
        images.read(tmp_path / "gone.png")


def test_resizing_keeps_the_whole_picture():
    wide = Image.new("RGB", (100, 10), "white")
    wide.paste("black", (50, 0, 100, 10))
    pixels = images.resize(wide, 20, "bilinear")
    assert pixels.shape == (20, 20, 3)
    assert pixels[:, :8].min() > 240 and pixels[:, 12:].max() < 15
