"""Pictures that strangers send into a collection: one by one, by folders, or in zip archives.

An archive is checked before anything of it is unpacked, and what it says of itself is not believed while it is. Names from outside are never
used as paths: a file goes by the SHA-256 of its bytes, the name that it came with is metadata. Files are there before the catalog names
them; those that no stored picture needs are removed by :func:`sweep`.
"""

import hashlib
import os
import re
import secrets
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO

from core import disk
from core.collections import catalog, ingest, quota, schema
from core.collections.embedder import Embedder
from core.collections.image_sources import NAME, Entry, absolute
from core.collections.quota import Quota
from core.collections.writer import Writer
from core.data import folder_walker
from core.data.folder_walker import LeftOut, Problem
from core.errors import CollectionError, ImageError
from core.imaging import image_limits, servable_files
from core.progress import Progress
from core.settings import settings

_PART = ".part-"
_CHUNK = 1 << 18
_ENCRYPTED = 0x1
# Others are unpacked by Python's library without a limit on what comes out of a few bytes.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst"})
# Bytes that the list of a picture with a very long name takes in an archive.
_LISTED_BYTES = 400
_LONGEST_NAME = 300


class UploadError(CollectionError):
    """Something that was sent and that nothing is taken of."""


@dataclass(frozen=True)
class Upload:
    """Something that was sent.

    name : as a stranger gave it, folders in it included; file : its bytes, closed once they are on the disk.
    """

    name: str
    file: IO[bytes]


@dataclass(frozen=True)
class SentPicture:
    """A picture that is still in what was sent.

    place : of it, to be told; size : what is said of it, which is a limit; open : gives its bytes; level : of the folder that is its label.
    """

    name: str
    place: str
    size: int
    open: Callable[[], IO[bytes]]
    label: str | None = None
    level: int | None = None

    @property
    def parents(self) -> tuple[str, ...]:
        """The names of the folders that it lies in."""
        return tuple(_parts(self.name)[:-1])


def folder_of(collection: Path) -> Path:
    """Where the uploads of a collection's folder lie."""
    return Path(absolute(str(collection))) / servable_files.UPLOADS


def add(
    writer: Writer,
    sent: Sequence[Upload],
    embedder: Callable[[], Embedder],
    progress: Progress,
    restore_removed: bool = False,
    label_level: int | None = None,
) -> ingest.Report:
    """Store the pictures of what was sent.

    Raises UploadError, QuotaError or DiskError, with nothing stored, when an archive can't be trusted, it is more than may be uploaded, or the disk is
    nearly full.

    What is no picture is listed among the collection's failures.

    Parameters
    ----------
    label_level : which level of folders names the labels, 0 for none; found from the structure of each archive where not given.
    """
    sweep(writer)
    try:
        entries = _with_what_is_known(
            writer, _received(folder_of(writer.folder), sent, progress, label_level)
        )
        return ingest.add_files(writer, entries, embedder, progress, restore_removed)
    finally:
        sweep(writer)


def sweep(writer: Writer) -> None:
    """Remove uploaded files that the catalog does not name: those that can't be read, those of an upload that did not end.

    A file whose hash the catalog names stays, whatever became of its image: removals can be undone. So does what is not named as an upload.
    """
    folder = folder_of(writer.folder)
    if not folder.is_dir():
        return
    names = [path.name for path in folder.iterdir()]
    kept = writer.named_uploads(names)
    for name in names:
        ours = name.startswith(_PART) or servable_files.is_upload(_stored(name))
        if ours and name not in kept:
            # What can't be removed now is at the next time.
            with suppress(OSError):
                (folder / name).unlink()


def look(
    sent: Sequence[Upload], label_level: int | None = None
) -> tuple[list[SentPicture], list[LeftOut | Problem]]:
    """The pictures in what was sent, with their labels, and what is none or is left out; nothing is unpacked.

    Raises
    ------
    UploadError : an archive can't be trusted.
    """
    pictures: list[SentPicture] = []
    others: list[LeftOut | Problem] = []
    single: list[SentPicture] = []
    for upload in sent:
        if _is_zip(upload):
            found = list(_members(upload))
            others += [one for one in found if not isinstance(one, SentPicture)]
            pictures += _labelled([one for one in found if isinstance(one, SentPicture)], label_level)
        elif out := folder_walker.left_out_part(parts := _parts(upload.name)):
            others.append(LeftOut(_plain("/".join(out))))
        else:
            name = _plain("/".join(parts))
            single.append(SentPicture(name, name, _size(upload.file), partial(_rewound, upload.file)))
    pictures += _labelled(single, label_level)
    # What is left out counts once, however many files of it were sent.
    return pictures, list(dict.fromkeys(others))


def _received(
    folder: Path, sent: Sequence[Upload], progress: Progress, label_level: int | None
) -> list[Entry | LeftOut | Problem]:
    """Bring the pictures to the disk; everything is checked before the first of them."""
    entries: dict[str, Entry] = {}
    pictures, others = look(sent, label_level)
    progress.stage("receiving", len(pictures))
    with catalog.storage_errors(), quota.receiving(folder, progress) as room:
        folder.mkdir(exist_ok=True)
        for picture in pictures:
            disk.require(folder, picture.size)
            try:
                path = _store(folder, picture, room)
            except ImageError as error:
                others.append(_problem(picture.place, str(error)))
            else:
                # The same bytes under another name are one picture.
                entries.setdefault(path, Entry(path, picture.label, {NAME: picture.name}, foreign=True))
            progress.step()
        disk.sync_folder(folder)
    for upload in sent:
        # What is on the disk need not be in memory while vectors are made of it.
        upload.file.close()
    return [*entries.values(), *others]


def _with_what_is_known(
    writer: Writer, entries: list[Entry | LeftOut | Problem]
) -> list[Entry | LeftOut | Problem]:
    """An upload that was there, removed or not, keeps its name, and its label where it comes without one now."""
    known = writer.at([entry.path for entry in entries if isinstance(entry, Entry)])
    return [
        replace(entry, label=entry.label or old.label, metadata=old.metadata)
        if isinstance(entry, Entry)
        and (old := known.get(entry.path)) is not None
        and old.state != schema.FAILED
        else entry
        for entry in entries
    ]


def _stored(name: str) -> str:
    """The path in the catalog of a file in the folder of uploads."""
    return f"{servable_files.UPLOADS}/{name}"


def _problem(place: str, reason: str) -> Problem:
    # A name that a client chose must not be taken for the path of a stored file.
    return Problem(f"./{place}" if servable_files.is_upload(place) else place, reason)


def _store(folder: Path, picture: SentPicture, room: Quota) -> str:
    """The path in the catalog of a picture's file, which appears when it is whole.

    Raises
    ------
    ImageError : it is too large or damaged.
    QuotaError : it is not there yet, and more than may be uploaded.
    """
    if picture.size > settings.MAX_IMAGE_BYTES:
        raise ImageError(image_limits.too_many_bytes(picture.size))
    part = folder / f"{_PART}{secrets.token_hex(8)}"
    digest, left = hashlib.sha256(), picture.size
    try:
        with part.open("xb") as file:
            for data in _read(picture):
                left -= len(data)
                if left < 0:
                    raise ImageError("more comes out of it than the archive says")
                digest.update(data)
                file.write(data)
            path = folder / digest.hexdigest()
            if not path.exists():
                room.take(picture.size - left)
                file.flush()
                os.fsync(file.fileno())
                part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    return _stored(path.name)


def _read(picture: SentPicture) -> Iterator[bytes]:
    try:
        with picture.open() as source:
            while data := source.read(_CHUNK):
                yield data
    except Exception:
        # What the library raises on broken archives is any class at all.
        raise ImageError("it is damaged in the archive") from None


def _members(upload: Upload) -> Iterator[SentPicture | LeftOut | Problem]:
    """The pictures in an archive, and what in it is none or is left out.

    Raises
    ------
    UploadError : it is broken, encrypted or larger than allowed, or was made to do harm.
    """
    name = _plain(upload.name.rpartition("/")[2])
    size = _size(upload.file)
    most = settings.MAX_ZIP_FILES
    try:
        archive = zipfile.ZipFile(Sparing(upload.file, most * _LISTED_BYTES))
        members = archive.infolist()
    except TooMuchError:
        raise _refusal(name, f"it lists more than the {most:,} files allowed") from None
    except Exception:
        raise _refusal(name, "it is not a zip archive, or it is truncated or broken") from None
    if len(members) > most:
        raise _refusal(name, f"it has {len(members):,} files, more than the {most:,} allowed")
    unpacked = sum(member.file_size for member in members)
    if unpacked > settings.MAX_ZIP_BYTES:
        raise _refusal(
            name,
            f"it says that {unpacked / 1e6:,.0f} MB come out of it, more than the {settings.MAX_ZIP_BYTES / 1e6:,.0f} MB allowed",
        )
    # Held against the whole archive, since members may share their bytes.
    if unpacked > settings.MAX_ZIP_RATIO * size:
        raise _refusal(
            name,
            f"{unpacked / size:,.0f} times its size would come out of it, more than the {settings.MAX_ZIP_RATIO} times allowed",
        )
    for member in members:
        if _leads_out(member.filename):
            raise _refusal(name, f"it holds a path that leads out of it ({_plain(member.filename)})")
        if member.flag_bits & _ENCRYPTED:
            raise _refusal(name, "it is encrypted; make one without a password")
    for member in members:
        parts = _parts(member.filename)
        if out := folder_walker.left_out_part(parts):
            yield LeftOut(f"{name}/{_plain('/'.join(out))}")
            continue
        if member.is_dir() or not parts:
            continue
        inside = _plain("/".join(parts))
        place = f"{name}/{inside}"
        if reason := _why_not(member, parts[-1]):
            yield _problem(place, reason)
        else:
            yield SentPicture(inside, place, member.file_size, partial(archive.open, member))


def _why_not(member: zipfile.ZipInfo, name: str) -> str | None:
    """Why a member can't be taken."""
    suffix = Path(name).suffix.lower()
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "it is a link or a device, not a file"
    if suffix in _ARCHIVES:
        return "it is an archive in the archive; unpack it and send what is in it"
    if not folder_walker.is_picture(name):
        return "it is not a picture by its name"
    if member.compress_type not in _METHODS:
        return "it is compressed in an unusual way; make the archive with deflate, which is the usual one"
    return None


def _refusal(name: str, reason: str) -> UploadError:
    return UploadError(f"The archive {name!r} was refused, and nothing that came with it taken: {reason}.")


def _labelled(pictures: list[SentPicture], level: int | None) -> list[SentPicture]:
    """Each with the folder of its name at the level, which is found from all of them where it is not given."""
    if level is None:
        level = folder_walker.label_level({picture.parents for picture in pictures})
    return [
        replace(picture, label=folder_walker.label(picture.parents, level), level=level)
        for picture in pictures
    ]


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"[/\\]", name) if part not in ("", ".")]


def _leads_out(name: str) -> bool:
    return (
        name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[/\\]", name) is not None or ".." in _parts(name)
    )


def _plain(name: str) -> str:
    """A name as it can be shown and stored: what has no shape is replaced, what is very long is cut at its beginning."""
    shown = "".join(c if c.isprintable() else "\ufffd" for c in name)
    return shown if len(shown) <= _LONGEST_NAME else f"…{shown[-_LONGEST_NAME:]}"


def _is_zip(upload: Upload) -> bool:
    upload.file.seek(0)
    return upload.file.read(4) == b"PK\x03\x04" or upload.name.lower().endswith(".zip")


def _size(file: IO[bytes]) -> int:
    return file.seek(0, os.SEEK_END)


@contextmanager
def _rewound(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """A file from its beginning, left open."""
    file.seek(0)
    yield file


class TooMuchError(Exception):
    """More was read in one piece than allowed."""


class Sparing:
    """A file that gives no more than ``most`` bytes at a time: the list of an archive's members is read in one piece, before it can be counted."""

    def __init__(self, file: IO[bytes], most: int):
        self._file, self._most = file, most
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, n: int = -1) -> bytes:
        data = self._file.read(self._most + 1 if n < 0 else min(n, self._most + 1))
        if len(data) > self._most:
            raise TooMuchError
        return data
