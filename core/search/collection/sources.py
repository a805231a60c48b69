"""Where images come from: folders, patterns, single files, URLs, and lists of files and URLs in CSV, TSV or Parquet.

A source is read as it is gone through, so a million files take no more memory than ten. What is in the way (unreadable
folders, symbolic links in circles, paths outside the folder that the settings allow) is told as a :class:`Problem` and ends nothing.
"""

# Paths are strings here: they are stored as such, links in them unresolved, and there may be a million.

import glob
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from core import files, images
from core.errors import CollectionError
from core.files import allowed
from core.text import nfc

# Read by ``lists.read``.
_LISTS = (".csv", ".tsv", ".parquet")
# In the metadata of an uploaded picture: what its sender calls it, since its file is named by its hash.
NAME = "name"


class SourceError(CollectionError):
    """A place that is not there or can't be read."""


@dataclass(frozen=True)
class Entry:
    """An image to be read, by its path in the catalog (see :func:`core.files.located`), with what its source says of it.

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
class Problem:
    """Something that could not be looked into."""

    path: str
    reason: str


@dataclass(frozen=True)
class Source:
    """A place that images come from.

    kind : ``"folder"`` | ``"pattern"`` | ``"file"`` | ``"url"`` | ``"list"``; path : absolute, or the URL;
    path_column : of a list, where a user named it.
    """

    kind: str
    path: str
    path_column: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For the catalog."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """From the catalog, which may hold more about a source."""
        return cls(data["kind"], data["path"], data.get("path_column"))

    def entries(self) -> Iterator[Entry | Problem]:
        """The images, in a fixed order.

        Raises
        ------
        SourceError : the place is gone, or a list can't be read.
        """
        if self.kind == "folder":
            return _walk(self.path)
        if self.kind == "list":
            return _listed(self)
        if self.kind == "pattern":
            # Files alone: a folder that matches is a source of its own.
            matches = sorted(glob.iglob(self.path, recursive=True))
            return (_file(path) for path in matches if _is_picture(path) and os.path.isfile(path))
        if self.kind == "file":
            return iter([_file(self.path)])
        return iter([Entry(self.path, foreign=True)])


def parse(argument: str, path_column: str | None = None) -> list[Source]:
    """What a user names as a source; several where a pattern matches folders.

    Parameters
    ----------
    path_column : the column of a list that holds paths, for :func:`lists.read`.

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
        matches = sorted(glob.glob(path, recursive=True))
        found = [Source("folder", match) for match in matches if os.path.isdir(match)]
        # With ** the folders' files are matched themselves.
        found = [] if "**" in path else found
        if any(os.path.isfile(match) and _is_picture(match) for match in matches):
            found.append(Source("pattern", path))
        if not found:
            raise SourceError(f"No picture or folder matches {argument!r}.")
    else:
        raise SourceError(f"There is no {argument!r}; give a folder, a picture, a pattern, a list or a URL.")
    if path_column is not None:
        found = [replace(source, path_column=path_column) for source in found if source.kind == "list"]
        if not found:
            raise SourceError(f"A path column is named, and {argument!r} is no list; add it without one.")
    for source in found:
        if not allowed(_beginning(source)):
            raise SourceError(
                f"{argument!r} lies outside the folder that the settings allow (PLAYGROUND_IMAGE_ROOT)."
            )
    return found


def absolute(path: str) -> str:
    """A path as it is stored: from the root, symbolic links kept; a URL as it is."""
    return path if is_url(path) else os.path.abspath(os.path.expanduser(path))


def title(path: str, metadata: Mapping[str, Any]) -> str:
    """What a stored image is called: the name of its file, or for an uploaded one that which its sender gave it."""
    given = metadata.get(NAME)
    if files.is_upload(path) and isinstance(given, str) and given:
        return given
    return path.rstrip("/").rpartition("/")[2] or path


def told_path(path: str, metadata: Mapping[str, Any], sources: Sequence[str]) -> str:
    """A stored path as others are told of it: without what lies above the folder among the sources that it came from."""
    if is_url(path):
        return path
    folder = max((one for one in sources if path.startswith(f"{one.rstrip('/')}/")), key=len, default=None)
    if folder is None or files.is_upload(path):
        return title(path, metadata)
    return os.path.relpath(path, os.path.dirname(folder.rstrip("/")))


def is_url(text: str) -> bool:
    """Whether a path is the address of something to download."""
    return text.lower().startswith(("http://", "https://"))


def _beginning(source: Source) -> str:
    """The part of a source's path before anything that matches several names."""
    parts = Path(source.path).parts
    plain = itertools.takewhile(lambda part: not glob.has_magic(part), parts)
    return source.path if source.kind != "pattern" else os.path.join(*plain)


def _walk(root: str) -> Iterator[Entry | Problem]:
    """Pictures below a folder, with the name of the folder directly below the root as label."""
    if not os.path.isdir(root):
        raise SourceError(f"The folder {root!r} is not there.")
    seen: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            stat = os.stat(folder)
            if (stat.st_dev, stat.st_ino) in seen:
                yield Problem(_told(folder), "a symbolic link leads back to a folder that was seen already")
                continue
            seen.add((stat.st_dev, stat.st_ino))
            with os.scandir(folder) as found:
                children = sorted(found, key=lambda child: child.name)
        except OSError as error:
            yield Problem(_told(folder), f"the folder can't be read ({error.strerror})")
            continue
        below = []
        for child in children:
            if child.name.startswith("."):
                continue
            if child.is_symlink() and not allowed(child.path):
                yield Problem(
                    _told(child.path), "a symbolic link leads outside the folder that the settings allow"
                )
            elif _is_folder(child):
                below.append(child.path)
            elif _is_picture(child.name):
                first = os.path.relpath(folder, root).split(os.sep)[0]
                yield _file(child.path, None if first == "." else first)
        waiting += reversed(below)


def _is_folder(child: os.DirEntry) -> bool:
    try:
        return child.is_dir()
    except OSError:
        # A link that leads to itself.
        return False


def _file(path: str, label: str | None = None, metadata: dict[str, Any] | None = None) -> Entry | Problem:
    if (told := _told(path)) != path or (label is not None and _told(label) != label):
        return Problem(told, "its name is not valid UTF-8; rename it")
    if not allowed(path):
        return Problem(path, "it lies outside the folder that the settings allow")
    return Entry(path, label, metadata or {})


def _told(name: str) -> str:
    """A name as it can be shown and stored: what is not UTF-8 in it is replaced."""
    return os.fsencode(name).decode("utf-8", "replace").replace("\0", "\ufffd")


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in images.SUFFIXES


def _listed(source: Source) -> Iterator[Entry | Problem]:
    from core.search.collection import lists

    for row in lists.read(Path(source.path), source.path_column):
        if row.problem is None and row.path is not None:
            if is_url(row.path):
                yield Entry(row.path, row.label, row.metadata, foreign=True)
            else:
                yield _file(row.path, row.label, row.metadata)
        elif row.problem != lists.NO_PATH:
            yield Problem(f"{source.path}, row {row.number}", row.problem or "")
