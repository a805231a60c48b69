"""The folders of this machine that a page may offer: those in the folder that the settings allow."""

import os
from dataclasses import dataclass

from core.data import folder_walker
from core.data.image_sources import SourceError, absolute
from core.imaging.servable_files import allowed
from core.settings import settings

# The most names that are shown of a folder, and that are read.
_MOST, _MOST_READ = 500, 20_000


@dataclass(frozen=True)
class Folder:
    """A folder and its direct content.

    relative : its path below the root, ``""`` for the root itself; path : absolute; folders : names in alphabetical order;
    images : their number; complete : whether that is all, which it is not in a very large folder.
    """

    relative: str
    path: str
    folders: tuple[str, ...]
    images: int
    complete: bool


def list_folder(relative: str = "") -> Folder:
    """A folder by its path below the root.

    Raises
    ------
    SourceError : the settings allow no root, there is no such folder in it, or it can't be read.
    """
    if settings.IMAGE_ROOT is None:
        raise SourceError("The settings allow no folder of this machine; set PLAYGROUND_IMAGE_ROOT to one.")
    parts = [part for part in relative.split("/") if part not in ("", ".")]
    path = absolute(str(settings.IMAGE_ROOT.joinpath(*parts)))
    if ".." in parts or "\0" in relative or not allowed(path):
        raise SourceError(f"{relative!r} is outside of the folder that the settings allow.")
    folders, images, read = [], 0, 0
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                read += 1
                if read > _MOST_READ:
                    break
                if folder_walker.is_left_out(entry.name) or not entry.name.isprintable():
                    continue
                if folder_walker.is_folder(entry):
                    folders.append(entry.name)
                elif folder_walker.is_picture(entry.name) and _is_file(entry):
                    images += 1
    except FileNotFoundError:
        raise SourceError(f"There is no folder {relative!r}.") from None
    except OSError as error:
        raise SourceError(f"The folder {relative!r} can't be read ({error.strerror}).") from None
    complete = read <= _MOST_READ and len(folders) <= _MOST
    return Folder("/".join(parts), path, tuple(sorted(folders)[:_MOST]), images, complete)


def _is_file(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False
