"""The SQL side of a collection: what each image is, and which of the vectors are valid.

SQLite in the collection's folder by default, PostgreSQL (a schema per collection) where a URL is given. What the
catalog commits decides: rows of the vector file that it does not count do not exist.
"""

import fnmatch
import re
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from core.collections import sqlite_file
from core.errors import CatalogUnreachableError, CollectionError
from core.imaging import servable_files
from core.text import nfc

INDEXED, FAILED, REMOVED = "indexed", "failed", "removed"
# SQLite allows 32,766 parameters in a statement; fewer are as fast.
_CHUNK = 500

_tables = sa.MetaData()
images = sa.Table(
    "images",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    # A file's absolute path, ``uploads/<sha256>`` of an uploaded one (see :mod:`core.imaging.servable_files`), or a URL.
    sa.Column("path", sa.Text, nullable=False, unique=True),
    # SHA-256 of the bytes; images of the same content share a vector.
    sa.Column("hash", sa.String(64), index=True),
    sa.Column("size", sa.BigInteger),
    sa.Column("mtime_ns", sa.BigInteger),
    sa.Column("label", sa.Text, index=True),
    sa.Column("metadata", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
    # The row of the vector file. A removed image keeps the number until a compaction takes the vector away.
    sa.Column("faiss_id", sa.BigInteger, index=True),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("reason", sa.Text),
    # The source it came with, and the run that last found it there; see ``ingest.update``.
    sa.Column("source", sa.Integer, index=True),
    sa.Column("seen", sa.Integer),
    # What its folder says; a list's label counts before it.
    sa.Column("folder_label", sa.Text),
)
# The rows of remembered lists, as they were when a list was last read; see ``list_rows``.
list_rows = sa.Table(
    "list_rows",
    _tables,
    sa.Column("source", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("path", sa.Text),
    sa.Column("label", sa.Text),
    sa.Column("metadata", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
    # Why the row can't be used.
    sa.Column("problem", sa.Text),
    sa.Index("ix_list_rows_path", "path", "source", "number"),
)
# Rows of the vector file that no stored image has: searches leave them out.
holes = sa.Table(
    "holes", _tables, sa.Column("faiss_id", sa.BigInteger, primary_key=True, autoincrement=False)
)
# Checksums of the vector file, by the rows that were written together.
segments = sa.Table(
    "segments",
    _tables,
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("stop", sa.BigInteger, nullable=False),
    sa.Column("crc32", sa.BigInteger, nullable=False),
)
facts = sa.Table(
    "facts", _tables, sa.Column("name", sa.String(32), primary_key=True), sa.Column("value", sa.JSON)
)
schema_version = sa.Table("schema_version", _tables, sa.Column("version", sa.Integer, primary_key=True))


def _make_uploads_relative(connection: sa.Connection) -> None:
    """Version 1 stored the absolute path of an uploaded file, also of a folder that has moved since."""
    columns = images.c
    old = re.compile(rf"/.*/({servable_files.UPLOADS}/([0-9a-f]{{64}}))")
    # Names that clients gave to what could not be read.
    taken = sa.select(columns.id, columns.path).where(columns.path.startswith(f"{servable_files.UPLOADS}/"))
    for row in connection.execute(taken).all():
        if servable_files.is_upload(row.path):
            connection.execute(sa.update(images).where(columns.id == row.id).values(path=f"./{row.path}"))
    query = sa.select(columns.id, columns.path, columns.hash, columns.state, columns.label)
    query = query.where(columns.source.is_(None), columns.path.like(f"/%/{servable_files.UPLOADS}/%"))
    found: dict[str, list[sa.Row]] = {}
    for row in connection.execute(query.order_by(columns.id)).all():
        parts = old.fullmatch(row.path)
        if parts and (row.hash == parts[2] or (row.hash is None and row.state != INDEXED)):
            found.setdefault(parts[1], []).append(row)
    for path, rows in found.items():
        # The same picture was uploaded again after the folder had moved.
        kept = max(rows, key=lambda row: (row.state == INDEXED, row.label is not None, row.id))
        others = [row.id for row in rows if row.id != kept.id]
        connection.execute(sa.delete(images).where(columns.id.in_(others)))
        connection.execute(sa.update(images).where(columns.id == kept.id).values(path=path))


def _compose_text(connection: sa.Connection) -> None:
    """Older versions kept labels and metadata in whatever Unicode form they came in."""
    columns = images.c
    for label in connection.scalars(
        sa.select(columns.label).where(columns.label.is_not(None)).distinct()
    ).all():
        if nfc(label) != label:
            connection.execute(sa.update(images).where(columns.label == label).values(label=nfc(label)))
    last = 0
    query = sa.select(columns.id, columns.metadata).order_by(columns.id).limit(_CHUNK)
    while rows := connection.execute(query.where(columns.id > last)).all():
        last = rows[-1].id
        for row in rows:
            composed = {
                nfc(name): nfc(value) if isinstance(value, str) else value
                for name, value in row.metadata.items()
            }
            if composed != row.metadata:
                connection.execute(sa.update(images).where(columns.id == row.id).values(metadata=composed))


def _add_list_rows(connection: sa.Connection) -> None:
    """Older versions kept of a list what its last row said of an image; with negative numbers until the list is read again."""
    list_rows.create(connection)
    connection.execute(sa.DDL("ALTER TABLE %(fullname)s ADD COLUMN folder_label TEXT").against(images))
    columns, sources = images.c, get_fact(connection, "sources") or []
    lists = [source["id"] for source in sources if source["kind"] == "list"]
    others = [source["id"] for source in sources if source["kind"] != "list"]
    connection.execute(sa.update(images).where(columns.source.in_(others)).values(folder_label=columns.label))
    kept = sa.select(columns.source, -columns.id, columns.path, columns.label, columns.metadata)
    kept = kept.where(columns.source.in_(lists), columns.state == INDEXED)
    names = ["source", "number", "path", "label", "metadata"]
    connection.execute(sa.insert(list_rows).from_select(names, kept))


# Each brings a catalog from the version before to its own. A new one is made of the tables above at the newest version, so the
# first is run by no one. Never change one that was released: add another. Name columns one by one: the tables above may have
# some that a catalog of the version before lacks.
MIGRATIONS: list[Callable[[sa.Connection], None]] = [
    _tables.create_all,
    _make_uploads_relative,
    _compose_text,
    _add_list_rows,
]


@dataclass(frozen=True)
class Image:
    """An image as the catalog knows it; ``faiss_id`` is None when it could not be read, or was removed and compacted away."""

    path: str
    hash: str | None
    size: int | None
    mtime_ns: int | None
    label: str | None
    metadata: dict[str, Any]
    faiss_id: int | None
    state: str = INDEXED
    reason: str | None = None
    source: int | None = None
    seen: int | None = None
    folder_label: str | None = None


class Catalog:
    """A connection pool to one collection's tables.

    Parameters
    ----------
    place : the SQLite file, or a URL of PostgreSQL.
    schema : PostgreSQL's schema of the collection.
    make : make the tables where there are none.
    facts : what tables that are made begin with, in the same transaction.

    Raises
    ------
    CollectionError : it can't be opened, or a newer version of the project made it.
    """

    def __init__(
        self,
        place: Path | str,
        schema: str | None = None,
        *,
        make: bool = False,
        facts: Mapping[str, Any] | None = None,
    ):
        self._place, self._schema = place, schema
        self._read_only = False
        # Of what can't be written to and can't be read as it is.
        self._copy: tempfile.TemporaryDirectory | None = None
        with storing():
            if isinstance(place, Path):
                self._read_only = sqlite_file.is_read_only(place)
                if self._read_only and not sqlite_file.opens_in_place(place):
                    self._copy = sqlite_file.copy(place)
            self._connect(make)
            try:
                self._migrate(make, facts or {})
            except BaseException:
                self._engine.dispose()
                raise

    def _connect(self, make: bool = False) -> None:
        if isinstance(self._place, Path):
            place = Path(self._copy.name, self._place.name) if self._copy else self._place
            in_place = self._read_only and self._copy is None
            self._engine = sqlite_file.engine(place, make=make, read_only=in_place)
        else:
            self._engine = _postgresql(self._place).execution_options(
                schema_translate_map={None: self._schema}, isolation_level="REPEATABLE READ"
            )
        # A process that ends without closing it leaves no log behind either.
        self._ending = weakref.finalize(self, _end, self._engine, self._is_log_written())

    def _is_log_written(self) -> bool:
        return isinstance(self._place, Path) and not self._read_only

    def _migrate(self, make: bool, facts: Mapping[str, Any]) -> None:
        found = self._version()
        if not found and not make and self._schema:
            # A process that was killed while it made the schema may have left a transaction that still commits.
            with self.reading() as connection:
                self._lock_schema(connection)
            found = self._version()
        if found > len(MIGRATIONS):
            raise CollectionError(
                f"A newer version of this project made the collection (its catalog has version {found}, this one "
                f"reads up to {len(MIGRATIONS)}); update the project."
            )
        if not found and not make:
            raise CollectionError("The catalog is empty; restore the collection from a backup.")
        if not found:
            with self.writing() as connection:
                if self._schema:
                    self._lock_schema(connection)
                    connection.execute(sa.schema.CreateSchema(self._schema, if_not_exists=True))
                _tables.create_all(connection)
                connection.execute(sa.insert(schema_version).values(version=len(MIGRATIONS)))
                for name, value in facts.items():
                    set_fact(connection, name, value)
            return
        if found < len(MIGRATIONS) and self._read_only and self._copy is None:
            self._engine.dispose()
            self._copy = sqlite_file.copy(Path(self._place))
            self._connect()
        for version in range(found + 1, len(MIGRATIONS) + 1):
            try:
                with self.writing() as connection:
                    # First, so that a second process waits here and then fails.
                    connection.execute(sa.insert(schema_version).values(version=version))
                    MIGRATIONS[version - 1](connection)
            except CollectionError:
                if self._version() < version:
                    raise

    def _lock_schema(self, connection: sa.Connection) -> None:
        """Wait for a transaction that makes the schema, and let others wait for this one."""
        connection.execute(
            sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(self._schema, 0)))
        )

    def _version(self) -> int:
        with self._engine.connect() as connection:
            if not sa.inspect(connection).has_table("schema_version", schema=self._schema):
                return 0
            return connection.execute(sa.select(sa.func.max(schema_version.c.version))).scalar() or 0

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the catalog, whatever is written meanwhile."""
        with asking(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that is kept as a whole when its block ends, and not at all when it raises."""
        with storing(), self._engine.begin() as connection:
            yield connection

    def fill(self, source: sa.Connection) -> None:
        """Copy all that another catalog of this version holds into this one, which is empty."""
        with self.writing() as connection:
            for table in _tables.sorted_tables:
                if table is schema_version:
                    continue
                rows = source.execute(sa.select(table).execution_options(yield_per=_CHUNK))
                for part in rows.mappings().partitions():
                    connection.execute(sa.insert(table), [dict(row) for row in part])
            if self._schema:
                # Numbers that were given go past PostgreSQL's own count.
                last = connection.scalar(sa.select(sa.func.max(images.c.id))) or 0
                counter = sa.func.pg_get_serial_sequence(f"{self._schema}.images", "id")
                connection.execute(sa.select(sa.func.setval(counter, last + 1, False)))

    def checkpoint(self) -> None:
        """Leave a file that is whole without its log, where the catalog is one."""
        if self._is_log_written():
            sqlite_file.checkpoint(self._engine)

    def close(self) -> None:
        """Give the connections back."""
        self._ending.detach()
        _end(self._engine, self._is_log_written())

    def drop(self) -> None:
        """Remove everything where the catalog is not a file of the collection's folder."""
        if self._schema:
            with self.writing() as connection:
                connection.execute(sa.schema.DropSchema(self._schema, cascade=True, if_exists=True))
        self.close()


def _end(engine: sa.Engine, log_written: bool) -> None:
    if log_written:
        sqlite_file.checkpoint(engine)
    engine.dispose()


@contextmanager
def asking() -> Iterator[None]:
    """Turn what a database can do to us into a sentence."""
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        unreachable = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
        kind = CatalogUnreachableError if unreachable else CollectionError
        raise kind(f"The catalog can't be used: {said}. {_ADVICE}") from error


@contextmanager
def storing() -> Iterator[None]:
    """Turn what a disk can do to us into a sentence as well."""
    try:
        with asking():
            yield
    except OSError as error:
        raise CollectionError(f"Storage failed: {error.strerror or error}. {_ADVICE}") from error


_ADVICE = "What was stored before is kept; put that right and run the same again."


def get_fact(connection: sa.Connection, name: str) -> Any:
    """A fact of the collection, or None."""
    return connection.execute(sa.select(facts.c.value).where(facts.c.name == name)).scalar()


def set_fact(connection: sa.Connection, name: str, value: Any) -> None:
    """Replace a fact of the collection."""
    connection.execute(sa.delete(facts).where(facts.c.name == name))
    connection.execute(sa.insert(facts).values(name=name, value=value))


def find(connection: sa.Connection, column: sa.Column, values: Sequence[Any]) -> Iterator[sa.Row]:
    """The images whose column has one of some values."""
    for start in range(0, len(values), _CHUNK):
        part = [v.item() if isinstance(v, np.generic) else v for v in values[start : start + _CHUNK]]
        yield from connection.execute(sa.select(images).where(column.in_(part)).order_by(images.c.id))


def rows_of_hashes(connection: sa.Connection, hashes: Sequence[str]) -> dict[str, int]:
    """The row of the vector file of each content that has one, however many images have that content."""
    known = sa.and_(images.c.hash == sa.bindparam("hash"), images.c.faiss_id.is_not(None))
    # One at a time: the index leads to the first image of each, and the thousands of its copies are not looked at.
    query = sa.select(images.c.faiss_id).where(known).limit(1)
    rows = {value: connection.scalar(query, {"hash": value}) for value in hashes}
    return {value: row for value, row in rows.items() if row is not None}


def put(connection: sa.Connection, rows: Sequence[Image]) -> None:
    """Insert images, or replace those of the same path."""
    remove_paths(connection, [row.path for row in rows])
    if rows:
        connection.execute(sa.insert(images), [vars(row) for row in rows])


def mark_seen(connection: sa.Connection, paths: Sequence[str], run: int) -> None:
    """Note that a run has found images where they were."""
    for start in range(0, len(paths), _CHUNK):
        part = paths[start : start + _CHUNK]
        connection.execute(sa.update(images).where(images.c.path.in_(part)).values(seen=run))


def unseen(connection: sa.Connection, sources: Sequence[int], run: int) -> list[str]:
    """Some of the paths that came with these sources and that a run has not found; removed ones stay removed."""
    # A list that could not be read again may still name them.
    elsewhere = sa.and_(list_rows.c.path == images.c.path, list_rows.c.source.not_in(sources))
    missing = sa.and_(
        images.c.source.in_(sources),
        images.c.seen < run,
        images.c.state != REMOVED,
        sa.not_(sa.exists(sa.select(1).where(elsewhere))),
    )
    return list(connection.scalars(sa.select(images.c.path).where(missing).limit(_CHUNK)))


def below(connection: sa.Connection, path: str, removed: bool = False) -> list[str]:
    """The paths that are this one or lie in the folder of this name: of the removed images, or of all others."""
    inside = images.c.path.startswith(path.rstrip("/") + "/", autoescape=True)
    stored = sa.and_(sa.or_(images.c.path == path, inside), _is_removed(removed))
    return list(connection.scalars(sa.select(images.c.path).where(stored).order_by(images.c.path)))


def like(connection: sa.Connection, pattern: str, removed: bool = False) -> list[str]:
    """The paths that match a pattern with ``*``, ``?`` and ``[...]``: of the removed images, or of all others."""
    query = sa.select(images.c.path).where(_is_removed(removed)).order_by(images.c.path)
    paths = connection.execution_options(yield_per=_CHUNK).scalars(query)
    return [path for path in paths if fnmatch.fnmatchcase(path, pattern)]


def _is_removed(removed: bool) -> sa.ColumnElement[bool]:
    return images.c.state == REMOVED if removed else images.c.state != REMOVED


def _stored_at(rows: Sequence[int]) -> sa.ColumnElement[bool]:
    """The stored images of some rows of the vector file; removed ones keep the number of theirs."""
    return sa.and_(images.c.faiss_id.in_(list(rows)), _is_stored())


def _is_stored() -> sa.ColumnElement[bool]:
    # An expression and not the column: SQLite would take the index of states, which leads to nearly all images.
    return images.c.state.concat("") == INDEXED


def of_rows(
    connection: sa.Connection, rows: Sequence[int], conditions: Sequence[sa.ColumnElement[bool]] = ()
) -> dict[int, list[sa.Row]]:
    """The stored images of some rows of the vector file that fulfil all conditions, by row, the oldest first."""
    found: dict[int, list[sa.Row]] = {}
    for start in range(0, len(rows), _CHUNK):
        here = _stored_at(rows[start : start + _CHUNK])
        query = sa.select(images).where(here, *conditions).order_by(images.c.id)
        for image in connection.execute(query):
            found.setdefault(image.faiss_id, []).append(image)
    return found


def first_of_rows(
    connection: sa.Connection, rows: Sequence[int], conditions: Sequence[sa.ColumnElement[bool]] = ()
) -> dict[int, sa.Row]:
    """The oldest image of each of some rows of the vector file that fulfils all conditions, by row."""
    first: list[int] = []
    for start in range(0, len(rows), _CHUNK):
        here = _stored_at(rows[start : start + _CHUNK])
        query = sa.select(sa.func.min(images.c.id)).where(here, *conditions).group_by(images.c.faiss_id)
        first += connection.scalars(query)
    return {image.faiss_id: image for image in find(connection, images.c.id, first)}


def first_and_paths_of_rows(
    connection: sa.Connection, rows: Sequence[int], conditions: Sequence[sa.ColumnElement[bool]] = ()
) -> dict[int, tuple[sa.Row, list[str]]]:
    """For each of some rows the image of :func:`first_of_rows` and the paths of all images of :func:`of_rows`, its own first.

    Of what may be thousands of copies only the paths are read.
    """
    first: dict[int, int] = {}
    paths: dict[int, list[str]] = {}
    columns = (images.c.faiss_id, images.c.id, images.c.path)
    for start in range(0, len(rows), _CHUNK):
        here = _stored_at(rows[start : start + _CHUNK])
        query = sa.select(*columns).where(here, *conditions).order_by(images.c.id)
        for row, number, path in connection.execute(query):
            first.setdefault(row, number)
            paths.setdefault(row, []).append(path)
    known = find(connection, images.c.id, list(first.values()))
    return {image.faiss_id: (image, paths[image.faiss_id]) for image in known}


def shared_rows(connection: sa.Connection) -> list[int]:
    """The rows of the vector file that several images share, ascending."""
    rows = sa.select(images.c.faiss_id).where(images.c.state == INDEXED).group_by(images.c.faiss_id)
    return list(connection.scalars(rows.having(sa.func.count() > 1).order_by(images.c.faiss_id)))


def labels_by_row(connection: sa.Connection) -> dict[int, dict[str, int]]:
    """The labels of each row of the vector file whose images have one, each with the id of the oldest image that has it."""
    labelled = sa.and_(images.c.state == INDEXED, images.c.label.is_not(None))
    oldest = sa.func.min(images.c.id).label("oldest")
    query = sa.select(images.c.faiss_id, images.c.label, oldest).where(labelled)
    found: dict[int, dict[str, int]] = {}
    for row in connection.execute(query.group_by(images.c.faiss_id, images.c.label).order_by(oldest)):
        found.setdefault(row.faiss_id, {})[row.label] = row.oldest
    return found


def stored(
    connection: sa.Connection, *, state: str = INDEXED, most: int | None = None, start: int = 0
) -> Iterator[sa.Row]:
    """The images of a state in the order of their rows from the ``start``-th on, a few in memory at a time."""
    wanted = _is_stored() if state == INDEXED else images.c.state == state
    query = sa.select(images).where(wanted).order_by(images.c.faiss_id, images.c.id)
    query = query.limit(most).offset(start)
    yield from connection.execution_options(yield_per=_CHUNK).execute(query)


def counts(connection: sa.Connection) -> dict[str, int]:
    """How many images are in each state."""
    found = connection.execute(
        sa.select(images.c.state, sa.func.count().label("total")).group_by(images.c.state)
    )
    return {INDEXED: 0, FAILED: 0, REMOVED: 0} | {row.state: row.total for row in found}


def label_counts(connection: sa.Connection) -> dict[str, int]:
    """How many images have each label, by name; those without one are left out."""
    labelled = sa.and_(images.c.state == INDEXED, images.c.label.is_not(None))
    query = sa.select(images.c.label, sa.func.count()).where(labelled).group_by(images.c.label)
    return dict(sorted((label, count) for label, count in connection.execute(query)))


def remove_paths(connection: sa.Connection, paths: Sequence[str]) -> None:
    """Forget images; their rows of the vector file are for :func:`note_holes`."""
    for start in range(0, len(paths), _CHUNK):
        connection.execute(sa.delete(images).where(images.c.path.in_(paths[start : start + _CHUNK])))


def mark_removed(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Take images out of everything that is searched and shown, with all that is known of them kept."""
    for start in range(0, len(ids), _CHUNK):
        part = images.c.id.in_(ids[start : start + _CHUNK])
        connection.execute(sa.update(images).where(part).values(state=REMOVED, reason=None))


def mark_stored(connection: sa.Connection, rows: Mapping[int, int]) -> None:
    """Bring removed images back at the rows of the vector file that hold their vectors: rows by image id."""
    change = sa.update(images).where(images.c.id == sa.bindparam("image"))
    change = change.values(state=INDEXED, reason=None, faiss_id=sa.bindparam("row"))
    if rows:
        connection.execute(change, [{"image": image, "row": row} for image, row in rows.items()])
        fill_holes(connection, list(rows.values()))


def keep_path_only(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Forget of removed images all but that what is at their paths was removed."""
    nothing = dict.fromkeys(
        ("hash", "size", "mtime_ns", "label", "faiss_id", "reason", "source", "seen", "folder_label")
    )
    for start in range(0, len(ids), _CHUNK):
        part = images.c.id.in_(ids[start : start + _CHUNK])
        connection.execute(sa.update(images).where(part).values(metadata={}, **nothing))


def set_reasons(connection: sa.Connection, reasons: Mapping[str, str]) -> None:
    """Note by path why removed images could not be brought back."""
    change = sa.update(images).where(images.c.path == sa.bindparam("at"), images.c.state == REMOVED)
    change = change.values(reason=sa.bindparam("why"))
    connection.execute(change, [{"at": path, "why": reason} for path, reason in reasons.items()])


def removed(
    connection: sa.Connection, *, restorable: bool, most: int | None = None, start: int = 0
) -> Iterator[sa.Row]:
    """The removed images by path, from the ``start``-th on: those that can be brought back, or those of which only the path is known."""
    query = sa.select(images).where(images.c.state == REMOVED, _is_restorable(restorable))
    query = query.order_by(images.c.path).limit(most).offset(start)
    yield from connection.execution_options(yield_per=_CHUNK).execute(query)


def count_path_only(connection: sa.Connection) -> int:
    """How many removed images only the path is known of."""
    query = sa.select(sa.func.count()).where(images.c.state == REMOVED, _is_restorable(False))
    return connection.execute(query).scalar_one()


def _is_restorable(restorable: bool) -> sa.ColumnElement[bool]:
    known = sa.or_(images.c.hash.is_not(None), images.c.faiss_id.is_not(None))
    return known if restorable else sa.not_(known)


def fill_holes(connection: sa.Connection, rows: Sequence[int]) -> None:
    """Write down that stored images have these rows of the vector file."""
    for start in range(0, len(rows), _CHUNK):
        part = list(rows[start : start + _CHUNK])
        connection.execute(sa.delete(holes).where(holes.c.faiss_id.in_(part)))


def note_holes(connection: sa.Connection, candidates: Iterable[int]) -> None:
    """Write down which of some rows of the vector file no stored image has any more."""
    rows = sorted(set(candidates))
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        used = set(connection.scalars(sa.select(images.c.faiss_id).where(_stored_at(part)).distinct()))
        # Those of removed images are noted already.
        used |= set(connection.scalars(sa.select(holes.c.faiss_id).where(holes.c.faiss_id.in_(part))))
        if empty := [{"faiss_id": row} for row in part if row not in used]:
            connection.execute(sa.insert(holes), empty)


def renumber(connection: sa.Connection, removed: np.ndarray) -> None:
    """Move the images to the rows that theirs become when some rows (n,), ascending, are taken out of the vector file.

    Removed images whose row is among them have none afterwards.
    """
    column = images.c.faiss_id
    for start in range(0, len(removed), _CHUNK):
        gone = column.in_(removed[start : start + _CHUNK].tolist())
        connection.execute(sa.update(images).where(gone).values(faiss_id=None))
    ends = [*removed[1:].tolist(), None]
    for shift, (hole, end) in enumerate(zip(removed.tolist(), ends, strict=True), 1):
        if end is not None and end == hole + 1:
            continue
        between = column > hole if end is None else sa.and_(column > hole, column < end)
        connection.execute(sa.update(images).where(between).values(faiss_id=column - shift))


def hole_rows(connection: sa.Connection) -> np.ndarray:
    """Rows (n,) int64 of the vector file that no stored image has, in order."""
    found = connection.scalars(sa.select(holes.c.faiss_id).order_by(holes.c.faiss_id)).all()
    return np.array(found, np.int64)


def matching_rows(connection: sa.Connection, conditions: Sequence[sa.ColumnElement[bool]]) -> np.ndarray:
    """Rows (n,) int64 of the vector file whose images fulfil all conditions, in order."""
    query = sa.select(images.c.faiss_id).where(_is_stored(), *conditions).distinct()
    return np.sort(np.array(connection.scalars(query).all(), np.int64))


def matching_paths(
    connection: sa.Connection, conditions: Sequence[sa.ColumnElement[bool]], state: str = INDEXED
) -> list[str]:
    """Paths of the images of a state that fulfil all conditions."""
    query = sa.select(images.c.path).where(images.c.state == state, *conditions)
    return list(connection.scalars(query.order_by(images.c.path)))


def _postgresql(url: str) -> sa.Engine:
    # None of these sentences shows any of the URL: a part of the password may stand where the host should.
    address = url.partition("://")[2].partition("?")[0]
    if "@" in address.partition("@")[2] or "/" in address.rpartition("@")[0]:
        raise CollectionError(
            "PLAYGROUND_CATALOG_URL has more than one @, or a / before it. Percent-encode these in the user name and the "
            "password: @ is %40, / is %2F."
        )
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise CollectionError(
            "PLAYGROUND_CATALOG_URL can't be understood; it is like postgresql://user:password@host:5432/database, with @, / "
            "and : in user name and password percent-encoded."
        ) from None
    if parsed.get_backend_name() != "postgresql":
        raise CollectionError(
            "The URL of the catalog must begin with postgresql://; without one SQLite is used."
        )
    return sa.create_engine(
        parsed.set(drivername="postgresql+psycopg"), connect_args={"connect_timeout": 10}, pool_pre_ping=True
    )
