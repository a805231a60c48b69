"""Backups: a collection as one archive, which can be restored in another folder, machine or kind of database.

A tar archive of ``collection.json``, ``catalog.sqlite`` (whatever database the catalog is in), the valid vectors, the index, the
uploaded images as ``uploads/<sha256>``, and last ``manifest.json`` with sizes and checksums. Projections and exports are left out.
"""

import fcntl
import hashlib
import io
import os
import re
import sqlite3
import tarfile
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from core import access, disk
from core.collections import catalog, schema, verify
from core.collections.catalog import Catalog
from core.collections.collection import Collection
from core.collections.index import engines
from core.collections.lifecycle import building
from core.collections.state import DESCRIPTION, About, State, describe, parse_about, parse_manifest
from core.collections.uploads import LimitedReads
from core.data.image_sources import KINDS, ImageSource
from core.errors import CollectionError, UserError
from core.imaging import servable_files
from core.progress import Progress, Silent
from core.settings import settings

FORMAT = 1
_MANIFEST, _CATALOG = "manifest.json", "catalog.sqlite"
_NAMES = re.compile(rf"{_MANIFEST}|{_CATALOG}|{DESCRIPTION}|vectors-\d+\.bin|index-[0-9a-f]+\.faiss")
_CHUNK = 1 << 20
_ROWS = 1_000
# The most bytes of a manifest; headers are read in one piece too.
_MOST_JSON = 1 << 20
# How often a backup starts again while other processes change the collection.
_ATTEMPTS = 5


class BackupError(CollectionError):
    """An archive that can't be written or restored."""


@dataclass(frozen=True)
class Backup:
    """What a backup holds.

    images : in the catalog; uploads : files of uploaded images; missing : how many files of uploads do not exist; size : of the archive
    in bytes.
    """

    images: int
    uploads: int
    missing: int
    size: int


class _Manifest(BaseModel):
    """The last file of an archive; files : size and SHA-256 by name, without uploads."""

    model_config = ConfigDict(strict=True)

    name: str
    files: dict[str, list[Any]]
    uploads: int


class _ChangedError(Exception):
    """A file disappeared while it was being read, since the collection was changed."""


def write(collection: Collection, path: Path, progress: Progress | None = None) -> Backup:
    """Write a collection into an archive, which appears when it is complete; the collection may be changed in the meantime.

    Raises
    ------
    BackupError : the file exists, another backup is writing it, or the collection lacks a file.
    CollectionError : the storage fails.
    """
    if path.exists():
        kind = "folder" if path.is_dir() else "file"
        raise BackupError(f"There is a {kind} {path.name!r} already; choose another name.")
    if not path.absolute().parent.is_dir():
        raise BackupError(
            f"There is no folder {str(path.parent)!r} to write {path.name!r} into; create it first."
        )
    with catalog.storage_errors(), _appearing(path) as file:
        for _ in range(_ATTEMPTS):
            try:
                file.seek(0)
                file.truncate()
                return _write(collection, file, progress or Silent())
            except _ChangedError:
                continue
        raise BackupError(
            f"The collection {collection.about.name!r} lacks a file, or changes too often; `playground collection verify` says which, "
            "or try again later."
        )


def restore(
    path: Path, name: str | None = None, folder: Path | None = None, progress: Progress | None = None
) -> str:
    """Create a collection from an archive, with a new identifier and a catalog as in the settings, and return its name.

    Parameters
    ----------
    name : of the new collection; default: that of the old one.
    folder : the folder of collections; default: that of the settings.

    Raises
    ------
    BackupError : the archive is damaged, or not a backup.
    CollectionError : the name is taken or not allowed, or the storage fails.
    AccessError : this process is a read-only server.
    """
    access.require_full("restore a collection")
    folder, progress = folder or settings.COLLECTIONS_DIR, progress or Silent()
    try:
        size = path.stat().st_size
        disk.require(folder, size)
        with path.open("rb") as file:
            members = _Members(file, path.name)
            about = _about(members, path.name)
            about = about.model_copy(
                update={
                    "name": name or about.name,
                    "uuid": uuid.uuid4().hex,
                    "catalog": "postgresql" if settings.CATALOG_URL else "sqlite",
                }
            )
            progress.stage("restoring", size)
            with building(folder, about) as (place, created):
                _unpack(members, place, path.name, progress)
                _fill(place, about, created, members, path.name)
    except OSError as error:
        raise BackupError(
            f"The archive {path.name!r} can't be restored: {error.strerror or error}."
        ) from None
    return about.name


@contextmanager
def _appearing(path: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name when the block ends, and is removed when it raises."""
    part = path.with_name(f".{path.name}.part")
    # A file left by a killed backup is overwritten once the lock shows that no other backup writes it.
    with part.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not part.exists() or part.stat().st_ino != os.fstat(file.fileno()).st_ino:
                raise BlockingIOError
        except BlockingIOError:
            raise BackupError(
                f"Another backup is writing {path.name!r}; wait until it has finished."
            ) from None
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if path.exists():
                raise BackupError(f"There is a file {path.name!r} already; choose another name.")
            part.rename(path)
            disk.sync_folder(path.parent)
        finally:
            part.unlink(missing_ok=True)


def _write(collection: Collection, file: IO[bytes], progress: Progress) -> Backup:
    folder, about = collection.folder, collection.about
    with tempfile.TemporaryDirectory(dir=settings.SCRATCH_DIR, prefix="backup-") as scratch:
        copied = Path(scratch, _CATALOG)
        with collection.frozen() as (connection, state):
            vectors = state.vectors(folder, about)
            parts = {state.vector_file: (vectors.path, state.rows * vectors.row_bytes)} if state.rows else {}
            if known := state.index_file:
                parts[known.file] = (folder / known.file, known.size)
            # Opened while the catalog names them: files that are removed later can still be read.
            opened = {name: (_open(place), size) for name, (place, size) in parts.items()}
            try:
                _require_whole(collection, connection, state)
                with closing(Catalog(copied, create=True)) as target:
                    target.fill(connection)
                    if state.engine != engines.DEFAULT:
                        target.write(_without_server, state)
                    images = target.read(catalog.counts)[schema.INDEXED]
                    names = target.read(_uploads)
                needed = sum(size for _, size in opened.values()) + copied.stat().st_size
                disk.require(Path(file.name).parent, needed)
                progress.stage("writing", len(opened) + len(names) + 2)
                with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
                    listed = {DESCRIPTION: _add_bytes(archive, DESCRIPTION, describe(about))}
                    with copied.open("rb") as file_:
                        listed[_CATALOG] = _add(archive, _CATALOG, file_, copied.stat().st_size)
                    progress.step(2)
                    for name, (source, size) in opened.items():
                        listed[name] = _add(archive, name, source, size)
                        progress.step()
                    missing = _add_uploads(archive, folder, names, progress)
                    if missing and collection.state.version != state.version:
                        raise _ChangedError
                    manifest = _Manifest(name=about.name, files=listed, uploads=len(names) - missing)
                    _add_bytes(archive, _MANIFEST, describe(manifest, FORMAT))
            finally:
                for source, _ in opened.values():
                    source.close()
    return Backup(images, len(names) - missing, missing, file.seek(0, os.SEEK_END))


def _without_server(connection: sa.Connection, state: State) -> None:
    """Leave the index out that a server has: it is built again where the backup is restored."""
    connection.execute(sa.delete(schema.outbox))
    catalog.set_fact(
        connection,
        "state",
        replace(state, kind="auto", index=None, engine=engines.DEFAULT).to_json(),
    )


def _require_whole(collection: Collection, connection: sa.Connection, state: State) -> None:
    """Raise BackupError if what is stored could not be restored."""
    try:
        found = verify.storage_problems(connection, collection.engine(state), state)
        problem = next(found, None)
    except FileNotFoundError:
        raise _ChangedError from None
    if problem is not None:
        if collection.state.version != state.version:
            raise _ChangedError
        raise BackupError(
            f"The collection {collection.about.name!r} is damaged and was not backed up: {problem}"
        )


def _uploads(connection: sa.Connection) -> list[str]:
    """The paths of all uploaded files that a catalog needs; unreadable ones were not kept."""
    column = schema.images.c.path
    uploaded = sa.and_(
        column.startswith(f"{servable_files.UPLOADS}/"), schema.images.c.state != schema.FAILED
    )
    query = sa.select(column).where(uploaded).order_by(column)
    return [path for path in connection.scalars(query) if servable_files.is_upload(path)]


def _add_uploads(archive: tarfile.TarFile, folder: Path, names: list[str], progress: Progress) -> int:
    """Add uploaded files, and return how many do not exist."""
    missing = 0
    for name in names:
        try:
            with (folder / name).open("rb") as source:
                _add(archive, name, source, os.fstat(source.fileno()).st_size)
        except FileNotFoundError:
            missing += 1
        progress.step()
    return missing


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise _ChangedError from None


def _add_bytes(archive: tarfile.TarFile, name: str, data: bytes) -> list[Any]:
    return _add(archive, name, io.BytesIO(data), len(data))


def _add(archive: tarfile.TarFile, name: str, source: IO[bytes], size: int) -> list[Any]:
    """Add the first bytes of a file, and return their number and SHA-256."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    reader = _Hashing(source)
    try:
        archive.addfile(member, reader)  # type: ignore[arg-type]
    except OSError as error:
        if error.errno is None:
            raise BackupError(
                f"The file {name!r} is too short; see `playground collection verify`."
            ) from None
        raise
    return [size, reader.digest.hexdigest()]


class _Hashing:
    """A file that is hashed while it is read."""

    def __init__(self, file: IO[bytes]):
        self._file, self.digest = file, hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


class _Members:
    """The members of an untrusted archive, one after the other; each must be a file that a backup may hold."""

    def __init__(self, file: IO[bytes], name: str):
        self._name, self.seen = name, set[str]()
        with self._refusing():
            # Headers are read in one piece, whatever size they declare.
            reader: Any = LimitedReads(file, 2 * _MOST_JSON)
            self._archive: Any = tarfile.TarFile(fileobj=reader)

    def next(self) -> tuple[str, int, IO[bytes]] | None:
        """Name, size and content of the next member; None at the end."""
        with self._refusing():
            member = self._archive.next()
            # It would keep them all.
            self._archive.members = []
            if member is None:
                return None
            if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.sparse is not None:
                raise _damaged(self._name, f"it holds something other than files ({member.name[:80]!r})")
            if not (_NAMES.fullmatch(member.name) or servable_files.is_upload(member.name)):
                raise _damaged(self._name, f"it holds a file that no backup has ({member.name[:80]!r})")
            if member.name in self.seen:
                raise _damaged(self._name, f"it holds {member.name!r} twice")
            self.seen.add(member.name)
            return member.name, member.size, self._archive.extractfile(member)

    def read(self, content: IO[bytes], size: int) -> Iterator[bytes]:
        """The bytes of a member, a few at a time."""
        while size:
            with self._refusing():
                data = content.read(min(_CHUNK, size))
            if not data:
                raise _damaged(self._name, "it is truncated")
            size -= len(data)
            yield data

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except UserError:
            raise
        except Exception:
            # On damaged archives the library raises any class.
            raise _damaged(self._name, "it is not a backup, or it is truncated or damaged") from None


def _about(members: _Members, archive: str) -> About:
    """The manifest of the collection, which comes first."""
    found = members.next()
    if found is None or found[0] != DESCRIPTION or found[1] > _MOST_JSON:
        raise _damaged(archive, "it is not a backup of a collection")
    try:
        return parse_about(b"".join(members.read(found[2], found[1])), archive)
    except ValueError:
        raise _damaged(archive, "its description of the collection is damaged") from None


def _unpack(members: _Members, place: Path, archive: str, progress: Progress) -> None:
    """Write the files into a folder, and compare them with the manifest; the catalog gets another name."""
    listed: dict[str, list[Any]] = {}
    uploads = 0
    (place / servable_files.UPLOADS).mkdir()
    while found := members.next():
        name, size, content = found
        if name == _MANIFEST:
            break
        digest = hashlib.sha256()
        target = place / (_RESTORED if name == _CATALOG else name)
        with target.open("xb") as out:
            for data in members.read(content, size):
                digest.update(data)
                out.write(data)
                progress.step(len(data))
            out.flush()
            os.fsync(out.fileno())
        if not servable_files.is_upload(name):
            listed[name] = [size, digest.hexdigest()]
        elif name == f"{servable_files.UPLOADS}/{digest.hexdigest()}":
            uploads += 1
        else:
            raise _damaged(archive, f"the image {name!r} is damaged")
    if not found or found[1] > _MOST_JSON:
        raise _damaged(archive, "its end is missing")
    try:
        text = b"".join(members.read(found[2], found[1]))
        manifest = parse_manifest(_Manifest, text, FORMAT, f"The archive {archive!r}")
    except CollectionError as error:
        raise BackupError(str(error)) from None
    except ValueError:
        raise _damaged(archive, "its list of files is damaged") from None
    wanted = {name: known for name, known in manifest.files.items() if name != DESCRIPTION}
    wrong = sorted(name for name in listed.keys() | wanted.keys() if listed.get(name) != wanted.get(name))
    if wrong or uploads != manifest.uploads or members.next() is not None or _CATALOG not in listed:
        raise _damaged(archive, f"files are missing or damaged ({', '.join(wrong[:5]) or 'images'})")
    disk.sync_folder(place / servable_files.UPLOADS)
    disk.sync_folder(place)


# The catalog of the archive, until its rows are in that of the collection.
_RESTORED = ".restored.sqlite"


def _fill(place: Path, about: About, created: Catalog, members: _Members, archive: str) -> None:
    """Copy the rows of the archive's catalog into the collection's, and check that they agree with its files."""
    restored = place / _RESTORED
    try:
        _check_database(restored)
        with closing(Catalog(restored)) as source, source.reading() as connection:
            _check_rows(connection)
            created.fill(connection)
        with created.reading() as connection:
            state = State.read(connection)
            if state.engine != engines.DEFAULT:
                raise _damaged(archive, "its catalog names an index of a server")
            engine = engines.get(state.engine)(place, about, created)
            named = {state.vector_file} if state.rows else set()
            named |= {state.index_file.file} if state.index_file else set()
            if named != {name for name in members.seen if name.startswith(("vectors-", "index-"))}:
                raise _damaged(archive, "its catalog names other files than it holds")
            problem = next(verify.storage_problems(connection, engine, state), None)
    except (sqlite3.Error, sa.exc.SQLAlchemyError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _damaged(archive, f"its catalog is damaged ({type(error).__name__})") from None
    finally:
        for file in place.glob(f"{_RESTORED}*"):
            file.unlink()
    if problem is not None:
        raise _damaged(archive, problem)


def _check_database(path: Path) -> None:
    """Raise sqlite3.Error or ValueError if a file is not an undamaged database of plain tables."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)) as connection:
        connection.execute("PRAGMA trusted_schema=OFF")
        kinds = connection.execute("SELECT type, sql FROM sqlite_master").fetchall()
        for kind, sql in kinds:
            # Views and triggers run code of whoever created them.
            if kind not in ("table", "index") or "VIRTUAL" in str(sql).upper():
                raise ValueError(kind)
        if connection.execute("PRAGMA quick_check").fetchall() != [("ok",)]:
            raise ValueError("damaged")


def _check_rows(connection: sa.Connection) -> None:
    """Raise ValueError if a catalog holds values that no version writes; SQLite accepts any value in any column."""
    for table in (schema.images, schema.list_rows):
        kinds = {
            column.name: dict if isinstance(column.type, sa.JSON) else column.type.python_type
            for column in table.columns
        }
        rows = connection.execution_options(yield_per=_ROWS).execute(sa.select(table))
        for row in rows.mappings():
            if any(row[name] is not None and not isinstance(row[name], kind) for name, kind in kinds.items()):
                raise ValueError(table.name)
    if not isinstance(catalog.get_fact(connection, "run") or 0, int):
        raise ValueError("run")
    for record in catalog.get_fact(connection, "sources") or []:
        source = ImageSource.from_json(record)
        known = source.kind in KINDS and isinstance(record["id"], int) and isinstance(source.path, str)
        if not (
            known
            and isinstance(source.path_column, str | None)
            and isinstance(source.label_level, int | None)
        ):
            raise ValueError("sources")


def _damaged(archive: str, reason: str) -> BackupError:
    return BackupError(
        f"The archive {archive!r} was not restored: {reason.rstrip('.')}. Use another copy of the backup."
    )
