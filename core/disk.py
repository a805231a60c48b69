"""Space on disks, which are refused before they are full so that what they hold can still be changed and removed, and syncing of folders."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import DiskError
from core.settings import settings


def require(folder: Path, needed: int = 0) -> None:
    """See to it that so many bytes more leave ``settings.MIN_FREE_BYTES`` on the disk of a folder, which need not exist yet.

    Raises
    ------
    DiskError : they don't.
    """
    there = next((place for place in (folder, *folder.absolute().parents) if place.exists()), None)
    if there is None:
        return
    free = shutil.disk_usage(there).free
    if free - needed < settings.MIN_FREE_BYTES:
        raise DiskError(
            f"The server's disk is nearly full: {free / 1e6:,.0f} MB are free, {needed / 1e6:,.1f} MB are to be written, and "
            f"{settings.MIN_FREE_BYTES / 1e6:,.0f} MB are kept free. Free some space, or lower PLAYGROUND_MIN_FREE_BYTES."
        )


def link(source: Path, target: Path) -> None:
    """Give a file another name, or copy it where the file system has no hard links; raises OSError."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        shutil.copyfile(source, target)
        with target.open("rb") as file:
            os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush the names of new files in a folder to the disk, before anything relies on them; raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file beside its place and rename it: a reader sees the old file or the new one; raises OSError."""
    with replacing(path) as beside, beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The path of a file beside another, to be written in the block. It replaces that one at the end, or is removed when the block raises."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def remove_unfinished(path: Path) -> None:
    """Remove what killed processes left of :func:`replacing` a file; the caller knows that no other process writes it."""
    for beside in path.parent.glob(f".{path.name}.*.part"):
        beside.unlink()
