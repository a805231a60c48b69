"""Files in object stores, by URLs such as ``s3://bucket/folder/image.jpg`` and ``gs://bucket/folder``."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from typing import Any

from core.errors import CollectionError, UserError

_SCHEMES = ("s3://", "gs://")
_SECOND = 10**9
# Of Google's library, which otherwise tries for a quarter of an hour.
_RETRY_SECONDS = 60


def is_object(path: str) -> bool:
    """Whether a path is the URL of a file or folder in an object store."""
    return path.startswith(_SCHEMES)


def filesystem(path: str) -> tuple[Any, str]:
    """The ``pyarrow.fs.FileSystem`` of a path and the path in it; also of a path on this machine.

    Credentials, region and endpoint come from the environment, such as ``AWS_ACCESS_KEY_ID`` and ``AWS_ENDPOINT_URL``.

    Raises
    ------
    OSError, ValueError : the URL can't be used, or the store does not answer.
    """
    from pyarrow.fs import LocalFileSystem

    if not is_object(path):
        return LocalFileSystem(), path
    scheme, _, inside = path.partition("://")
    return _store(scheme, inside.partition("/")[0]), inside.rstrip("/")


@lru_cache(maxsize=32)
def _store(scheme: str, bucket: str) -> Any:
    from pyarrow.fs import FileSystem, GcsFileSystem

    if not bucket:
        raise ValueError("the URL names no bucket")
    if scheme == "gs":
        return GcsFileSystem(retry_time_limit=timedelta(seconds=_RETRY_SECONDS))
    return FileSystem.from_uri(f"{scheme}://{bucket}")[0]


@contextmanager
def storage_errors(
    kind: type[UserError] = CollectionError, what: str = "it can't be read from the object store"
) -> Iterator[None]:
    """Raise errors of a disk or an object store as errors that a user can read."""
    import pyarrow as pa

    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0][:300]
        raise kind(f"{what}: {(reason or type(error).__name__).rstrip('.')}") from error


def info(path: str) -> Any:
    """The ``pyarrow.fs.FileInfo`` of a file.

    Raises
    ------
    FileNotFoundError : there is no such file.
    CollectionError : the store does not answer.
    """
    from pyarrow.fs import FileType

    with storage_errors():
        files, inside = filesystem(path)
        found = files.get_file_info(inside)
    if found.type != FileType.File:
        raise FileNotFoundError(errno.ENOENT, "file not found")
    return found


def mtime_ns(info: Any) -> int:
    """The time of the last change, in whole seconds: some answers of a store have no more."""
    return (info.mtime_ns or 0) // _SECOND * _SECOND


def read(path: str) -> bytes:
    """The bytes of a file; raises as :func:`info`."""
    with storage_errors():
        files, inside = filesystem(path)
        with files.open_input_stream(inside) as file:
            return bytes(file.read())


def is_folder(path: str) -> bool:
    """Whether there is a folder; raises as :func:`info`."""
    from pyarrow.fs import FileType

    with storage_errors():
        files, inside = filesystem(path)
        return bool(files.get_file_info(inside).type == FileType.Directory)


def walk(path: str) -> Iterator[tuple[str, Any]]:
    """The URLs of all files below a folder, with their ``FileInfo``, by name.

    Raises
    ------
    FileNotFoundError : there is no such folder.
    CollectionError : the store does not answer.
    """
    from pyarrow.fs import FileSelector, FileType

    if not is_folder(path):
        raise FileNotFoundError(errno.ENOENT, "folder not found")
    with storage_errors():
        files, inside = filesystem(path)
        found = files.get_file_info(FileSelector(inside, recursive=True))
    scheme = path.partition("://")[0]
    for one in sorted(found, key=lambda one: one.path):
        if one.type == FileType.File:
            yield f"{scheme}://{one.path}", one
