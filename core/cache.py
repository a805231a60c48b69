"""What is costly to make, kept for as long as it is used."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

_T = TypeVar("_T")


class Shared:
    """Things that are costly to make: made once whoever asks, the least recently used dropped."""

    def __init__(self, most: int):
        self._most = most
        self._lock = threading.Lock()
        self._made: OrderedDict[Hashable, Any] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, make: Callable[[], _T]) -> _T:
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._made:
                    return self._made[key]
            try:
                thing = make()
                with self._lock:
                    self._made[key] = thing
                    while len(self._made) > self._most:
                        self._made.popitem(last=False)
                return thing
            finally:
                with self._lock:
                    self._making.pop(key, None)

    def clear(self) -> list[Any]:
        """Drop all things; returns them."""
        with self._lock:
            dropped = list(self._made.values())
            self._made.clear()
        return dropped
