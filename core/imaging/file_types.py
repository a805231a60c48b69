"""Which kinds of files are images, and what is wrong with one that can't be decoded."""

from PIL import features

_AVIF = features.check("avif")

# The formats that Pillow reads by itself; HEIC and HEIF are read by pi-heif.
PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", *(["AVIF"] if _AVIF else []))
FORMATS = (*PILLOW_FORMATS, "HEIF")
# The names that files of these formats go by. All that looks for images uses this set.
SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp"),
        *(".png", ".apng"),
        *(".webp", ".gif", ".bmp", ".tif", ".tiff"),
        *((".avif", ".avifs") if _AVIF else ()),
        *(".heic", ".heif", ".hif"),
    }
)

# What strangers send instead of images, by how it begins; looked at only after Pillow has declined.
_OTHERS = (
    (b"%PDF", "it is a PDF document, not an image"),
    (b"%!PS", "it is a PostScript drawing, not a raster image"),
    (b"\xc5\xd0\xd3\xc6", "it is an EPS drawing, not a raster image"),
    (b"PK\x03\x04", "it is a ZIP archive or an office document, not an image"),
    (b"8BPS", "it is a Photoshop document; save it as PNG or JPEG"),
    (b"\xff\x0a", "it is a JPEG XL image, which can't be read here; save it as PNG or JPEG"),
    (b"\x00\x00\x00\x0cJXL ", "it is a JPEG XL image, which can't be read here; save it as PNG or JPEG"),
    (b"\x00\x00\x00\x0cjP  ", "it is a JPEG 2000 image, which can't be read here; save it as PNG or JPEG"),
)
# Of HEIF files with HEVC in them, and those that HEIF shares with AVIF.
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_SHARED_BRANDS = frozenset({b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
# How images of known formats begin: place, bytes, format.
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


def is_heif(data: bytes) -> bool:
    """Whether it is HEIF and not AVIF, which is built from the same boxes; the brands at the beginning tell."""
    if data[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(data[:4]), 1024)
    brands = {data[8:12], *(data[place : place + 4] for place in range(16, end, 4))}
    if brands & _AVIF_BRANDS:
        return False
    return bool(brands & _HEIC_BRANDS) or data[8:12] in _SHARED_BRANDS


def why_unidentified(data: bytes) -> str:
    start = data[:1024]
    for magic, reason in _OTHERS:
        if start.startswith(magic):
            return reason
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"<") and b"<svg" in text:
        return "it is an SVG drawing, not a raster image; save it as PNG"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<script")):
        return "it is a web page, not an image"
    for place, magic, kind in _MAGIC:
        if start.startswith(magic, place):
            if (size := _size_by_header(data)) and 0 in size:
                return f"it has no pixels ({size[0]} x {size[1]})"
            return f"it begins like a {kind} image but is truncated, broken or of a kind that can't be read"
    return f"it is not an image in a known format ({', '.join(FORMATS)})"


def _size_by_header(data: bytes) -> tuple[int, int] | None:
    if data.startswith(b"\x89PNG") and len(data) >= 24:
        return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    if data.startswith(b"GIF8") and len(data) >= 10:
        return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    if data.startswith(b"BM") and len(data) >= 26:
        return int.from_bytes(data[18:22], "little"), int.from_bytes(data[22:26], "little")
    return None


def why_broken(error: Exception, data: bytes) -> str:
    said = str(error).lower()
    cut_webp = data.startswith(b"RIFF") and int.from_bytes(data[4:8], "little") + 8 > len(data)
    cut = cut_webp or (is_heif(data) and _boxes_end(data) > len(data))
    if isinstance(error, EOFError) or cut or "truncated" in said or "end of" in said:
        return "the image is truncated: its end is missing"
    if "memory" in said:
        return "decoding it takes more memory than allowed"
    return "the image is broken: its data can't be decoded"


def _boxes_end(data: bytes) -> int:
    """Where the last of the boxes ends that an HEIF file is made of; beyond the data where some of it is missing."""
    place = 0
    while place + 8 <= len(data) and (size := int.from_bytes(data[place : place + 4])) >= 8:
        place += size
    return place
