"""A folder of files: on this machine, or in an object store (``s3://bucket/prefix``, ``gs://bucket/prefix``)."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from core import disk
from core.data import object_store
from core.data.object_store import storage_errors
from core.errors import ShardError


class Store:
    """The files of a folder; each is written whole or not at all.

    Parameters
    ----------
    place : a folder, which need not exist yet, or the URL of one in an object store.

    Raises
    ------
    ShardError : the object store can't be used.
    """

    def __init__(self, place: str):
        self.place = place if object_store.is_object(place) else str(Path(place).expanduser().absolute())
        self._local = not object_store.is_object(place)
        with self._errors("opened"):
            self._files, self._folder = object_store.filesystem(self.place)

    def names(self) -> set[str]:
        """The names of the files; empty where there is no such folder."""
        from pyarrow.fs import FileSelector, FileType

        with self._errors("listed"):
            found = self._files.get_file_info(FileSelector(self._folder, allow_not_found=True))
        return {info.base_name for info in found if info.type == FileType.File}

    def read(self, name: str) -> bytes:
        """The bytes of a file; raises ShardError when there is none or it can't be read."""
        with self._errors("read", name), self._files.open_input_stream(self._path(name)) as file:
            return bytes(file.read())

    @contextmanager
    def opened(self, name: str) -> Iterator[Any]:
        """A ``pyarrow.NativeFile`` to read from anywhere in it; raises as :meth:`read`."""
        with self._errors("read", name):
            file = self._files.open_input_file(self._path(name))
        with file:
            yield file

    def write(self, name: str, data: bytes) -> None:
        """Write a file in place of an older one; raises ShardError, or DiskError where the disk is nearly full."""
        with self._errors("written", name):
            if self._local:
                folder = Path(self._folder)
                disk.require(folder, len(data))
                folder.mkdir(parents=True, exist_ok=True)
                disk.replace_file(folder / name, data)
                return
            # An object appears when all of it has arrived.
            with self._files.open_output_stream(self._path(name)) as file:
                file.write(data)

    def remove(self, names: set[str]) -> None:
        """Remove files that nobody reads any more; one that can't be removed stays."""
        for name in names:
            # pyarrow also creates the folder again, which not every store can.
            with suppress(ShardError), self._errors("removed", name):
                self._files.delete_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    @contextmanager
    def _errors(self, done: str, name: str = "") -> Iterator[None]:
        where = f"{name!r} in {self.place!r}" if name else repr(self.place)
        with storage_errors(ShardError, f"{where} can't be {done}"):
            yield
