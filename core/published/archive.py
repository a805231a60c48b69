"""Unpacking an archive that may be made by a stranger: what can't be trusted is refused, nothing is written elsewhere."""

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from core.errors import DatasetError
from core.imaging import file_types
from core.settings import settings

_CHUNK = 1 << 16
_WANTED = {".json", *file_types.SUFFIXES}
# Others are unpacked by Python's library without a limit on what comes out of a few bytes.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LONGEST = 200  # bytes of a path in it


def unpack(archive: Path, into: Path) -> None:
    """Write the images and JSON files of a zip or tar archive below an empty folder; everything else is passed over.

    Raises
    ------
    DatasetError : it is no archive, is broken, holds a path that leads out of it, or is larger than the settings allow.
    """
    try:
        members = _zip(archive) if zipfile.is_zipfile(archive) else _tar(archive)
        room = min(settings.MAX_ZIP_BYTES, settings.MAX_ZIP_RATIO * archive.stat().st_size)
        for number, (name, size, file) in enumerate(members, 1):
            if number > settings.MAX_ZIP_FILES:
                raise _refusal(archive, f"it has more than the {settings.MAX_ZIP_FILES:,} files allowed")
            room -= size
            if room < 0:
                raise _refusal(archive, "more comes out of it than is allowed")
            if file is None:
                continue
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
                raise _refusal(archive, f"it holds a path that leads out of it ({name[:80]!r})")
            if path.suffix.lower() in _WANTED and len(name.encode()) <= _LONGEST:
                _write(into / path, file, size)
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        RuntimeError,  # a zip with a password
        NotImplementedError,
        ValueError,
    ) as error:
        raise _refusal(archive, f"it is broken or no zip or tar archive ({error})") from None


def _zip(archive: Path) -> Iterator[tuple[str, int, IO[bytes] | None]]:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.is_dir() or kind not in (0, stat.S_IFREG) or member.compress_type not in _METHODS:
                yield member.filename, 0, None
                continue
            with opened.open(member) as file:
                yield member.filename, member.file_size, file


def _tar(archive: Path) -> Iterator[tuple[str, int, IO[bytes] | None]]:
    with tarfile.open(archive, "r|*") as opened:
        for member in opened:
            # Links too are passed over.
            yield member.name, member.size, opened.extractfile(member) if member.isreg() else None


def _write(path: Path, file: IO[bytes], size: int) -> None:
    """What an archive says of a size is a limit, whatever comes out of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as out:
        while size > 0 and (data := file.read(min(_CHUNK, size))):
            out.write(data)
            size -= len(data)


def _refusal(archive: Path, reason: str) -> DatasetError:
    return DatasetError(f"The archive {archive.name!r} was refused: {reason}.")
