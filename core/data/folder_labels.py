"""The label of an image from its folders: the same one, whichever remembered source it is read from."""

# Paths are strings here, as in the sources.

import os
from collections.abc import Iterable, Sequence

from core.data import folder_walker, image_sources
from core.data.image_sources import ImageSource, Record

NO_LABELS = 0


class FolderLabels:
    """The labels of files by their paths.

    The level of the innermost source folder that has one decides, so a folder that is added later inside of another one uses the level
    of the outer one.
    """

    def __init__(self, sources: Iterable[ImageSource] = ()):
        self._levels = {
            source.path: source.label_level
            for source in sources
            if source.kind == "folder" and source.label_level is not None
        }
        self._last: tuple[str, str | None] = ("", None)

    def __call__(self, path: str) -> str | None:
        folder = os.path.dirname(path)
        if folder != self._last[0]:
            # Most files follow another one of the same folder.
            self._last = folder, self._of(folder)
        return self._last[1]

    def root(self, folder: str) -> str | None:
        """The source folder whose level decides for the files in this folder."""
        while folder not in self._levels:
            above = os.path.dirname(folder)
            if above == folder:
                return None
            folder = above
        return folder

    def _of(self, folder: str) -> str | None:
        root = self.root(folder)
        return None if root is None else folder_walker.label(parts_below(root, folder), self._levels[root])


def parts_below(root: str, folder: str) -> tuple[str, ...]:
    """The names of the folders from below a root to a folder in it."""
    return tuple(part for part in folder[len(root) :].split(os.sep) if part)


def decide(records: Sequence[Record], path: str) -> bool:
    """Derive the level of the labels for the source folders that are or contain ``path`` and have none; whether any was found.

    It is derived from the structure once and written into the record, so images that are added later do not change it. A folder inside
    of one with a level gets none of its own.

    Parameters
    ----------
    records : the remembered sources.
    """
    found = False
    undecided = [
        record
        for record in records
        if record["kind"] == "folder"
        and record.get("label_level", NO_LABELS) is None
        and os.path.join(path, "").startswith(os.path.join(record["path"], ""))
    ]
    for record in sorted(undecided, key=lambda record: len(record["path"])):
        if FolderLabels(map(ImageSource.from_json, records)).root(record["path"]) is None:
            folders = {
                image.parts[:-1]
                for image in image_sources.walk(record["path"])
                if isinstance(image, folder_walker.ImageFile)
            }
            record["label_level"] = folder_walker.label_level(folders)
            found = found or record["label_level"] is not None
    return found
