"""One writer at a time."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import UserError


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold the right to write below a folder, which is made when missing.

    The operating system gives the right back however the process ends.

    Raises
    ------
    UserError : another process holds it, or the folder can't be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise UserError(
            f"The folder {folder.name!r} can't be written to ({error.strerror}); choose another one."
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"Another run is writing to {folder.name!r}; wait for it to end, then try again."
            ) from None
        yield


@contextmanager
def waiting(folder: Path, seconds: float) -> Iterator[None]:
    """Wait while another process or thread is in such a block for the same folder, but no longer than some seconds.

    For work that may be done twice and should not be: without the folder, or after that time, the block runs anyway.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError:
        yield
        return
    with file:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.05)
            except OSError:
                # The file system has no locks.
                break
        yield
