"""One door for every picture: decode it, check it, bring it to the size that a model wants.

The only place that calls Pillow on bytes from outside.
"""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from core import settings
from core.errors import ImageError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_RESAMPLE = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def read(path: Path) -> Image.Image:
    """Decode the picture in a file; see :func:`decode`.

    Raises
    ------
    ImageError : with a sentence that names the file.
    """
    try:
        if not path.is_file():
            raise ImageError("it is not a file that exists")
        if path.stat().st_size > settings.MAX_IMAGE_BYTES:
            raise ImageError(_too_large(path.stat().st_size))
        return decode(path.read_bytes())
    except (ImageError, OSError) as error:
        reason = error.strerror or "it can't be read" if isinstance(error, OSError) else str(error)
        raise ImageError(f"{path.name}: {reason}") from None


def decode(data: bytes) -> Image.Image:
    """Decode bytes to an RGB picture as a viewer would show it.

    EXIF orientation is applied, transparency is laid on white, the first frame of an animation is
    taken.

    Raises
    ------
    ImageError : not a picture of a known format, truncated, or over the limits of ``core.settings``.
    """
    if not data:
        raise ImageError("the file is empty")
    if len(data) > settings.MAX_IMAGE_BYTES:
        raise ImageError(_too_large(len(data)))
    try:
        with warnings.catch_warnings():
            # Pillow only warns of what our own limit refuses below.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                width, height = image.size
                if width * height > settings.MAX_IMAGE_PIXELS:
                    raise ImageError(
                        f"{width} x {height} pixels is more than the {settings.MAX_IMAGE_PIXELS / 1e6:g} million allowed"
                    )
                image.load()
                return _on_white(ImageOps.exif_transpose(image))
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(f"not a picture in a known format ({', '.join(_FORMATS)})") from None
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        KeyError,
        TypeError,
        OverflowError,
    ) as error:
        # What Pillow's decoders raise on broken files is not one class.
        raise ImageError(f"the picture is truncated or broken ({type(error).__name__})") from None
    except (MemoryError, Image.DecompressionBombError):
        raise ImageError("the picture is too large to decode") from None


def resize(image: Image.Image, size: int, resample: str) -> np.ndarray:
    """Bring an RGB picture to ``size x size`` without cropping.

    Parameters
    ----------
    resample : ``"nearest"``, ``"bilinear"`` or ``"bicubic"``.

    Returns
    -------
    pixels : uint8 array of shape (size, size, 3).
    """
    return np.asarray(image.resize((size, size), _RESAMPLE[resample]))


def thumbnail(image: Image.Image, longest: int, quality: int = 85) -> bytes:
    """A WebP copy of the picture, its longest side at most ``longest`` pixels."""
    copy = image.copy()
    copy.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    copy.save(out, "WEBP", quality=quality, method=4)
    return out.getvalue()


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        # Pillow clips these modes at 255 when converting; 16-bit greys span 0..65535.
        pixels = np.asarray(image, dtype=np.float32)
        top = 65535.0 if pixels.max(initial=0) > 255 else 255.0
        image = Image.fromarray(np.clip(pixels * (255.0 / top), 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _too_large(size: int) -> str:
    return f"{size / 1e6:.1f} MB is more than the {settings.MAX_IMAGE_BYTES / 1e6:g} MB allowed"
