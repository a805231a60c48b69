"""pgvector: a table of vectors in the PostgreSQL database of the catalog, which changes in the transactions of the catalog.

Vectors are stored as they are in the vector file: ``halfvec`` for float16, ``vector`` for float32.
"""

import errno
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import sqlalchemy as sa

from core.collections import catalog, tombstones
from core.collections.catalog import Catalog
from core.collections.index import exact_search
from core.collections.index.index_engine import Engine, ReplacedIndexError, Step
from core.collections.index.index_record import ServerIndex
from core.collections.index.server_search import REBUILD, ServerSnapshot, differences, tuned_effort
from core.collections.schema import images
from core.collections.snapshot import Snapshot, Where
from core.collections.state import About, State
from core.collections.vector_file import VectorFile
from core.errors import CollectionError
from core.metrics import Metric, get_metric

_TABLE = "index_"
_OPERATORS = {"cosine": ("<=>", "cosine"), "euclidean": ("<->", "l2"), "manhattan": ("<+>", "l1")}
_TYPES = {"float16": "halfvec", "float32": "vector"}
# Dimensions of a table, and of an HNSW index by type.
_MOST_DIMENSIONS, _MOST_INDEXED = 16_000, {"halfvec": 4_000, "vector": 2_000}
# The code of PostgreSQL for a table that does not exist.
_NO_TABLE = "42P01"
# The largest number of float16.
_LARGEST = 65_504
_EFFORTS = (40, 80, 160, 320, 640, 1_000)
# A filtered search of the graph goes on until it has seen so many vectors.
_MOST_SCANNED = 100_000
# Of a binary COPY: signature, flags and length of the extension; and the end.
_HEAD, _TAIL = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_ROWS = 1_000


class PgvectorEngine(Engine):
    """A table per index: identifiers and vectors of the rows without a tombstone."""

    name = "pgvector"
    description = "a table in the PostgreSQL database of the catalog, for several machines and for SQL"
    kinds: ClassVar[dict[str, str]] = {
        "auto": "exact below 50,000 images, above a graph",
        "flat": "exact: every vector is compared",
        "hnsw": "a graph of near neighbors: fast, needs the most memory",
    }

    metrics = tuple(_OPERATORS)
    candidates = ("flat", "hnsw")
    setting = ("CATALOG_URL", "postgresql://user:password@host:5432/database")

    @classmethod
    def is_local(cls, about: About) -> bool:
        return about.catalog == "postgresql"

    @classmethod
    def check(cls, about: About, kind: str, metric: Metric) -> None:
        if about.catalog != "postgresql":
            raise CollectionError(
                "pgvector keeps the index in the PostgreSQL database of the catalog, and this collection's catalog is in SQLite; set "
                "PLAYGROUND_CATALOG_URL and create the collection there, or choose another engine."
            )
        if kind not in cls.kinds:
            raise CollectionError(f"pgvector has no index {kind!r}; choose {', '.join(cls.kinds)}.")
        if metric.name not in cls.metrics:
            raise CollectionError(
                f"pgvector has no metric {metric.name}; choose {', '.join(cls.metrics)}, or the engine faiss."
            )
        most = _MOST_INDEXED[_TYPES[about.dtype]]
        if about.dimensions > _MOST_DIMENSIONS:
            raise CollectionError(
                f"pgvector stores vectors of at most {_MOST_DIMENSIONS:,} numbers, these have {about.dimensions:,}; choose a pooling "
                "other than flatten, or the engine faiss."
            )
        if kind == "hnsw" and about.dimensions > most:
            raise CollectionError(
                f"pgvector builds graphs of {about.dtype} vectors of at most {most:,} numbers, these have {about.dimensions:,}; "
                "choose the index flat, or the engine faiss."
            )

    def build(
        self,
        vectors: VectorFile,
        rows: int,
        metric: Metric,
        kind: str,
        step: Step = lambda n: None,
        old_rows: np.ndarray | None = None,
        described: Catalog | None = None,
    ) -> ServerIndex:
        name = _TABLE + secrets.token_hex(6)
        with self.catalog.writing() as connection:
            if not self._is_installed(connection):
                raise CollectionError(
                    "The PostgreSQL server has no pgvector; install it there (in Debian the package postgresql-NN-pgvector), and let a "
                    "superuser run CREATE EXTENSION vector if this user may not."
                )
            _execute(
                connection,
                f"CREATE TABLE {self._table(name)} (id bigint PRIMARY KEY, embedding {self._type} NOT NULL)",
            )
            # Vectors do not compress, and those of more than 8 kB would be tried.
            _execute(connection, f"ALTER TABLE {self._table(name)} ALTER embedding SET STORAGE EXTERNAL")
            used = np.arange(rows)
            if old_rows is None:
                used = np.setdiff1d(used, (described or self.catalog).read(tombstones.rows))
            for first, block in vectors.chunks(0, rows):
                part = used[(used >= first) & (used < first + len(block))]
                self._copy(connection, name, part, block[part - first])
                step(len(block))
            built = ServerIndex(name, "Flat", rows, 0)
            if self._wants_graph(kind, rows):
                built = self._graph(connection, built, metric)
            _execute(connection, f"ANALYZE {self._table(name)}")
            return self._tuned(connection, built, vectors, used, metric)

    def grow(self, state: State, adding: bool, step: Step = lambda n: None) -> ServerIndex | None:
        metric = get_metric(state.metric)
        known = state.index
        if not isinstance(known, ServerIndex):
            return self.build(state.vectors(self.folder, self.about), state.rows, metric, state.kind, step)
        if adding or known.factory != "Flat" or not self._wants_graph(state.kind, state.rows):
            return None
        with self.catalog.writing() as connection:
            built = self._graph(connection, replace(known, rows=state.rows), metric)
            used = np.setdiff1d(np.arange(state.rows), tombstones.rows(connection))
            return self._tuned(connection, built, state.vectors(self.folder, self.about), used, metric)

    def put(self, connection: sa.Connection, state: State, rows: np.ndarray, vectors: np.ndarray) -> None:
        if isinstance(state.index, ServerIndex):
            self._copy(connection, state.index.name, rows, vectors)

    def remove(self, connection: sa.Connection, state: State, rows: Sequence[int]) -> None:
        if isinstance(state.index, ServerIndex):
            for part in catalog.chunks(rows):
                _execute(
                    connection,
                    f"DELETE FROM {self._table(state.index.name)} WHERE id = ANY(:rows)",
                    rows=part,
                )

    def open(
        self, state: State, vectors: VectorFile, tombstones: np.ndarray, old: Snapshot | None = None
    ) -> Snapshot:
        if not isinstance(state.index, ServerIndex):
            return Snapshot(state, vectors, tombstones)
        with self.catalog.reading() as connection:
            if not self.exists(connection, state.index.name):
                raise FileNotFoundError(errno.ENOENT, "No such table", state.index.name)
        return PgvectorSnapshot(state, vectors, tombstones, state.index, self)

    def size(self, connection: sa.Connection, state: State) -> tuple[int, int]:
        if not isinstance(state.index, ServerIndex) or not self.exists(connection, state.index.name):
            return 0, 0
        size = _execute(
            connection, f"SELECT pg_total_relation_size('{self._table(state.index.name)}')"
        ).scalar_one()
        return size, state.rows - len(tombstones.rows(connection))

    def verify(self, connection: sa.Connection, state: State) -> Iterator[str]:
        if not isinstance(state.index, ServerIndex):
            return
        if not self.exists(connection, state.index.name):
            yield f"The table {state.index.name} of the index is missing. {REBUILD}"
            return
        used = np.setdiff1d(np.arange(state.rows), tombstones.rows(connection))
        stored = state.vectors(self.folder, self.about).map(state.rows)
        seen, wrong = [], 0
        for rows, vectors in self._read(connection, state.index.name):
            seen.append(rows)
            inside = rows < state.rows
            wrong += int((vectors[inside] != stored[rows[inside]]).any(axis=1).sum())
        found = np.concatenate([np.empty(0, np.int64), *seen])
        yield from differences(found, used)
        if wrong:
            yield f"The index has {wrong:,} vectors other than the stored ones. {REBUILD}"

    def sweep(self, state: State) -> None:
        keep = state.index.name if isinstance(state.index, ServerIndex) else ""
        with self.catalog.writing() as connection:
            known = sa.inspect(connection).get_table_names(self.about.schema_name)
            for name in known:
                if name.startswith(_TABLE) and name != keep:
                    _execute(connection, f"DROP TABLE IF EXISTS {self._table(name)}")

    @property
    def _type(self) -> str:
        return f"{_TYPES[self.about.dtype]}({self.about.dimensions})"

    def _table(self, name: str) -> str:
        return f"{self.about.schema_name}.{name}"

    def _wants_graph(self, kind: str, rows: int) -> bool:
        possible = self.about.dimensions <= _MOST_INDEXED[_TYPES[self.about.dtype]]
        return kind == "hnsw" or (kind == "auto" and possible and rows >= exact_search.EXACT_BELOW)

    def _is_installed(self, connection: sa.Connection) -> bool:
        known = _execute(connection, "SELECT name FROM pg_available_extensions WHERE name = 'vector'")
        if known.first() is None:
            return False
        if _execute(connection, "SELECT 1 FROM pg_extension WHERE extname = 'vector'").first() is None:
            _execute(connection, "CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
        return True

    def exists(self, connection: sa.Connection, name: str) -> bool:
        """Whether there is a table of this name."""
        return sa.inspect(connection).has_table(name, schema=self.about.schema_name)

    def _graph(self, connection: sa.Connection, known: ServerIndex, metric: Metric) -> ServerIndex:
        operators = f"{_TYPES[self.about.dtype]}_{_OPERATORS[metric.name][1]}_ops"
        _execute(connection, f"CREATE INDEX ON {self._table(known.name)} USING hnsw (embedding {operators})")
        return replace(known, factory="HNSW", effort=_EFFORTS[0])

    def _tuned(
        self,
        connection: sa.Connection,
        known: ServerIndex,
        vectors: VectorFile,
        used: np.ndarray,
        metric: Metric,
    ) -> ServerIndex:
        """With the least effort that reaches the recall goal."""
        if known.factory == "Flat" or len(used) < 2:
            return known

        def search(queries: np.ndarray, k: int, effort: int) -> list[np.ndarray]:
            return self.search(connection, known, metric, queries, k, effort)

        stored = vectors.map(known.rows)
        return replace(known, effort=tuned_effort(_EFFORTS, stored, used, metric, search))

    def search(
        self,
        connection: sa.Connection,
        known: ServerIndex,
        metric: Metric,
        queries: np.ndarray,
        k: int,
        effort: int,
        conditions: Sequence[sa.ColumnElement[bool]] = (),
    ) -> list[np.ndarray]:
        """The rows of the nearest vectors of each query; parameters as of :meth:`ServerSnapshot.candidates`."""
        vectors = sa.table(known.name, sa.column("id"), sa.column("embedding"), schema=self.about.schema_name)
        query: Any = sa.cast(sa.bindparam("query", type_=sa.Text), _Type(self._type))
        distance: sa.ColumnElement[float] = vectors.c.embedding.op(
            _OPERATORS[metric.name][0], return_type=sa.Float
        )(query)
        if known.factory == "Flat":
            # Vectors of zeros have no angle; they are at distance 1.
            distance = sa.func.coalesce(sa.func.nullif(distance, sa.cast("NaN", sa.Float)), 1.0)
        statement = sa.select(vectors.c.id).order_by(distance).limit(k)
        if conditions:
            meets = sa.select(sa.true()).where(
                images.c.faiss_id == vectors.c.id, catalog.is_stored(), *conditions
            )
            if known.factory == "Flat":
                statement = statement.where(sa.exists(meets))
            else:
                # Checked for each vector along the graph. PostgreSQL would turn EXISTS into a join and sort all that meet the conditions.
                statement = statement.where(meets.limit(1).scalar_subquery())
        options = {
            # Compiling takes longer than most searches.
            "jit": "off",
            "hnsw.ef_search": min(max(effort, k), _EFFORTS[-1]) if effort else 40,
            "hnsw.iterative_scan": "relaxed_order",
            "hnsw.max_scan_tuples": _MOST_SCANNED,
        }
        # In one round trip.
        settings = (sa.func.set_config(name, str(value), True) for name, value in options.items())
        connection.execute(sa.select(*settings))
        clipped = np.clip(queries, -_LARGEST, _LARGEST) if self.about.dtype == "float16" else queries
        try:
            return [
                np.array(connection.scalars(statement, {"query": str(query_.tolist())}).all(), np.int64)
                for query_ in clipped
            ]
        except sa.exc.ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) == _NO_TABLE:
                raise ReplacedIndexError from None
            raise

    def _copy(self, connection: sa.Connection, name: str, rows: np.ndarray, vectors: np.ndarray) -> None:
        if not len(rows):
            return
        data = np.zeros(len(rows), self._layout)
        data["fields"], data["id_size"], data["id"] = 2, 8, rows
        data["size"], data["dimensions"] = self._layout["numbers"].itemsize + 4, self.about.dimensions
        data["numbers"] = vectors
        with (
            _cursor(connection) as cursor,
            cursor.copy(f"COPY {self._table(name)} (id, embedding) FROM STDIN WITH (FORMAT BINARY)") as copy,
        ):
            copy.write(_HEAD)
            copy.write(data.tobytes())
            copy.write(_TAIL)

    def _read(self, connection: sa.Connection, name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All rows and vectors (n, dimensions) of a table, in parts."""
        with (
            _cursor(connection) as cursor,
            cursor.copy(f"COPY {self._table(name)} (id, embedding) TO STDOUT WITH (FORMAT BINARY)") as copy,
        ):
            buffer = bytearray()
            skipped = False
            for data in copy:
                buffer += data
                if not skipped and len(buffer) >= len(_HEAD):
                    del buffer[: len(_HEAD)]
                    skipped = True
                count = len(buffer) // self._layout.itemsize
                if count >= _ROWS:
                    yield self._parsed(buffer, count)
                    del buffer[: count * self._layout.itemsize]
            yield self._parsed(buffer, len(buffer) // self._layout.itemsize)

    def _parsed(self, buffer: bytearray, count: int) -> tuple[np.ndarray, np.ndarray]:
        data = np.frombuffer(bytes(buffer), self._layout, count)
        return data["id"].astype(np.int64), data["numbers"]

    @property
    def _layout(self) -> np.dtype[Any]:
        """A row in a binary COPY."""
        number = np.dtype(self.about.dtype).newbyteorder(">")
        return np.dtype(
            [
                ("fields", ">i2"),
                ("id_size", ">i4"),
                ("id", ">i8"),
                ("size", ">i4"),
                ("dimensions", ">i2"),
                ("unused", ">i2"),
                ("numbers", number, (self.about.dimensions,)),
            ]
        )


ENGINE = PgvectorEngine


@dataclass(frozen=True, eq=False)
class PgvectorSnapshot(ServerSnapshot):
    """A table of vectors."""

    engine: PgvectorEngine

    def candidates(self, queries: np.ndarray, k: int, where: Where | None, effort: int) -> list[np.ndarray]:
        metric = self.metric
        with self.connection(where) as connection:
            found = self.engine.search(
                connection, self.index, metric, queries, k, effort, where.expressions if where else ()
            )
        if where is None:
            # A transaction of its own may see a later state.
            found = [rows[(rows < self.state.rows) & ~np.isin(rows, self.tombstones)] for rows in found]
        if metric.normalized and self.index.factory != "Flat":
            # Graphs have no vectors of zeros, and nothing is nearest to one.
            found = [rows if query.any() else rows[:0] for query, rows in zip(queries, found, strict=True)]
        return found


class _Type(sa.types.UserDefinedType[Any]):
    """A type of pgvector."""

    cache_ok = True

    def __init__(self, name: str):
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        return self.name


def _execute(connection: sa.Connection, statement: str, **values: Any) -> sa.CursorResult[Any]:
    return connection.execute(sa.text(statement), values)


@contextmanager
def _cursor(connection: sa.Connection) -> Iterator[Any]:
    """A cursor of the driver, in the transaction of the connection."""
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        yield cursor
