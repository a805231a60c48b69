"""The PostgreSQL server of the catalogs: a pool of connections, detection of changes, and table statistics."""

import os
from functools import lru_cache

import sqlalchemy as sa
from pydantic_core import from_json

from core.errors import CollectionError
from core.settings import settings

# So many connections stay open while nobody uses them.
_KEPT_CONNECTIONS = 5


@lru_cache(8)
def pool(url: str) -> sa.Engine:
    """The connections to a database: some stay open, more are opened as needed, and whoever needs yet another one waits."""
    # None of these errors shows any of the URL: a part of the password may be where the host should be.
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
            "PLAYGROUND_CATALOG_URL can't be parsed; it is like postgresql://user:password@host:5432/database, with @, / "
            "and : in user name and password percent-encoded."
        ) from None
    if parsed.get_backend_name() != "postgresql":
        raise CollectionError(
            "The URL of the catalog must begin with postgresql://; without a URL, SQLite is used."
        )
    kept = min(_KEPT_CONNECTIONS, settings.CATALOG_CONNECTIONS)
    return sa.create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        connect_args={"connect_timeout": 10},
        json_deserializer=from_json,
        pool_pre_ping=True,
        pool_size=kept,
        max_overflow=settings.CATALOG_CONNECTIONS - kept,
    )


# A child must not talk over the connections of its parent.
os.register_at_fork(after_in_child=pool.cache_clear)


class Changes:
    """Whether a catalog has changed. Several threads may use it.

    Parameters
    ----------
    pool : of connections whose statements commit by themselves.
    facts : the table of facts with its schema; every change of a collection replaces one of them.
    """

    def __init__(self, pool: sa.Engine, facts: str):
        self._pool = pool
        # Which transaction wrote each fact, and where.
        self._stamps = f"SELECT string_agg(xmin::text || ctid::text, ',' ORDER BY name) FROM {facts}"

    def count(self) -> str:
        """A text that is another one after a commit; raises as SQLAlchemy does."""
        with self._pool.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            try:
                # By SQLAlchemy it takes twice as long, and every search asks.
                [stamps] = driver.execute(self._stamps).fetchone()
            except self._pool.dialect.loaded_dbapi.Error as error:
                base = self._pool.dialect.loaded_dbapi.Error
                raise sa.exc.DBAPIError.instance(self._stamps, None, error, base) from error
            return str(stamps)


def analyze(connection: sa.Connection, table: str) -> None:
    """Let PostgreSQL look at a table that has grown by a tenth; by itself it does so up to minutes later, with slow plans until then."""
    grown = "pg_relation_size(oid) > 1.1 * relpages * current_setting('block_size')::int"
    query = sa.text(f"SELECT {grown} FROM pg_class WHERE oid = CAST(:name AS regclass)")
    if connection.scalar(query, {"name": table}):
        connection.execute(sa.text(f"ANALYZE {table}"))
