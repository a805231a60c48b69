"""What sources hold, listed without opening an image."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.data import image_lists, image_reader
from core.data.folder_labels import FolderLabels, decide
from core.data.folder_walker import LeftOut, Problem
from core.data.image_sources import Entry, ImageSource, SourceError, named
from core.errors import UserError
from core.shards.manifest import Source
from core.shards.plan import Listed

LIST = "list"


def describe(sources: Sequence[ImageSource], lenient: bool = False) -> tuple[Source, ...]:
    """Sources for a manifest: each once, lists last, with the levels of the labels that the structure of folders gives.

    Parameters
    ----------
    lenient : note why a source can't be read instead of raising an error.

    Raises
    ------
    SourceError : a list can't be read.
    """
    ordered = sorted(dict.fromkeys(sources), key=lambda source: source.kind == LIST)
    records: list[dict[str, Any]] = [source.to_json() for source in ordered]
    described = []
    for source, record in zip(ordered, records, strict=True):
        digest = problem = None
        try:
            decide(records, source.path)
            if source.kind == LIST:
                digest = image_lists.digest(Path(source.path), source.path_column)
        except SourceError as error:
            if not lenient:
                raise
            problem = str(error)
        derived = record["label_level"] if source.label_level is None else None
        described.append(Source(**source.to_json(), derived_level=derived, digest=digest, problem=problem))
    return tuple(described)


def entries(sources: Sequence[Source], place: int) -> Iterator[Listed | LeftOut]:
    """What the source at a place in the manifest holds; an image may be there several times, see :func:`core.shards.plan.merged`.

    Raises
    ------
    SourceError : the source can't be read.
    """
    source = sources[place].image_source()
    if source.kind == LIST:
        yield from of_rows(image_lists.read(Path(source.path), source.path_column), source.path, place)
        return
    labels = FolderLabels(one.image_source() for one in sources)
    for entry in source.entries(labels):
        yield entry if isinstance(entry, LeftOut) else _listed(entry, place)


def of_rows(rows: Iterable[image_lists.Row], path: str, place: int) -> Iterator[Listed]:
    """The images that the rows of a list name."""
    for row in rows:
        if row.problem is None and row.path is not None:
            one = _listed(named(row.path), place)
            yield replace(one, label=row.label, metadata=row.metadata, number=row.number)
        elif row.problem != image_lists.NO_PATH:
            yield Listed(f"{path}, row {row.number}", place, number=row.number, problem=row.problem)


def lists(sources: Sequence[Source]) -> Mapping[int, str]:
    """The paths of the lists among the sources, by their place."""
    return {place: source.path for place, source in enumerate(sources) if source.kind == LIST}


def _listed(entry: Entry | Problem, place: int) -> Listed:
    if isinstance(entry, Problem):
        return Listed(entry.path, place, problem=entry.reason)
    size, mtime_ns = _status(entry)
    return Listed(entry.path, place, entry.label, size=size, mtime_ns=mtime_ns)


def _status(entry: Entry) -> tuple[int | None, int | None]:
    if entry.size is not None:
        return entry.size, entry.mtime_ns
    try:
        return image_reader.status(entry.path)
    except (OSError, UserError):
        # Reading it says why.
        return None, None
