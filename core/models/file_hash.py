"""SHA-256 of files, computed once while they don't change."""

import hashlib
from functools import lru_cache
from pathlib import Path


def sha256(path: Path) -> str:
    """Hex digits of the content's SHA-256."""
    status = path.stat()
    return _sha256(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _sha256(path: Path, _modified: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
