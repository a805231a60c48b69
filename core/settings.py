"""Every limit and path in one place.

Each can be overridden by an environment variable of the same name with the prefix ``PLAYGROUND_``,
for example ``PLAYGROUND_GRID_DIR=/data/grids``.
"""

import os
from pathlib import Path
from typing import Any

from core import hostnames
from core.errors import UserError

_ROOT = Path(__file__).resolve().parent.parent


def _data_folder() -> Path:
    """Where data of the user goes: into the checkout, or the user's own folder where the project is installed as a package."""
    if (_ROOT / "pyproject.toml").is_file():
        return _ROOT
    import platformdirs

    return platformdirs.user_data_path("embedding-playground", appauthor=False)


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


def _ports(name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    text = os.environ.get(f"PLAYGROUND_{name}")
    if not text:
        return default
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 0 < int(part) < 65536 for part in parts):
        raise UserError(
            f"The environment variable PLAYGROUND_{name} is {text!r}, not ports such as 80,443,8080."
        )
    return tuple(int(part) for part in parts)


def _switch(name: str, default: bool = False) -> bool:
    text = os.environ.get(f"PLAYGROUND_{name}", "").strip()
    if text not in ("", "0", "1"):
        raise UserError(f"The environment variable PLAYGROUND_{name} is {text!r}; it must be 0 or 1.")
    return text == "1" if text else default


def _choice(name: str, valid: tuple[str, ...]) -> str | None:
    text = os.environ.get(f"PLAYGROUND_{name}", "").strip()
    if text and text not in valid:
        raise UserError(
            f"The environment variable PLAYGROUND_{name} is {text!r}; it must be {' or '.join(valid)}."
        )
    return text or None


def _hosts(name: str) -> tuple[str, ...]:
    parts = [part.strip() for part in os.environ.get(f"PLAYGROUND_{name}", "").split(",")]
    found = []
    for part in filter(None, parts):
        bare = hostnames.address(part.strip("[]"))
        try:
            host = str(bare) if bare else hostnames.parse(part.encode("idna").decode())
        except UnicodeError:
            host = None
        if host is None or (bare is None and ":" in part):
            raise UserError(
                f"The environment variable PLAYGROUND_{name} has {part!r}, which is not the name of a host; write names without "
                "scheme, port and path, such as images.example.org,10.0.0.7."
            )
        found.append(host)
    return tuple(found)


# Where the grids lie: one folder per dataset.
GRID_DIR: Path = _setting("GRID_DIR", _ROOT / "precomputed", Path)

# What ships of single models: one folder each.
MODELS_DIR: Path = _setting("MODELS_DIR", _ROOT / "precomputed" / "models", Path)

# Where collections lie: one folder each. Their catalogs are SQLite files there, or live in the PostgreSQL database of a
# URL such as postgresql://user@host/name.
COLLECTIONS_DIR: Path = _setting("COLLECTIONS_DIR", _data_folder() / "collections", Path)
CATALOG_URL: str | None = _setting("CATALOG_URL", None, str)
# The only folder of this machine that collections take images from; pages offer no folder when it is not set.
IMAGE_ROOT: Path | None = _setting("IMAGE_ROOT", None, Path)

# What visitors of a server may do: "full", or "read" for nothing that changes collections, grids or models. When it is not set, a
# server that only this machine reaches is full and any other one is read-only.
ACCESS: str | None = _choice("ACCESS", ("full", "read"))
# More names that a server answers to, such as those of a reverse proxy. Loopback names always are; where the server listens beyond
# loopback, IP addresses and the machine's own name too.
ALLOWED_HOSTS: tuple[str, ...] = _hosts("ALLOWED_HOSTS")

# A picture from outside: refused above these.
MAX_IMAGE_BYTES: int = _setting("MAX_IMAGE_BYTES", 20_000_000)
MAX_IMAGE_PIXELS: int = _setting("MAX_IMAGE_PIXELS", 50_000_000)
# Pixels of its longer side, and how many times its shorter side that may be. Resizing very long pictures takes far more
# memory than their pixels.
MAX_IMAGE_SIDE: int = _setting("MAX_IMAGE_SIDE", 65_500)
MAX_IMAGE_RATIO: int = _setting("MAX_IMAGE_RATIO", 200)

# A zip archive of pictures that is sent into a collection: files in it, bytes that come out of it, and how many times its own
# size those may be. How large anything that is sent may be stands in dashboard/.streamlit/config.toml (maxUploadSize).
MAX_ZIP_FILES: int = _setting("MAX_ZIP_FILES", 20_000)
MAX_ZIP_BYTES: int = _setting("MAX_ZIP_BYTES", 2_000_000_000)
MAX_ZIP_RATIO: int = _setting("MAX_ZIP_RATIO", 100)

# What may be uploaded through pages, into one collection and into all of them, in bytes and in pictures. Files of removed pictures count until
# they are deleted for good; what `collection add` takes from folders does not.
MAX_UPLOAD_BYTES: int = _setting("MAX_UPLOAD_BYTES", 5_000_000_000)
MAX_UPLOAD_PICTURES: int = _setting("MAX_UPLOAD_PICTURES", 50_000)
MAX_ALL_UPLOAD_BYTES: int = _setting("MAX_ALL_UPLOAD_BYTES", 20_000_000_000)
MAX_ALL_UPLOAD_PICTURES: int = _setting("MAX_ALL_UPLOAD_PICTURES", 200_000)

# Uploads, vectors, exports, layouts and experiments are refused when they would leave less than this on their disk.
MIN_FREE_BYTES: int = _setting("MIN_FREE_BYTES", 500_000_000)

# The longest text in a cell of a list in CSV; a quotation mark that is never closed makes one of the rest of the file.
MAX_CELL_CHARACTERS: int = _setting("MAX_CELL_CHARACTERS", 10_000_000)

# A file of published results in JSON.
MAX_JSON_BYTES: int = _setting("MAX_JSON_BYTES", 5_000_000)

# Collections are handed to browsers as a file when their vectors take at most this.
MAX_EXPORT_BYTES: int = _setting("MAX_EXPORT_BYTES", 500_000_000)

# Images per forward pass, and threads that decode the next ones meanwhile.
BATCH_SIZE: int = _setting("BATCH_SIZE", 8)
DECODE_THREADS: int = _setting("DECODE_THREADS", 2)

# Run networks with OpenVINO where it is installed; 0 leaves that to TensorFlow.
OPENVINO: bool = _switch("OPENVINO", default=True)

# Pictures from strangers are decoded in processes of their own: how many, what each may take, and how long
# a picture waits for a free one.
DECODE_WORKERS: int = _setting("DECODE_WORKERS", 2)
DECODE_SECONDS: int = _setting("DECODE_SECONDS", 10)
DECODE_BYTES: int = _setting("DECODE_BYTES", 1_500_000_000)
DECODE_QUEUE_SECONDS: int = _setting("DECODE_QUEUE_SECONDS", 20)

# Pictures from a URL: how long one may take in all, how often it may redirect, and where it may lead.
# FETCH_PRIVATE=1 allows addresses of the own network as well; those of the machine's link never.
FETCH_SECONDS: int = _setting("FETCH_SECONDS", 10)
FETCH_REDIRECTS: int = _setting("FETCH_REDIRECTS", 3)
FETCH_PORTS: tuple[int, ...] = _ports("FETCH_PORTS", (80, 443))
FETCH_PRIVATE: bool = _switch("FETCH_PRIVATE")
# Downloads of the REST API at a time, and those that may wait; one more is answered with 429.
FETCH_CONCURRENCY: int = _setting("FETCH_CONCURRENCY", 16)
FETCH_QUEUE: int = _setting("FETCH_QUEUE", 32)

# Vectors of one layer and pooling larger than this together go through a scratch file instead of memory.
MEMORY_BYTES: int = _setting("MEMORY_BYTES", 256_000_000)
# Folder of the scratch file; the platform's own temporary folder when not set.
SCRATCH_DIR: Path | None = _setting("SCRATCH_DIR", None, Path)

# Pooled vectors are stored when those of one layer take at most this much for the whole dataset.
MAX_STORED_VECTOR_BYTES: int = _setting("MAX_STORED_VECTOR_BYTES", 100_000_000)

# Layouts are computed for datasets of at most this many images.
MAX_LAYOUT_IMAGES: int = _setting("MAX_LAYOUT_IMAGES", 20_000)

# A configuration that is chosen for a new collection makes of a picture at most so many numbers: 4 kB as float16.
MAX_CHOSEN_DIMENSIONS: int = _setting("MAX_CHOSEN_DIMENSIONS", 2_048)

# Live search: models and indexes kept in memory, bytes of the vectors of one index, forward passes at a time.
LIVE_MODELS: int = _setting("LIVE_MODELS", 3)
LIVE_INDEXES: int = _setting("LIVE_INDEXES", 16)
LIVE_INDEX_BYTES: int = _setting("LIVE_INDEX_BYTES", 64_000_000)
LIVE_PASSES: int = _setting("LIVE_PASSES", 2)

# REST API: requests worked on at a time, and those that may wait; one more is answered with 429.
API_CONCURRENCY: int = _setting("API_CONCURRENCY", 4)
API_QUEUE: int = _setting("API_QUEUE", 60)

# Computations that pages start: how many run at a time, and how many may wait for one of those to end.
JOBS_RUNNING: int = _setting("JOBS_RUNNING", 8)
JOBS_WAITING: int = _setting("JOBS_WAITING", 50)

# Bodies of requests: seconds that one may take to arrive, a picture sent to the API or files sent to a page, and bytes that
# all of them may take in memory together.
BODY_SECONDS: int = _setting("BODY_SECONDS", 60)
UPLOAD_SECONDS: int = _setting("UPLOAD_SECONDS", 1800)
BODY_MEMORY_BYTES: int = _setting("BODY_MEMORY_BYTES", 1_000_000_000)
