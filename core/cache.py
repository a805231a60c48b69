"""Values that take long to compute or to read, kept while they are used."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

_T = TypeVar("_T")
FileState = tuple[tuple[str, int, int], ...]


class Shared:
    """A cache for several threads: a value is computed once, and the least recently used one is dropped.

    An error is raised to the caller and not kept, so the next call computes again.

    Parameters
    ----------
    most : number of values that are kept.
    """

    def __init__(self, most: int):
        self._most = most
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, Any] = OrderedDict()
        self._computing: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, compute: Callable[[], _T]) -> _T:
        """The value of a key. Calls with the same key wait for the one that computes it."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return cast(_T, self._values[key])
            computing = self._computing.setdefault(key, threading.Lock())
        with computing:
            with self._lock:
                if key in self._values:
                    return cast(_T, self._values[key])
            try:
                value = compute()
                with self._lock:
                    self._values[key] = value
                    while len(self._values) > self._most:
                        self._values.popitem(last=False)
                return value
            finally:
                with self._lock:
                    self._computing.pop(key, None)

    def clear(self) -> list[Any]:
        """Drop all values; returns them."""
        with self._lock:
            dropped = list(self._values.values())
            self._values.clear()
        return dropped


def file_state(path: Path) -> FileState:
    """What changes when a file, or a file in a folder, is written: names, times and sizes; empty when there is none."""
    try:
        if path.is_dir():
            with os.scandir(path) as entries:
                stats = [(entry.name, entry.stat()) for entry in entries]
        else:
            stats = [(path.name, path.stat())]
    except OSError:
        return ()
    return tuple(sorted((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats))


def frozen(array: np.ndarray) -> np.ndarray:
    """The array, read-only: what several threads share is not written to."""
    array = array if array.flags.owndata else array.view()
    array.flags.writeable = False
    return array
