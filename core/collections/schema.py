"""The SQL tables of a collection's catalog, their indexes, and the migrations from older versions."""

import re
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from core.imaging import servable_files
from core.text import nfc

INDEXED, FAILED, REMOVED = "indexed", "failed", "removed"
# SQLite allows 32,766 parameters in a statement; fewer are as fast.
CHUNK = 500
# The fact that names the folder of a schema in PostgreSQL; see :mod:`core.collections.identity`.
FOLDER_FACT = "folder"
# A row of the table of images, or of another one.
Row = sa.Row[Any, *tuple[Any, ...]]

_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
tables = sa.MetaData()
images = sa.Table(
    "images",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    # A file's absolute path, ``uploads/<sha256>`` of an uploaded one (see :mod:`core.imaging.servable_files`), or a URL.
    sa.Column("path", sa.Text, nullable=False, unique=True),
    # SHA-256 of the bytes; images with the same content share a vector.
    sa.Column("hash", sa.String(64), index=True),
    sa.Column("size", sa.BigInteger),
    sa.Column("mtime_ns", sa.BigInteger),
    sa.Column("label", sa.Text, index=True),
    sa.Column("metadata", _JSON, nullable=False),
    # The row of the vector file. A removed image keeps the number until a compaction drops the vector.
    sa.Column("faiss_id", sa.BigInteger, index=True),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("reason", sa.Text),
    # The number of its source, and of the last run that saw the image there; see ``ingest.update``.
    sa.Column("source", sa.Integer, index=True),
    sa.Column("seen", sa.Integer),
    # The label from its folder; a label from a list overrides it.
    sa.Column("folder_label", sa.Text),
)
# The rows of remembered lists as last read; see :mod:`core.collections.list_rows`.
list_rows = sa.Table(
    "list_rows",
    tables,
    sa.Column("source", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("path", sa.Text),
    sa.Column("label", sa.Text),
    sa.Column("metadata", _JSON, nullable=False),
    # Why the row can't be used.
    sa.Column("problem", sa.Text),
    sa.Index("ix_list_rows_path", "path", "source", "number"),
)
# See :mod:`core.collections.tombstones`. On disk the table keeps its first name.
tombstones = sa.Table(
    "holes", tables, sa.Column("faiss_id", sa.BigInteger, primary_key=True, autoincrement=False)
)
# Checksums of the vector file, one for the rows that were written together.
segments = sa.Table(
    "segments",
    tables,
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("stop", sa.BigInteger, nullable=False),
    sa.Column("crc32", sa.BigInteger, nullable=False),
)
# Rows of the vector file that an index engine beside the catalog has to be told of; see :mod:`core.collections.index.milvus_index`.
outbox = sa.Table("outbox", tables, sa.Column("row", sa.BigInteger, primary_key=True, autoincrement=False))
facts = sa.Table(
    "facts", tables, sa.Column("name", sa.String(32), primary_key=True), sa.Column("value", sa.JSON)
)
schema_version = sa.Table("schema_version", tables, sa.Column("version", sa.Integer, primary_key=True))


def _make_uploads_relative(connection: sa.Connection) -> None:
    """Version 1 stored uploaded files by their absolute paths, even if the folder moved later."""
    columns = images.c
    old = re.compile(rf"/.*/({servable_files.UPLOADS}/([0-9a-f]{{64}}))")
    # Names that clients gave to files that could not be read.
    taken = sa.select(columns.id, columns.path).where(columns.path.startswith(f"{servable_files.UPLOADS}/"))
    for number, path in connection.execute(taken).all():
        if servable_files.is_upload(path):
            connection.execute(sa.update(images).where(columns.id == number).values(path=f"./{path}"))
    query = sa.select(columns.id, columns.path, columns.hash, columns.state, columns.label)
    query = query.where(columns.source.is_(None), columns.path.like(f"/%/{servable_files.UPLOADS}/%"))
    uploads: dict[str, list[sa.Row[Any, Any, Any, Any, Any]]] = {}
    for row in connection.execute(query.order_by(columns.id)).all():
        parts = old.fullmatch(row.path)
        if parts and (row.hash == parts[2] or (row.hash is None and row.state != INDEXED)):
            uploads.setdefault(parts[1], []).append(row)
    for path, rows in uploads.items():
        # The same image may have been uploaded again after the folder moved.
        kept = max(rows, key=lambda row: (row.state == INDEXED, row.label is not None, row.id))
        others = [row.id for row in rows if row.id != kept.id]
        connection.execute(sa.delete(images).where(columns.id.in_(others)))
        connection.execute(sa.update(images).where(columns.id == kept.id).values(path=path))


def _compose_text(connection: sa.Connection) -> None:
    """Older versions kept labels and metadata in any Unicode form."""
    columns = images.c
    for label in connection.scalars(
        sa.select(columns.label).where(columns.label.is_not(None)).distinct()
    ).all():
        if nfc(label) != label:
            connection.execute(sa.update(images).where(columns.label == label).values(label=nfc(label)))
    last = 0
    query = sa.select(columns.id, columns.metadata).order_by(columns.id).limit(CHUNK)
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
    """Older versions kept only the last row of a list for each image. Its number is negative until the list is read again."""
    list_rows.create(connection)
    statement: Any = sa.DDL("ALTER TABLE %(fullname)s ADD COLUMN folder_label TEXT")  # type: ignore[no-untyped-call]
    connection.execute(statement.against(images))
    sources = connection.scalar(sa.select(facts.c.value).where(facts.c.name == "sources")) or []
    lists = [source["id"] for source in sources if source["kind"] == "list"]
    others = [source["id"] for source in sources if source["kind"] != "list"]
    columns = images.c
    connection.execute(sa.update(images).where(columns.source.in_(others)).values(folder_label=columns.label))
    kept = sa.select(columns.source, -columns.id, columns.path, columns.label, columns.metadata)
    kept = kept.where(columns.source.in_(lists), columns.state == INDEXED)
    names = ["source", "number", "path", "label", "metadata"]
    connection.execute(sa.insert(list_rows).from_select(names, kept))


def _add_outbox(connection: sa.Connection) -> None:
    """Older versions had no index engine beside the catalog."""
    outbox.create(connection)


# Each brings a catalog from the version before to its own. A new catalog is created at the newest version from the tables above, so
# the first never runs. Never change one that was released: add another. Name columns one by one: the tables above may have some
# that a catalog of the version before lacks.
MIGRATIONS: list[Callable[[sa.Connection], None]] = [
    tables.create_all,
    _make_uploads_relative,
    _compose_text,
    _add_list_rows,
    _add_outbox,
]
