"""Decode every image from outside, with checks of its size.

The only place that calls Pillow on bytes from outside. Images of the user's own folders are decoded
here and in threads (:func:`read`, :func:`decode`); those of strangers go through :func:`decode_guarded`,
which runs the same :func:`decode` in a process that may die, so that a file gives the same pixels
whichever way it came in.
"""

import io
import re
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import cast

from PIL import Image, UnidentifiedImageError

from core.errors import ImageError
from core.imaging import decode_pool, file_types, servable_files
from core.imaging.image_limits import check_bytes, check_size, too_many_pixels
from core.imaging.to_rgb import to_rgb
from core.imaging.transform import Reduction, reduce
from core.settings import settings

# The box that states the width and height of a coded image or of a tile of one.
_HEIF_SIZE = re.compile(rb"ispe\0{4}(.{4})(.{4})", re.DOTALL)

# Pillow's own limit, which also covers frames that are larger than their header says. It is one for the process.
Image.MAX_IMAGE_PIXELS = settings.MAX_IMAGE_PIXELS
# Pillow warns of what is refused here, and of metadata that nobody reads here. A filter for good and not
# `catch_warnings` around each image, since that one is not safe in threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


def read(path: Path, reduction: Reduction | None = None) -> Image.Image:
    """Decode the image in a file; see :func:`decode`. One that was uploaded is a stranger's and decoded as such.

    Parameters
    ----------
    reduction : what is needed of it; the whole image when not given. See :func:`reduce`.

    Raises
    ------
    ImageError : with a sentence that names the file.
    """
    try:
        if not path.is_file():
            raise ImageError("it is not a file that exists")
        check_bytes(path.stat().st_size)
        if servable_files.uploaded(path):
            return decode_guarded(path.read_bytes(), reduction)
        picture = decode(path.read_bytes())
        return reduce(picture, reduction) if reduction else picture
    except (ImageError, OSError) as error:
        reason = error.strerror or "it can't be read" if isinstance(error, OSError) else str(error)
        raise ImageError(f"{path.name}: {reason}") from None


def decode_guarded(
    data: bytes, reduction: Reduction | None = None, pool: decode_pool.Pool | None = None
) -> Image.Image:
    """Decode a stranger's bytes in another process, with limits on time and memory; see :func:`decode`.

    Gives exactly the pixels of :func:`decode`, and of :func:`reduce` where a reduction is given: then the large image
    never leaves that process. A file that crashes, hangs or bloats the decoder costs this one call.

    Parameters
    ----------
    reduction : what is needed of the image; the whole image when not given.
    pool : the processes to use; those that the whole program shares when not given.

    Raises
    ------
    ImageError : as :func:`decode`, and when decoding takes more than the time or memory of
        ``core.settings`` or when too many images wait already.
    """
    check_bytes(len(data))
    return (pool or decode_pool.shared()).decode(data, reduction)


def decode(data: bytes) -> Image.Image:
    """Decode bytes to an RGB image as a viewer would show it.

    Colors are brought to sRGB by the embedded profile (a broken one is ignored), 16 bits to 8, EXIF orientation is
    applied, transparency is laid on white, the first frame of an animation is taken.

    Raises
    ------
    ImageError : not an image of a known format, truncated, or over the limits of ``core.settings``.
    """
    check_bytes(len(data))
    try:
        with _open(data) as image:
            # The header alone says this: nothing has been decoded yet.
            check_size(*image.size)
            image.load()
            # Some formats know their true size only now.
            check_size(*image.size)
            return to_rgb(image)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(file_types.why_unidentified(data)) from None
    except Image.DecompressionBombError as error:
        # Only Pillow's message has the number.
        count = re.search(r"(\d+) pixels", str(error))
        what = f"{int(count[1]) / 1e6:,.0f} million pixels" if count else "the number of its pixels"
        raise ImageError(too_many_pixels(what)) from None
    except MemoryError:
        raise ImageError("decoding it takes more memory than allowed") from None
    except Exception as error:
        # What decoders raise on broken files is any class at all.
        raise ImageError(file_types.why_broken(error, data)) from None


def load_plugins() -> None:
    """Load every decoder now; a process that may open no more files later calls this first."""
    Image.init()
    _heif_file()


def _open(data: bytes) -> Image.Image:
    if file_types.is_heif(data):
        # What is decoded may be larger than what is left of it when it has been cropped.
        for size in _HEIF_SIZE.finditer(data):
            check_size(int.from_bytes(size[1]), int.from_bytes(size[2]))
        return _heif_file()(io.BytesIO(data))
    return Image.open(io.BytesIO(data), formats=file_types.PILLOW_FORMATS)


@cache
def _heif_file() -> Callable[[io.BytesIO], Image.Image]:
    # Opened by its class and not registered in Pillow: nothing else in this process begins to read HEIF.
    from pi_heif import HeifImageFile, options

    # One thread, since images are decoded several at a time, and only the image itself.
    options.DECODE_THREADS = 1
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    return cast(Callable[[io.BytesIO], Image.Image], HeifImageFile)
