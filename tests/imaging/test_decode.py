import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, features

from core.errors import ImageError
from core.imaging import decode, decode_pool, file_types, transform
from core.imaging.transform import Reduction
from core.settings import settings
from tests.hostile import (
    HEIC,
    encoded,
    exif,
    many_scans,
    photo,
    pictures,
    red_cyan_profile,
    swapped_profile,
    tiff,
    tiff_entries,
)

ROOT = Path(__file__).resolve().parents[2]
KINDS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")


@pytest.mark.parametrize("kind", [*KINDS, pytest.param("AVIF", marks=needs_avif)])
def test_every_format_becomes_rgb(kind):
    picture = decode.decode(encoded(Image.new("RGB", (8, 6), (200, 30, 30)), kind))
    assert (picture.mode, picture.size) == ("RGB", (8, 6))
    np.testing.assert_allclose(np.asarray(picture)[3, 3], (200, 30, 30), atol=12)


def test_transparency_is_laid_on_white():
    assert decode.decode(encoded(Image.new("RGBA", (2, 2), (0, 0, 0, 0)), "PNG")).getpixel((0, 0)) == (
        255,
        255,
        255,
    )


def test_half_transparency_is_mixed_with_white():
    assert decode.decode(encoded(Image.new("LA", (2, 2), (0, 51)), "PNG")).getpixel((0, 0)) == (204, 204, 204)


def test_a_transparent_palette_is_laid_on_white():
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert decode.decode(encoded(palette, "PNG", transparency=0)).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize(("sixteen", "eight"), [(0, 0), (200, 0), (32768, 128), (65535, 255)])
def test_sixteen_bit_grey_keeps_its_tone(kind, sixteen, eight):
    grey = Image.fromarray(np.full((4, 4), sixteen, np.uint16))
    assert decode.decode(encoded(grey, kind)).getpixel((0, 0)) == (eight, eight, eight)


def test_sixteen_bit_grey_may_have_a_transparent_tone():
    grey = Image.fromarray(np.array([[1000, 1001]], np.uint16))
    picture = decode.decode(encoded(grey, "PNG", transparency=1000))
    assert [picture.getpixel((x, 0))[0] for x in (0, 1)] == [255, 3]


def test_sixteen_bit_grey_may_count_from_white():
    entries = tiff_entries(2, 1, bits=(258, 3, 1, 16), photometric=(262, 3, 1, 0), offsets=(273, 4, 1, 110))
    picture = decode.decode(tiff([*entries], b"\xff\xff\x00\x00" * 10))
    assert [picture.getpixel((x, 0))[0] for x in (0, 1)] == [0, 255]


def test_sixteen_bit_colors_keep_their_tone():
    entries = tiff_entries(
        1,
        1,
        bits=(258, 3, 3, 122),
        photometric=(262, 3, 1, 2),
        offsets=(273, 4, 1, 128),
        counts=(279, 4, 1, 6),
    )
    data = tiff([*entries, (277, 3, 1, 3)], b"\x10\0\x10\0\x10\0" + b"\x00\x80\xff\xff\x00\x00")
    assert decode.decode(data).getpixel((0, 0)) == (128, 255, 0)


@pytest.mark.parametrize(("white", "dtype"), [(1.0, np.float32), (255.0, np.float32), (65535, np.int32)])
def test_numbers_without_a_fixed_white_fill_the_range(white, dtype):
    pixels = np.array([[0, white / 2, white]]).astype(dtype)
    picture = np.asarray(decode.decode(encoded(Image.fromarray(pixels), "TIFF")))[0, :, 0]
    np.testing.assert_allclose(picture, (0, 127.5, 255), atol=1)


def test_cmyk_is_shown_as_print_looks():
    inks = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF")
    assert decode.decode(inks).getpixel((4, 4)) == (255, 0, 0)


def test_inverted_cmyk_of_adobe_is_turned_back():
    inverted = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100)
    assert b"Adobe" in inverted
    np.testing.assert_allclose(decode.decode(inverted).getpixel((4, 4)), (255, 0, 0), atol=3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", pytest.param("AVIF", marks=needs_avif)])
def test_an_embedded_profile_is_heeded(kind):
    red = Image.new("RGB", (16, 16), (255, 0, 0))
    picture = decode.decode(encoded(red, kind, icc_profile=swapped_profile()))
    np.testing.assert_allclose(picture.getpixel((8, 8)), (0, 0, 255), atol=8)


def test_a_profile_is_heeded_under_transparency():
    half = Image.new("RGBA", (2, 2), (255, 0, 0, 51))
    picture = decode.decode(encoded(half, "PNG", icc_profile=swapped_profile()))
    assert picture.getpixel((0, 0)) == (204, 204, 255)


def test_a_profile_of_inks_is_heeded():
    cyan = Image.new("CMYK", (2, 2), (255, 0, 0, 0))
    assert decode.decode(encoded(cyan, "TIFF")).getpixel((0, 0)) == (0, 255, 255)
    shown = decode.decode(encoded(cyan, "TIFF", icc_profile=red_cyan_profile())).getpixel((0, 0))
    assert shown[0] > 200 and shown[2] < 100


def test_the_profile_of_srgb_changes_no_pixel():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain, tagged = (decode.decode(encoded(photo(), "PNG", **more)) for more in ({}, {"icc_profile": srgb}))
    np.testing.assert_array_equal(tagged, plain)


@pytest.mark.parametrize("profile", [b"broken" * 50, swapped_profile()[:300], red_cyan_profile()])
def test_a_profile_that_is_broken_or_of_other_colors_is_ignored(profile):
    picture = decode.decode(encoded(photo(), "PNG", icc_profile=profile))
    np.testing.assert_array_equal(picture, photo())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", pytest.param("AVIF", marks=needs_avif)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind, orientation):
    lossless = {"lossless": True} if kind == "WEBP" else {}
    straight, turned = photo(), photo()
    turned.getexif()[0x0112] = orientation
    turned = ImageOps.exif_transpose(turned)
    picture = decode.decode(encoded(straight, kind, exif=exif(orientation), **lossless))
    assert picture.size == turned.size
    np.testing.assert_allclose(np.asarray(picture, int), np.asarray(turned, int), atol=60)


def test_heic_is_turned_once_and_the_same_in_both_decoders():
    picture = decode.decode(HEIC)
    assert (picture.mode, picture.size) == ("RGB", (48, 64))
    for place, color in {(44, 3): (0, 180, 0), (5, 5): (200, 30, 30), (5, 60): (30, 30, 200)}.items():
        np.testing.assert_allclose(picture.getpixel(place), color, atol=32)
    np.testing.assert_array_equal(decode.decode_guarded(HEIC), picture)


def test_heif_under_its_shared_brand_is_read_and_avif_is_not_taken_for_it():
    np.testing.assert_array_equal(
        decode.decode(HEIC.replace(b"ftypheic", b"ftypmif1", 1)), decode.decode(HEIC)
    )
    if features.check("avif"):
        avif = encoded(photo(), "AVIF", speed=10)
        assert decode.decode(avif.replace(b"ftypavif", b"ftypmif1", 1)).size == photo().size


def test_heic_of_too_many_pixels_is_refused_before_it_is_decoded():
    # The size that its header states; the picture inside stays small.
    data = re.sub(rb"(ispe....)........", lambda match: match[1] + (8_000).to_bytes(4) * 2, HEIC, flags=re.S)
    for function in (decode.decode, decode.decode_guarded):
        with pytest.raises(ImageError, match="8000 x 8000 pixels is more than"):
            function(data)


def test_every_suffix_of_a_format_that_is_read_counts():
    registered = {
        suffix for suffix, kind in Image.registered_extensions().items() if kind in file_types.FORMATS
    }
    assert registered - {".heics", ".heifs"} <= file_types.SUFFIXES
    assert {".jfif", ".jpe", ".heic", ".heif", ".hif"} <= file_types.SUFFIXES


def test_the_first_frame_of_an_animation_is_taken():
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        np.testing.assert_allclose(decode.decode(data).getpixel((0, 0)), (255, 0, 0), atol=8)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello", r"not an image in a known format \(JPEG, PNG"),
        (b"GIF89a", "begins like a GIF"),
        (b"\x89PNG\r\n\x1a\n", "begins like a PNG"),
        (b"\xef\xbb\xbf <?xml version='1.0'?> <svg/>", "an SVG drawing"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"%!PS-Adobe", "PostScript"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\0\x14ftypheic\0\0\0\0heic", "broken"),
    ],
)
def test_what_is_no_image_is_refused_with_a_sentence(data, reason):
    with pytest.raises(ImageError, match=reason):
        decode.decode(data)


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_image_is_refused(kind):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    data = encoded(noise, kind)
    with pytest.raises(ImageError, match="truncated"):
        decode.decode(data[: len(data) // 2])


def test_too_many_pixels_are_refused_from_the_header(monkeypatch):
    data = encoded(Image.new("RGB", (100, 100)), "PNG")
    monkeypatch.setattr(settings, "MAX_IMAGE_PIXELS", 9_999)
    with pytest.raises(ImageError, match="100 x 100 pixels"):
        decode.decode(data)


def test_a_file_too_large_is_refused_and_named(tmp_path, monkeypatch):
    path = tmp_path / "big.png"
    path.write_bytes(encoded(Image.new("RGB", (10, 10)), "PNG"))
    monkeypatch.setattr(settings, "MAX_IMAGE_BYTES", 10)
    with pytest.raises(ImageError, match=r"big\.png: .* MB is more than"):
        decode.read(path)
    with pytest.raises(ImageError, match="MB is more than"):
        decode.decode_guarded(path.read_bytes())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.png"):
        decode.read(tmp_path / "gone.png")


def test_resizing_keeps_the_whole_image():
    wide = Image.new("RGB", (100, 10), "white")
    wide.paste("black", (50, 0, 100, 10))
    pixels = transform.resize(wide, 20, "bilinear")
    assert pixels.shape == (20, 20, 3)
    assert pixels[:, :8].min() > 240 and pixels[:, 12:].max() < 15


# In another process.


@pytest.mark.parametrize("name", pictures())
def test_a_guarded_image_has_the_same_pixels(name):
    data = pictures()[name]
    guarded, plain = decode.decode_guarded(data), decode.decode(data)
    assert (guarded.mode, guarded.size) == (plain.mode, plain.size) == ("RGB", plain.size)
    np.testing.assert_array_equal(guarded, plain)


def test_guarded_and_plain_refuse_with_the_same_sentence():
    for data in (b"hello", pictures()["jpeg"][:300], encoded(photo(), "ICO")):
        sentences = []
        for function in (decode.decode, decode.decode_guarded):
            with pytest.raises(ImageError) as refusal:
                function(data)
            sentences.append(str(refusal.value))
        assert sentences[0] == sentences[1]


# A worker with a decoder that does as its input says; only tests start it.
BAD_WORKER = """
import ctypes, os, sys, time
from core.errors import ImageError
from core.imaging import decode_worker
from core.imaging.decode import decode as original

def decode(data):
    order = data[:4]
    if order == b"SPIN":
        while True:
            pass
    if order == b"HANG":
        # As a decoder in C: no signal handler of Python can interrupt it.
        ctypes.PyDLL(None).sleep(1000)
    if order == b"HOGS":
        return [bytes(100_000_000) for _ in range(100)]
    if order == b"DIES":
        ctypes.string_at(0)
    if order == b"LIES":
        os.write(3, data[4:])
        time.sleep(1000)
    if order == b"ENVI":
        raise ImageError(",".join(sorted(os.environ)))
    if order == b"WRIT":
        with open(data[4:].decode(), "wb") as file:
            file.write(b"x" * 100)
    if order == b"PIDS":
        raise ImageError(str(os.getpid()))
    if order == b"PRIN":
        print("something", flush=True)
        os.write(1, b"something")
    if order == b"MODS":
        raise ImageError(" ".join(m for m in ("tensorflow", "streamlit", "keras", "pandas") if m in sys.modules))
    return original(data[4:] if order in (b"PRIN", b"GOOD") else data)

decode_worker.main(decode)
"""
GOOD = b"GOOD" + pictures()["png"]


@pytest.fixture
def bad_pool(tmp_path, monkeypatch):
    script = tmp_path / "bad_worker.py"
    script.write_text(BAD_WORKER)
    monkeypatch.setattr(settings, "DECODE_SECONDS", 2)
    pool = decode_pool.Pool(1, [sys.executable, str(script)])
    # Started and idle, so that the tests below measure the request alone.
    pool.decode(GOOD)
    yield pool
    pool.close()


def refusal_of(pool: decode_pool.Pool, data: bytes) -> str:
    with pytest.raises(ImageError) as refusal:
        pool.decode(data)
    return str(refusal.value)


def worker_pid(pool: decode_pool.Pool) -> int:
    return int(refusal_of(pool, b"PIDS"))


@pytest.mark.slow
@pytest.mark.parametrize("order", [b"SPIN", b"HANG"])
def test_a_decoder_that_hangs_costs_one_request(bad_pool, order):
    start = time.monotonic()
    assert refusal_of(bad_pool, order) == "decoding it takes more than the 2 s allowed"
    assert time.monotonic() - start < 8
    assert bad_pool.decode(GOOD).size == photo().size


def test_a_decoder_that_wants_all_memory_costs_one_request(bad_pool):
    assert refusal_of(bad_pool, b"HOGS") == "decoding it takes more memory than allowed"
    assert bad_pool.decode(GOOD).size == photo().size


def test_a_decoder_that_crashes_costs_one_request(bad_pool):
    assert refusal_of(bad_pool, b"DIES") == "the image can't be decoded: its decoder had to be stopped"
    assert bad_pool.decode(GOOD).size == photo().size


@pytest.mark.slow
@pytest.mark.parametrize(
    "lie",
    [
        decode_pool.REPLY.pack(decode_pool.DONE, 0xFFFFFFFF, 0xFFFFFFFF),
        decode_pool.REPLY.pack(decode_pool.DONE, 0, 5),
        decode_pool.REPLY.pack(decode_pool.REFUSED, 0xFFFFFFFF, 0),
        decode_pool.REPLY.pack(7, 1, 1),
    ],
)
def test_what_a_worker_says_is_not_believed(bad_pool, lie):
    assert "had to be stopped" in refusal_of(bad_pool, b"LIES" + lie)
    assert bad_pool.decode(GOOD).size == photo().size


@pytest.mark.slow
def test_a_reply_that_is_too_short_does_not_hold_the_request(bad_pool):
    lie = decode_pool.REPLY.pack(decode_pool.DONE, 100, 100) + bytes(50)
    assert "more than the 2 s" in refusal_of(bad_pool, b"LIES" + lie)


def test_what_a_library_prints_is_no_reply(bad_pool):
    np.testing.assert_array_equal(bad_pool.decode(b"PRIN" + pictures()["png"]), photo())


def test_a_worker_knows_no_secrets_of_the_server(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "x")
    script = tmp_path / "bad_worker.py"
    script.write_text(BAD_WORKER)
    pool = decode_pool.Pool(1, [sys.executable, str(script)])
    try:
        names = refusal_of(pool, b"ENVI").split(",")
        assert "SECRET_KEY" not in names and "PLAYGROUND_DECODE_BYTES" in names
    finally:
        pool.close()


def test_a_worker_writes_no_files(bad_pool, tmp_path):
    refusal_of(bad_pool, b"WRIT" + str(tmp_path / "out").encode())
    assert not (tmp_path / "out").exists() or (tmp_path / "out").stat().st_size == 0


def test_a_worker_imports_little(bad_pool):
    assert refusal_of(bad_pool, b"MODS") == ""


def test_a_worker_that_died_while_idle_costs_nothing(bad_pool):
    pid = worker_pid(bad_pool)
    os.kill(pid, signal.SIGKILL)
    assert bad_pool.decode(GOOD).size == photo().size
    assert worker_pid(bad_pool) != pid


def test_workers_that_were_all_killed_while_idle_cost_nothing(bad_pool):
    pool = decode_pool.Pool(2, bad_pool._command)
    try:
        pids = {worker._process.pid for worker in pool._idle}
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert pool.decode(GOOD).size == photo().size
        assert pool.decode(GOOD).size == photo().size
    finally:
        pool.close()


def test_an_image_that_ends_its_worker_is_tried_once(bad_pool):
    pool = decode_pool.Pool(2, bad_pool._command)
    try:
        before = {worker._process.pid for worker in pool._idle}
        refusal_of(pool, b"DIES")
        assert len(before & {worker._process.pid for worker in pool._idle}) == 1
    finally:
        pool.close()


def test_a_worker_that_sends_more_than_was_asked_is_not_believed(bad_pool):
    lie = decode_pool.REPLY.pack(decode_pool.DONE, 100, 100) + bytes(30_000)
    with pytest.raises(ImageError, match="had to be stopped"):
        bad_pool.decode(b"LIES" + lie, Reduction(10))


def test_workers_are_reused(bad_pool):
    assert len({worker_pid(bad_pool) for _ in range(5)}) == 1


def test_ctrl_c_does_not_reach_a_worker(bad_pool):
    pid = worker_pid(bad_pool)
    os.kill(pid, signal.SIGINT)
    assert worker_pid(bad_pool) == pid


@pytest.mark.slow
def test_requests_wait_for_a_bounded_time(bad_pool, monkeypatch):
    monkeypatch.setattr(settings, "DECODE_QUEUE_SECONDS", 0.2)
    with ThreadPoolExecutor(1) as threads:
        hanging = threads.submit(refusal_of, bad_pool, b"HANG")
        time.sleep(0.3)
        assert "at the moment; try again" in refusal_of(bad_pool, GOOD)
        assert "more than the 2 s" in hanging.result()


def test_many_threads_share_the_workers():
    files = list(pictures().values())
    with ThreadPoolExecutor(8) as threads:
        for data, picture in zip(files, threads.map(decode.decode_guarded, files), strict=True):
            np.testing.assert_array_equal(picture, decode.decode(data))


@pytest.mark.slow
def test_a_hanging_image_does_not_hold_up_the_others(bad_pool, tmp_path):
    pool = decode_pool.Pool(2, bad_pool._command)
    try:
        for _ in range(2):
            pool.decode(GOOD)
        results: list[str] = []
        hanging = threading.Thread(target=lambda: results.append(refusal_of(pool, b"HANG")))
        hanging.start()
        assert all(pool.decode(GOOD).size == photo().size for _ in range(5))
        hanging.join()
        assert "more than" in results[0]
    finally:
        pool.close()


@pytest.mark.slow
def test_an_image_that_takes_long_to_decode_is_given_up(monkeypatch):
    monkeypatch.setattr(settings, "DECODE_SECONDS", 1)
    pool = decode_pool.Pool(1)
    try:
        assert "more than the 1 s allowed" in refusal_of(pool, many_scans(5000))
        assert pool.decode(pictures()["png"]).size == photo().size
    finally:
        pool.close()


def test_without_workers_there_is_a_sentence(caplog):
    pool = decode_pool.Pool(1, [sys.executable, "-c", "pass"])
    assert "can't decode images at the moment" in refusal_of(pool, pictures()["png"])
    assert "no image can be decoded" in caplog.text
    pool.close()
    assert "can't decode images at the moment" in refusal_of(pool, pictures()["png"])


PARENT = """
import os, signal, sys, time
from core.imaging import decode, decode_pool
pool = decode_pool.shared()
decode.decode_guarded(sys.stdin.buffer.read())
print(*[worker._process.pid for worker in pool._workers], flush=True)
{then}
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")
@pytest.mark.parametrize(
    "then",
    ["pass", "sys.exit(3)", "os.kill(os.getpid(), signal.SIGKILL)", "os.kill(os.getpid(), signal.SIGTERM)",
     "os.kill(os.getpid(), signal.SIGINT)", "raise RuntimeError"],
)  # fmt: skip
def test_workers_end_with_their_program(then):
    result = subprocess.run(
        [sys.executable, "-c", PARENT.format(then=then)],
        input=pictures()["png"],
        capture_output=True,
        cwd=ROOT,
        timeout=60,
    )
    workers = [int(pid) for pid in result.stdout.split()]
    assert len(workers) == settings.DECODE_WORKERS
    deadline = time.monotonic() + 10
    while any(_runs(pid) for pid in workers):
        assert time.monotonic() < deadline, "a worker outlived its program"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
