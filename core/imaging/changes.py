"""Changes that images go through on their way: turned, cropped, compressed, darkened.

Only Pillow draws, and nothing is random: the same image gives the same changed image. Each change has three strengths.
"""

import io
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps, ImageStat

STRENGTHS = ("weak", "medium", "strong")


@dataclass(frozen=True)
class Change:
    """One kind of change.

    explanation : a sentence about it; levels : how far it goes at each of :data:`STRENGTHS`; words : each level in words.
    function : an RGB image and a level to a changed RGB image.
    """

    name: str
    title: str
    explanation: str
    levels: tuple[float, float, float]
    words: tuple[str, str, str]
    function: Callable[[Image.Image, float], Image.Image]

    def __call__(self, image: Image.Image, strength: int) -> Image.Image:
        """An RGB image changed at a strength, from 1 to 3."""
        return self.function(image, self.levels[strength - 1])


def _rotate(image: Image.Image, degrees: float) -> Image.Image:
    # The corners take the color of the edge, so that a plain background stays plain.
    inner = (1, 1, max(1, image.width - 2), max(1, image.height - 2))
    edge = Image.new("L", image.size, 255)
    edge.paste(0, inner)
    color = tuple(round(mean) for mean in ImageStat.Stat(image, edge).mean)
    return image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=color)


def _flip(image: Image.Image, way: float) -> Image.Image:
    if way == 1:
        return ImageOps.mirror(image)
    return ImageOps.flip(image) if way == 2 else ImageOps.mirror(ImageOps.flip(image))


def _crop(image: Image.Image, kept: float) -> Image.Image:
    width, height = (max(1, round(side * kept)) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _scale(image: Image.Image, share: float) -> Image.Image:
    small = max(1, round(image.width * share)), max(1, round(image.height * share))
    return image.resize(small, Image.Resampling.BOX).resize(image.size, Image.Resampling.BICUBIC)


def _blur(image: Image.Image, percent: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(percent / 100 * max(image.size)))


def _jpeg(image: Image.Image, quality: float) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=round(quality))
    with Image.open(file, formats=["JPEG"]) as stored:
        return stored.convert("RGB")


def _brightness(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(factor)


def _contrast(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(factor)


def _gray(image: Image.Image, color: float) -> Image.Image:
    return ImageEnhance.Color(image).enhance(color)


def _noise(image: Image.Image, deviation: float) -> Image.Image:
    pixels = np.asarray(image, np.float32)
    # The bits of a bit generator are the same on every machine and in every version of NumPy; those of its normal numbers need not be.
    bits = np.random.PCG64(zlib.crc32(image.tobytes())).random_raw(math.ceil(pixels.size / 2))
    # The sum of four bytes is close to normal.
    sums = bits.astype("<u8").view(np.uint8).reshape(-1, 4).sum(axis=1, dtype=np.float32)[: pixels.size]
    normal = (sums - 4 * 127.5) / math.sqrt(4 * (256**2 - 1) / 12)
    noisy = pixels + deviation * normal.reshape(pixels.shape)
    return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


def _watermark(image: Image.Image, opacity: float) -> Image.Image:
    # The font of bitmaps: outlines would depend on the version of a library.
    font = ImageFont.load_default_imagefont()
    left, top, right, bottom = font.getbbox("SAMPLE")
    word = Image.new("L", (round(right - left) + 8, round(bottom - top) + 8))
    ImageDraw.Draw(word).text((4, 4), "SAMPLE", 255, font)
    # Three across the longest side.
    longest = max(image.size)
    word = word.resize(
        (max(1, longest // 3), max(1, longest * word.height // word.width // 3)), Image.Resampling.BICUBIC
    )
    tiles = Image.new("L", (2 * longest, 2 * longest))
    for row in range(0, tiles.height, max(1, 2 * word.height)):
        for column in range(0, tiles.width, word.width):
            tiles.paste(word, (column, row))
    turned = tiles.rotate(30, Image.Resampling.BICUBIC)
    x, y = (longest - image.width // 2, longest - image.height // 2)
    mask = turned.crop((x, y, x + image.width, y + image.height)).point(lambda value: value * opacity)
    return Image.composite(Image.new("RGB", image.size, (128, 128, 128)), image, mask)


CHANGES: dict[str, Change] = {
    change.name: change
    for change in (
        Change("rotate", "Rotation", "Turned to the left.", (10, 30, 90), ("10°", "30°", "90°"), _rotate),
        Change(
            "flip",
            "Flip",
            "Mirrored; both ways is a turn by half.",
            (1, 2, 3),
            ("left and right", "upside down", "both"),
            _flip,
        ),
        Change(
            "crop",
            "Crop",
            "Only the middle is left, so wide and so high.",
            (0.9, 0.7, 0.5),
            ("to 90%", "to 70%", "to 50%"),
            _crop,
        ),
        Change(
            "scale",
            "Scale",
            "Made small, so that details are lost, and large again.",
            (1 / 2, 1 / 4, 1 / 8),
            ("to 1/2", "to 1/4", "to 1/8"),
            _scale,
        ),
        Change(
            "blur",
            "Blur",
            "Out of focus: Gaussian blur, its radius in percent of the longest side.",
            (1, 2, 4),
            ("1%", "2%", "4%"),
            _blur,
        ),
        Change(
            "jpeg",
            "JPEG",
            "Compressed at this quality.",
            (50, 25, 10),
            ("quality 50", "quality 25", "quality 10"),
            _jpeg,
        ),
        Change(
            "brightness",
            "Brightness",
            "Darker: so much of the light is left.",
            (0.75, 0.5, 0.25),
            ("75%", "50%", "25%"),
            _brightness,
        ),
        Change(
            "contrast",
            "Contrast",
            "Paler: so much of the contrast is left.",
            (0.75, 0.5, 0.25),
            ("75%", "50%", "25%"),
            _contrast,
        ),
        Change(
            "gray",
            "Gray",
            "Less colorful: so much of the color is left.",
            (0.6, 0.3, 0.0),
            ("60%", "30%", "no color"),
            _gray,
        ),
        Change(
            "noise",
            "Noise",
            "Like a photo in the dark: the standard deviation of noise, of 255.",
            (10, 25, 50),
            ("10", "25", "50"),
            _noise,
        ),
        Change(
            "watermark",
            "Watermark",
            "Words all over the image, of this opacity.",
            (0.2, 0.4, 0.6),
            ("20%", "40%", "60%"),
            _watermark,
        ),
    )
}
"""The changes by name, in the order in which they are shown."""
