"""The SQL side of a collection: its database and the queries. The tables are in :mod:`core.collections.schema`.

A SQLite file in the collection's folder, or a PostgreSQL schema if ``PLAYGROUND_CATALOG_URL`` is set. Rows of the vector file that the
catalog does not count do not exist.
"""

import fnmatch
import tempfile
import weakref
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from core.collections import postgresql_server, sqlite_file
from core.collections.schema import (
    CHUNK,
    FAILED,
    FOLDER_FACT,
    INDEXED,
    MIGRATIONS,
    REMOVED,
    Row,
    facts,
    images,
    list_rows,
    schema_version,
    tables,
)
from core.errors import CatalogUnreachableError, CollectionError

Conditions = Sequence[sa.ColumnElement[bool]]
_Value = TypeVar("_Value")
_Options = ParamSpec("_Options")


class Catalog:
    """Connections to the tables of one collection. Those to PostgreSQL come from a pool that all collections of the process share.

    Parameters
    ----------
    place : the SQLite file, or a PostgreSQL URL.
    schema : the PostgreSQL schema of the collection.
    create : create the tables if there are none.
    first_facts : facts to store in the transaction that creates the tables.

    Raises
    ------
    CollectionError : it can't be opened, or a newer version of the project wrote it.
    """

    def __init__(
        self,
        place: Path | str,
        schema: str | None = None,
        *,
        create: bool = False,
        first_facts: Mapping[str, Any] | None = None,
    ):
        self._place, self._schema = place, schema
        self._read_only = False
        # A copy of a catalog that can't be written and can't be read in place.
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        with storage_errors():
            if isinstance(place, Path):
                self._read_only = sqlite_file.is_read_only(place)
                if self._read_only and not sqlite_file.opens_in_place(place):
                    self._copy = sqlite_file.copy(place)
            self._connect(create)
            try:
                self._migrate(create, first_facts or {})
            except BaseException:
                self._disconnect()
                raise

    def _connect(self, create: bool = False) -> None:
        if isinstance(self._place, Path):
            place = Path(self._copy.name, self._place.name) if self._copy else self._place
            in_place = self._read_only and self._copy is None
            self._engine = sqlite_file.engine(place, create=create, read_only=in_place)
            self._single_engine = self._engine
            self._changes: sqlite_file.Changes | postgresql_server.Changes = sqlite_file.Changes(self._engine)
        else:
            pool = postgresql_server.pool(self._place)
            here = {"schema_translate_map": {None: self._schema}}
            self._engine = pool.execution_options(**here, isolation_level="REPEATABLE READ")
            self._single_engine = pool.execution_options(**here, isolation_level="AUTOCOMMIT")
            self._changes = postgresql_server.Changes(self._single_engine, f"{self._schema}.{facts.name}")
        # A process that ends without closing it leaves no log behind either.
        self._finalizer = weakref.finalize(self, _close, self._engine, self._changes, self._writes_log())

    def _writes_log(self) -> bool:
        return isinstance(self._place, Path) and not self._read_only

    def _migrate(self, create: bool, first_facts: Mapping[str, Any]) -> None:
        version = self._version()
        if not version and not create and self._schema:
            # A process that was killed while it created the schema may have left a transaction that still commits.
            with self.reading() as connection:
                self._lock_schema(connection)
            version = self._version()
        if version > len(MIGRATIONS):
            raise CollectionError(
                f"A newer version of this project wrote the collection (its catalog has version {version}, this one "
                f"reads up to {len(MIGRATIONS)}); update the project."
            )
        if not version and not create:
            raise CollectionError("The catalog is empty; restore the collection from a backup.")
        if not version:
            with self.writing() as connection:
                if self._schema:
                    self._lock_schema(connection)
                    connection.execute(sa.schema.CreateSchema(self._schema, if_not_exists=True))
                tables.create_all(connection)
                connection.execute(sa.insert(schema_version).values(version=len(MIGRATIONS)))
                for name, value in first_facts.items():
                    set_fact(connection, name, value)
            return
        if version < len(MIGRATIONS) and self._read_only and self._copy is None:
            self._disconnect()
            self._copy = sqlite_file.copy(Path(self._place))
            self._connect()
        for wanted in range(version + 1, len(MIGRATIONS) + 1):
            try:
                with self.writing() as connection:
                    # First, so that a second process waits here and then fails.
                    connection.execute(sa.insert(schema_version).values(version=wanted))
                    MIGRATIONS[wanted - 1](connection)
            except CollectionError:
                if self._version() < wanted:
                    raise

    def _lock_schema(self, connection: sa.Connection) -> None:
        """Wait for a transaction that creates the schema, and let others wait for this one."""
        connection.execute(
            sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(self._schema, 0)))
        )

    def _version(self) -> int:
        with self._engine.connect() as connection:
            if not sa.inspect(connection).has_table("schema_version", schema=self._schema):
                return 0
            return connection.scalar(sa.select(sa.func.max(schema_version.c.version))) or 0

    @contextmanager
    def reading(self, single: bool = False) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the catalog, whatever is written in the meantime.

        Parameters
        ----------
        single : it has a single statement, which is a transaction by itself: PostgreSQL is not asked to begin and end one.
        """
        engine = self._single_engine if single else self._engine
        with database_errors(), engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that commits when its block ends, and rolls back when the block raises."""
        with storage_errors(), self._engine.begin() as connection:
            yield connection

    def changes(self) -> Hashable:
        """A value that is another one after each change of the collection, of any process."""
        with database_errors():
            return self._changes.count()

    def read(
        self,
        query: Callable[Concatenate[sa.Connection, _Options], _Value],
        *args: _Options.args,
        **options: _Options.kwargs,
    ) -> _Value:
        """The result of a query in a transaction of its own."""
        with self.reading() as connection:
            return query(connection, *args, **options)

    def write(
        self,
        change: Callable[Concatenate[sa.Connection, _Options], None],
        *args: _Options.args,
        **options: _Options.kwargs,
    ) -> None:
        """Make a change in a transaction of its own."""
        with self.writing() as connection:
            change(connection, *args, **options)

    def fill(self, source: sa.Connection) -> None:
        """Copy the content of another catalog of this version into this one, which is empty."""
        with self.writing() as connection:
            self.replace(connection, source)

    def replace(self, connection: sa.Connection, source: sa.Connection) -> None:
        """Replace the content by that of another catalog of this version, in a transaction of :meth:`writing`; the folder stays its own."""
        own = facts.c.name == FOLDER_FACT
        for table in tables.sorted_tables:
            if table is schema_version:
                continue
            copied = sa.not_(own) if table is facts else sa.true()
            connection.execute(sa.delete(table).where(copied))
            rows = source.execute(sa.select(table).where(copied).execution_options(yield_per=CHUNK))
            for part in rows.mappings().partitions():
                connection.execute(sa.insert(table), [dict(row) for row in part])
        if self._schema:
            # PostgreSQL's sequence does not know ids that were inserted.
            last = connection.scalar(sa.select(sa.func.max(images.c.id))) or 0
            counter = sa.func.pg_get_serial_sequence(f"{self._schema}.images", "id")
            connection.execute(sa.select(sa.func.setval(counter, last + 1, False)))

    def settle(self) -> None:
        """End a series of changes: SQLite's file is complete without its log, and PostgreSQL plans with what is stored now."""
        if self._writes_log():
            sqlite_file.checkpoint(self._engine)
        elif self._schema:
            # A database that is away has nothing to plan.
            with suppress(CollectionError):
                self.write(postgresql_server.analyze, f"{self._schema}.{images.name}")

    def close(self) -> None:
        """Close the connections to SQLite; those to PostgreSQL stay in the pool."""
        self._finalizer.detach()
        _close(self._engine, self._changes, self._writes_log())

    def _disconnect(self) -> None:
        self._finalizer.detach()
        _close(self._engine, self._changes, False)

    def drop(self) -> None:
        """Drop the PostgreSQL schema; a SQLite file is removed with the collection's folder."""
        if self._schema:
            with self.writing() as connection:
                connection.execute(sa.schema.DropSchema(self._schema, cascade=True, if_exists=True))


def _close(
    engine: sa.Engine, changes: sqlite_file.Changes | postgresql_server.Changes, writes_log: bool
) -> None:
    if isinstance(changes, sqlite_file.Changes):
        changes.close()
        if writes_log:
            sqlite_file.checkpoint(engine)
        engine.dispose()


@contextmanager
def database_errors() -> Iterator[None]:
    """Raise errors of the database as CollectionError."""
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        message = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        unreachable = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
        kind = CatalogUnreachableError if unreachable else CollectionError
        raise kind(f"The catalog can't be used: {message}. {_ADVICE}") from error


@contextmanager
def storage_errors() -> Iterator[None]:
    """Raise errors of the database and of the disk as CollectionError."""
    try:
        with database_errors():
            yield
    except OSError as error:
        raise CollectionError(f"Storage failed: {error.strerror or error}. {_ADVICE}") from error


_ADVICE = "What was stored before is kept; fix the cause and run the same again."


def chunks(values: Sequence[_Value]) -> Iterator[list[_Value]]:
    """Values in lists that are short enough for the parameters of one statement."""
    for start in range(0, len(values), CHUNK):
        yield list(values[start : start + CHUNK])


def get_fact(connection: sa.Connection, name: str) -> Any:
    """A fact of the collection, or None."""
    return connection.scalar(sa.select(facts.c.value).where(facts.c.name == name))


def shared_facts(connection: sa.Connection) -> dict[str, Any]:
    """All facts but that of the folder; every change of a collection changes one of them."""
    query = sa.select(facts.c.name, facts.c.value).where(facts.c.name != FOLDER_FACT)
    return {row.name: row.value for row in connection.execute(query)}


def set_fact(connection: sa.Connection, name: str, value: Any) -> None:
    """Replace a fact of the collection."""
    connection.execute(sa.delete(facts).where(facts.c.name == name))
    connection.execute(sa.insert(facts).values(name=name, value=value))


def last_source(connection: sa.Connection) -> int:
    """The highest number of a source that an image came from, remembered or not; 0 if there is none."""
    return connection.scalar(sa.select(sa.func.max(images.c.source))) or 0


def find(connection: sa.Connection, column: sa.Column[Any], values: Sequence[Any]) -> Iterator[Row]:
    """The images whose column has one of some values."""
    for part in chunks(values):
        plain = [value.item() if isinstance(value, np.generic) else value for value in part]
        yield from connection.execute(sa.select(images).where(column.in_(plain)).order_by(images.c.id))


def at_paths(connection: sa.Connection, paths: Sequence[str]) -> list[Row]:
    """The images at some paths."""
    return list(find(connection, images.c.path, paths))


def by_id(connection: sa.Connection, image_id: int) -> Row | None:
    """An image by its id."""
    return next(find(connection, images.c.id, [image_id]), None)


def rows_of_hashes(connection: sa.Connection, hashes: Sequence[str]) -> dict[str, int]:
    """The row of the vector file for each hash that has one, however many images share it."""
    rows: dict[str, int] = {}
    for part in chunks(hashes):
        wanted = sa.values(sa.column("hash", sa.Text), name="wanted").data([(value,) for value in part])
        asked = wanted.cte("wanted")
        # A query for each: the index leads to its first image, without reading its thousands of copies.
        known = sa.and_(images.c.hash == asked.c.hash, images.c.faiss_id.is_not(None))
        row = sa.select(images.c.faiss_id).where(known).limit(1).scalar_subquery()
        found = connection.execute(sa.select(asked.c.hash, row.label("row")))
        rows |= {one.hash: one.row for one in found if one.row is not None}
    return rows


def put(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert images as values by column, or replace those of the same path."""
    remove_paths(connection, [row["path"] for row in rows])
    if rows:
        connection.execute(sa.insert(images), rows)


def mark_seen(connection: sa.Connection, paths: Sequence[str], run: int) -> None:
    """Record that a run saw images at their source."""
    for part in chunks(paths):
        connection.execute(sa.update(images).where(images.c.path.in_(part)).values(seen=run))


def unseen(connection: sa.Connection, sources: Sequence[int], run: int) -> list[str]:
    """Some of the paths from these sources that a run did not see, without those of removed images."""
    # A list that could not be read again may still name them.
    elsewhere = sa.and_(list_rows.c.path == images.c.path, list_rows.c.source.not_in(sources))
    missing = sa.and_(
        images.c.source.in_(sources),
        images.c.seen < run,
        images.c.state != REMOVED,
        sa.not_(sa.exists(sa.select(1).where(elsewhere))),
    )
    return list(connection.scalars(sa.select(images.c.path).where(missing).limit(CHUNK)))


def paths_below(connection: sa.Connection, path: str, removed: bool = False) -> list[str]:
    """This path and the paths in the folder of this name: of removed images, or of all others."""
    inside = images.c.path.startswith(path.rstrip("/") + "/", autoescape=True)
    stored = sa.and_(sa.or_(images.c.path == path, inside), _is_removed(removed))
    return list(connection.scalars(sa.select(images.c.path).where(stored).order_by(images.c.path)))


def paths_like(connection: sa.Connection, pattern: str, removed: bool = False) -> list[str]:
    """The paths that match a pattern with ``*``, ``?`` and ``[...]``: of removed images, or of all others."""
    query = sa.select(images.c.path).where(_is_removed(removed)).order_by(images.c.path)
    paths = connection.execution_options(yield_per=CHUNK).scalars(query)
    return [path for path in paths if fnmatch.fnmatchcase(path, pattern)]


def _is_removed(removed: bool) -> sa.ColumnElement[bool]:
    return images.c.state == REMOVED if removed else images.c.state != REMOVED


def stored_at(rows: Sequence[int]) -> sa.ColumnElement[bool]:
    """Whether an image is stored at one of some rows of the vector file; removed images keep the number of theirs."""
    return sa.and_(images.c.faiss_id.in_(rows), is_stored())


def is_stored() -> sa.ColumnElement[bool]:
    """Whether an image is stored."""
    return _Scanned(images.c.state) == INDEXED


class _Scanned(sa.sql.functions.FunctionElement[str]):
    """A column whose index SQLite does not use: that of the states leads to nearly all images. PostgreSQL knows how many it leads to."""

    type = sa.Text()
    inherit_cache = True


@compiles(_Scanned)
def _with_index(element: _Scanned, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(_Scanned, "sqlite")
def _without_index(element: _Scanned, compiler: Any, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"


def of_rows(
    connection: sa.Connection, rows: Sequence[int], conditions: Conditions = ()
) -> dict[int, list[Row]]:
    """The stored images of some rows of the vector file that meet all conditions, by row, the oldest first."""
    by_row: dict[int, list[Row]] = {}
    for part in chunks(rows):
        query = sa.select(images).where(stored_at(part), *conditions).order_by(images.c.id)
        for image in connection.execute(query):
            by_row.setdefault(image.faiss_id, []).append(image)
    return by_row


def first_of_rows(
    connection: sa.Connection, rows: Sequence[int], conditions: Conditions = ()
) -> dict[int, Row]:
    """The oldest image of each of some rows of the vector file that meets all conditions, by row."""
    first: list[int] = []
    for part in chunks(rows):
        query = sa.select(sa.func.min(images.c.id)).where(stored_at(part), *conditions)
        first += connection.scalars(query.group_by(images.c.faiss_id))
    return {image.faiss_id: image for image in find(connection, images.c.id, first)}


def first_and_paths_of_rows(
    connection: sa.Connection, rows: Sequence[int], conditions: Conditions = ()
) -> dict[int, tuple[Row, list[str]]]:
    """For each of some rows the image of :func:`first_of_rows` and the paths of all images of :func:`of_rows`, its own first.

    Only the paths of copies are read, since there may be thousands.
    """
    first: dict[int, int] = {}
    paths: dict[int, list[str]] = {}
    columns = (images.c.faiss_id, images.c.id, images.c.path)
    for part in chunks(rows):
        query = sa.select(*columns).where(stored_at(part), *conditions).order_by(images.c.id)
        for row, number, path in connection.execute(query):
            first.setdefault(row, number)
            paths.setdefault(row, []).append(path)
    known = find(connection, images.c.id, list(first.values()))
    return {image.faiss_id: (image, paths[image.faiss_id]) for image in known}


def lowest_hashes(connection: sa.Connection, most: int) -> dict[str, int]:
    """The contents with the lowest hashes and their rows of the vector file: a sample that collections of the same images share.

    An image without a hash counts with its path.
    """
    content = sa.func.coalesce(images.c.hash, images.c.path).label("content")
    query = sa.select(content, sa.func.min(images.c.faiss_id).label("row")).where(is_stored())
    query = query.group_by(content).order_by(content).limit(most)
    return {found.content: found.row for found in connection.execute(query)}


def shared_rows(connection: sa.Connection) -> list[int]:
    """The rows of the vector file that several images share, ascending."""
    rows = sa.select(images.c.faiss_id).where(images.c.state == INDEXED).group_by(images.c.faiss_id)
    return list(connection.scalars(rows.having(sa.func.count() > 1).order_by(images.c.faiss_id)))


def labels_by_row(connection: sa.Connection) -> dict[int, dict[str, int]]:
    """The labels of each labeled row of the vector file, each with the id of the oldest image that has it."""
    labelled = sa.and_(images.c.state == INDEXED, images.c.label.is_not(None))
    oldest = sa.func.min(images.c.id).label("oldest")
    query = sa.select(images.c.faiss_id, images.c.label, oldest).where(labelled)
    by_row: dict[int, dict[str, int]] = {}
    for row in connection.execute(query.group_by(images.c.faiss_id, images.c.label).order_by(oldest)):
        by_row.setdefault(row.faiss_id, {})[row.label] = row.oldest
    return by_row


def in_state(
    connection: sa.Connection, state: str = INDEXED, most: int | None = None, start: int = 0
) -> Iterator[Row]:
    """The images of a state by row, from the ``start``-th on, with few in memory at a time."""
    wanted = is_stored() if state == INDEXED else images.c.state == state
    query = sa.select(images).where(wanted).order_by(images.c.faiss_id, images.c.id)
    yield from _rows(connection, query.offset(start), most)


def counts(connection: sa.Connection) -> dict[str, int]:
    """The number of images in each state."""
    query = sa.select(images.c.state, sa.func.count().label("total")).group_by(images.c.state)
    return {INDEXED: 0, FAILED: 0, REMOVED: 0} | {row.state: row.total for row in connection.execute(query)}


def label_counts(connection: sa.Connection) -> dict[str, int]:
    """The number of images with each label, by name."""
    labelled = sa.and_(images.c.state == INDEXED, images.c.label.is_not(None))
    query = sa.select(images.c.label, sa.func.count()).where(labelled).group_by(images.c.label)
    return dict(sorted((label, count) for label, count in connection.execute(query)))


def remove_paths(connection: sa.Connection, paths: Sequence[str]) -> None:
    """Delete images; the caller adds the tombstones."""
    for part in chunks(paths):
        connection.execute(sa.delete(images).where(images.c.path.in_(part)))


def mark_removed(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Set images to removed and keep all else that is known of them; the caller adds the tombstones."""
    for part in chunks(ids):
        change = sa.update(images).where(images.c.id.in_(part))
        connection.execute(change.values(state=REMOVED, reason=None))


def mark_stored(connection: sa.Connection, rows: Mapping[int, int]) -> None:
    """Set removed images to stored at rows of the vector file, by id; the caller removes the tombstones."""
    change = sa.update(images).where(images.c.id == sa.bindparam("image"))
    change = change.values(state=INDEXED, reason=None, faiss_id=sa.bindparam("row"))
    if rows:
        connection.execute(change, [{"image": image, "row": row} for image, row in rows.items()])


def keep_path_only(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Clear all that is known of removed images but their paths."""
    cleared = dict.fromkeys(
        ("hash", "size", "mtime_ns", "label", "faiss_id", "reason", "source", "seen", "folder_label")
    )
    for part in chunks(ids):
        connection.execute(sa.update(images).where(images.c.id.in_(part)).values(metadata={}, **cleared))


def set_reasons(connection: sa.Connection, reasons: Mapping[str, str]) -> None:
    """Record by path why removed images could not be restored."""
    change = sa.update(images).where(images.c.path == sa.bindparam("at"), images.c.state == REMOVED)
    change = change.values(reason=sa.bindparam("why"))
    connection.execute(change, [{"at": path, "why": reason} for path, reason in reasons.items()])


def removed(
    connection: sa.Connection, *, restorable: bool, most: int | None = None, start: int = 0
) -> Iterator[Row]:
    """The removed images by path, from the ``start``-th on: those that can be restored, or those known by path only."""
    query = sa.select(images).where(images.c.state == REMOVED, _is_restorable(restorable))
    yield from _rows(connection, query.order_by(images.c.path).offset(start), most)


def _rows(connection: sa.Connection, query: sa.Select[Any], most: int | None) -> Iterable[Row]:
    """At most so many rows of a query, with few of them in memory at a time."""
    query = query.limit(most)
    if most is not None and most <= CHUNK:
        # PostgreSQL's cursors take more round trips.
        return connection.execute(query).all()
    return connection.execution_options(yield_per=CHUNK).execute(query)


def count_path_only(connection: sa.Connection) -> int:
    """The number of removed images known by path only."""
    query = sa.select(sa.func.count()).where(images.c.state == REMOVED, _is_restorable(False))
    return connection.execute(query).scalar_one()


def _is_restorable(restorable: bool) -> sa.ColumnElement[bool]:
    known = sa.or_(images.c.hash.is_not(None), images.c.faiss_id.is_not(None))
    return known if restorable else sa.not_(known)


def matching_rows(connection: sa.Connection, conditions: Conditions, most: int | None = None) -> np.ndarray:
    """Rows (n,) int64 of the vector file whose images meet all conditions, ascending; some of them if there are more than ``most``."""
    column, meeting = images.c.faiss_id, sa.and_(is_stored(), *conditions)
    if most is not None:
        limited = sa.select(column).where(meeting).distinct().limit(most)
        return np.sort(np.array(connection.scalars(limited).all(), np.int64))
    if connection.dialect.name == "postgresql":
        # In one value: half a million rows one by one take longer than the search.
        packed = sa.func.string_agg(sa.func.int8send(column), sa.literal(b"", sa.LargeBinary))
        found = np.frombuffer(connection.scalar(sa.select(packed).where(meeting)) or b"", ">i8")
    else:
        found = np.array(connection.scalars(sa.select(column).where(meeting)).all(), np.int64)
    return np.unique(found.astype(np.int64))


def matching_paths(connection: sa.Connection, conditions: Conditions, state: str = INDEXED) -> list[str]:
    """Paths of the images of a state that meet all conditions."""
    query = sa.select(images.c.path).where(images.c.state == state, *conditions)
    return list(connection.scalars(query.order_by(images.c.path)))
