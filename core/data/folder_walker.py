"""What a folder of images holds: which files count, which are left out, and which folders name the labels.

Datasets, collections, patterns, zip archives and the pages that offer folders all use this module, so that they see the same images.
"""

# Paths are strings here: they are stored as such, links in them unresolved, and there may be a million.

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from core.imaging import file_types
from core.text import nfc

# What computers put beside images unasked, besides hidden files; in lower case.
_SYSTEM = frozenset(
    {
        *("__macosx", "icon\r"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "recycler", "system volume information"),
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@tmp", "~snapshot"),
        "lost+found",
    }
)
_SPECIAL = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)
# Folders that divide a dataset for training and are no labels.
_SPLIT = re.compile(
    r"(train|training|trainval|val|valid|validation|test|testing|dev|eval|evaluation)([ _-]?set)?",
    re.IGNORECASE,
)
NOT_UTF8 = "its name is not valid UTF-8; rename it"


@dataclass(frozen=True)
class ImageFile:
    """A file that is an image by its name.

    path : of the file, beginning with that of the folder that is walked; parts : the names below that folder, the file's last.
    """

    path: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class LeftOut:
    """A hidden file or folder, or one of a system's own; nothing in it is looked at."""

    path: str


@dataclass(frozen=True)
class Problem:
    """Something that can't be looked into or read, with the reason."""

    path: str
    reason: str


def walk(root: str, allowed: Callable[[str], bool]) -> Iterator[ImageFile | LeftOut | Problem]:
    """All images below a folder, in a fixed order: those of a folder by name, then its folders by name.

    Nothing is opened. Symbolic links are followed, but for those that lead in circles or to what is not ``allowed``.
    """
    seen: set[tuple[int, int]] = set()
    waiting: list[tuple[str, tuple[str, ...]]] = [(root, ())]
    while waiting:
        folder, parts = waiting.pop()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                yield Problem(shown(folder), "a symbolic link leads back to a folder that was seen already")
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as found:
                children = sorted(found, key=lambda child: child.name)
        except OSError as error:
            yield Problem(shown(folder), f"the folder can't be read ({error.strerror})")
            continue
        below = []
        for child in children:
            if is_left_out(child.name):
                yield LeftOut(child.path)
            elif child.is_symlink() and not allowed(child.path):
                yield Problem(shown(child.path), "a symbolic link leads outside the allowed folder")
            elif is_folder(child):
                below.append((child.path, (*parts, child.name)))
            elif what := _special(child):
                yield Problem(shown(child.path), f"it is {what}, not a file")
            elif is_picture(child.name):
                if shown(child.path) != child.path:
                    yield Problem(shown(child.path), NOT_UTF8)
                else:
                    yield ImageFile(child.path, (*parts, child.name))
        waiting += reversed(below)


def label_level(places: Iterable[Sequence[str]]) -> int | None:
    """Which level of folders names the labels of images; 1 for the folders directly below the root, None where there is none.

    A folder at the top that all images share is passed over, and so is a level of splits such as ``train`` and ``test``. A level is
    one of splits when all folders there are, or when those with folders below them are and there are several.

    Parameters
    ----------
    places : for each image, or once for each folder with images in it, the names of the folders that it lies in, from the root on.
    """
    places = {tuple(map(nfc, place)) for place in places}
    level = 1
    while names := {place[level - 1] for place in places if len(place) >= level}:
        deep = {place[level - 1] for place in places if len(place) > level}
        if all(map(is_split, names)) or (len(deep) > 1 and all(map(is_split, deep))):
            return level + 1 if deep else None
        if len(names) > 1 or any(len(place) < level for place in places):
            return level
        level += 1
    return None


def label(place: Sequence[str], level: int | None) -> str | None:
    """The label of an image in these folders; ``level`` as :func:`label_level` gives it, or 0 for no labels."""
    return nfc(place[level - 1]) if level and len(place) >= level else None


def is_split(name: str) -> bool:
    """Whether a folder of this name is a part of a dataset rather than a class."""
    return _SPLIT.fullmatch(name) is not None


def is_left_out(name: str) -> bool:
    """Whether a file or folder of this name is hidden or a system's own."""
    return name.startswith(".") or name.lower() in _SYSTEM


def left_out_part(parts: Sequence[str]) -> tuple[str, ...] | None:
    """The beginning of a path, up to the first name that is left out; None when none is."""
    for place, name in enumerate(parts, 1):
        if is_left_out(name):
            return tuple(parts[:place])
    return None


def is_picture(name: str) -> bool:
    """Whether a file of this name counts as an image."""
    return os.path.splitext(name)[1].lower() in file_types.SUFFIXES


def special(mode: int) -> str | None:
    """What a file of this mode is, such as ``"a named pipe"``, when opening it could wait forever or do something else than read."""
    return next((name for test, name in _SPECIAL if test(mode)), None)


def shown(name: str) -> str:
    """A name as it can be shown and stored: what is not UTF-8 in it is replaced."""
    return os.fsencode(name).decode("utf-8", "replace").replace("\0", "\ufffd")


def is_folder(child: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one."""
    try:
        return child.is_dir()
    except OSError:
        # A link that leads to itself.
        return False


def _special(child: os.DirEntry[str]) -> str | None:
    try:
        return None if child.is_file() else special(child.stat().st_mode)
    except OSError:
        # A link that leads nowhere; reading it says so.
        return None
