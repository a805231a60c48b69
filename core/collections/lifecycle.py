"""The folders of collections: which there are, how one appears and how it is deleted."""

import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from core import access, lock
from core.collections import catalog, identity
from core.collections.catalog import Catalog
from core.collections.identity import Place
from core.collections.index import engines
from core.collections.state import DESCRIPTION, About, State, read_about, write_about
from core.errors import CatalogUnreachableError, CollectionError, ForeignCatalogError, UnknownNameError
from core.imaging import servable_files
from core.settings import settings

CATALOG_FILE = "catalog.sqlite"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
# Folders of collections that are being created, and of collections that are being deleted.
_NEW, _DELETED = ".new-", ".gone-"
_log = logging.getLogger(__name__)


def names(folder: Path | None = None) -> list[str]:
    """The names of all collections in alphabetical order, including those that can't be read.

    Raises
    ------
    CollectionError : the folder of collections can't be read.
    """
    return [name for name in _described(folder or settings.COLLECTIONS_DIR) if _NAME.fullmatch(name)]


def misnamed(folder: Path | None = None) -> list[str]:
    """The folders that hold a collection but have a name that no collection can have. Raises as :func:`names`."""
    return [name for name in _described(folder or settings.COLLECTIONS_DIR) if not _NAME.fullmatch(name)]


def _described(folder: Path) -> list[str]:
    """The folders with a description, by name; hidden ones are unfinished or being deleted."""
    try:
        with os.scandir(folder) as entries:
            present = [entry.name for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CollectionError(f"The folder of collections can't be read ({error.strerror}).") from None
    return sorted(name for name in present if _is_described(folder / name))


def _is_described(folder: Path) -> bool:
    try:
        (folder / DESCRIPTION).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        # It can't be looked into: opening it says why.
        return True
    return True


@contextmanager
def building(folder: Path, about: About) -> Iterator[tuple[Path, Catalog]]:
    """A new folder with a description and an empty catalog; it becomes a collection when the block ends, and is removed when it raises.

    Parameters
    ----------
    folder : the folder of collections.

    Raises
    ------
    CollectionError : the name is taken or not allowed, or the disk or the catalog fails.
    """
    if not _NAME.fullmatch(about.name):
        raise CollectionError(
            f"{about.name!r} can't be the name of a collection; use up to 63 lower case letters, digits, - and _."
        )
    with catalog.storage_errors():
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        if (folder / about.name).exists():
            raise CollectionError(f"There is a collection {about.name!r} already; choose another name.")
        # Created beside its place and renamed into it: a collection is complete or absent.
        place = folder / f"{_NEW}{secrets.token_hex(6)}"
        place.mkdir()
        try:
            with lock.writing(place):
                write_about(place, about)
                with closing(open_catalog(place, about, create=True)) as created:
                    yield place, created
                    if about.catalog == "postgresql":
                        created.write(identity.record, Place.of(place, folder / about.name))
                place.rename(folder / about.name)
        except BaseException:
            _drop_schema(place)
            shutil.rmtree(place, ignore_errors=True)
            raise


def delete(name: str, folder: Path | None = None) -> None:
    """Delete a collection with its vectors, catalog, uploaded images and staged copy; files elsewhere stay.

    Raises
    ------
    AccessError : this process is a read-only server.
    UnknownNameError : there is no collection of that name.
    ForeignCatalogError : its catalog belongs to another folder, of which this one is a copy.
    UserError : another process writes to it, or the storage fails.
    """
    access.require_full("delete a collection")
    folder = folder or settings.COLLECTIONS_DIR
    require(name, folder)
    if name in names(staged_folder(folder)):
        delete(name, staged_folder(folder))
    deleted = folder / f"{_DELETED}{secrets.token_hex(6)}"
    with lock.writing(folder / name), catalog.storage_errors():
        try:
            about = identity.read(folder / name)
            with closing(open_catalog(folder / name, about)) as opened:
                if about.catalog == "postgresql":
                    identity.claim(folder / name, about, opened)
                state = opened.read(State.read)
                # First, so that a process that is killed leaves no collection without its catalog.
                (folder / name).rename(deleted)
                engines.get(state.engine)(deleted, about, opened).drop(state)
                opened.drop()
        except ForeignCatalogError:
            raise
        except CollectionError:
            # A folder that can't be read can still be deleted; a schema that can't be reached stays in its database.
            _log.warning("The catalog of %r could not be reached; its schema, if any, stays.", name)
        if not deleted.exists():
            (folder / name).rename(deleted)
        shutil.rmtree(deleted, ignore_errors=True)
        _sweep(folder)


def staged_folder(folder: Path | None = None) -> Path:
    """The folder of the staged copies of some collections; see :mod:`core.collections.staging`."""
    return (folder or settings.COLLECTIONS_DIR) / servable_files.STAGED


def require(name: str, folder: Path) -> None:
    """Raise UnknownNameError unless there is a collection of this name."""
    if name not in (valid := names(folder)):
        raise UnknownNameError("collection", name, valid)


def _sweep(folder: Path) -> None:
    """Remove the folders of deletions and creations that did not finish."""
    for path in [*folder.glob(f"{_DELETED}*"), *folder.glob(f"{_NEW}*")]:
        try:
            with lock.writing(path):
                _drop_schema(path)
                shutil.rmtree(path, ignore_errors=True)
        except Exception:
            # Another process works there.
            continue


def _drop_schema(folder: Path) -> None:
    """Drop the PostgreSQL schema of a collection whose creation or deletion did not finish."""
    if not _is_described(folder):
        return
    try:
        about = read_about(folder)
        if about.catalog == "postgresql":
            with closing(open_catalog(folder, about)) as opened:
                # A copy of this folder may name the schema of a finished collection.
                if identity.owns(folder, opened):
                    opened.drop()
    except CollectionError as error:
        _log.warning("If %s has a schema, it stays in its database: %s", folder.name, error)


def open_catalog(folder: Path, about: About, *, create: bool = False) -> Catalog:
    """Open or create the catalog of a collection; raises CollectionError."""
    if about.catalog == "sqlite":
        path = folder / CATALOG_FILE
        if not create and not path.is_file():
            raise CollectionError(
                f"The catalog of the collection {about.name!r} is missing; restore its folder from a copy."
            )
        return Catalog(path, create=create)
    if not settings.CATALOG_URL:
        raise CatalogUnreachableError(
            f"The catalog of the collection {about.name!r} is in PostgreSQL; set PLAYGROUND_CATALOG_URL to its URL."
        )
    # A schema names its folder from the start, so that an unfinished one can be dropped.
    facts = identity.facts(Place.of(folder)) if create else None
    return Catalog(settings.CATALOG_URL, about.schema_name, create=create, first_facts=facts)
