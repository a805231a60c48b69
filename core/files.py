"""Which files of this machine collections may show, and which of them hold strangers' bytes."""

import os
from pathlib import Path

from core import settings

# Of a collection's folder: pictures that were sent to it, named by their hashes.
UPLOADS = "uploads"


def allowed(path: str | Path) -> bool:
    """Whether a path, symbolic links resolved, lies in the folder that the settings allow; anything does when none is set."""
    root = settings.IMAGE_ROOT
    return root is None or Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def uploaded(path: str | Path) -> bool:
    """Whether a file was sent to a collection: its bytes are a stranger's, whoever reads them later."""
    inside = Path(os.path.relpath(os.path.realpath(path), os.path.realpath(settings.COLLECTIONS_DIR)))
    return len(inside.parts) > 2 and inside.parts[0] != os.pardir and inside.parts[1] == UPLOADS
