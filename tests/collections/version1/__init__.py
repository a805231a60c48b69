"""Collections as the first version of the project wrote them; see README.md beside this."""

import tarfile
from pathlib import Path

import sqlalchemy as sa

_HERE = Path(__file__).parent
SHOEBOX = {"shoebox/fish/five.png": 5, "shoebox/frog/six.png": 6}


def unpack(folder: Path, postgresql_url: str | None = None) -> None:
    """Put ``collections/pets`` and ``grid/collection-pets`` into a folder, and the catalog into PostgreSQL where a URL is given."""
    kind = "postgresql" if postgresql_url else "sqlite"
    with tarfile.open(_HERE / f"{kind}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    if postgresql_url:
        engine = sa.create_engine(sa.make_url(postgresql_url).set(drivername="postgresql+psycopg"))
        with engine.begin() as connection:
            dump = (_HERE / "postgresql.sql").read_text()
            schema = dump.partition("CREATE SCHEMA ")[2].partition(";")[0]
            connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
            connection.exec_driver_sql(dump)
        engine.dispose()
