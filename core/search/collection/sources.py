"""Where images come from: folders, patterns, single files, URLs, and lists of files and URLs in CSV or Parquet.

A source is read as it is gone through, so a million files take no more memory than ten. What is in the way (unreadable
folders, symbolic links in circles, paths outside the folder that the settings allow) is told as a :class:`Problem` and ends nothing.
"""

# Paths are strings here: they are stored as such, links in them unresolved, and there may be a million.

import glob
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core import files, images
from core.errors import CollectionError
from core.files import allowed
from core.text import nfc

# Names that the columns of a list go by.
_PATH_COLUMNS = ("path", "file", "filename", "image", "image_path", "url")
_LABEL_COLUMNS = ("label", "class", "category")
_LISTS = (".csv", ".parquet")
_LIST_ROWS = 5_000
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

    kind : ``"folder"`` | ``"pattern"`` | ``"file"`` | ``"url"`` | ``"list"``; path : absolute, or the URL.
    """

    kind: str
    path: str

    def to_json(self) -> dict[str, str]:
        """For the catalog."""
        return asdict(self)

    def entries(self) -> Iterator[Entry | Problem]:
        """The images, in a fixed order.

        Raises
        ------
        SourceError : the place is gone, or a list can't be read.
        """
        if self.kind == "folder":
            return _walk(self.path)
        if self.kind == "list":
            return _read_list(Path(self.path))
        if self.kind == "pattern":
            # Files alone: a folder that matches is a source of its own.
            matches = sorted(glob.iglob(self.path, recursive=True))
            return (_file(path) for path in matches if _is_picture(path) and os.path.isfile(path))
        if self.kind == "file":
            return iter([_file(self.path)])
        return iter([Entry(self.path, foreign=True)])


def parse(argument: str) -> list[Source]:
    """What a user names as a source; several where a pattern matches folders.

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


def _read_list(path: Path) -> Iterator[Entry | Problem]:
    for rows in _list_parts(path):
        lower = {str(column).strip().lower(): column for column in rows.columns}
        place = next((lower[name] for name in _PATH_COLUMNS if name in lower), None)
        if place is None:
            raise SourceError(
                f"The list {path.name!r} has no column of paths; name one of its columns {', '.join(_PATH_COLUMNS)}."
            )
        kind = next((lower[name] for name in _LABEL_COLUMNS if name in lower), None)
        extra = [column for column in rows.columns if column not in (place, kind)]
        for row in rows.to_dict("records"):
            named = _plain(row[place])
            if not isinstance(named, str) or not named.strip():
                continue
            label = None if kind is None else _plain(row[kind])
            metadata = {str(name): value for name in extra if (value := _plain(row[name])) is not None}
            label = None if label is None else str(label)
            if is_url(named):
                yield Entry(named, label, metadata, foreign=True)
            else:
                full = os.path.abspath(path.parent / os.path.expanduser(named))
                yield _file(full, label, metadata)


def _list_parts(path: Path) -> Iterator[Any]:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix.lower() == ".csv":
            with pd.read_csv(path, chunksize=_LIST_ROWS) as parts:
                yield from parts
        else:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_LIST_ROWS):
                    yield batch.to_pandas()
    except (OSError, ValueError, pa.ArrowException) as error:
        said = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise SourceError(f"The list {path.name!r} can't be read: {said}") from None


def _plain(value: Any) -> Any:
    """A cell as JSON knows it; None where it is empty."""
    import pandas as pd

    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bool | str | int | list | dict):
        return value
    if value is None or pd.isna(value) or value in (float("inf"), float("-inf")):
        return None
    return value if isinstance(value, float) else str(value)
