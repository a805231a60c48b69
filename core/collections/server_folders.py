"""The folders of this machine that a page may offer: those below the one that the settings name, and no others."""

import os
from dataclasses import dataclass

from core.collections.image_sources import SourceError, absolute, allowed
from core.data import folder_walker as walker
from core.settings import settings

# So many names are shown of a folder, and so many looked at.
_MOST, _MOST_LOOKED_AT = 500, 20_000


@dataclass(frozen=True)
class Folder:
    """A folder and what is directly in it.

    relative : its path below the root, ``""`` for the root itself; path : from the root of the machine; folders : names, in
    alphabetical order; pictures : how many; whole : whether that is all, which it is not in a very large folder.
    """

    relative: str
    path: str
    folders: tuple[str, ...]
    pictures: int
    whole: bool


def look(relative: str = "") -> Folder:
    """A folder by its path below the root.

    Raises
    ------
    SourceError : the settings name no root, or there is no such folder in it, or it can't be read.
    """
    if settings.IMAGE_ROOT is None:
        raise SourceError("The settings allow no folder of this machine; set PLAYGROUND_IMAGE_ROOT to one.")
    parts = [part for part in relative.split("/") if part not in ("", ".")]
    path = absolute(str(settings.IMAGE_ROOT.joinpath(*parts)))
    if ".." in parts or "\0" in relative or not allowed(path):
        raise SourceError(f"{relative!r} leads outside the folder that the settings allow.")
    folders, pictures, looked_at = [], 0, 0
    try:
        with os.scandir(path) as found:
            for child in found:
                looked_at += 1
                if looked_at > _MOST_LOOKED_AT:
                    break
                if walker.is_left_out(child.name) or not child.name.isprintable():
                    continue
                if walker.is_folder(child):
                    folders.append(child.name)
                elif walker.is_picture(child.name) and _is_file(child):
                    pictures += 1
    except FileNotFoundError:
        raise SourceError(f"There is no folder {relative!r}.") from None
    except OSError as error:
        raise SourceError(f"The folder {relative!r} can't be read ({error.strerror}).") from None
    whole = looked_at <= _MOST_LOOKED_AT and len(folders) <= _MOST
    return Folder("/".join(parts), path, tuple(sorted(folders)[:_MOST]), pictures, whole)


def _is_file(child: os.DirEntry) -> bool:
    try:
        return child.is_file()
    except OSError:
        return False
