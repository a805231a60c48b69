"""The file of a catalog in SQLite: opened in a folder that can be written to or only read, and left whole when work ends."""

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import sqlalchemy as sa

_BUSY_MS = 30_000
# Copies of a catalog that changed meanwhile.
_ATTEMPTS = 5


def is_read_only(path: Path) -> bool:
    """Whether a catalog lies in a folder that can't be written to."""
    return path.is_file() and not os.access(path.parent, os.W_OK)


def engine(path: Path, *, create: bool = False, read_only: bool = False) -> sa.Engine:
    """Connections to a catalog; one that is read only has to show all of it, see :func:`opens_in_place`."""
    if read_only:
        # Without a log there is nobody who writes: SQLite may do without its lock files.
        mode = "mode=ro" if _has_log(path) else "immutable=1"
    else:
        mode = "mode=rwc" if create else "mode=rw"
    address = f"{path.resolve().as_uri()}?{mode}"
    made = sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(address, uri=True, timeout=_BUSY_MS / 1000, check_same_thread=False),
        poolclass=sa.pool.QueuePool,
    )

    @sa.event.listens_for(made, "connect")
    def _configure(connection: sqlite3.Connection, _: object) -> None:
        # Transactions are begun below, not where the driver thinks they should.
        connection.isolation_level = None
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
            # Committed is committed, even when the power goes.
            connection.execute("PRAGMA synchronous=FULL")

    @sa.event.listens_for(made, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return made


def opens_in_place(path: Path) -> bool:
    """Whether a catalog in a folder that can't be written to shows what its log holds.

    SQLite needs a second file beside the log, which is there when the writer did not end and gone when the folder was copied.
    """
    if not _has_log(path):
        return True
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        return False
    return True


def copy(path: Path) -> tempfile.TemporaryDirectory:
    """A temporary folder with a catalog of the same name and its log; gone with the object.

    Raises
    ------
    OSError : it can't be read, or there is no room for a copy.
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


def checkpoint(made: sa.Engine) -> None:
    """Bring what was committed from the log into the file, as far as others who read allow; never waits."""
    # What can't be done now is done by who opens it next.
    with suppress(sqlite3.Error, sa.exc.SQLAlchemyError):
        connection = made.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute("PRAGMA busy_timeout=0")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
        finally:
            connection.close()


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _has_log(path: Path) -> bool:
    try:
        return _log(path).stat().st_size > 0
    except FileNotFoundError:
        return False


def _stamps(path: Path) -> list[tuple[int, int]]:
    found = (file.stat() for file in (path, _log(path)) if file.exists())
    return [(stat.st_size, stat.st_mtime_ns) for stat in found]
