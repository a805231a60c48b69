"""Uploads, honest and hostile, and their files on disk."""

import contextlib
import io
import multiprocessing
import os
import random
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core import collections
from core.collections import Collection, ingest_images, quota, uploads
from core.collections.ingest_report import Report
from core.collections.quota import QuotaError
from core.collections.uploads import Upload, UploadError
from core.errors import CollectionError, DiskError
from core.imaging import decode
from core.jobs import Jobs
from core.progress import Silent
from core.settings import settings
from tests.collections.pixels import create, draw, open_, picture
from tests.conftest import ROOT


def png(seed: int) -> bytes:
    out = io.BytesIO()
    picture(seed).save(out, "PNG")
    return out.getvalue()


def sent(name: str, data: bytes) -> Upload:
    return Upload(name, io.BytesIO(data))


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return out.getvalue()


def photos(count: int = 6) -> dict[str, bytes]:
    """Images in two class-named folders, in the one that archives of a folder have."""
    return {f"photos/{'cat' if i % 2 else 'dog'}/{i}.png": png(i) for i in range(count)}


def add(collection: Collection, *data: bytes) -> Report:
    return collection.add_uploads([sent(f"{i}.zip", one) for i, one in enumerate(data)])


def files(collection: Collection) -> set[str]:
    folder = collection.uploads
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def reasons(collection: Collection) -> dict[str, str]:
    return {row.path: row.reason for row in collection.images("failed")}


# Use


def test_an_archive_becomes_labelled_images_that_are_found(anywhere):
    pets = create()
    report = add(pets, archive(photos()))
    assert (report.added, report.failed) == (6, 0)
    best = pets.search([picture(3)], k=1)[0][0]
    assert best.distance < 1e-3 and best.label == "cat" and best.metadata == {"name": "photos/cat/3.png"}
    assert Path(best.path).name == best.hash
    assert files(pets) == {image.hash for image in pets.images()}
    assert pets.verify() == []


def test_images_come_one_by_one_or_by_folders(folder):
    pets = create()
    report = pets.add_uploads(
        [sent("a.png", png(1)), sent("b.png", png(2)), sent("more.zip", archive(photos()))]
    )
    assert report.added == 8 - 2  # Images 1 and 2 are in the archive as well.
    report = pets.add_uploads([sent(f"holiday/{i}/{i}.png", png(i)) for i in (10, 11)])
    labels = {image.metadata["name"]: image.label for image in pets.images()}
    assert labels["holiday/10/10.png"] == "10" and labels["photos/cat/1.png"] == "cat"


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["a.png", "b.png"], [None, None]),
        (["x/a.png", "x/b.png"], [None, None]),
        (["x/a.png", "y/b.png"], ["x", "y"]),
        (["top/x/a.png", "top/y/deep/b.png"], ["x", "y"]),
        (["x/a.png", "b.png"], ["x", None]),
        (["top\\x\\a.png", "top\\y\\b.png"], ["x", "y"]),
    ],
)
def test_the_label_is_the_first_folder_that_differs_between_images(folder, names, labels):
    pets = create()
    add(pets, archive({name: png(i) for i, name in enumerate(names)}))
    found = {image.metadata["name"]: image.label for image in pets.images()}
    assert [found[name.replace("\\", "/")] for name in names] == labels


def test_the_same_archive_twice_adds_nothing(anywhere):
    pets = create()
    data = archive({**photos(), "notes.txt": b"x", "broken.png": b"\x89PNG\r\n\x1a\n"})
    first = add(pets, data)
    before, stored, embedded = pets.state, files(pets), pets.embedder.embedded
    again = add(pets, data)
    assert (first.added, first.failed) == (6, 2)
    assert (again.added, again.changed, again.unchanged, again.failed) == (0, 0, 6, 2)
    assert (pets.state.rows, files(pets), pets.embedder.embedded) == (before.rows, stored, embedded)
    assert pets.info().failures == 2


def test_a_image_that_comes_again_without_a_folder_keeps_its_label_and_name(folder):
    pets = create()
    add(pets, archive(photos()))
    report = pets.add_uploads([sent("renamed.png", png(1))])
    assert (report.added, report.unchanged) == (0, 1)
    assert ("photos/cat/1.png", "cat") in {(image.metadata["name"], image.label) for image in pets.images()}


def test_an_image_that_comes_again_alone_in_a_folder_has_its_name_as_label_where_the_level_is_chosen(folder):
    pets = create()
    add(pets, archive(photos()))
    again = archive({"duck/1.png": png(1)})
    assert pets.add_uploads([sent("again.zip", again)]).unchanged == 1
    assert pets.add_uploads([sent("again.zip", again)], label_level=1).changed == 1
    assert ("photos/cat/1.png", "duck") in {(image.metadata["name"], image.label) for image in pets.images()}


def test_purging_and_deleting_take_the_files_along(anywhere):
    pets = create()
    add(pets, archive(photos()))
    pets.remove(where=["label=cat"])
    pets.purge()
    assert len(files(pets)) == 3 == pets.info().images
    place = pets.uploads
    pets.close()
    collections.delete("pets")
    assert not place.exists()


def test_other_files_are_listed_with_the_reason_and_junk_is_not(folder):
    inner = archive({"a.png": png(50)})
    pets = create()
    report = add(
        pets,
        archive(
            {
                "a.png": png(1),
                "notes.txt": b"hello",
                "more.zip": inner,
                "broken.jpg": b"\xff\xd8\xff",
                "page.png": b"<html>",
                "__MACOSX/._a.png": b"x",
                ".DS_Store": b"x",
                "x/Thumbs.db": b"x",
                "x/": b"",
            }
        ),
    )
    assert (report.added, report.failed) == (1, 4)
    message = {Path(row.metadata.get("name") or row.path).name: row.reason for row in pets.images("failed")}
    assert (
        "not an image by its name" in message["notes.txt"] and "archive in the archive" in message["more.zip"]
    )
    # One reason in the summary of an add, which a list of all suffixes would drown.
    assert ".png" not in report.summary()
    assert "web page" in message["page.png"] and "truncated" in message["broken.jpg"]
    # What can't be read is not kept.
    assert files(pets) == {image.hash for image in pets.images()}
    assert pets.forget_failures() == 4 and pets.info().failures == 0 and pets.verify() == []


def test_a_missing_upload_is_found_by_verify(folder):
    pets = create()
    add(pets, archive(photos()))
    gone = next(pets.uploads.iterdir())
    gone.unlink()
    [problem] = pets.verify()
    assert "1 were uploaded" in problem and f"uploads/{gone.name}" in problem


# Hostile archives


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("passwd.png")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


def lying(says: int) -> bytes:
    """An archive with an image whose size is said to be another one, in both places."""
    data, real = bytearray(archive({"a.png": png(1) + b"\0" * 50_000})), len(png(1)) + 50_000
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = data.index(signature) + place
        assert struct.unpack_from("<I", data, start) == (real,)
        struct.pack_into("<I", data, start, says)
    return bytes(data)


def encrypted() -> bytes:
    data = bytearray(archive({"a.png": png(1)}))
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + place] |= 1
    return bytes(data)


def overlapping(copies: int = 60) -> bytes:
    """Many members with the same bytes, as in Fifield's bomb."""
    data = archive({"a.bmp": b"BM" + bytes(500_000)})
    start = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    listed = data[start:end] * copies
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, copies, copies, len(listed), start, 0)
    return data[:start] + listed + tail


REFUSED = {
    "zip slip": (lambda: archive({"../../evil.png": png(1)}), "leads out"),
    "zip slip with backslashes": (lambda: archive({"..\\evil.png": png(1)}), "leads out"),
    "absolute": (lambda: archive({"/etc/evil.png": png(1)}), "leads out"),
    "drive": (lambda: archive({"C:\\evil.png": png(1)}), "leads out"),
    "encrypted": (encrypted, "encrypted"),
    "bomb": (lambda: archive({f"{i}.bmp": b"BM" + bytes(600_000) for i in range(5)}), "times its size"),
    "overlapping bomb": (overlapping, "times its size|damaged"),
    "too large": (
        lambda: archive({f"{i}.png": bytes(100) + os.urandom(900) for i in range(300)}),
        "MB allowed",
    ),
    "too many": (lambda: archive({f"{i}.png": b"" for i in range(1_001)}), "1,001 files"),
    "truncated": (lambda: archive(photos())[:-30], "truncated"),
    "no archive": (lambda: b"PK\x03\x04" + b"x" * 500, "not a zip"),
    "empty": (lambda: b"", "not a zip"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_hostile_archive_is_refused_and_leaves_nothing(folder, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(settings, "MAX_ZIP_FILES", 1_000)
    monkeypatch.setattr(settings, "MAX_ZIP_BYTES", 250_000 if kind == "too large" else 2_000_000_000)
    make, expected = REFUSED[kind]
    pets = create()
    add(pets, archive(photos(2)))
    before = sorted(path for path in tmp_path.rglob("*") if "catalog" not in path.name)
    with pytest.raises(UploadError, match=expected):
        pets.add_uploads([sent("fine.png", png(77)), sent("evil.zip", make())])
    assert sorted(path for path in tmp_path.rglob("*") if "catalog" not in path.name) == before
    assert pets.info().images == 2 and pets.verify() == []


def test_a_hundred_thousand_members_cost_no_memory():
    """Refused by the length of the list, before Python makes objects of it."""
    code = """
import io, resource, struct
from core.collections import uploads
listed = struct.pack("<4s6H3I5H2I", b"PK\\x01\\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 300, 0, 0, 0, 0, 0, 0) + b"a" * 300
count = 100_000
data = listed * count
data += struct.pack("<4s4H2IH", b"PK\\x05\\x06", 0, 0, 0xFFFF, 0xFFFF, len(data), 0, 0)
file = io.BytesIO(data)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
before = peak()
try:
    list(uploads._members(uploads.Upload("many.zip", file)))
except uploads.UploadError as error:
    print(peak() - before, error)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    used, sentence = run.stdout.split(" ", 1)
    assert float(used) < 20 and "more than the 20,000 files allowed" in sentence


def test_links_and_unusual_compression_are_listed_and_not_followed(folder):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(link(), "/etc/passwd")
        file.writestr("slow.png", png(1), zipfile.ZIP_BZIP2)
        # A few bytes of this become gigabytes, which Python's library would hold in memory at once.
        file.writestr("lzma.png", png(2), zipfile.ZIP_LZMA)
        file.writestr("good.png", png(3))
    pets = create()
    assert add(pets, out.getvalue()).added == 1
    message = reasons(pets)
    assert "link" in message["0.zip/passwd.png"]
    assert "deflate" in message["0.zip/slow.png"] and "deflate" in message["0.zip/lzma.png"]


@pytest.mark.parametrize("says", [10, 40_000])
def test_a_wrong_size_affects_only_its_image(folder, says):
    pets = create()
    report = pets.add_uploads([sent("lying.zip", lying(says)), sent("b.png", png(5))])
    assert (report.added, report.failed) == (1, 1)
    assert "damaged" in reasons(pets)["lying.zip/a.png"] and len(files(pets)) == 1


def test_a_damaged_member_affects_only_itself(folder):
    data = bytearray(archive(photos(), zipfile.ZIP_STORED))
    data[data.index(b"IHDR") + 30] ^= 255
    pets = create()
    report = add(pets, bytes(data))
    assert (report.added, report.failed) == (5, 1)
    assert list(reasons(pets).values()) == ["it is damaged in the archive"]


def test_a_image_above_the_limit_is_not_unpacked(folder, monkeypatch):
    monkeypatch.setattr(settings, "MAX_IMAGE_BYTES", 5_000)
    pets = create()
    report = pets.add_uploads(
        [sent("a.zip", archive({"a.png": os.urandom(6_000)})), sent("b.png", bytes(6_000))]
    )
    assert report.failed == 2 and files(pets) == set()
    assert all("more than the 0.005 MB allowed" in reason for reason in reasons(pets).values())


def test_names_are_metadata_whatever_they_hold(anywhere):
    names = [
        "żółw 🐢.png",
        "a\x1b[31m.png",
        "x" * 900 + ".png",
        "`rm`; $(x) <b>.png",
        "CON.png",
        "dup.png",
        "a\x00b.png",
    ]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for i, name in enumerate(names):
            file.writestr(name.replace("\x00", "\x01"), png(i))
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("dup.png", png(90))
    data = out.getvalue().replace(b"a\x01b.png", b"a\x00b.png")
    pets = create()
    report = pets.add_uploads([sent("../\x00/..\\evil\x07.zip", data), sent("/etc/\x00/cron.png", png(99))])
    stored = {image.metadata["name"] for image in pets.images()}
    assert report.added + report.failed == 9 and report.added >= 8
    assert {"żółw 🐢.png", "`rm`; $(x) <b>.png", "CON.png", "dup.png", "etc/\ufffd/cron.png"} <= stored
    assert all(name.isprintable() and len(name) <= 301 for name in stored)
    assert files(pets) == {image.hash for image in pets.images()} and pets.verify() == []


@pytest.mark.slow
def test_random_damage_is_reported_or_survived(folder):
    """Bytes changed anywhere: a refusal, a listed image or none, never another error, and never a stray file."""
    choose = random.Random(0)
    whole = archive(photos(3))
    pets = create()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(choose.randint(1, 12)):
            data[choose.randrange(4, len(data))] = choose.randrange(256)
        with contextlib.suppress(UploadError):
            add(pets, bytes(data[: choose.choice((len(data), choose.randrange(len(data))))]))
    assert files(pets) == {image.hash for image in pets.images()} and pets.verify() == []


# What is left on the disk


def test_the_files_are_closed_once_they_are_on_the_disk(folder):
    pets = create()
    upload = sent("a.zip", archive(photos()))
    pets.add_uploads([upload])
    assert upload.file.closed


def test_a_full_disk_is_reported_and_leaves_no_half_file(folder, monkeypatch):
    pets = create()
    add(pets, archive(photos(2)))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(uploads.os, "fsync", full)
    with pytest.raises(CollectionError, match="No space left"):
        pets.add_uploads([sent("b.png", png(40))])
    monkeypatch.undo()
    assert len(files(pets)) == 2


class KilledSoon(Silent):
    """Ends the process a moment after some steps."""

    def __init__(self, steps: int, seconds: float):
        self.left, self.seconds = steps, seconds

    def step(self, n: int = 1) -> None:
        self.left -= n
        if self.left < 0:
            self.left = 10**9
            threading.Timer(self.seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()


def _work(folder: Path, data: bytes, steps: int, seconds: float) -> None:
    settings.COLLECTIONS_DIR, settings.CATALOG_URL = folder, None
    ingest_images._COMMIT_IMAGES = 2
    # This is about what is on the disk: the processes that decode would take longer to start than all the rest.
    decode.decode_guarded = lambda data, reduction: decode.decode(data)
    with open_() as pets:
        pets.add_uploads([sent("a.zip", data)], KilledSoon(steps, seconds))
        time.sleep(10)


@pytest.mark.slow
def test_a_killed_upload_leaves_a_clean_collection(folder):
    create().close()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.collections.test_uploads", "faiss"])
    choose = random.Random(0)
    data, stored = archive(photos(24)), []
    for steps in (0, 5, 12, 23, 24, 30, 36, 42):
        process = context.Process(target=_work, args=(folder, data, steps, choose.uniform(0, 0.01)))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        with open_() as pets:
            assert pets.verify() == []
            # Whatever is stored has its file.
            assert {image.hash for image in pets.images()} <= files(pets)
            stored.append(pets.info().images)
    assert stored[0] == 0 < stored[-1] and stored == sorted(stored)
    with open_() as pets:
        assert add(pets, data).failed == 0
        assert pets.info().images == 24 == len(files(pets)) and pets.verify() == []


# How much


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets limits such as ``few(MAX_UPLOAD_PICTURES=3)``."""

    def limit(**limits: int) -> None:
        for name, value in limits.items():
            monkeypatch.setattr(settings, name, value)

    return limit


def refused(collection: Collection, error: type[Exception], *data: bytes) -> str:
    """The sentence with which something is refused that leaves nothing behind."""
    before, stored = files(collection), [image.path for image in collection.images()]
    with pytest.raises(error) as caught:
        add(collection, *data)
    assert files(collection) == before
    assert [image.path for image in collection.images()] == stored and not reasons(collection)
    return str(caught.value)


def test_uploads_into_a_collection_have_a_limit_in_images(anywhere, few):
    few(MAX_UPLOAD_PICTURES=4)
    pets = create()
    add(pets, archive({f"{i}.png": png(i) for i in range(3)}))
    message = refused(pets, QuotaError, archive({"3.png": png(3), "4.png": png(4)}))
    assert (
        "this collection" in message and "4 images" in message and "PLAYGROUND_MAX_UPLOAD_PICTURES" in message
    )
    # What is there already takes no room, and the last place can be had.
    assert add(pets, archive({"again.png": png(0), "3.png": png(3)})).added == 1
    assert pets.info().images == 4


def test_uploads_into_a_collection_have_a_limit_in_bytes(anywhere, few):
    few(MAX_UPLOAD_BYTES=len(png(0)) + len(png(1)))
    pets = create()
    message = refused(pets, QuotaError, archive({f"{i}.png": png(i) for i in range(3)}))
    assert "PLAYGROUND_MAX_UPLOAD_BYTES" in message
    assert add(pets, archive({f"{i}.png": png(i) for i in range(2)})).added == 2


def test_uploads_of_all_collections_count_toward_the_limit_of_the_server(anywhere, few):
    few(MAX_ALL_UPLOAD_PICTURES=3)
    pets, others = create(), create("others")
    add(pets, archive({f"{i}.png": png(i) for i in range(2)}))
    message = refused(others, QuotaError, archive({f"{i}.png": png(i) for i in range(2, 4)}))
    assert "all collections" in message and "PLAYGROUND_MAX_ALL_UPLOAD_PICTURES" in message
    few(MAX_ALL_UPLOAD_PICTURES=4, MAX_ALL_UPLOAD_BYTES=sum(len(png(i)) for i in range(3)))
    assert "PLAYGROUND_MAX_ALL_UPLOAD_BYTES" in refused(
        others, QuotaError, archive({f"{i}.png": png(i) for i in range(2, 4)})
    )
    assert add(others, archive({"2.png": png(2)})).added == 1


def test_kept_files_of_uploads_count_also_if_their_images_are_removed(folder, few):
    pets = create()
    add(pets, archive({"0.png": png(0)}))
    # As those of removed images do.
    (pets.uploads / "kept").write_bytes(b"x" * 1000)
    few(MAX_UPLOAD_PICTURES=2)
    assert "2 images" in refused(pets, QuotaError, archive({"1.png": png(1)}))


def test_adding_a_folder_has_no_limit(folder, few, tmp_path):
    few(MAX_UPLOAD_PICTURES=1, MAX_UPLOAD_BYTES=1, MAX_ALL_UPLOAD_PICTURES=1, MAX_ALL_UPLOAD_BYTES=1)
    for seed in range(3):
        draw(tmp_path / "mine" / f"{seed}.png", seed)
    assert create().add([str(tmp_path / "mine")]).added == 3


def test_two_collections_that_receive_at_once_stay_below_the_limit_together(folder, few):
    few(MAX_ALL_UPLOAD_PICTURES=25)
    several = [create(f"pets-{number}") for number in range(3)]

    def send(number: int) -> bool:
        try:
            add(several[number], archive({f"{i}.png": png(20 * number + i) for i in range(20)}))
        except QuotaError:
            return False
        return True

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(send, range(3))) == [False, False, True]
    assert sum(len(files(one)) for one in several) == 20


def test_waiting_for_another_upload_can_be_cancelled(folder):
    pets = create()
    with quota._receiving:
        job = Jobs().start("upload", "Upload", lambda job: pets.add_uploads([sent("a.png", png(1))], job))
        assert not job.wait(0.5)
        job.cancel()
        assert job.wait(10) and job.state == "cancelled"
    assert files(pets) == set()


def test_a_nearly_full_disk_takes_no_uploads(anywhere, few):
    pets = create()
    few(MIN_FREE_BYTES=10**15)
    message = refused(pets, DiskError, archive({"0.png": png(0)}))
    assert "nearly full" in message and "PLAYGROUND_MIN_FREE_BYTES" in message
