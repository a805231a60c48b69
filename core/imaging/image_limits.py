"""How large an image from outside may be: bytes, pixels, sides."""

import math

from core.errors import ImageError
from core.settings import settings


def check_bytes(size: int) -> None:
    """Raises ImageError for a file that is empty or larger than ``settings.MAX_IMAGE_BYTES``."""
    if not size:
        raise ImageError("the file is empty")
    if size > settings.MAX_IMAGE_BYTES:
        raise ImageError(too_many_bytes(size))


def check_size(width: int, height: int) -> None:
    """Raises ImageError for an image without pixels, or one over the limits of ``core.settings``."""
    short, long = sorted((width, height))
    size = f"{width} x {height} pixels"
    if width * height > settings.MAX_IMAGE_PIXELS:
        raise ImageError(too_many_pixels(size))
    if short < 1:
        raise ImageError(f"it has no pixels ({width} x {height})")
    if long > settings.MAX_IMAGE_SIDE:
        raise ImageError(f"{size} is too long; a side may have at most {settings.MAX_IMAGE_SIDE} pixels")
    if long > settings.MAX_IMAGE_RATIO * short:
        raise ImageError(
            f"{size} is too long and thin; the longer side may be at most {settings.MAX_IMAGE_RATIO} times the shorter one"
        )


def too_many_bytes(size: int) -> str:
    """The sentence about a file with this many bytes."""
    # Rounded up: a little more than the limit must not read like the limit.
    return f"{math.ceil(size / 1e5) / 10} MB is more than the {settings.MAX_IMAGE_BYTES / 1e6:g} MB allowed"


def too_many_pixels(what: str) -> str:
    """The sentence about an image with this many pixels."""
    return f"{what} is more than the {settings.MAX_IMAGE_PIXELS / 1e6:g} million allowed"
