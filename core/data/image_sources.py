"""Sources of images: folders, patterns, single files, URLs, and lists of files and URLs in CSV, TSV or Parquet.

Folders and files may also be in an object store, by URLs such as ``s3://bucket/folder``.

A source is iterated, so a million files take no more memory than ten. Unreadable folders, symbolic links in circles and paths outside
of the allowed folder are reported as a :class:`Problem`, and the iteration goes on.
"""

# Paths are strings here: they are stored with links unresolved, and there may be a million.

import fnmatch
import glob
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from core.data import folder_walker, object_store
from core.data.folder_walker import ImageFile, LeftOut, Problem
from core.errors import CollectionError
from core.imaging import servable_files
from core.imaging.servable_files import allowed
from core.text import nfc

KINDS = ("folder", "pattern", "file", "url", "list")
# Read by ``image_lists.read``.
_LISTS = (".csv", ".tsv", ".parquet")
# In the metadata of an uploaded image: its original name, since its file is named by its hash.
NAME = "name"


# A source as the catalog stores it: :meth:`ImageSource.to_json`, its number ``id``, and of a list its ``digest``.
Record = dict[str, Any]


class SourceError(CollectionError):
    """A source that does not exist or can't be read."""


@dataclass(frozen=True)
class Entry:
    """An image to be read, by its path in the catalog (see :func:`core.imaging.servable_files.located`).

    label : converted to Unicode's composed form; foreign : an upload or download, to be decoded in a process that may die;
    size, mtime_ns : of the file, where they came with its listing.
    """

    path: str
    label: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    foreign: bool = False
    size: int | None = None
    mtime_ns: int | None = None

    def __post_init__(self) -> None:
        if self.label is not None:
            object.__setattr__(self, "label", nfc(self.label))


@dataclass(frozen=True)
class ImageSource:
    """A source of images.

    kind : one of :data:`KINDS`; path : absolute, or the URL; path_column : of a list, if the user named it; label_level : which level
    of the folders in a folder names the labels, 1 for those directly in it, 0 for no labels, None if that is not decided.
    """

    kind: str
    path: str
    path_column: str | None = None
    label_level: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain data, for the catalog."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The source of a :data:`Record`.

        Folders that were remembered by versions without label levels keep their labels, which are the folders directly in them.
        """
        level = data.get("label_level", 1) if data["kind"] == "folder" else None
        return cls(data["kind"], data["path"], data.get("path_column"), level)

    def over(self, record: Record) -> Self:
        """The source, with the options of its record where it has none."""
        old = self.from_json(record)
        return replace(
            self,
            path_column=old.path_column if self.path_column is None else self.path_column,
            label_level=old.label_level if self.label_level is None else self.label_level,
        )

    def entries(
        self, labels: Callable[[str], str | None] = lambda path: None
    ) -> Iterator[Entry | LeftOut | Problem]:
        """The images in a fixed order, and what is left out or can't be read; for a list see :func:`image_lists.read`.

        Parameters
        ----------
        labels : the label of a file by its path, from its folders.

        Raises
        ------
        SourceError : the source is gone.
        """
        if self.kind == "folder":
            return _walk(self.path, labels)
        if self.kind == "pattern":
            return _matches(self, labels)
        if self.kind == "file":
            return iter([_file(self.path, labels(self.path))])
        assert self.kind == "url", self.kind
        return iter([Entry(self.path, foreign=True)])


def parse(argument: str, path_column: str | None = None, label_level: int | None = None) -> list[ImageSource]:
    """The sources that an argument means: several if a pattern matches folders.

    Parameters
    ----------
    path_column : the column of a list that holds paths, for :func:`image_lists.read`.
    label_level : of folders, see :class:`ImageSource`.

    Raises
    ------
    SourceError : it does not exist, or is outside of the folder that the settings allow.
    """
    if is_url(argument):
        return [ImageSource("url", argument)]
    path = absolute(argument)
    if object_store.is_object(path):
        found = [_object_source(path)]
    elif os.path.isdir(path):
        found = [ImageSource("folder", path)]
    elif os.path.isfile(path):
        found = [ImageSource("list" if path.lower().endswith(_LISTS) else "file", path)]
    elif glob.has_magic(argument):
        pattern = ImageSource("pattern", path)
        # With ** the files in folders are matched themselves.
        matches = [] if _is_recursive(pattern) else sorted(glob.glob(path))
        found = [
            ImageSource("folder", match)
            for match in matches
            if os.path.isdir(match) and not _left_out(pattern, match)
        ]
        if any(isinstance(one, Entry | Problem) for one in _matches(pattern)):
            found.append(pattern)
        if not found:
            raise SourceError(f"No image or folder matches {argument!r}.")
    elif what := _special(path):
        raise SourceError(
            f"{argument!r} is {what}, not a file; give a folder, an image, a pattern, a list or a URL."
        )
    else:
        raise SourceError(f"There is no {argument!r}; give a folder, an image, a pattern, a list or a URL.")
    if path_column is not None:
        found = [replace(source, path_column=path_column) for source in found if source.kind == "list"]
        if not found:
            raise SourceError(f"A path column was given, but {argument!r} is not a list; add it without one.")
    if label_level is not None:
        if not any(source.kind == "folder" for source in found):
            raise SourceError(
                f"A label level was given, but {argument!r} is not a folder; add it without one."
            )
        found = [
            replace(source, label_level=label_level) if source.kind == "folder" else source
            for source in found
        ]
        if label_level and not any(map(_reaches, found)):
            raise SourceError(
                f"No image in {argument!r} is in a folder at level {label_level:,}; give a lower level, or none for no labels."
            )
    for source in found:
        check_allowed(source)
    return found


def check_allowed(source: ImageSource) -> None:
    """Raises SourceError for a source on this machine that is outside of the folder that the settings allow."""
    if not (is_remote(source.path) or allowed(beginning(source))):
        raise SourceError(
            f"{source.path!r} is outside of the folder that the settings allow (PLAYGROUND_IMAGE_ROOT)."
        )


def parse_all(
    arguments: Sequence[str], path_column: str | None, label_level: int | None
) -> list[ImageSource]:
    """The sources of several arguments; parameters and errors as of :func:`parse`."""
    return [source for one in arguments for source in parse(one, path_column, label_level)]


def remembered(known: list[Record], source: ImageSource) -> tuple[Record, ImageSource]:
    """The record of a source, added to the remembered ones if it is new, and the source with its remembered options."""
    for record in known:
        if (record["kind"], record["path"]) == (source.kind, source.path):
            return record, source.over(record)
    known.append(source.to_json())
    return known[-1], source


def absolute(path: str) -> str:
    """A path as it is stored: absolute, with symbolic links; a URL unchanged, but for a slash at the end of a folder in an object store.

    Raises
    ------
    SourceError : it is empty, which would mean the current folder.
    """
    if not path:
        raise SourceError("A path is empty; give a folder, a file or a pattern ('.' is the current folder).")
    if object_store.is_object(path):
        return path.rstrip("/")
    return path if is_url(path) else os.path.abspath(os.path.expanduser(path))


def title(path: str, metadata: Mapping[str, Any]) -> str:
    """The name of a stored image: that of its file, or the original name of an upload."""
    given = metadata.get(NAME)
    if servable_files.is_upload(path) and isinstance(given, str) and given:
        return given
    return path.rstrip("/").rpartition("/")[2] or path


def public_path(path: str, metadata: Mapping[str, Any], sources: Sequence[str]) -> str:
    """A stored path as others may see it: without the folders above the source that it came from."""
    # A file that was refused has its place in an archive, which reveals nothing of this machine.
    stored = os.path.isabs(path) or object_store.is_object(path) or servable_files.is_upload(path)
    if is_url(path) or not stored:
        return path
    folder = max((one for one in sources if path.startswith(f"{one.rstrip('/')}/")), key=len, default=None)
    if folder is None or servable_files.is_upload(path):
        return title(path, metadata)
    return os.path.relpath(path, os.path.dirname(folder.rstrip("/")))


def named(path: str) -> Entry | Problem:
    """The file of an absolute path, or a URL, as an image to be read."""
    return Entry(path, foreign=True) if is_url(path) else _file(path)


def is_url(text: str) -> bool:
    """Whether a path is the address of something to download."""
    return text.lower().startswith(("http://", "https://"))


def is_remote(path: str) -> bool:
    """Whether an image is not on this machine: a URL to download, or a file in an object store."""
    return is_url(path) or object_store.is_object(path)


def is_file(path: str) -> bool:
    """Whether there is a file, on this machine or in an object store."""
    if not object_store.is_object(path):
        return os.path.isfile(path)
    try:
        object_store.info(path)
    except (OSError, CollectionError):
        return False
    return True


def walk(root: str) -> Iterator[ImageFile | LeftOut | Problem]:
    """What is below a folder on this machine or in an object store, see :func:`folder_walker.walk`.

    Raises
    ------
    SourceError : there is no such folder in the object store, or it does not answer.
    """
    if object_store.is_object(root):
        return (found for found, _ in _objects(root))
    return folder_walker.walk(root, allowed)


def _objects(root: str) -> Iterator[tuple[ImageFile | LeftOut, Any]]:
    """What is below a folder in an object store, with the ``FileInfo`` of each."""
    left_out = set()
    try:
        for path, info in object_store.walk(root):
            parts = path[len(root) :].strip("/").split("/")
            if part := folder_walker.left_out_part(parts):
                if part not in left_out:
                    left_out.add(part)
                    yield LeftOut("/".join((root, *part))), info
            elif folder_walker.is_picture(path):
                yield ImageFile(path, tuple(parts)), info
    except OSError:
        raise SourceError(f"The folder {root!r} does not exist.") from None
    except CollectionError as error:
        raise SourceError(f"{root!r}: {error}.") from None


def _object_source(path: str) -> ImageSource:
    if is_file(path):
        if path.lower().endswith(_LISTS):
            raise SourceError(
                f"The list {path!r} is in an object store; copy it to this machine, it may name images there."
            )
        return ImageSource("file", path)
    next(_objects(path), None)
    return ImageSource("folder", path)


def _reaches(source: ImageSource) -> bool:
    """Whether an image in a folder is as deep as its label level."""
    if source.kind != "folder" or source.label_level is None:
        return False
    return any(
        isinstance(one, ImageFile) and len(one.parts) > source.label_level for one in walk(source.path)
    )


def beginning(source: ImageSource) -> str:
    """The part of a source's path before any pattern."""
    parts = Path(source.path).parts
    plain = itertools.takewhile(lambda part: not glob.has_magic(part), parts)
    return source.path if source.kind != "pattern" else os.path.join(*plain)


def _walk(root: str, labels: Callable[[str], str | None]) -> Iterator[Entry | LeftOut | Problem]:
    """The images below a folder."""
    if object_store.is_object(root):
        for one, info in _objects(root):
            if isinstance(one, ImageFile):
                label = labels(one.path)
                yield Entry(one.path, label, size=info.size, mtime_ns=object_store.mtime_ns(info))
            else:
                yield one
        return
    if not os.path.isdir(root):
        raise SourceError(f"The folder {root!r} does not exist.")
    for found in folder_walker.walk(root, allowed):
        if isinstance(found, ImageFile):
            yield _file(found.path, labels(found.path))
        else:
            yield found


def _matches(
    pattern: ImageSource, labels: Callable[[str], str | None] = lambda path: None
) -> Iterator[Entry | LeftOut | Problem]:
    """The images that a pattern matches; a folder that it matches is a source of its own."""
    if _is_recursive(pattern):
        yield from _matches_below(pattern, labels)
        return
    reported = set()
    for path in sorted(glob.iglob(pattern.path)):
        if out := _left_out(pattern, path):
            if out not in reported:
                reported.add(out)
                yield LeftOut(out)
        elif what := _special(path):
            yield Problem(folder_walker.shown(path), f"it is {what}, not a file")
        elif folder_walker.is_picture(path) and os.path.isfile(path):
            yield _file(path, labels(path))


def _is_recursive(pattern: ImageSource) -> bool:
    return "**" in Path(pattern.path).parts


def _matches_below(
    pattern: ImageSource, labels: Callable[[str], str | None]
) -> Iterator[Entry | LeftOut | Problem]:
    """As :func:`_matches` for a pattern with ``**``, which :mod:`glob` would follow into links that lead in circles."""
    root = beginning(pattern)
    wanted = Path(pattern.path).parts[len(Path(root).parts) :]
    if not os.path.isdir(root):
        return
    for found in folder_walker.walk(root, allowed):
        if isinstance(found, ImageFile):
            if _fits(found.parts, wanted):
                yield _file(found.path, labels(found.path))
        else:
            below = Path(os.path.relpath(found.path, root)).parts
            # A folder that can't be read may hold matches.
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


def _left_out(pattern: ImageSource, path: str) -> str | None:
    """The hidden or system file or folder that a match is or is in, below the part of the pattern without wildcards."""
    root = beginning(pattern)
    parts = folder_walker.left_out_part(os.path.relpath(path, root).split(os.sep))
    return os.path.join(root, *parts) if parts else None


def _special(path: str) -> str | None:
    try:
        return folder_walker.special(os.stat(path).st_mode)
    except OSError:
        return None


def _file(path: str, label: str | None = None) -> Entry | Problem:
    if object_store.is_object(path):
        return Entry(path, label)
    if (shown := folder_walker.shown(path)) != path:
        return Problem(shown, folder_walker.NOT_UTF8)
    if not allowed(path):
        return Problem(path, "it is outside of the folder that the settings allow")
    return Entry(path, label)
