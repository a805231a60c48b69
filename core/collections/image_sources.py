"""Where images come from: folders, patterns, single files, URLs, and lists of files and URLs in CSV, TSV or Parquet.

A source is read as it is gone through, so a million files take no more memory than ten. What is in the way (unreadable
folders, symbolic links in circles, paths outside the folder that the settings allow) is told as a :class:`Problem` and ends nothing.
"""

# Paths are strings here: they are stored as such, links in them unresolved, and there may be a million.

import fnmatch
import glob
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from core.data import folder_walker
from core.data.folder_walker import LeftOut, Picture, Problem
from core.errors import CollectionError
from core.imaging import servable_files
from core.imaging.servable_files import allowed
from core.text import nfc

KINDS = ("folder", "pattern", "file", "url", "list")
# Read by ``lists.read``.
_LISTS = (".csv", ".tsv", ".parquet")
# In the metadata of an uploaded picture: what its sender calls it, since its file is named by its hash.
NAME = "name"


class SourceError(CollectionError):
    """A place that is not there or can't be read."""


@dataclass(frozen=True)
class Entry:
    """An image to be read, by its path in the catalog (see :func:`core.imaging.servable_files.located`), with what its source says of it.

    label : in Unicode's composed form, whatever form was given; foreign : a stranger's bytes, to be decoded in a
    process that may die.
    """

    path: str
    label: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    foreign: bool = False

    def __post_init__(self) -> None:
        if self.label is not None:
            object.__setattr__(self, "label", nfc(self.label))


@dataclass(frozen=True)
class Source:
    """A place that images come from.

    kind : one of :data:`KINDS`; path : absolute, or the URL;
    path_column : of a list, where a user named it; label_level : of a folder, which level of the folders in it names the labels, 1 for
    those directly in it, 0 for no labels, None where that is not decided.
    """

    kind: str
    path: str
    path_column: str | None = None
    label_level: int | None = None

    def to_json(self) -> dict[str, Any]:
        """For the catalog."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """From the catalog, which may hold more about a source.

        Folders that were remembered before there was a choice keep the labels that they had: the folders directly in them.
        """
        level = data.get("label_level", 1) if data["kind"] == "folder" else None
        return cls(data["kind"], data["path"], data.get("path_column"), level)

    def over(self, record: Mapping[str, Any] | None) -> Self:
        """The source with what is remembered of it where nothing else is given."""
        if record is None:
            return self
        old = self.from_json(record)
        return replace(
            self,
            path_column=old.path_column if self.path_column is None else self.path_column,
            label_level=old.label_level if self.label_level is None else self.label_level,
        )

    def entries(
        self, labels: Callable[[str], str | None] = lambda path: None
    ) -> Iterator[Entry | LeftOut | Problem]:
        """The images, in a fixed order, and what was met beside them; those of a list are the rows that :func:`lists.read` gives.

        Parameters
        ----------
        labels : the label of a file by its path, from the folders that it lies in.

        Raises
        ------
        SourceError : the place is gone, or a list can't be read.
        """
        if self.kind == "folder":
            return _walk(self.path, labels)
        if self.kind == "pattern":
            return _matches(self, labels)
        if self.kind == "file":
            return iter([_file(self.path, labels(self.path))])
        assert self.kind == "url", self.kind
        return iter([Entry(self.path, foreign=True)])


def parse(argument: str, path_column: str | None = None, label_level: int | None = None) -> list[Source]:
    """What a user names as a source; several where a pattern matches folders, without those that are left out.

    Parameters
    ----------
    path_column : the column of a list that holds paths, for :func:`lists.read`.
    label_level : of folders, see :class:`Source`.

    Raises
    ------
    SourceError : there is no such thing, or it lies outside the folder that the settings allow.
    """
    if is_url(argument):
        return [Source("url", argument)]
    path = absolute(argument)
    if os.path.isdir(path):
        found = [Source("folder", path)]
    elif os.path.isfile(path):
        found = [Source("list" if path.lower().endswith(_LISTS) else "file", path)]
    elif glob.has_magic(argument):
        pattern = Source("pattern", path)
        # With ** the folders' files are matched themselves.
        matches = [] if _is_recursive(pattern) else sorted(glob.glob(path))
        found = [
            Source("folder", match)
            for match in matches
            if os.path.isdir(match) and not _left_out(pattern, match)
        ]
        if any(isinstance(one, Entry | Problem) for one in _matches(pattern)):
            found.append(pattern)
        if not found:
            raise SourceError(f"No picture or folder matches {argument!r}.")
    elif what := _special(path):
        raise SourceError(
            f"{argument!r} is {what}, not a file; give a folder, a picture, a pattern, a list or a URL."
        )
    else:
        raise SourceError(f"There is no {argument!r}; give a folder, a picture, a pattern, a list or a URL.")
    if path_column is not None:
        found = [replace(source, path_column=path_column) for source in found if source.kind == "list"]
        if not found:
            raise SourceError(f"A path column is named, and {argument!r} is no list; add it without one.")
    if label_level is not None:
        if not any(source.kind == "folder" for source in found):
            raise SourceError(
                f"A level of the labels is named, and {argument!r} is no folder; add it without one."
            )
        found = [
            replace(source, label_level=label_level) if source.kind == "folder" else source
            for source in found
        ]
        if label_level and not any(map(_reaches, found)):
            raise SourceError(
                f"No picture in {argument!r} lies in a folder at level {label_level:,}; give a lower one, or none for no labels."
            )
    for source in found:
        if not allowed(_beginning(source)):
            raise SourceError(
                f"{argument!r} lies outside the folder that the settings allow (PLAYGROUND_IMAGE_ROOT)."
            )
    return found


def absolute(path: str) -> str:
    """A path as it is stored: from the root, symbolic links kept; a URL as it is.

    Raises
    ------
    SourceError : it is empty, which would be the current folder.
    """
    if not path:
        raise SourceError("A path is empty; name a folder, a file or a pattern ('.' is the current folder).")
    return path if is_url(path) else os.path.abspath(os.path.expanduser(path))


def title(path: str, metadata: Mapping[str, Any]) -> str:
    """What a stored image is called: the name of its file, or for an uploaded one that which its sender gave it."""
    given = metadata.get(NAME)
    if servable_files.is_upload(path) and isinstance(given, str) and given:
        return given
    return path.rstrip("/").rpartition("/")[2] or path


def told_path(path: str, metadata: Mapping[str, Any], sources: Sequence[str]) -> str:
    """A stored path as others are told of it: without what lies above the folder among the sources that it came from."""
    # What can't be taken of an archive has its place in that, which says nothing of this machine.
    if is_url(path) or not (os.path.isabs(path) or servable_files.is_upload(path)):
        return path
    folder = max((one for one in sources if path.startswith(f"{one.rstrip('/')}/")), key=len, default=None)
    if folder is None or servable_files.is_upload(path):
        return title(path, metadata)
    return os.path.relpath(path, os.path.dirname(folder.rstrip("/")))


def named(path: str) -> Entry | Problem:
    """The file of an absolute path, or what a URL leads to, as an image to be read."""
    return Entry(path, foreign=True) if is_url(path) else _file(path)


def is_folder(path: str) -> bool:
    """Whether a path leads to a folder, which need not be readable."""
    return os.path.isdir(path)


def is_url(text: str) -> bool:
    """Whether a path is the address of something to download."""
    return text.lower().startswith(("http://", "https://"))


def _reaches(source: Source) -> bool:
    """Whether a picture of a folder lies as deep as its level of labels."""
    if source.kind != "folder" or source.label_level is None:
        return False
    found = folder_walker.walk(source.path, allowed)
    return any(isinstance(one, Picture) and len(one.parts) > source.label_level for one in found)


def _beginning(source: Source) -> str:
    """The part of a source's path before anything that matches several names."""
    parts = Path(source.path).parts
    plain = itertools.takewhile(lambda part: not glob.has_magic(part), parts)
    return source.path if source.kind != "pattern" else os.path.join(*plain)


def _walk(root: str, labels: Callable[[str], str | None]) -> Iterator[Entry | LeftOut | Problem]:
    """Pictures below a folder."""
    if not os.path.isdir(root):
        raise SourceError(f"The folder {root!r} is not there.")
    for found in folder_walker.walk(root, allowed):
        if isinstance(found, Picture):
            yield _file(found.path, labels(found.path))
        else:
            yield found


def _matches(
    pattern: Source, labels: Callable[[str], str | None] = lambda path: None
) -> Iterator[Entry | LeftOut | Problem]:
    """The pictures that a pattern matches; a folder that it matches is a source of its own."""
    if _is_recursive(pattern):
        yield from _matches_below(pattern, labels)
        return
    told = set()
    for path in sorted(glob.iglob(pattern.path)):
        if out := _left_out(pattern, path):
            if out not in told:
                told.add(out)
                yield LeftOut(out)
        elif what := _special(path):
            yield Problem(folder_walker.shown(path), f"it is {what}, not a file")
        elif folder_walker.is_picture(path) and os.path.isfile(path):
            yield _file(path, labels(path))


def _is_recursive(pattern: Source) -> bool:
    return "**" in Path(pattern.path).parts


def _matches_below(
    pattern: Source, labels: Callable[[str], str | None]
) -> Iterator[Entry | LeftOut | Problem]:
    """As :func:`_matches` for a pattern with ``**``, which :mod:`glob` would follow into links that lead in circles."""
    root = _beginning(pattern)
    wanted = Path(pattern.path).parts[len(Path(root).parts) :]
    if not os.path.isdir(root):
        return
    for found in folder_walker.walk(root, allowed):
        if isinstance(found, Picture):
            if _fits(found.parts, wanted):
                yield _file(found.path, labels(found.path))
        else:
            below = Path(os.path.relpath(found.path, root)).parts
            # In a folder that can't be looked into there may be what is wanted.
            if isinstance(found, LeftOut) or os.path.isdir(found.path) or _fits(below, wanted):
                yield found


def _fits(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether the names of a path match the parts of a pattern; ``**`` stands for any number of names."""
    if not wanted:
        return not parts
    first, *rest = wanted
    if first == "**":
        return not rest or any(_fits(parts[start:], rest) for start in range(len(parts)))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], first) and _fits(parts[1:], rest)


def _left_out(pattern: Source, path: str) -> str | None:
    """The hidden or system file or folder that a match is or lies in, below what the pattern names in full."""
    beginning = _beginning(pattern)
    parts = folder_walker.left_out_part(os.path.relpath(path, beginning).split(os.sep))
    return os.path.join(beginning, *parts) if parts else None


def _special(path: str) -> str | None:
    try:
        return folder_walker.special(os.stat(path).st_mode)
    except OSError:
        return None


def _file(path: str, label: str | None = None, metadata: dict[str, Any] | None = None) -> Entry | Problem:
    if (shown := folder_walker.shown(path)) != path:
        return Problem(shown, folder_walker.NOT_UTF8)
    if not allowed(path):
        return Problem(path, "it lies outside the folder that the settings allow")
    return Entry(path, label, metadata or {})
