"""Crop and resize decoded images."""

import io
import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image

from core.errors import UserError

_RESAMPLE = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

RESAMPLES = tuple(_RESAMPLE)
"""The filters that resize an image."""

# Left, top, right, bottom of a region, as shares of the image's width and height.
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Reduction:
    """What is needed of an image, so that no more than that leaves its decoder.

    Parameters
    ----------
    size : pixels of a side.
    resample : how to bring it to ``size x size``, as for ``core.imaging.transform.resize``; None to keep its proportions, its longest
        side at most ``size``.
    box : the region that is needed; the whole image when None.
    """

    size: int
    resample: str | None = None
    box: Box | None = None

    # Size, 0 for a thumbnail or the number of the filter, the share of the middle square or 0, and the region. A size of 0 asks for the
    # whole image.
    PACKED = struct.Struct(">IB5d")

    @classmethod
    def pack(cls, reduction: "Reduction | None") -> bytes:
        """The bytes of a request that say this; None is the whole image."""
        if reduction is None:
            return cls.PACKED.pack(0, 0, 0, *_WHOLE)
        number, share = 0, 0.0
        if reduction.resample is not None:
            name, square = parse(reduction.resample)
            number, share = 1 + RESAMPLES.index(name), square or 0.0
        return cls.PACKED.pack(reduction.size, number, share, *(reduction.box or _WHOLE))

    @classmethod
    def unpack(cls, data: bytes) -> "Reduction | None":
        """What :meth:`pack` has packed."""
        size, number, share, *box = cls.PACKED.unpack(data)
        resample = with_square(RESAMPLES[number - 1], share or None) if number else None
        return cls(size, resample, tuple(box)) if size else None

    def fits(self, width: int, height: int) -> bool:
        """Whether a reduced image may have this size."""
        if self.resample is None:
            return min(width, height) > 0 and max(width, height) <= self.size
        return width == height == self.size


_WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
_REDUCED = "resized"


def reduce(image: Image.Image, reduction: Reduction) -> Image.Image:
    """What is needed of an RGB image, as an image of its own.

    :func:`resize` and :func:`thumbnail` to the same size then change nothing more.
    """
    if reduction.box is not None:
        image = crop(image, reduction.box)
    if reduction.resample is not None:
        return _square(image, reduction.size, reduction.resample)
    return _shrink(image, reduction.size)


def crop(image: Image.Image, box: Box) -> Image.Image:
    """A region of an image, at least one pixel wide and high.

    Parameters
    ----------
    box : left, top, right, bottom as shares from 0 to 1.

    Raises
    ------
    UserError : not four numbers from 0 to 1 with left < right and top < bottom.
    """
    check_box(box)
    left, top, right, bottom = box
    if (left, top, right, bottom) == (0, 0, 1, 1):
        return image
    x = min(int(left * image.width), image.width - 1)
    y = min(int(top * image.height), image.height - 1)
    return image.crop(
        (x, y, max(x + 1, round(right * image.width)), max(y + 1, round(bottom * image.height)))
    )


def check_box(box: Box) -> None:
    """Raises UserError for a region that :func:`crop` can't take."""
    left, top, right, bottom = box
    # Written so that a number that is not a number fails too.
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise UserError(
            "The region must be left, top, right and bottom as shares from 0 to 1, left below right and top below bottom."
        )


def resize(image: Image.Image, size: int, resample: str) -> np.ndarray:
    """Bring an RGB image to ``size x size``.

    Parameters
    ----------
    resample : a filter of :data:`RESAMPLES`, which squeezes the whole image into a square; or a filter and a share as :func:`with_square`
        writes them, for the middle square alone.

    Returns
    -------
    pixels : uint8 array of shape (size, size, 3). An image of that size is returned as it is.
    """
    return np.asarray(_square(image, size, resample))


def with_square(resample: str, share: float | None) -> str:
    """A filter for the middle square whose side is a share of the shorter side of the image; for the whole image where that is None.

    >>> with_square("bicubic", 0.875)
    'bicubic 0.875'
    """
    return resample if share is None else f"{resample} {share!r}"


def seen(image: Image.Image, resample: str) -> Box:
    """The region of an image that :func:`resize` takes."""
    _, share = parse(resample)
    if share is None:
        return _WHOLE
    side = share * min(image.size)
    across, down = side / image.width, side / image.height
    return (1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2


def cuts(resample: str) -> bool:
    """Whether :func:`resize` leaves a part of every image out."""
    return parse(resample)[1] is not None


def _square(image: Image.Image, size: int, resample: str) -> Image.Image:
    if image.size == (size, size) and image.info.get(_REDUCED) == resample:
        return image
    name, _ = parse(resample)
    left, top, right, bottom = seen(image, resample)
    box = (left * image.width, top * image.height, right * image.width, bottom * image.height)
    return mark(image.resize((size, size), _RESAMPLE[name], box), resample)


def mark(image: Image.Image, resample: str) -> Image.Image:
    """Note on an image that it has been resized so; what was cut off is not cut off again."""
    image.info[_REDUCED] = resample
    return image


def parse(resample: str) -> tuple[str, float | None]:
    """The filter, and the share of the middle square, of what :func:`with_square` writes; None for the whole image."""
    name, _, share = resample.partition(" ")
    return name, float(share) if share else None


def thumbnail(image: Image.Image, longest: int, quality: int = 85) -> bytes:
    """A WebP copy of the image, its longest side at most ``longest`` pixels."""
    out = io.BytesIO()
    _shrink(image, longest).save(out, "WEBP", quality=quality, method=4)
    return out.getvalue()


def _shrink(image: Image.Image, longest: int) -> Image.Image:
    copy = image.copy()
    copy.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return copy
