"""Work done in threads a little ahead of its use."""

from collections import deque
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
