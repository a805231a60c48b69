"""One door for every picture: decode it, check it, bring it to the size that a model wants.

The only place that calls Pillow on bytes from outside. Pictures of the user's own folders are decoded
here and in threads (:func:`read`, :func:`decode`); those of strangers go through :func:`decode_guarded`,
which runs the same :func:`decode` in a process that may die, so that a file gives the same pixels
whichever way it came in.
"""

import io
import re
import warnings
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError, features

from core.errors import ImageError, UserError
from core.imaging import decode_pool, servable_files
from core.imaging.decode_pool import Box, Reduction
from core.imaging.image_limits import check_bytes, check_size, too_many_pixels
from core.settings import settings

_AVIF = features.check("avif")

# The formats that Pillow reads by itself; HEIC and HEIF are read by pi-heif.
_PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", *(["AVIF"] if _AVIF else []))
FORMATS = (*_PILLOW_FORMATS, "HEIF")
# The names that files of these formats go by. All that looks for pictures uses this set.
SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp"),
        *(".png", ".apng"),
        *(".webp", ".gif", ".bmp", ".tif", ".tiff"),
        *((".avif", ".avifs") if _AVIF else ()),
        *(".heic", ".heif", ".hif"),
    }
)

_RESAMPLE = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
# EXIF's orientations 2 to 8, as the turns that undo them.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
_TIFF_BITS, _TIFF_PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0

# Color spaces of ICC profiles, as the modes of Pillow that they describe.
_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
_MAX_PROFILE_BYTES = 4_000_000
# Profiles that move no color by more than this are sRGB, or as good as.
_SRGB_TOLERANCE = 1

# What strangers send instead of pictures, by how it begins; looked at only after Pillow has declined.
_OTHERS = (
    (b"%PDF", "it is a PDF document, not a picture"),
    (b"%!PS", "it is a PostScript drawing, not a picture of pixels"),
    (b"\xc5\xd0\xd3\xc6", "it is an EPS drawing, not a picture of pixels"),
    (b"PK\x03\x04", "it is a ZIP archive or an office document, not a picture"),
    (b"8BPS", "it is a Photoshop document; save it as PNG or JPEG"),
    (b"\xff\x0a", "it is a JPEG XL picture, which can't be read here; save it as PNG or JPEG"),
    (b"\x00\x00\x00\x0cJXL ", "it is a JPEG XL picture, which can't be read here; save it as PNG or JPEG"),
    (b"\x00\x00\x00\x0cjP  ", "it is a JPEG 2000 picture, which can't be read here; save it as PNG or JPEG"),
)
# Of HEIF files with HEVC in them, and those that HEIF shares with AVIF.
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_SHARED_BRANDS = frozenset({b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
# The box that states the width and height of a coded picture or of a tile of one.
_HEIF_SIZE = re.compile(rb"ispe\0{4}(.{4})(.{4})", re.DOTALL)
# How pictures of known formats begin: place, bytes, format.
_MAGIC = (
    (0, b"\xff\xd8", "JPEG"),
    (0, b"\x89PNG", "PNG"),
    (8, b"WEBP", "WebP"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
    (4, b"ftypavi", "AVIF"),
)

# Pillow's own limit, which also covers frames that are larger than their header says. It is one for the process.
Image.MAX_IMAGE_PIXELS = settings.MAX_IMAGE_PIXELS
# Pillow warns of what is refused here, and of metadata that nobody reads here. A filter for good and not
# `catch_warnings` around each picture, since that one is not safe in threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


def read(path: Path, reduction: Reduction | None = None) -> Image.Image:
    """Decode the picture in a file; see :func:`decode`. One that was uploaded is a stranger's and decoded as such.

    Parameters
    ----------
    reduction : what is needed of it; the whole picture when not given. See :func:`reduce`.

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

    Gives exactly the pixels of :func:`decode`, and of :func:`reduce` where a reduction is given: then the large picture
    never leaves that process. A file that crashes, hangs or bloats the decoder costs this one call.

    Parameters
    ----------
    reduction : what is needed of the picture; the whole picture when not given.
    pool : the processes to use; those that the whole program shares when not given.

    Raises
    ------
    ImageError : as :func:`decode`, and when decoding takes more than the time or memory of
        ``core.settings`` or when too many pictures wait already.
    """
    check_bytes(len(data))
    return (pool or decode_pool.shared()).decode(data, reduction)


def decode(data: bytes) -> Image.Image:
    """Decode bytes to an RGB picture as a viewer would show it.

    Colors are brought to sRGB by the embedded profile (a broken one is ignored), 16 bits to 8, EXIF orientation is
    applied, transparency is laid on white, the first frame of an animation is taken.

    Raises
    ------
    ImageError : not a picture of a known format, truncated, or over the limits of ``core.settings``.
    """
    check_bytes(len(data))
    try:
        with _open(data) as image:
            # The header alone says this: nothing has been decoded yet.
            check_size(*image.size)
            image.load()
            # Some formats know their true size only now.
            check_size(*image.size)
            return _as_viewed(image)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(_why_unidentified(data)) from None
    except Image.DecompressionBombError as error:
        # Pillow's sentence is the only place where the number stands.
        count = re.search(r"(\d+) pixels", str(error))
        what = f"{int(count[1]) / 1e6:,.0f} million pixels" if count else "the number of its pixels"
        raise ImageError(too_many_pixels(what)) from None
    except MemoryError:
        raise ImageError("decoding it takes more memory than allowed") from None
    except Exception as error:
        # What decoders raise on broken files is any class at all.
        raise ImageError(_why_broken(error, data)) from None


def load_plugins() -> None:
    """Load every decoder now; a process that may open no more files later calls this first."""
    Image.init()
    _heif_file()


def _open(data: bytes) -> Image.Image:
    if _is_heif(data):
        # What is decoded may be larger than what is left of it when it has been cropped.
        for size in _HEIF_SIZE.finditer(data):
            check_size(int.from_bytes(size[1]), int.from_bytes(size[2]))
        return _heif_file()(io.BytesIO(data))
    return Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS)


def _is_heif(data: bytes) -> bool:
    """Whether it is HEIF and not AVIF, which is built from the same boxes; the brands at the beginning tell."""
    if data[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(data[:4]), 1024)
    brands = {data[8:12], *(data[place : place + 4] for place in range(16, end, 4))}
    if brands & _AVIF_BRANDS:
        return False
    return bool(brands & _HEIC_BRANDS) or data[8:12] in _SHARED_BRANDS


@cache
def _heif_file() -> Callable[[io.BytesIO], Image.Image]:
    # Opened by its class and not registered in Pillow: nothing else in this process begins to read HEIF.
    from pi_heif import HeifImageFile, options

    # One thread, since pictures are decoded several at a time, and only the picture itself.
    options.DECODE_THREADS = 1
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    return cast(Callable[[io.BytesIO], Image.Image], HeifImageFile)


def reduce(image: Image.Image, reduction: Reduction) -> Image.Image:
    """What is needed of an RGB picture, as a picture of its own.

    :func:`resize` and :func:`thumbnail` to the same size then change nothing more.
    """
    if reduction.box is not None:
        image = crop(image, reduction.box)
    if reduction.resample is not None:
        return image.resize((reduction.size, reduction.size), _RESAMPLE[reduction.resample])
    return _shrink(image, reduction.size)


def crop(image: Image.Image, box: Box) -> Image.Image:
    """A region of a picture, at least one pixel wide and high.

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
    out = io.BytesIO()
    _shrink(image, longest).save(out, "WEBP", quality=quality, method=4)
    return out.getvalue()


def _shrink(image: Image.Image, longest: int) -> Image.Image:
    copy = image.copy()
    copy.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return copy


def _as_viewed(image: Image.Image) -> Image.Image:
    # Those of HEIF are turned by their own boxes while they are decoded; their EXIF must not turn them again.
    turn = None if image.format == "HEIF" else _TURNS.get(_orientation(image))
    profile = image.info.get("icc_profile")
    colors, alpha = _split(_eight_bits(image))
    colors = _to_srgb(colors, profile)
    if alpha is not None and cast(tuple[int, int], alpha.getextrema())[0] < 255:
        white = Image.new("RGB", colors.size, "white")
        white.paste(colors, mask=alpha)
        colors = white
    return colors if turn is None else colors.transpose(turn)


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
        return orientation if isinstance(orientation, int) else 1
    except Exception:
        # Broken metadata is no reason to refuse a picture; viewers show it unturned.
        return 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """Greys of more than 8 bits as 8 bits, where Pillow would clip them at 255; other pictures as they are."""
    if image.mode.startswith("I;16"):
        pixels = np.asarray(image)
        tags: Any = getattr(image, "tag_v2", {})
        bits = tags.get(_TIFF_BITS, (16,))[0]
        # The high byte, as Pillow takes it from 16-bit colors: grey and color files have the same tone.
        grey = (pixels >> max(bits - 8, 0)).astype(np.uint8)
        if tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO:
            grey = 255 - grey
        result = Image.fromarray(grey)
        if isinstance(transparent := image.info.get("transparency"), int):
            result.putalpha(Image.fromarray(np.where(pixels == transparent, 0, 255).astype(np.uint8)))
        return result
    if image.mode in ("I", "F"):
        # These have no agreed white: the first usual one that covers the brightest pixel is taken.
        pixels = np.nan_to_num(np.asarray(image, dtype=np.float32))
        brightest = float(pixels.max(initial=0))
        whites = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        white = next((white for white in whites if brightest <= white), brightest)
        return Image.fromarray(np.clip(pixels * (255.0 / white), 0, 255).astype(np.uint8))
    return image


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colors in a mode that profiles speak of, and opacity where there is any."""
    if image.mode in ("La", "RGBa"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    if not image.has_transparency_data:
        return (image if image.mode in _SPACES.values() else image.convert("RGB")), None
    transparent = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(transparent, tuple) and max(transparent) > 255:
        # PNG names the transparent color with 16 bits, of which Pillow has kept the upper 8.
        image.info["transparency"] = tuple(value >> 8 for value in transparent)
    grey = image.mode in ("1", "L", "LA")
    rgba = image.convert("RGBA")
    return (rgba.getchannel("R") if grey else rgba.convert("RGB")), rgba.getchannel("A")


def _to_srgb(image: Image.Image, profile: Any) -> Image.Image:
    """A picture of mode RGB, L, CMYK or LAB as RGB in sRGB."""
    transform = None
    if image.mode == "LAB":
        transform = _transform(None, "LAB")
    elif isinstance(profile, bytes) and 0 < len(profile) <= _MAX_PROFILE_BYTES:
        transform = _transform(profile, image.mode)
    if transform is not None:
        return cast(Image.Image, ImageCms.applyTransform(image, transform))
    return image.convert("RGB")


# Many pictures share few profiles, and making a transform takes longer than decoding a small picture.
@lru_cache(maxsize=16)
def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB; None where there is nothing to do or the profile is of no use."""
    try:
        if profile is None:
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        else:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if _SPACES.get(source.profile.xcolor_space.strip()) != mode:
            return None
        # Without its cache a transform can be used by several threads at once.
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), mode, "RGB", flags=ImageCms.Flags.NOCACHE
        )
        return None if mode == "RGB" and _changes_nothing(transform) else transform
    except Exception:
        # Viewers ignore a broken profile, whatever is wrong with it.
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    steps = np.linspace(0, 255, 8).round().astype(np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(64, 8, 3)
    moved = np.asarray(ImageCms.applyTransform(Image.fromarray(lattice), transform))
    return bool(np.abs(moved.astype(int) - lattice).max() <= _SRGB_TOLERANCE)


def _why_unidentified(data: bytes) -> str:
    start = data[:1024]
    for magic, reason in _OTHERS:
        if start.startswith(magic):
            return reason
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"<") and b"<svg" in text:
        return "it is an SVG drawing, not a picture of pixels; save it as PNG"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<script")):
        return "it is a web page, not a picture"
    for place, magic, kind in _MAGIC:
        if start.startswith(magic, place):
            if (size := _size_by_header(data)) and 0 in size:
                return f"it has no pixels ({size[0]} x {size[1]})"
            return f"it begins like a {kind} picture but is truncated, broken or of a kind that can't be read"
    return f"it is not a picture in a known format ({', '.join(FORMATS)})"


def _size_by_header(data: bytes) -> tuple[int, int] | None:
    if data.startswith(b"\x89PNG") and len(data) >= 24:
        return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    if data.startswith(b"GIF8") and len(data) >= 10:
        return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    if data.startswith(b"BM") and len(data) >= 26:
        return int.from_bytes(data[18:22], "little"), int.from_bytes(data[22:26], "little")
    return None


def _why_broken(error: Exception, data: bytes) -> str:
    said = str(error).lower()
    cut_webp = data.startswith(b"RIFF") and int.from_bytes(data[4:8], "little") + 8 > len(data)
    cut = cut_webp or (_is_heif(data) and _boxes_end(data) > len(data))
    if isinstance(error, EOFError) or cut or "truncated" in said or "end of" in said:
        return "the picture is truncated: its end is missing"
    if "memory" in said:
        return "decoding it takes more memory than allowed"
    return "the picture is broken: its data can't be decoded"


def _boxes_end(data: bytes) -> int:
    """Where the last of the boxes ends that an HEIF file is made of; beyond the data where some of it is missing."""
    place = 0
    while place + 8 <= len(data) and (size := int.from_bytes(data[place : place + 4])) >= 8:
        place += size
    return place
