"""The identity of a collection: a copied folder becomes a collection of its own, and a PostgreSQL schema belongs to one folder.

Folder and schema name each other: the folder by the identifier in its manifest, the schema by the fact ``folder``.
"""

import hashlib
import logging
import os
import platform
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from core import access
from core.collections import catalog, schema
from core.collections.catalog import Catalog
from core.collections.state import DESCRIPTION, About, State, read_about, write_about
from core.errors import CollectionError, ForeignCatalogError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """The place of a collection's folder.

    path : absolute, links resolved; inode : its number in the file system, which a renamed folder keeps and a copy does not; host : the
    name of the machine.
    """

    path: str
    inode: int
    host: str

    @classmethod
    def of(cls, folder: Path, becomes: Path | None = None) -> "Place":
        """The place of a folder; ``becomes`` is the path that it is about to be renamed to."""
        return cls(os.path.realpath(becomes or folder), folder.stat().st_ino, platform.node())


def read(folder: Path) -> About:
    """The manifest of the collection in a folder; a copied folder gets a name and an identifier of its own.

    A folder whose catalog is in PostgreSQL keeps its manifest; see :func:`claim`.

    Raises
    ------
    CollectionError : as :func:`core.collections.state.read_about`.
    """
    about = read_about(folder)
    if about.catalog != "sqlite" or not (about.name != folder.name or _rivals(folder, about)):
        return about
    own = about.model_copy(update={"name": folder.name, "uuid": uuid.uuid4().hex})
    try:
        if not access.is_read_only():
            write_about(folder, own)
            return own
    except OSError as error:
        _log.debug("The identity of the copied folder %r can't be written: %s", folder.name, error)
    # The same every time it is opened, although it can't be written.
    derived = hashlib.sha256(f"{about.uuid}\0{os.path.realpath(folder)}".encode()).hexdigest()
    return own.model_copy(update={"uuid": derived[:32]})


def facts(place: Place) -> dict[str, Any]:
    """The facts of a schema that name its folder."""
    return {schema.FOLDER_FACT: asdict(place)}


def record(connection: sa.Connection, place: Place) -> None:
    """Write the folder of a schema into it."""
    catalog.set_fact(connection, schema.FOLDER_FACT, asdict(place))


def owns(folder: Path, catalog_: Catalog) -> bool:
    """Whether a schema names this folder, or the path that it was about to be renamed to."""
    with catalog_.reading() as connection:
        known = catalog.get_fact(connection, schema.FOLDER_FACT)
    here = Place.of(folder)
    beside = known is not None and Path(known["path"]).parent == Path(here.path).parent
    return beside and (known["inode"], known["host"]) == (here.inode, here.host)


def claim(folder: Path, about: About, catalog_: Catalog) -> About:
    """Check that folder and schema belong together; if the folder was renamed or moved, write its new place into the schema.

    Returns
    -------
    about : the manifest with the name of the folder.

    Raises
    ------
    ForeignCatalogError : the schema belongs to another folder, of which this one is a copy, or may be.
    """
    here = Place.of(folder)
    with catalog_.reading() as connection:
        known = catalog.get_fact(connection, schema.FOLDER_FACT)
    if known is None:
        # Older versions did not record the folder.
        if rivals := _rivals(folder, about):
            raise ForeignCatalogError(
                f"The folders {folder.name!r} and {rivals[0].name!r} name the same catalog in PostgreSQL, which belongs to one folder. Move "
                "the copy away and open the original; `playground collection backup` and `playground collection restore` create a second collection."
            )
    elif known["path"] != here.path:
        _check_moved(folder, about, Place(**known), here, catalog_)
    if known != asdict(here) and not access.is_read_only():
        with catalog_.writing() as connection:
            if catalog.get_fact(connection, schema.FOLDER_FACT) != known:
                raise ForeignCatalogError(
                    f"Another process opened the catalog of {folder.name!r} just now; try again."
                )
            record(connection, here)
    if about.name != folder.name:
        about = about.model_copy(update={"name": folder.name})
        if not access.is_read_only():
            with catalog.storage_errors():
                write_about(folder, about)
    return about


def check(folder: Path, place: Place, about: About, catalog_: Catalog) -> None:
    """Check, before anything is written, that a folder is still the one that was opened and its schema still names it.

    Raises
    ------
    CollectionError : it was moved or replaced; ForeignCatalogError : the schema belongs to another folder.
    """
    if not (folder / DESCRIPTION).is_file() or Place.of(folder) != place:
        raise CollectionError(
            f"The folder of the collection {about.name!r} was moved or replaced since it was opened; open it again."
        )
    if about.catalog == "postgresql":
        with catalog_.reading() as connection:
            known = catalog.get_fact(connection, schema.FOLDER_FACT)
        if known is None or known["path"] != place.path:
            raise _is_copy(folder, Path(known["path"]) if known else None)


def _check_moved(folder: Path, about: About, known: Place, here: Place, catalog_: Catalog) -> None:
    """Raise ForeignCatalogError unless this is the folder that the schema names, moved."""
    before = Path(known.path)
    try:
        original = read_about(before).uuid == about.uuid
    except CollectionError:
        original = False
    if original:
        raise _is_copy(folder, before)
    state = catalog_.read(State.read)
    complete = state.vectors(folder, about).rows() >= state.rows and (
        state.index_file is None or (folder / state.index_file.file).is_file()
    )
    if known.host != here.host or not complete:
        _log.warning("The catalog of %s names %s on %s.", folder, known.path, known.host)
        raise ForeignCatalogError(
            f"The catalog of {folder.name!r} belongs to a folder of another place or state; move this folder back to where it was, or "
            "use `playground collection backup` there and `playground collection restore` here."
        )


def _rivals(folder: Path, about: About) -> list[Path]:
    """Other collections in the same place that have the same identifier and the name of their folder."""
    rivals = []
    for path in sorted(folder.parent.glob(f"*/{DESCRIPTION}")):
        if path.parent.name == folder.name or path.parent.name.startswith("."):
            continue
        try:
            other = read_about(path.parent)
        except CollectionError:
            continue
        if other.uuid == about.uuid and other.name == path.parent.name:
            rivals.append(path.parent)
    return rivals


def _is_copy(folder: Path, original: Path | None) -> ForeignCatalogError:
    name = original.name if original is not None else "NAME"
    other = (
        f"the collection {name!r}" if name not in (folder.name, "NAME") else "a collection in another folder"
    )
    return ForeignCatalogError(
        f"The folder {folder.name!r} is a copy of {other}, and a catalog in PostgreSQL belongs to one folder. Use `playground collection backup "
        f"{name} FILE` and `playground collection restore FILE --as {folder.name}` for a second collection; this folder can be deleted by hand."
    )
