"""An image of a source, read: its bytes hashed, decoded and brought to the size of a model."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from core.cache import Shared
from core.data import folder_walker, object_store
from core.data.image_sources import is_url
from core.errors import UserError
from core.imaging import decode, servable_files, transform, url_download
from core.imaging.image_limits import check_bytes
from core.imaging.transform import Reduction


class Size(Protocol):
    """What a model takes, as for :func:`core.imaging.transform.resize`."""

    size: int
    resample: str


@dataclass(frozen=True)
class Pixels:
    """An image at the size of a model, (size, size, 3) uint8, and its width and height before; None if those are not known."""

    array: np.ndarray
    width: int | None
    height: int | None


@dataclass(frozen=True)
class Read:
    """What was read: a content, or the reason why there is none.

    sha256 : of the bytes; size, mtime_ns : of the file, None of a URL; pixels : None if the content is the known one.
    """

    sha256: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    pixels: Pixels | None = None
    reason: str | None = None


def read(
    path: str,
    wanted: Size,
    decoded: Shared,
    *,
    foreign: bool = False,
    known: str | None = None,
    folder: Path = Path(),
) -> Read:
    """Read an image.

    Parameters
    ----------
    path : of a file, or a URL.
    decoded : the pixels of the last contents, by hash: copies are mostly side by side.
    foreign : decode it in a process that may die.
    known : the hash of a content that need not be decoded.
    folder : of the collection whose upload it may be.
    """
    size = mtime_ns = None
    try:
        if is_url(path):
            data = url_download.fetch_image(path)
        elif object_store.is_object(path):
            info = object_store.info(path)
            size, mtime_ns = info.size, object_store.mtime_ns(info)
            check_bytes(size)
            data = object_store.read(path)
        else:
            file = servable_files.located(path, folder)
            stat = file.stat()
            size, mtime_ns = stat.st_size, stat.st_mtime_ns
            if what := folder_walker.special(stat.st_mode):
                # Opening it could wait forever.
                raise UserError(f"it is {what}, not a file")
            # Before it is read: reading takes the memory that the limit protects.
            check_bytes(size)
            data = file.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest == known:
            return Read(digest, size, mtime_ns)
        pixels = decoded.get(digest, lambda: _pixels(data, foreign, wanted))
        return Read(digest, size, mtime_ns, pixels)
    except UserError as error:
        reason = str(error)
    except OSError as error:
        reason = error.strerror or "it can't be read"
    return Read(size=size, mtime_ns=mtime_ns, reason=reason)


def status(path: str, folder: Path = Path()) -> tuple[int | None, int | None]:
    """Size and time of the last change of a file as :func:`read` gives them, without reading it; None of a URL.

    Raises
    ------
    OSError, UserError : there is no such file.
    """
    if is_url(path):
        return None, None
    if object_store.is_object(path):
        info = object_store.info(path)
        return info.size, object_store.mtime_ns(info)
    stat = servable_files.located(path, folder).stat()
    return stat.st_size, stat.st_mtime_ns


def _pixels(data: bytes, foreign: bool, wanted: Size) -> Pixels:
    # The user's own files are decoded here; uploads and downloads in a process that may die, and that tells no size.
    if foreign:
        image = decode.decode_guarded(data, Reduction(wanted.size, wanted.resample))
        width = height = None
    else:
        image = decode.decode(data)
        width, height = image.size
    return Pixels(transform.resize(image, wanted.size, wanted.resample), width, height)
