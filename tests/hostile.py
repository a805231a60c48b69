"""Files and URLs that a stranger might send, built here: odd but good, broken, lying, too large, or no pictures at all.

Every function gives cases by name and gives the same ones each time.
"""

import io
import random
import struct
import zlib
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, features

SIZE = (48, 32)
# Made once with libheif, since what decodes HEIC here can't encode it: stored 64 x 48, left half red with a green corner at its
# top, right half blue, to be turned clockwise. Both its own boxes and its EXIF say so, as those of a phone do.
HEIC = (Path(__file__).parent / "imaging" / "turned.heic").read_bytes()


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def photo(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """Slopes of color with some noise; the right part is transparent in modes with alpha."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).integers(0, 20, (height, width))
    channels = [
        x * 230 // width + noise,
        y * 230 // height + noise,
        (x + y) * 230 // (width + height) + noise,
    ]
    pixels = np.stack([*channels, 255 - x * 255 // width], axis=-1).astype(np.uint8)
    if mode in ("RGBA", "LA"):
        return Image.fromarray(pixels).convert(mode)
    if mode == "I;16":
        return Image.fromarray((x * 65535 // width).astype(np.uint16))
    return Image.fromarray(pixels[..., :3]).convert(mode)


def swapped_profile() -> bytes:
    """An RGB profile whose red is blue: whoever heeds it can be seen to."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    table, rest = profile[:400], profile[400:]
    table = table.replace(b"rXYZ", b"tmp_").replace(b"bXYZ", b"rXYZ").replace(b"tmp_", b"bXYZ")
    return table + rest


def red_cyan_profile() -> bytes:
    """A CMYK profile of the least size, in which cyan ink is red, black is black and all else is white."""
    table = bytearray()
    for corner in range(16):
        cyan, black = corner & 8, corner & 1
        table += bytes((0, 128, 128) if black else (138, 208, 195) if cyan else (255, 128, 128))
    one = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    ramp = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + one + ramp * 4 + bytes(table) + ramp * 3
    lut += bytes(-len(lut) % 4)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    text = b"text" + bytes(4) + b"none\0\0\0\0"
    parts = {b"cprt": text, b"wtpt": white, b"A2B0": lut}
    offset = 128 + 4 + 12 * len(parts)
    index, body = struct.pack(">I", len(parts)), b""
    for name, part in parts.items():
        index += name + struct.pack(">II", offset + len(body), len(part))
        body += part
    header = struct.pack(">I4sI4s4s4s12s4s", offset + len(body), b"none", 0x02400000, b"prtr", b"CMYK", b"Lab ",
                         struct.pack(">6H", 2024, 1, 1, 0, 0, 0), b"acsp")  # fmt: skip
    header = header.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + index + body


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@cache
def pictures() -> dict[str, bytes]:
    """Good files of every format and of the kinds that occur."""
    rgb, rgba, frames = photo(), photo("RGBA"), [photo().rotate(angle) for angle in (90, 180)]
    good = {
        "jpeg": encoded(rgb, "JPEG", quality=90),
        "jpeg progressive": encoded(rgb, "JPEG", progressive=True),
        "jpeg grey": encoded(photo("L"), "JPEG"),
        "jpeg cmyk": encoded(photo("CMYK"), "JPEG"),
        "jpeg turned": encoded(rgb, "JPEG", exif=exif(6)),
        "jpeg profile": encoded(rgb, "JPEG", icc_profile=swapped_profile()),
        "mpo": encoded(rgb, "MPO", save_all=True, append_images=frames),
        "png": encoded(rgb, "PNG"),
        "png alpha": encoded(rgba, "PNG"),
        "png grey alpha": encoded(photo("LA"), "PNG"),
        "png palette": encoded(photo("P"), "PNG", transparency=3),
        "png one bit": encoded(photo("1"), "PNG"),
        "png 16 bit": encoded(photo("I;16"), "PNG"),
        "png profile": encoded(rgba, "PNG", icc_profile=swapped_profile()),
        "png turned": encoded(rgb, "PNG", exif=exif(8)),
        "apng": encoded(rgb, "PNG", save_all=True, append_images=frames),
        "webp": encoded(rgb, "WEBP"),
        "webp lossless alpha": encoded(rgba, "WEBP", lossless=True),
        "webp animated": encoded(rgba, "WEBP", save_all=True, append_images=frames),
        "gif": encoded(rgb, "GIF"),
        "gif animated": encoded(photo("P"), "GIF", save_all=True, append_images=frames, transparency=1),
        "bmp": encoded(rgb, "BMP"),
        "bmp palette": encoded(photo("P"), "BMP"),
        "tiff": encoded(rgb, "TIFF"),
        "tiff lzw": encoded(rgba, "TIFF", compression="tiff_lzw"),
        "tiff deflate": encoded(photo("CMYK"), "TIFF", compression="tiff_adobe_deflate"),
        "tiff jpeg": encoded(rgb, "TIFF", compression="jpeg"),
        "tiff fax": encoded(photo("1"), "TIFF", compression="group4"),
        "tiff 16 bit": encoded(photo("I;16"), "TIFF"),
        "tiff 32 bit": encoded(photo("I"), "TIFF"),
        "tiff float": encoded(photo("F"), "TIFF"),
        "tiff lab": encoded(ImageCms.applyTransform(rgb, _to_lab()), "TIFF"),
        "tiff turned": encoded(rgb, "TIFF", tiffinfo={0x0112: 5}),
        "heic turned": HEIC,
    }
    if features.check("avif"):
        good["avif"] = encoded(rgb, "AVIF", speed=10)
        good["avif alpha"] = encoded(rgba, "AVIF", speed=10)
        good["avif animated"] = encoded(rgb, "AVIF", speed=10, save_all=True, append_images=frames)
    return good


def _to_lab() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )


@cache
def mutated() -> dict[str, bytes]:
    """Every good file with flipped bytes, edited headers and missing ends."""
    cases = {}
    for name, data in pictures().items():
        chance = random.Random(name)
        for round_ in range(5):
            broken = bytearray(data)
            for _ in range(1 << round_):
                broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
            cases[f"{name}, {1 << round_} bits flipped"] = bytes(broken)
        for round_ in range(3):
            broken = bytearray(data)
            for _ in range(3):
                broken[chance.randrange(4, min(64, len(broken)))] = chance.choice((0, 1, 127, 128, 255))
            cases[f"{name}, header edited, {round_}"] = bytes(broken)
        for part in (0.1, 0.5, 0.95):
            cases[f"{name}, first {part:.0%}"] = data[: int(len(data) * part)]
        cases[f"{name}, middle cut out"] = data[: len(data) // 3] + data[len(data) * 2 // 3 :]
    return cases


def truncated() -> dict[str, bytes]:
    """Files whose end is missing and of which no viewer shows the whole."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    kinds = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", *(["AVIF"] if features.check("avif") else [])]
    files = {**{kind: encoded(noise, kind) for kind in kinds}, "HEIC": HEIC}
    return {
        f"{kind} {part}": data[: int(len(data) * part)] for kind, data in files.items() for part in (0.3, 0.6)
    }


def png(
    width: int, height: int, body: bytes = b"", extra: bytes = b"", bits: int = 8, color: int = 2
) -> bytes:
    """A PNG that says it is of this size, whatever is in it."""
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + extra
        + png_chunk(b"IDAT", body)
        + png_chunk(b"IEND", b"")
    )


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def zeros(count: int) -> bytes:
    """Zlib's shortest way to say so many zeros."""
    packer = zlib.compressobj(9)
    block, out = bytes(1 << 20), []
    for _ in range(count >> 20):
        out.append(packer.compress(block))
    return b"".join([*out, packer.compress(bytes(count & ((1 << 20) - 1))), packer.flush()])


def tiff(entries: list[tuple[int, int, int, int]], body: bytes = b"", after: int = 0) -> bytes:
    """A little-endian TIFF of one directory: (tag, type, count, value or offset), then ``body`` at its end."""
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", after) + body


def tiff_entries(
    width: int, height: int, **more: tuple[int, int, int, int]
) -> list[tuple[int, int, int, int]]:
    tags = {
        "width": (256, 4, 1, width),
        "height": (257, 4, 1, height),
        "bits": (258, 3, 1, 8),
        "compression": (259, 3, 1, 1),
        "photometric": (262, 3, 1, 1),
        "offsets": (273, 4, 1, 200),
        "rows": (278, 4, 1, height),
        "counts": (279, 4, 1, width * height & 0xFFFFFFFF),
    }
    return list({**tags, **more}.values())


def gif(canvas: tuple[int, int], frame: tuple[int, int, int, int] | None, body: bytes = b"") -> bytes:
    """A GIF of two colors with this canvas and one frame (left, top, width, height)."""
    data = b"GIF89a" + struct.pack("<HHBBB", *canvas, 0x80, 0, 0) + bytes((0, 0, 0, 255, 255, 255))
    if frame:
        data += b"," + struct.pack("<HHHHB", *frame, 0) + (body or b"\x02\x02\x44\x01\x00")
    return data + b";"


def edited(data: bytes, find: bytes, offset: int, new: bytes) -> bytes:
    """``data`` with ``new`` written ``offset`` bytes after the first ``find``."""
    place = data.index(find) + offset
    return data[:place] + new + data[place + len(new) :]


@cache
def bombs() -> dict[str, bytes]:
    """Small files that ask for much: memory, time or frames."""
    good = pictures()
    big_text = png_chunk(b"zTXt", b"c\0\0" + zeros(200_000_000))
    big_profile = png_chunk(b"iCCP", b"c\0\0" + zeros(200_000_000))
    frame = b"!\xf9\x04\0\1\0\0\0," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    loop = tiff(tiff_entries(4, 4), b"x" * 200, after=8)
    cases = {
        "png, 900 million pixels of zeros": png(30_000, 30_000, zeros(100_000_000)),
        "png, 4 billion pixels wide": png(0x7FFFFFFF, 2),
        "png, largest header": png(0xFFFFFFFF, 0xFFFFFFFF),
        "png, 49 million pixels of zeros": png(7000, 7000, zeros(7000 * 7001), bits=8, color=0),
        "png, 16 bit alpha, 49 million pixels cut short": png(7000, 7000, zeros(1_000_000), bits=16, color=6),
        "png, more data than pixels": png(4, 4, zeros(300_000_000)),
        "png, text of 200 MB": png(4, 4, zlib.compress(bytes(4 * 13)), big_text),
        "png, profile of 200 MB": png(4, 4, zlib.compress(bytes(4 * 13)), big_profile),
        "png, 50,000 chunks": png(4, 4, zlib.compress(bytes(4 * 13)), png_chunk(b"tEXt", b"a\0b") * 50_000),
        "apng, a billion frames": png(
            4, 4, zlib.compress(bytes(4 * 13)), png_chunk(b"acTL", struct.pack(">II", 10**9, 0))
        ),
        "gif, canvas of 4 billion pixels": gif((65535, 65535), (0, 0, 1, 1)),
        "gif, frame outside of the canvas": gif((1, 1), (65000, 65000, 535, 535)),
        "gif, frame larger than the canvas": gif((4, 4), (0, 0, 65535, 65535)),
        "gif, 50,000 frames": gif((1, 1), (0, 0, 1, 1))[:-1] + frame * 50_000 + b";",
        "gif, endless sub-blocks": gif((4, 4), None)[:-1] + b"!\xfe" + b"\xff" * 1_000_000,
        "jpeg, 65500 x 65500": _jpeg_sized(65500, 65500),
        "jpeg, 7000 x 7000 with the data of 48 x 32": _jpeg_sized(7000, 7000),
        "jpeg, no height": _jpeg_sized(48, 0),
        "jpeg, progressive with 200 scans": many_scans(200),
        "bmp, 2 billion rows": edited(good["bmp"], b"BM", 22, struct.pack("<i", 0x7FFFFFFF)),
        "bmp, negative width": edited(good["bmp"], b"BM", 18, struct.pack("<i", -48)),
        "bmp, lowest height": edited(good["bmp"], b"BM", 22, struct.pack("<i", -0x80000000)),
        "bmp, run lengths without end": _bmp_runs(),
        "tiff, 4 billion x 4 billion": tiff(tiff_entries(0xFFFFFFFF, 0xFFFFFFFF), b"x" * 200),
        "tiff, 2 billion strips": tiff(
            tiff_entries(40, 40, offsets=(273, 4, 0x7FFFFFFF, 200), rows=(278, 4, 1, 1)), b"x" * 400
        ),
        "tiff, one strip of 4 GB": tiff(tiff_entries(40, 40, counts=(279, 4, 1, 0xFFFFFFFF)), b"x" * 400),
        "tiff, rows per strip 0": tiff(tiff_entries(40, 40, rows=(278, 4, 1, 0)), b"x" * 2000),
        "tiff, directory that is its own next": loop,
        "tiff, directory in itself": tiff(
            [*tiff_entries(4, 4), (34665, 4, 1, 8), (330, 4, 1, 8)], b"x" * 400
        ),
        "tiff, directory outside of the file": b"II*\0\xff\xff\xff\x7f",
        "tiff, 65535 entries": b"II*\0\x08\0\0\0\xff\xff" + b"x" * 4000,
        "tiff, tiles of 2 billion": tiff(
            [*tiff_entries(40, 40), (322, 4, 1, 0x7FFFFFF0), (323, 4, 1, 0x7FFFFFF0), (324, 4, 1, 8)],
            b"x" * 400,
        ),
        "tiff, lzw of noise": tiff(tiff_entries(6000, 6000, compression=(259, 3, 1, 5)), b"\x80\x0b" * 4000),
        "tiff, deflate bomb": _tiff_deflate_bomb(),
        "tiff, 60,000 samples": tiff([*tiff_entries(4, 4), (277, 3, 1, 60_000)], b"x" * 400),
        "bigtiff, huge": b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**60) + b"x" * 100,
        "webp, canvas of 268 million pixels": _webp_canvas(16383, 16383),
        "webp, canvas of 281 trillion pixels": _webp_canvas(0xFFFFFF, 0xFFFFFF),
        "webp, size of 4 GB": edited(good["webp"], b"RIFF", 4, b"\xfe\xff\xff\xff"),
        "webp, lossy header 16383 x 16383": edited(good["webp"], b"\x9d\x01\x2a", 3, b"\xff\x3f\xff\x3f"),
    }
    if "avif" in good:
        cases["avif, 4 billion wide"] = edited(good["avif"], b"ispe", 8, b"\xff\xff\xff\xff")
        cases["avif, 65535 x 65535"] = edited(good["avif"], b"ispe", 8, struct.pack(">II", 65535, 65535))
        cases["avif, box of no size"] = edited(good["avif"], b"meta", -4, bytes(4))
        cases["avif, boxes in boxes"] = good["avif"][:32] + b"\0\0\xff\xffmeta" * 5000
    return cases


def _jpeg_sized(width: int, height: int) -> bytes:
    return edited(pictures()["jpeg"], b"\xff\xc0", 5, struct.pack(">HH", height, width))


def many_scans(count: int) -> bytes:
    """A progressive JPEG that refines the same 4000 x 4000 pixels again and again."""
    data = encoded(Image.new("L", (16, 16)), "JPEG", progressive=True)
    data = edited(data, b"\xff\xc2", 5, struct.pack(">HH", 4000, 4000))
    first = data.index(b"\xff\xda")
    second = data.index(b"\xff\xda", first + 2)
    return data[:first] + data[first:second] * count + b"\xff\xd9"


def _bmp_runs() -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, 6000, 6000, 1, 8, 1, 0, 0, 0, 256, 0)
    offset = 14 + len(header) + 1024
    return (
        b"BM"
        + struct.pack("<IHHI", offset, 0, 0, offset)
        + header
        + bytes(1024)
        + b"\x00\x02\x00\x00" * 100_000
    )


def _tiff_deflate_bomb() -> bytes:
    body = zeros(200_000_000)
    entries = tiff_entries(
        40, 40, compression=(259, 3, 1, 8), offsets=(273, 4, 1, 110), counts=(279, 4, 1, len(body))
    )
    return tiff(entries, body)


def _webp_canvas(width: int, height: int) -> bytes:
    data = pictures()["webp lossless alpha"]
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x10\0\0\0" + size
    body = b"WEBP" + extended + data[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


@cache
def strangers() -> dict[str, bytes]:
    """What is no picture in a known format, or none that has pixels."""
    good = pictures()
    random_bytes = np.random.default_rng(1).bytes(5000)
    laughs = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><svg>&b;</svg>'
    return {
        "nothing": b"",
        "one byte": b"x",
        "zeros": bytes(10_000),
        "noise": random_bytes,
        "text": b"hello\n" * 100,
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        "svg after a prolog": b'\xef\xbb\xbf<?xml version="1.0"?><svg><image href="file:///etc/passwd"/></svg>',
        "svg that laughs": laughs,
        "html": b"<!DOCTYPE html><html><img src=x></html>",
        "html in capitals": b"  <HTML><BODY>404</BODY></HTML>",
        "script": b"<script>alert(1)</script>",
        "xml": b"<?xml version='1.0'?><a/>",
        "json": b'{"error": "not found"}',
        "pdf": b"%PDF-1.7\n1 0 obj << >> endobj",
        "pdf with a jpeg": b"%PDF-1.4\nstream\n" + good["jpeg"] + b"\nendstream",
        "postscript": b"%!PS-Adobe-3.0\n(id) run",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n%%EndComments\n",
        "eps in binary": b"\xc5\xd0\xd3\xc6" + bytes(26) + b"%!PS",
        "zip": b"PK\x03\x04" + bytes(100),
        "gzip": b"\x1f\x8b\x08" + bytes(50),
        "elf": b"\x7fELF" + bytes(60),
        "only the magic of heic": b"\0\0\0\x18ftypheic" + bytes(100),
        "only the magic of heif": b"\0\0\0\x18ftypmif1" + bytes(100),
        "mp4": b"\0\0\0\x18ftypisom" + bytes(100),
        "jpeg xl": b"\xff\x0a" + bytes(40),
        "jpeg xl in a box": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40),
        "jpeg 2000": encoded(photo(), "JPEG2000")
        if features.check("jpg_2000")
        else b"\0\0\0\x0cjP  \r\n\x87\n",
        "photoshop": b"8BPS\0\1" + bytes(60),
        "icon": encoded(photo("RGBA"), "ICO"),
        "ppm": encoded(photo(), "PPM"),
        "tga": encoded(photo(), "TGA"),
        "pcx": encoded(photo(), "PCX"),
        "wave": b"RIFF\x24\0\0\0WAVEfmt " + bytes(30),
        "only the magic of jpeg": b"\xff\xd8",
        "only the magic of png": b"\x89PNG\r\n\x1a\n",
        "only the magic of gif": b"GIF89a",
        "only the magic of webp": b"RIFF\x10\0\0\0WEBP",
        "only the magic of bmp": b"BM",
        "only the magic of tiff": b"II*\0",
        "only the magic of avif": b"\0\0\0\x1cftypavif",
        "png of no width": png(0, 5),
        "png of no height": png(5, 0),
        "gif of no size": gif((0, 0), None),
        "bmp of no width": edited(good["bmp"], b"BM", 18, bytes(4)),
        "tiff of no size": tiff(tiff_entries(0, 0), b"x" * 200),
        "html before a jpeg": b"<html></html>" + good["jpeg"],
        "jpeg after blanks": b"\n\n" + good["jpeg"],
        "png with swapped line ends": good["png"].replace(b"\r\n\x1a\n", b"\n\x1a\n", 1),
        "png as text": good["png"].decode("latin-1").encode("utf-8"),
        "jpeg in base64": b"data:image/jpeg;base64,/9j/4AAQSkZJRg==",
    }


@cache
def polyglots() -> dict[str, bytes]:
    """Good pictures that are something else as well, or whose metadata is broken: shown like any other."""
    good = pictures()
    jpeg, webp = good["jpeg"], good["webp"]
    bad_exif = b"\xff\xe1\x00\x16Exif\0\0II*\0\xff\xff\xff\xff" + bytes(6)
    bad_profile = b"\xff\xe2\x00\x1aICC_PROFILE\0\1\1" + b"not icc!" + bytes(2)
    return {
        "gif that is a script": b"GIF89a" + good["gif"][6:] + b"/*=1;alert(1)//*/",
        "jpeg and zip": jpeg + b"PK\x03\x04" + bytes(30) + b"PK\x05\x06" + bytes(18),
        "jpeg and php": jpeg[:2] + b"\xff\xfe\x00\x16<?php phpinfo(); ?>" + b" " + jpeg[2:],
        "png and zip": good["png"] + b"PK\x05\x06" + bytes(18),
        "png with html": good["png"][:33]
        + png_chunk(b"tEXt", b"a\0<script>alert(1)</script>")
        + good["png"][33:],
        "webp and html": webp + b"<html>",
        "bmp and shell": good["bmp"] + b"\n#!/bin/sh\n",
        "jpeg with broken exif": jpeg[:2] + bad_exif + jpeg[2:],
        "jpeg with a broken profile": jpeg[:2] + bad_profile + jpeg[2:],
        "jpeg with orientation 99": encoded(photo(), "JPEG", exif=exif(99)),
        "png with a broken profile": encoded(photo(), "PNG", icc_profile=b"broken" * 50),
        "png with the profile of greys": encoded(photo(), "PNG", icc_profile=_wrong_space()),
        "png with the first half of a profile": encoded(photo(), "PNG", icc_profile=swapped_profile()[:300]),
        "tiff with a broken profile": encoded(photo(), "TIFF", icc_profile=b"broken" * 50),
        "webp with broken exif": encoded(photo(), "WEBP", exif=b"Exif\0\0nonsense"),
    }


def _wrong_space() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:16] + b"GRAY" + profile[20:]


# Never fetched, whatever the name servers say.
FORBIDDEN_URLS = (
    # not a URL of the web
    "", " ", "x", "picture.png", "/etc/passwd", "//example.com/a.png", "example.com/a.png", "http", "http:", "http:/",
    "http://", "http:///", "http:///a.png", "https://?x", "http://#x", "http:example.com", "http:/example.com",
    "file:///etc/passwd", "file://localhost/etc/passwd", "ftp://example.com/a.png", "gopher://example.com:70/_x",
    "data:image/png;base64,iVBORw0KGgo=", "javascript:alert(1)", "dict://example.com:11211/stat", "ldap://example.com",
    "jar:http://example.com!/a", "ws://example.com/", "sftp://example.com/", "tftp://example.com/x", "netdoc:///etc/x",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/info", "view-source:http://example.com/", "blob:http://example.com/1",
    "httpx://example.com/", "http\x00://example.com/", "phar://a.jpg", "\x01http://example.com/",
    # user names
    "http://user@example.com/", "http://user:word@example.com/", "http://@example.com/", "http://:@example.com/",
    "http://example.com@127.0.0.1/", "http://127.0.0.1@example.com/", "http://a:b@c@example.com/",
    "http://example.com:80@127.0.0.1/", "http://example.com%00@127.0.0.1/",
    # ports
    "http://example.com:22/", "http://example.com:0/", "http://example.com:8080/", "http://example.com:65536/",
    "http://example.com:99999999999/", "http://example.com:-1/", "http://example.com:8o/", "http://example.com:80:80/",
    "https://example.com:6379/", "http://example.com:+80/", "http://example.com: 80/", "http://example.com:８０/",
    # characters that are read in different ways
    "http://example.com\\@127.0.0.1/", "http://127.0.0.1\\.example.com/", "http:\\\\example.com\\", "http://exa mple.com/",
    "http://example.com/\r\nHost: x", "http://example.com/\tx", "http://example.com/\x00", "http://example.com/\x7f",
    "http://exam\u200bple.com/", "http://example.com/\u202egnp.x", "http://example.com/a b.png", "ht\ntp://example.com/",
    "http://example.com\u00a0/", "http://example.com\u2028/", "http://1.1.1.1 &@2.2.2.2# @3.3.3.3/",
    "http://example.com/" + "a" * 2048, "http://" + "a." * 1100 + "com/",
    # hosts that are none
    "http://./", "http://../", "http://.example.com/", "http://example..com/", "http://-example.com/",
    "http://example-.com/", "http://exa$mple.com/", "http://example.com,127.0.0.1/", "http://*/", "http://%/",
    "http://%00/", "http://" + "a" * 64 + ".com/", "http://" + "abc." * 64 + "com/", "http://xn--/",
    "http://<script>/", "http://{}/", "http://|/", "http://'/", "http://example.com%2f@x/", "http://example.com%5c/",
    # addresses in unusual forms
    "http://2130706433/", "http://0x7f000001/", "http://017700000001/", "http://127.1/", "http://127.0.1/",
    "http://0177.0.0.1/", "http://0x7f.0.0.1/", "http://0x7f.1/", "http://0/", "http://00/", "http://0x/", "http://0.0/",
    "http://127.0.0.01/", "http://127.000.000.001/", "http://1.2.3.4.5/", "http://256.0.0.1/", "http://127.0.0.0x1/",
    "http://4294967297/", "http://3232235777/", "http://example.0x7f/", "http://1.1.1.1.1/", "http://999/",
    "http://１２７.0.0.1/", "http://127。0。0。1/", "http://①②⑦.0.0.1/", "http://⑯⑨.②⑤④.⑯⑨.②⑤④/", "http://127．0．0．1/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "http://127.0.0.1%2f.example.com/", "http://127.0.0.1%00.example.com/",
    # addresses that are not public
    "http://127.0.0.1/", "http://127.0.0.1./", "http://127.127.127.127/", "http://127%2e0.0.1/", "http://0.0.0.0/",
    "http://0.1.2.3/", "http://10.0.0.1/", "http://172.16.0.1/", "http://172.31.255.255/", "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/", "http://169.254.170.2/", "http://100.64.0.1/", "http://100.100.100.200/",
    "http://192.0.0.192/", "http://192.0.2.1/", "http://198.18.0.1/", "http://198.51.100.1/", "http://203.0.113.1/",
    "http://192.88.99.1/", "http://224.0.0.1/", "http://239.255.255.250/", "http://240.0.0.1/", "http://255.255.255.255/",
    "http://168.63.129.16/", "https://127.0.0.1:443/", "HTTP://127.0.0.1/", "  http://127.0.0.1/  ",
    "http://[::1]/", "http://[::]/", "http://[0:0:0:0:0:0:0:1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
    "http://[::ffff:8.8.8.8]/", "http://[::127.0.0.1]/", "http://[::ffff:0:127.0.0.1]/", "http://[fe80::1]/",
    "http://[fec0::1]/", "http://[fc00::1]/", "http://[fd00:ec2::254]/", "http://[ff02::1]/", "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::8.8.8.8]/", "http://[64:ff9b:1::1]/", "http://[2002:7f00:1::]/", "http://[2002:808:808::1]/",
    "http://[2001::1]/", "http://[2001:0:7f00:1::1]/", "http://[2001:2::1]/", "http://[2001:10::1]/",
    "http://[2001:db8::1]/", "http://[3fff::1]/", "http://[100::1]/", "http://[5f00::1]/", "http://[4000::1]/",
    "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[::1%25lo]/", "http://[::1", "http://::1/", "http://[]/",
    "http://[127.0.0.1]/", "http://[v1.fe80]/", "http://[::1]x/", "http://[2606:4700::1111%251]/", "http://[:::1]/",
)  # fmt: skip
