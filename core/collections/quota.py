"""How much may be uploaded: bytes and images, for each collection and for all of them.

The files in the folders of uploads count, including those of removed images that are kept.
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

# Uploads to several collections are received one after the other, since together they may exceed a limit.
_receiving = threading.Lock()


class QuotaError(CollectionError):
    """An upload that would exceed a limit."""


@dataclass
class _Usage:
    """What is uploaded already, its limits, and the prefix of their settings."""

    owner: str
    bytes: int
    images: int
    most_bytes: int
    most_images: int
    settings: str

    def take(self, size: int) -> None:
        self.bytes += size
        self.images += 1
        if self.bytes > self.most_bytes:
            self._refuse(f"take more than the {self.most_bytes / 1e6:,.6g} MB", "BYTES")
        if self.images > self.most_images:
            self._refuse(f"be more than the {self.most_images:,} images", "PICTURES")

    def _refuse(self, what: str, setting: str) -> None:
        raise QuotaError(
            f"With this, the uploads of {self.owner} would {what} allowed, so nothing of it was added. Send less, delete removed "
            f"images permanently, or have PLAYGROUND_{self.settings}_{setting} raised."
        )


class Quota:
    """What may still be uploaded to a collection, given its folder of uploads."""

    def __init__(self, uploads: Path):
        usage = dict(_usage(uploads.parent.parent))
        own_bytes, own_images = usage.get(uploads.parent.name, (0, 0))
        limits = settings.MAX_UPLOAD_BYTES, settings.MAX_UPLOAD_PICTURES
        limits_of_all = settings.MAX_ALL_UPLOAD_BYTES, settings.MAX_ALL_UPLOAD_PICTURES
        all_bytes, all_images = (sum(values[i] for values in usage.values()) for i in (0, 1))
        self._usage = (
            _Usage("this collection", own_bytes, own_images, *limits, "MAX_UPLOAD"),
            _Usage("all collections of this server", all_bytes, all_images, *limits_of_all, "MAX_ALL_UPLOAD"),
        )

    def take(self, size: int) -> None:
        """Count a new image of so many bytes; raises QuotaError if that exceeds a limit."""
        for usage in self._usage:
            usage.take(size)


@contextmanager
def receiving(uploads: Path, progress: Progress) -> Iterator[Quota]:
    """The quota of a folder of uploads; no other upload to this process is received until the block ends."""
    while not _receiving.acquire(timeout=0.2):
        # So that it can be cancelled while it waits.
        progress.step(0)
    try:
        yield Quota(uploads)
    finally:
        _receiving.release()


def _usage(collections: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Bytes and number of the uploads of each collection."""
    with suppress(OSError), os.scandir(collections) as folders:
        for folder in folders:
            sizes = []
            # Entries that disappear or are no collections do not count.
            with suppress(OSError), os.scandir(Path(folder.path) / servable_files.UPLOADS) as entries:
                for entry in entries:
                    with suppress(OSError):
                        sizes.append(entry.stat(follow_symlinks=False).st_size)
            yield folder.name, (sum(sizes), len(sizes))
