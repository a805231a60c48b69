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
}

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

    # Size, 0 for a thumbnail or the number of the filter, and the region. A size of 0 asks for the whole image.
    PACKED = struct.Struct(">IB4d")
    _RESAMPLES = (None, "nearest", "bilinear", "bicubic")

    @classmethod
    def pack(cls, reduction: "Reduction | None") -> bytes:
        """The bytes of a request that say this; None is the whole image."""
        if reduction is None:
            return cls.PACKED.pack(0, 0, *_WHOLE)
        resample = cls._RESAMPLES.index(reduction.resample)
        return cls.PACKED.pack(reduction.size, resample, *(reduction.box or _WHOLE))

    @classmethod
    def unpack(cls, data: bytes) -> "Reduction | None":
        """What :meth:`pack` has packed."""
        size, resample, *box = cls.PACKED.unpack(data)
        return cls(size, cls._RESAMPLES[resample], tuple(box)) if size else None

    def fits(self, width: int, height: int) -> bool:
        """Whether a reduced image may have this size."""
        if self.resample is None:
            return min(width, height) > 0 and max(width, height) <= self.size
        return width == height == self.size


_WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


def reduce(image: Image.Image, reduction: Reduction) -> Image.Image:
    """What is needed of an RGB image, as an image of its own.

    :func:`resize` and :func:`thumbnail` to the same size then change nothing more.
    """
    if reduction.box is not None:
        image = crop(image, reduction.box)
    if reduction.resample is not None:
        return image.resize((reduction.size, reduction.size), _RESAMPLE[reduction.resample])
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
    """Bring an RGB image to ``size x size`` without cropping.

    Parameters
    ----------
    resample : ``"nearest"``, ``"bilinear"`` or ``"bicubic"``.

    Returns
    -------
    pixels : uint8 array of shape (size, size, 3).
    """
    return np.asarray(image.resize((size, size), _RESAMPLE[resample]))


def thumbnail(image: Image.Image, longest: int, quality: int = 85) -> bytes:
    """A WebP copy of the image, its longest side at most ``longest`` pixels."""
    out = io.BytesIO()
    _shrink(image, longest).save(out, "WEBP", quality=quality, method=4)
    return out.getvalue()


def _shrink(image: Image.Image, longest: int) -> Image.Image:
    copy = image.copy()
    copy.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return copy
