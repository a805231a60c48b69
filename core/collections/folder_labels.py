"""Which label a picture has by the folders that it lies in: the same one, whichever of the remembered sources it is met in."""

# Paths are strings here, as in the sources.

import os
from collections.abc import Iterable, Sequence

from core.collections.image_sources import Source
from core.data import folder_walker
from core.imaging import servable_files

NO_LABELS = 0


class FolderLabels:
    """The labels of files by their paths.

    The innermost of the folders among the sources that has a level decides, so that a folder that is added later inside of another one
    goes by that one's level.
    """

    def __init__(self, sources: Iterable[Source] = ()):
        self._levels = {
            source.path: source.label_level
            for source in sources
            if source.kind == "folder" and source.label_level is not None
        }
        self._last: tuple[str, str | None] = ("", None)

    def __call__(self, path: str) -> str | None:
        folder = os.path.dirname(path)
        if folder != self._last[0]:
            # Most files come after another one of the same folder.
            self._last = folder, self._of(folder)
        return self._last[1]

    def root(self, folder: str) -> str | None:
        """The folder whose level decides for the files in this one."""
        while folder not in self._levels:
            above = os.path.dirname(folder)
            if above == folder:
                return None
            folder = above
        return folder

    def _of(self, folder: str) -> str | None:
        root = self.root(folder)
        return None if root is None else folder_walker.label(place_below(root, folder), self._levels[root])


def place_below(root: str, folder: str) -> tuple[str, ...]:
    """The names of the folders from below a root to a folder in it."""
    return tuple(part for part in folder[len(root) :].split(os.sep) if part)


def decide(records: Sequence[dict], path: str) -> bool:
    """Find the level of the labels for the folders that are or contain ``path`` and have none yet; whether any was found.

    It is found from the structure and noted in the record, once: pictures that come later do not change it. A folder inside of one with a
    level has none of its own.

    Parameters
    ----------
    records : the remembered sources, as the catalog has them.
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
        if FolderLabels(map(Source.from_json, records)).root(record["path"]) is None:
            places = {
                one.parts[:-1]
                for one in folder_walker.walk(record["path"], servable_files.allowed)
                if isinstance(one, folder_walker.Picture)
            }
            record["label_level"] = folder_walker.label_level(places)
            found = found or record["label_level"] is not None
    return found
