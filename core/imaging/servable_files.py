"""Which files of this machine collections may show, and which of them hold strangers' bytes."""

import os
import re
from pathlib import Path

from core.settings import settings

# Of a collection's folder: images that were sent to it, named by their hashes.
UPLOADS = "uploads"
# Of the folder of collections: collections that are not published yet.
STAGED = ".staged"
_STORED_UPLOAD = re.compile(rf"{UPLOADS}/[0-9a-f]{{64}}")


def is_upload(stored: str) -> bool:
    """Whether a path in a catalog names an uploaded file: ``uploads/<sha256>``, relative to the collection's folder."""
    return _STORED_UPLOAD.fullmatch(stored) is not None


def located(stored: str, collection: Path) -> Path:
    """The file that a path in a catalog names, in the folder of its collection if it was uploaded."""
    return collection / stored if is_upload(stored) else Path(stored)


def present(path: Path) -> bool:
    """Whether a file is there and can be reached."""
    try:
        return path.is_file()
    except OSError:
        return False


def allowed(path: str | Path) -> bool:
    """Whether a path, symbolic links resolved, lies in the folder that the settings allow; anything does when none is set."""
    root = settings.IMAGE_ROOT
    return root is None or Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def uploaded(path: str | Path) -> bool:
    """Whether a file was sent to a collection: its bytes are a stranger's, whoever reads them later."""
    parts = Path(os.path.relpath(os.path.realpath(path), os.path.realpath(settings.COLLECTIONS_DIR))).parts
    if parts[0] == STAGED:
        parts = parts[1:]
    return len(parts) > 2 and parts[0] != os.pardir and parts[1] == UPLOADS
