"""The SQLite file of a catalog, also in a folder that can only be read; it is complete without its log when work ends."""

import os
import shutil
import sqlite3
import tempfile
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

_BUSY_MS = 30_000
# How often a catalog is copied that changes in the meantime.
_ATTEMPTS = 5


def is_read_only(path: Path) -> bool:
    """Whether a catalog is in a folder that can't be written."""
    return path.is_file() and not os.access(path.parent, os.W_OK)


def engine(path: Path, *, create: bool = False, read_only: bool = False) -> sa.Engine:
    """A pool of connections to a catalog; read only, it must show all of it, see :func:`opens_in_place`."""
    if read_only:
        # Without a log no process writes, so SQLite needs no lock files.
        mode = "mode=ro" if _has_log(path) else "immutable=1"
    else:
        mode = "mode=rwc" if create else "mode=rw"
    address = f"{path.resolve().as_uri()}?{mode}"
    created = sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(address, uri=True, timeout=_BUSY_MS / 1000, check_same_thread=False),
        poolclass=sa.pool.QueuePool,
    )

    @sa.event.listens_for(created, "connect")
    def _configure(connection: sqlite3.Connection, _: object) -> None:
        # Transactions begin below, not where the driver would begin them.
        connection.isolation_level = None
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
            # A commit is durable, even if the power fails.
            connection.execute("PRAGMA synchronous=FULL")

    @sa.event.listens_for(created, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return created


def opens_in_place(path: Path) -> bool:
    """Whether a catalog in a folder that can't be written shows the content of its log.

    SQLite needs a second file beside the log. A writer that was killed leaves it; a copy of the folder may lack it.
    """
    if not _has_log(path):
        return True
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        return False
    return True


def copy(path: Path) -> tempfile.TemporaryDirectory[str]:
    """A temporary folder with a copy of a catalog and its log; it is removed with the object.

    Raises
    ------
    OSError : it can't be read, or there is no space for a copy.
    """
    folder = tempfile.TemporaryDirectory(prefix="catalog-")
    try:
        for _ in range(_ATTEMPTS):
            before = _stamps(path)
            for file in (path, _log(path)):
                with suppress(FileNotFoundError):
                    shutil.copyfile(file, Path(folder.name, file.name))
            if _stamps(path) == before:
                return folder
        raise OSError(f"{path.name} changes while it is copied")
    except BaseException:
        folder.cleanup()
        raise


def checkpoint(pool: sa.Engine) -> None:
    """Move commits from the log into the file, as far as other readers allow; never waits."""
    # The next process that opens it does what can't be done now.
    with suppress(sqlite3.Error, sa.exc.SQLAlchemyError):
        connection = pool.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute("PRAGMA busy_timeout=0")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
        finally:
            connection.close()


class Changes:
    """Counts the commits of other connections to a catalog, in some microseconds. Several threads may use it.

    Parameters
    ----------
    pool : of connections to it; one of them is taken out of it.
    """

    def __init__(self, pool: sa.Engine):
        self._pool = pool
        self._lock = threading.Lock()
        self._connection: Any = None

    def count(self) -> int:
        """A number that is another one after a commit; raises as SQLAlchemy does."""
        with self._lock:
            if self._connection is None:
                self._connection = self._pool.raw_connection()
            [number] = self._connection.driver_connection.execute("PRAGMA data_version").fetchone()
            return int(number)

    def close(self) -> None:
        """Give the connection back; it is taken again when it is needed."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _has_log(path: Path) -> bool:
    try:
        return _log(path).stat().st_size > 0
    except FileNotFoundError:
        return False


def _stamps(path: Path) -> list[tuple[int, int]]:
    stats = (file.stat() for file in (path, _log(path)) if file.exists())
    return [(stat.st_size, stat.st_mtime_ns) for stat in stats]
