"""Work done in threads a little ahead of its use, and threads at the end of a process."""

import atexit
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_threads(
    function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int, ahead: int
) -> Iterator[_Result]:
    """``map(function, items)`` with at most ``ahead`` results computed in advance.

    Items are taken one by one, so neither they nor the results are ever in memory together.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="ahead") as pool:
        tasks = (pool.submit(function, item) for item in items)
        waiting = deque(islice(tasks, ahead))
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(islice(tasks, 1))
                yield result
        finally:
            for task in waiting:
                task.cancel()


class NativeCalls:
    """Calls of native code that the end of a process waits for: ``with native_calls:`` around them, in one another as well.

    Python ends a daemon thread when it comes back from native code after the end has begun. Libraries built with pybind11 do not
    survive that: the process aborts. One that ends waits for the calls under way, and lets no other one begin.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        # By thread: how many blocks it is in.
        self._inside: Counter[int] = Counter()
        self._ending = False

    def __enter__(self) -> None:
        own = threading.get_ident()
        with self._changed:
            while self._ending and own not in self._inside:
                self._changed.wait()
            self._inside[own] += 1

    def __exit__(self, *_: object) -> None:
        own = threading.get_ident()
        with self._changed:
            self._inside[own] -= 1
            if not self._inside[own]:
                del self._inside[own]
                self._changed.notify_all()

    def end(self, seconds: float = 30) -> None:
        """Let no call begin, and wait for those under way, so long at most."""
        with self._changed:
            self._ending = True
            self._changed.wait_for(lambda: not self._inside, seconds)


native_calls = NativeCalls()
atexit.register(native_calls.end)
