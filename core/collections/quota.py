"""How much may be uploaded: bytes and pictures, for each collection and for all of them.

Counted are the files that lie in the folders of uploads, whatever became of their pictures: those of removed pictures that are kept, too.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import CollectionError
from core.imaging import servable_files
from core.progress import Progress
from core.settings import settings

# Uploads to several collections come in one after the other, since together they may be more than is allowed.
_receiving = threading.Lock()


class QuotaError(CollectionError):
    """An upload that would be more than is allowed."""


@dataclass
class _Room:
    """What lies there, how much of it there may be, and the settings that say so."""

    whose: str
    bytes: int
    pictures: int
    most_bytes: int
    most_pictures: int
    settings: str

    def take(self, size: int) -> None:
        self.bytes += size
        self.pictures += 1
        if self.bytes > self.most_bytes:
            self._refuse(f"take more than the {self.most_bytes / 1e6:,.6g} MB", "BYTES")
        if self.pictures > self.most_pictures:
            self._refuse(f"be more than the {self.most_pictures:,} pictures", "PICTURES")

    def _refuse(self, what: str, setting: str) -> None:
        raise QuotaError(
            f"With this, the uploads of {self.whose} would {what} allowed, so nothing of it was taken. Send less, delete removed "
            f"pictures for good, or let PLAYGROUND_{self.settings}_{setting} be raised."
        )


class Quota:
    """What may still come into a collection."""

    def __init__(self, uploads: Path):
        counts = dict(_counts(uploads.parent.parent))
        own = counts.get(uploads.parent.name, (0, 0))
        everyones = [sum(values) for values in zip(*counts.values(), strict=True)] or [0, 0]
        self._rooms = (
            _Room(
                "this collection",
                *own,
                settings.MAX_UPLOAD_BYTES,
                settings.MAX_UPLOAD_PICTURES,
                "MAX_UPLOAD",
            ),
            _Room(
                "all collections of this server",
                *everyones,
                settings.MAX_ALL_UPLOAD_BYTES,
                settings.MAX_ALL_UPLOAD_PICTURES,
                "MAX_ALL_UPLOAD",
            ),
        )

    def take(self, size: int) -> None:
        """Count a picture of so many bytes that was not there; raises QuotaError when that is more than is allowed."""
        for room in self._rooms:
            room.take(size)


@contextmanager
def receiving(uploads: Path, progress: Progress) -> Iterator[Quota]:
    """The quota of a collection's folder of uploads; nobody else in this process receives anything until the block ends."""
    while not _receiving.acquire(timeout=0.2):
        # So that it can be cancelled meanwhile.
        progress.step(0)
    try:
        yield Quota(uploads)
    finally:
        _receiving.release()


def _counts(collections: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Bytes and number of the uploads in each collection's folder."""
    with suppress(OSError), os.scandir(collections) as folders:
        for folder in folders:
            sizes = []
            # What goes meanwhile, or is none of ours, does not count.
            with suppress(OSError), os.scandir(Path(folder.path) / servable_files.UPLOADS) as entries:
                for entry in entries:
                    with suppress(OSError):
                        sizes.append(entry.stat(follow_symlinks=False).st_size)
            yield folder.name, (sum(sizes), len(sizes))
