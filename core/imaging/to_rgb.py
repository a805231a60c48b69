"""A decoded image as a viewer shows it: upright, with 8 bits, in sRGB and on white."""

import io
from functools import lru_cache
from typing import Any, cast

import numpy as np
from PIL import Image, ImageCms

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


def to_rgb(image: Image.Image) -> Image.Image:
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
        # Broken metadata is no reason to refuse an image; viewers show it unturned.
        return 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """Greys of more than 8 bits as 8 bits, where Pillow would clip them at 255; other images as they are."""
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
    """An image of mode RGB, L, CMYK or LAB as RGB in sRGB."""
    transform = None
    if image.mode == "LAB":
        transform = _transform(None, "LAB")
    elif isinstance(profile, bytes) and 0 < len(profile) <= _MAX_PROFILE_BYTES:
        transform = _transform(profile, image.mode)
    if transform is not None:
        return cast(Image.Image, ImageCms.applyTransform(image, transform))
    return image.convert("RGB")


# Many images share few profiles, and making a transform takes longer than decoding a small image.
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
