"""Files in object stores, by URLs such as ``s3://bucket/folder/image.jpg`` and ``gs://bucket/folder``, and on this machine."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from core.errors import CollectionError, UserError

_SCHEMES = ("s3://", "gs://")


def is_object(path: str) -> bool:
    """Whether a path is the URL of a file or folder in an object store."""
    return path.lower().startswith(_SCHEMES)


def filesystem(path: str) -> tuple[Any, str]:
    """The ``pyarrow.fs.FileSystem`` of a path and the path in it.

    Credentials, region and endpoint come from the environment, such as ``AWS_ACCESS_KEY_ID`` and ``AWS_ENDPOINT_URL``.

    Raises
    ------
    OSError, ValueError : the URL can't be parsed, or the store does not answer.
    """
    from pyarrow.fs import LocalFileSystem

    if not is_object(path):
        return LocalFileSystem(), path
    scheme, _, rest = path.partition("://")
    return _store(scheme.lower(), rest.partition("/")[0]), rest.rstrip("/")


@lru_cache(maxsize=32)
def _store(scheme: str, bucket: str) -> Any:
    from pyarrow.fs import FileSystem

    if not bucket:
        raise ValueError("the URL names no bucket")
    return FileSystem.from_uri(f"{scheme}://{bucket}")[0]


@contextmanager
def storage_errors(
    kind: type[UserError] = CollectionError, what: str = "The storage can't be used"
) -> Iterator[None]:
    """Raise errors of a disk or an object store as errors that a user can read."""
    import pyarrow as pa

    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = (
            getattr(error, "strerror", None)
            or str(error).strip().partition("\n")[0][:300]
            or type(error).__name__
        )
        raise kind(f"{what}: {reason.rstrip('.')}.") from error


def status(path: str) -> tuple[int, int]:
    """Size in bytes and time of the last change in nanoseconds of a file.

    Raises
    ------
    CollectionError : there is no such file, or the store does not answer.
    """
    with storage_errors(what="it can't be read from the object store"):
        files, inside = filesystem(path)
        info = files.get_file_info(inside)
        if info.size is None:
            raise FileNotFoundError(errno.ENOENT, "file not found")
        return info.size, info.mtime_ns or 0


def read(path: str) -> bytes:
    """The bytes of a file; raises as :func:`status`."""
    with storage_errors(what="it can't be read from the object store"):
        files, inside = filesystem(path)
        with files.open_input_stream(inside) as file:
            return bytes(file.read())
