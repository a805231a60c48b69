"""Images that visitors upload to a collection: single files, folders, or zip archives.

An archive is checked before it is unpacked, and its own claims are checked again while it is. Names from outside are never used as
paths: a file is named by the SHA-256 of its bytes, and its original name is metadata. Files are written before the catalog names them;
those that no image needs are removed by :func:`sweep`.
"""

import hashlib
import os
import re
import secrets
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO

from core import disk
from core.collections import catalog, ingest, quota, schema
from core.collections.ingest_report import Report
from core.collections.quota import Quota
from core.collections.writer import Writer
from core.data import folder_walker
from core.data.folder_walker import LeftOut, Problem
from core.data.image_sources import NAME, Entry, absolute
from core.errors import CollectionError, ImageError
from core.imaging import image_limits, servable_files
from core.models.image_embedder import Embedder
from core.progress import Progress
from core.settings import settings

_PART = ".part-"
_CHUNK = 1 << 18
_ENCRYPTED = 0x1
# Python's library unpacks others without a limit on the output of a few bytes.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst"})
# Bytes of an archive's list for an image with a very long name.
_LISTED_BYTES = 400
_LONGEST_NAME = 300


class UploadError(CollectionError):
    """An upload that is refused as a whole."""


@dataclass(frozen=True)
class Upload:
    """An uploaded file.

    name : as the client gave it, with folders; file : its bytes, closed once they are on the disk.
    """

    name: str
    file: IO[bytes]


@dataclass(frozen=True)
class SentImage:
    """An image in an upload.

    place : its name as shown, with that of its archive; size : as declared, which is a limit; open : returns its bytes; level : of the
    folder that names its label.
    """

    name: str
    place: str
    size: int
    open: Callable[[], AbstractContextManager[IO[bytes]]]
    label: str | None = None
    level: int | None = None

    @property
    def parents(self) -> tuple[str, ...]:
        """The names of its folders."""
        return tuple(_parts(self.name)[:-1])


def folder_of(collection: Path) -> Path:
    """The folder of uploads in a collection's folder."""
    return Path(absolute(str(collection))) / servable_files.UPLOADS


def add(
    writer: Writer,
    sent: Sequence[Upload],
    embedder: Callable[[], Embedder],
    progress: Progress,
    restore_removed: bool = False,
    label_level: int | None = None,
) -> Report:
    """Store the images of an upload; other files in it are listed among the collection's failures.

    Parameters
    ----------
    label_level : which level of folders names the labels, 0 for none; default: derived from the structure of each archive.

    Raises
    ------
    UploadError, QuotaError, DiskError : an archive can't be trusted, a limit is exceeded, or the disk is nearly full; nothing is stored.
    """
    sweep(writer)
    receiving, adding = progress.divide(1, 10)
    try:
        entries = _keeping_names(writer, _received(folder_of(writer.folder), sent, receiving, label_level))
        return ingest.add_files(writer, entries, embedder, adding, restore_removed)
    finally:
        sweep(writer)


def sweep(writer: Writer) -> None:
    """Remove uploaded files that the catalog does not name, such as unreadable ones and those of an upload that did not finish.

    A file whose hash the catalog names stays, also if its image was removed, so that it can be restored. Files with other names stay too.
    """
    folder = folder_of(writer.folder)
    if not folder.is_dir():
        return
    names = [path.name for path in folder.iterdir()]
    kept = writer.named_uploads(names)
    for name in names:
        is_ours = name.startswith(_PART) or servable_files.is_upload(_stored(name))
        if is_ours and name not in kept:
            # A file that can't be removed now is removed next time.
            with suppress(OSError):
                (folder / name).unlink()


def inspect(
    sent: Sequence[Upload], label_level: int | None = None
) -> tuple[list[SentImage], list[LeftOut | Problem]]:
    """The images in an upload, with their labels, and all other files; nothing is unpacked.

    Raises
    ------
    UploadError : an archive can't be trusted.
    """
    images: list[SentImage] = []
    others: list[LeftOut | Problem] = []
    single: list[SentImage] = []
    for upload in sent:
        if _is_zip(upload):
            found = list(_members(upload))
            others += [one for one in found if not isinstance(one, SentImage)]
            images += _labelled([one for one in found if isinstance(one, SentImage)], label_level)
        elif out := folder_walker.left_out_part(parts := _parts(upload.name)):
            others.append(LeftOut(_plain("/".join(out))))
        else:
            name = _plain("/".join(parts))
            single.append(SentImage(name, name, _size(upload.file), partial(_rewound, upload.file)))
    images += _labelled(single, label_level)
    # A folder that is left out counts once, however many of its files were sent.
    return images, list(dict.fromkeys(others))


def _received(
    folder: Path, sent: Sequence[Upload], progress: Progress, label_level: int | None
) -> list[Entry | LeftOut | Problem]:
    """Write the images to the disk; everything is checked before the first of them."""
    entries: dict[str, Entry] = {}
    images, others = inspect(sent, label_level)
    progress.stage("receiving", len(images))
    with catalog.storage_errors(), quota.receiving(folder, progress) as room:
        folder.mkdir(exist_ok=True)
        for image in images:
            disk.require(folder, image.size)
            try:
                path = _store(folder, image, room)
            except ImageError as error:
                others.append(_problem(image.place, str(error)))
            else:
                # The same bytes under another name are one image.
                entries.setdefault(path, Entry(path, image.label, {NAME: image.name}, foreign=True))
            progress.step()
        disk.sync_folder(folder)
    for upload in sent:
        # Files on the disk need not be in memory while vectors are computed.
        upload.file.close()
    return [*entries.values(), *others]


def _keeping_names(
    writer: Writer, entries: list[Entry | LeftOut | Problem]
) -> list[Entry | LeftOut | Problem]:
    """An upload that was stored before, removed or not, keeps its name, and its label if it has none now."""
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
    # A name that a client chose must not be mistaken for the path of a stored file.
    return Problem(f"./{place}" if servable_files.is_upload(place) else place, reason)


def _store(folder: Path, image: SentImage, room: Quota) -> str:
    """Write an image to a file, which appears when it is complete, and return its path in the catalog.

    Raises
    ------
    ImageError : it is too large or damaged.
    QuotaError : it is new, and exceeds a limit.
    """
    if image.size > settings.MAX_IMAGE_BYTES:
        raise ImageError(image_limits.too_many_bytes(image.size))
    part = folder / f"{_PART}{secrets.token_hex(8)}"
    digest, left = hashlib.sha256(), image.size
    try:
        with part.open("xb") as file:
            for data in _read(image):
                left -= len(data)
                if left < 0:
                    raise ImageError("it is larger than the archive says")
                digest.update(data)
                file.write(data)
            path = folder / digest.hexdigest()
            if not path.exists():
                room.take(image.size - left)
                file.flush()
                os.fsync(file.fileno())
                part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    return _stored(path.name)


def _read(image: SentImage) -> Iterator[bytes]:
    try:
        with image.open() as source:
            while data := source.read(_CHUNK):
                yield data
    except Exception:
        # On damaged archives the library raises any class.
        raise ImageError("it is damaged in the archive") from None


def _members(upload: Upload) -> Iterator[SentImage | LeftOut | Problem]:
    """The images in an archive, and all other files.

    Raises
    ------
    UploadError : it is damaged, encrypted, too large or malicious.
    """
    name = _plain(upload.name.rpartition("/")[2])
    size = _size(upload.file)
    most = settings.MAX_ZIP_FILES
    try:
        archive = zipfile.ZipFile(LimitedReads(upload.file, most * _LISTED_BYTES))
        members = archive.infolist()
    except TooMuchError:
        raise _refusal(name, f"it lists more than the {most:,} files allowed") from None
    except Exception:
        raise _refusal(name, "it is not a zip archive, or it is truncated or damaged") from None
    if len(members) > most:
        raise _refusal(name, f"it has {len(members):,} files, more than the {most:,} allowed")
    unpacked = sum(member.file_size for member in members)
    if unpacked > settings.MAX_ZIP_BYTES:
        raise _refusal(
            name,
            f"it declares {unpacked / 1e6:,.0f} MB unpacked, more than the {settings.MAX_ZIP_BYTES / 1e6:,.0f} MB allowed",
        )
    # Compared with the whole archive, since members may share their bytes.
    if unpacked > settings.MAX_ZIP_RATIO * size:
        raise _refusal(
            name,
            f"unpacked it has {unpacked / size:,.0f} times its size, more than the {settings.MAX_ZIP_RATIO} times allowed",
        )
    for member in members:
        if _leads_out(member.filename):
            raise _refusal(name, f"it has a path that leads out of it ({_plain(member.filename)})")
        if member.flag_bits & _ENCRYPTED:
            raise _refusal(name, "it is encrypted; create one without a password")
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
            yield SentImage(inside, place, member.file_size, partial(archive.open, member))


def _why_not(member: zipfile.ZipInfo, name: str) -> str | None:
    """Why a member is refused, or None."""
    suffix = Path(name).suffix.lower()
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "it is a link or a device, not a file"
    if suffix in _ARCHIVES:
        return "it is an archive in the archive; unpack it and upload its content"
    if not folder_walker.is_picture(name):
        return "it is not an image by its name"
    if member.compress_type not in _METHODS:
        return "its compression is not supported; create the archive with deflate, which is the usual one"
    return None


def _refusal(name: str, reason: str) -> UploadError:
    return UploadError(f"The archive {name!r} was refused, and nothing of the upload was added: {reason}.")


def _labelled(images: list[SentImage], level: int | None) -> list[SentImage]:
    """The images with their labels; the level of the folders is derived from all of them if not given."""
    if level is None:
        level = folder_walker.label_level({image.parents for image in images})
    return [replace(image, label=folder_walker.label(image.parents, level), level=level) for image in images]


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"[/\\]", name) if part not in ("", ".")]


def _leads_out(name: str) -> bool:
    return (
        name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[/\\]", name) is not None or ".." in _parts(name)
    )


def _plain(name: str) -> str:
    """A name that can be shown and stored: unprintable characters are replaced, a very long name is cut at its beginning."""
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


class LimitedReads:
    """A file that raises :class:`TooMuchError` for reads of more than ``most`` bytes: libraries read the list of an archive's members at once."""

    def __init__(self, file: IO[bytes], most: int):
        self._file, self._most = file, most
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, n: int = -1) -> bytes:
        data = self._file.read(self._most + 1 if n < 0 else min(n, self._most + 1))
        if len(data) > self._most:
            raise TooMuchError
        return data
