"""Pictures that are small files and large work: refused by their header, and reduced where they are decoded."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from core.errors import ImageError
from core.imaging import decode, image_limits, transform
from core.imaging.transform import Reduction
from core.settings import settings
from tests.hostile import HEIC, edited, encoded, pictures

ROOT = Path(__file__).resolve().parents[2]
# The most that a format can say, or as much as makes the file of some kilobytes.
EXTREME = {
    "png wide": ((30_000_000, 1), "PNG", {}),
    "png tall": ((1, 30_000_000), "PNG", {}),
    "gif wide": ((65_535, 1), "GIF", {}),
    "gif tall": ((1, 65_535), "GIF", {}),
    "tiff wide": ((30_000_000, 1), "TIFF", {"compression": "tiff_adobe_deflate"}),
    "tiff tall": ((2, 1_000_000), "TIFF", {"compression": "tiff_adobe_deflate"}),
    "webp wide": ((16_383, 1), "WEBP", {"lossless": True}),
    "webp tall": ((1, 16_383), "WEBP", {"lossless": True}),
    "bmp wide": ((30_000_000, 1), "BMP", {}),
    "bmp tall": ((1, 1_000_000), "BMP", {}),
    "jpeg wide": ((65_500, 8), "JPEG", {}),
    "jpeg tall": ((8, 65_500), "JPEG", {}),
}
if features.check("avif"):
    EXTREME["avif wide"] = ((20_000, 16), "AVIF", {"speed": 10})


def extreme(name: str) -> bytes:
    size, kind, options = EXTREME[name]
    mode = "1" if kind in ("PNG", "BMP", "TIFF") else "L"
    return encoded(Image.new(mode, size), kind, **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXTREME)
def test_an_image_that_is_too_long_is_refused_with_the_limit(name):
    (width, height), _, _ = EXTREME[name]
    data, sentences = extreme(name), []
    assert len(data) < settings.MAX_IMAGE_BYTES
    for function in (decode.decode, decode.decode_guarded):
        with pytest.raises(ImageError, match=rf"{width} x {height} pixels.*(65500|200)") as refusal:
            function(data)
        sentences.append(str(refusal.value))
    assert sentences[0] == sentences[1]


def test_heic_that_is_too_long_is_refused_with_the_limit():
    data = edited(HEIC, b"ispe", 8, (30_000_000).to_bytes(4) + (1).to_bytes(4))
    for function in (decode.decode, decode.decode_guarded):
        with pytest.raises(ImageError, match=r"30000000 x 1 pixels .* 65500"):
            function(data)


@pytest.mark.parametrize(("size", "fine"), [((400, 2), True), ((2, 400), True), ((401, 2), False)])
def test_the_longer_side_may_be_200_times_the_shorter_one(size, fine):
    data = encoded(Image.new("RGB", size), "PNG")
    for function in (decode.decode, decode.decode_guarded):
        if fine:
            assert function(data).size == size
        else:
            with pytest.raises(ImageError, match="200 times the shorter"):
                function(data)


def test_the_longer_side_has_a_limit(monkeypatch):
    assert settings.MAX_IMAGE_SIDE == 65_500
    monkeypatch.setattr(settings, "MAX_IMAGE_SIDE", 100)
    assert decode.decode(encoded(Image.new("L", (100, 100)), "PNG")).size == (100, 100)
    with pytest.raises(ImageError, match="101 x 100 pixels is too long"):
        decode.decode(encoded(Image.new("L", (101, 100)), "PNG"))


def test_a_file_a_little_above_the_limit_does_not_read_like_the_limit():
    image_limits.check_bytes(settings.MAX_IMAGE_BYTES)
    with pytest.raises(ImageError, match=r"20\.1 MB is more than the 20 MB allowed"):
        image_limits.check_bytes(settings.MAX_IMAGE_BYTES + 1)


@pytest.mark.parametrize("name", pictures())
def test_reducing_in_a_worker_changes_no_bit(name):
    data, box = pictures()[name], (0.1, 0.3, 0.8, 0.9)
    plain = decode.decode(data)
    for resample in ("nearest", "bilinear", "bicubic"):
        for region, expected in ((None, plain), (box, transform.crop(plain, box))):
            reduced = decode.decode_guarded(data, Reduction(20, resample, region))
            assert reduced.size == (20, 20)
            np.testing.assert_array_equal(
                transform.resize(reduced, 20, resample), transform.resize(expected, 20, resample)
            )
    reduced = decode.decode_guarded(data, Reduction(30))
    assert max(reduced.size) == 30
    assert transform.thumbnail(reduced, 30) == transform.thumbnail(plain, 30)


def test_a_small_image_is_not_enlarged_to_a_thumbnail():
    data = pictures()["png"]
    np.testing.assert_array_equal(decode.decode_guarded(data, Reduction(320)), decode.decode(data))


def test_a_file_is_read_reduced(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(pictures()["png"])
    reduced = decode.read(path, Reduction(20, "bilinear"))
    np.testing.assert_array_equal(reduced, transform.resize(decode.read(path), 20, "bilinear"))


# Prints by how many megabytes the most memory of this process and its workers grows while eight threads decode a file.
MEASURED = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from core.errors import ImageError
from core.imaging import decode, transform
from core.imaging.transform import Reduction

def processes():
    found = [os.getpid()]
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if parent == os.getpid():
            found.append(int(path.parent.name))
    return found

def most(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000

def work(data):
    try:
        transform.resize(decode.decode_guarded(data, Reduction(224, "bilinear")), 224, "bilinear")
    except ImageError:
        pass

with ThreadPoolExecutor(8) as threads:
    list(threads.map(work, [Path(sys.argv[1]).read_bytes()] * 16))
    pids = processes()
    for pid in pids:
        # From here on its most is what it has now.
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    before = [most(pid) for pid in pids]
    for name in sys.argv[2:]:
        list(threads.map(work, [Path(name).read_bytes()] * 8))
    print(*(most(pid) - start for pid, start in zip(pids, before)))
"""


def measured(tmp_path, **files: bytes) -> list[float]:
    """Megabytes that are added to this server and to each of its workers by eight of each file at once."""
    small = tmp_path / "small"
    small.write_bytes(pictures()["png"])
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    run = subprocess.run(
        [sys.executable, "-c", MEASURED, str(small), *(str(tmp_path / name) for name in files)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        timeout=120,
    )
    return [float(number) for number in run.stdout.split()]


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="Linux tells the most memory of a process"
)
def test_eight_extreme_images_at_once_take_little_memory(tmp_path):
    grown = measured(tmp_path, **{name: extreme(name) for name in EXTREME})
    assert len(grown) == 1 + settings.DECODE_WORKERS
    assert sum(grown) < 300


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="Linux tells the most memory of a process"
)
def test_eight_of_the_largest_images_at_once_stay_in_the_workers(tmp_path):
    largest = encoded(Image.new("1", (8000, 6250)), "PNG")
    server, *workers = measured(tmp_path, largest=largest)
    assert server < 50
    assert max(workers) * 1e6 < settings.DECODE_BYTES
