"""Staged copies: a collection is changed beside the one in use, checked, and published in one commit.

A staged copy is a collection of the same name in the folder ``.staged`` of the folder of collections. Its files are hard links and its
catalog is a copy, so every change works on it as on any other collection, and none of them reaches the one in use.
"""

import dataclasses
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from core import access, disk
from core.collections import catalog, lifecycle, search_quality, uploads
from core.collections.collection import Collection
from core.collections.index import engines
from core.collections.lifecycle import staged_folder
from core.collections.search_quality import Quality
from core.collections.state import describe, parse_manifest
from core.collections.writer import Writer
from core.errors import CollectionError, RefusedError, UnknownNameError
from core.imaging import servable_files
from core.progress import Progress, Silent
from core.settings import settings
from core.wish import RECALL_GOAL

# In the folder of a staged copy: which collection it was made of, and in what state.
_ORIGIN, _FORMAT = "staged.json", 1


class _Origin(BaseModel):
    """uuid : of the collection that was copied; facts : those in its catalog, one of which changes with every change."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    uuid: str
    facts: dict[str, Any]

    @classmethod
    def of(cls, writer: Writer) -> "_Origin":
        return cls(uuid=writer.about.uuid, facts=writer.catalog.read(catalog.shared_facts))


@dataclass(frozen=True)
class Gate:
    """How much worse than the collection in use a staged copy may be.

    recall : how far recall@10 of the index may fall, from the goal that indexes are tuned to if it was higher; label_precision : how
    far precision@10 of the labels may fall; queries : the number of images that are searched.
    """

    recall: float = 0.02
    label_precision: float = 0.02
    queries: int = 500

    def problems(self, before: Quality, after: Quality) -> list[str]:
        """What fell by more than the margins."""
        measured = [("recall@10", self.recall, min(before.recall, RECALL_GOAL), after.recall)]
        if before.label_precision is not None:
            # Labels that are gone are the worst that labels can be.
            measured.append(
                (
                    "label precision@10",
                    self.label_precision,
                    before.label_precision,
                    after.label_precision or 0.0,
                )
            )
        return [
            f"{name} would fall from {old:.4f} to {new:.4f}, by more than {margin:g}"
            for name, margin, old, new in measured
            if before.queries and new < old - margin
        ]


@dataclass(frozen=True)
class Published:
    """The quality before and after; None if the staged copy had been published already."""

    before: Quality | None
    after: Quality | None


def stage(name: str, folder: Path | None = None, *, replace: bool = False) -> None:
    """Make a staged copy of a collection; open it with ``folder=lifecycle.staged_folder()``.

    Parameters
    ----------
    folder : the folder of collections; default: that of the settings.
    replace : delete a staged copy that is there.

    Raises
    ------
    AccessError : this process is a read-only server.
    UnknownNameError : there is no collection of that name.
    CollectionError : it has a staged copy, another process writes to it, or the storage fails.
    """
    access.require_full("stage a collection")
    folder = folder or settings.COLLECTIONS_DIR
    with Collection.open(name, folder) as live, live.writing() as writer:
        if name in lifecycle.names(staged_folder(folder)):
            if not replace:
                raise CollectionError(
                    f"The collection {name!r} has a staged copy already; publish it, or replace it with --replace."
                )
            lifecycle.delete(name, staged_folder(folder))
        about = live.about.model_copy(update={"uuid": uuid.uuid4().hex})
        with lifecycle.building(staged_folder(folder), about) as (place, created):
            disk.replace_file(place / _ORIGIN, describe(_Origin.of(writer), _FORMAT))
            _link_uploads(live.folder, place)
            with live.frozen() as (connection, state):
                created.fill(connection)
            if state.rows:
                disk.link(writer.vectors.path, place / state.vector_file)
            index = engines.get(state.engine)(place, about, created).copy(writer.engine, state)
            created.write(catalog.set_fact, "state", dataclasses.replace(state, index=index).to_json())


def publish(
    name: str, folder: Path | None = None, gate: Gate | None = None, progress: Progress | None = None
) -> Published:
    """Replace a collection by its staged copy in one commit, and delete the copy.

    Whoever reads the collection goes on, and finds the new state with the next search. If the process is killed, the collection is in
    the old state or the new one, and the same call finishes.

    Parameters
    ----------
    folder : the folder of collections; default: that of the settings.
    gate : default: the margins of :class:`Gate`.

    Raises
    ------
    RefusedError : the collection was changed since it was staged, or the quality of the copy fell by more than the margins; collection
        and copy stay as they are.
    UnknownNameError : there is no such collection, or it has no staged copy.
    AccessError : this process is a read-only server.
    CollectionError : another process writes to one of them, or the storage fails; nothing is replaced.
    """
    access.require_full("publish a collection")
    folder, gate, progress = folder or settings.COLLECTIONS_DIR, gate or Gate(), progress or Silent()
    lifecycle.require(name, folder)
    if name not in (valid := lifecycle.names(staged_folder(folder))):
        raise UnknownNameError("staged collection", name, valid)
    with (
        Collection.open(name, folder) as live,
        Collection.open(name, staged_folder(folder)) as copy,
        copy.writing() as source,
        live.writing() as target,
    ):
        published = _publish(copy, live, source, target, gate, progress)
    lifecycle.delete(name, staged_folder(folder))
    return published


def _publish(
    copy: Collection, live: Collection, source: Writer, target: Writer, gate: Gate, progress: Progress
) -> Published:
    name, now = live.about.name, _Origin.of(target)
    if now.facts.get("published") == source.identity:
        return Published(None, None)
    if now != _origin(copy):
        raise RefusedError(
            f"The collection {name!r} was changed since it was staged, so its staged copy was not published: nothing that was added "
            f"or removed meanwhile is lost. Stage it again with `playground collection stage {name} --replace`."
        )
    measuring, publishing = progress.divide(1, 1)
    measuring.stage("measuring", 0)
    before, after = search_quality.compare(live, copy, gate.queries)
    if problems := gate.problems(before, after):
        raise RefusedError(
            f"The staged copy of {name!r} was not published: {'; '.join(problems)}. It stays as it is; look at it with "
            f"`playground collection search {name} IMAGE --staged`, or publish it with larger margins."
        )
    publishing.stage("publishing", 0)
    with catalog.storage_errors():
        # Before the catalog names them.
        _link_uploads(copy.folder, live.folder)
    target.take_over(source)
    uploads.sweep(target)
    return Published(before, after)


def _origin(copy: Collection) -> _Origin:
    try:
        text = (copy.folder / _ORIGIN).read_bytes()
        return parse_manifest(_Origin, text, _FORMAT, f"The staged copy of {copy.about.name!r}")
    except (OSError, ValueError) as error:
        raise CollectionError(
            f"The file {_ORIGIN} of the staged copy of {copy.about.name!r} can't be read ({type(error).__name__}); stage the "
            "collection again with --replace."
        ) from None


def _link_uploads(source: Path, target: Path) -> None:
    """Give the uploaded files of a collection a name in the folder of another one too."""
    sent = uploads.folder_of(source)
    if not sent.is_dir():
        return
    place = uploads.folder_of(target)
    place.mkdir(exist_ok=True)
    for file in sent.iterdir():
        if (
            servable_files.is_upload(f"{servable_files.UPLOADS}/{file.name}")
            and not (place / file.name).exists()
        ):
            disk.link(file, place / file.name)
    disk.sync_folder(place)
