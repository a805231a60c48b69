"""Every limit and path in one place.

Each can be overridden by an environment variable of the same name with the prefix ``PLAYGROUND_``,
for example ``PLAYGROUND_GRID_DIR=/data/grids``.
"""

import os
from pathlib import Path
from typing import Any

from core.errors import UserError

_ROOT = Path(__file__).resolve().parent.parent


def _setting(name: str, default: Any, kind: type = int) -> Any:
    text = os.environ.get(f"PLAYGROUND_{name}")
    if not text:
        return default
    try:
        value = kind(text)
    except ValueError:
        raise UserError(
            f"The environment variable PLAYGROUND_{name} is {text!r}, not a whole number."
        ) from None
    if kind is int and value <= 0:
        raise UserError(f"The environment variable PLAYGROUND_{name} is {value}; it must be above zero.")
    return value


# Where the grids lie: one folder per dataset.
GRID_DIR: Path = _setting("GRID_DIR", _ROOT / "precomputed", Path)

# A picture from outside: refused above these.
MAX_IMAGE_BYTES: int = _setting("MAX_IMAGE_BYTES", 20_000_000)
MAX_IMAGE_PIXELS: int = _setting("MAX_IMAGE_PIXELS", 50_000_000)

# Images per forward pass, and threads that decode the next ones meanwhile.
BATCH_SIZE: int = _setting("BATCH_SIZE", 8)
DECODE_THREADS: int = _setting("DECODE_THREADS", 2)

# Vectors of one layer and pooling larger than this together go through a scratch file instead of memory.
MEMORY_BYTES: int = _setting("MEMORY_BYTES", 256_000_000)
# Folder of the scratch file; the platform's own temporary folder when not set.
SCRATCH_DIR: Path | None = _setting("SCRATCH_DIR", None, Path)

# Pooled vectors are stored when those of one layer take at most this much for the whole dataset.
MAX_STORED_VECTOR_BYTES: int = _setting("MAX_STORED_VECTOR_BYTES", 100_000_000)

# Layouts are computed for datasets of at most this many images.
MAX_LAYOUT_IMAGES: int = _setting("MAX_LAYOUT_IMAGES", 20_000)
