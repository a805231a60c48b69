"""Every limit and path in one place.

Each can be set by an environment variable of the same name with the prefix ``PLAYGROUND_``,
for example ``PLAYGROUND_GRID_DIR=/data/grids``.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, PositiveInt, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core import hostnames
from core.errors import UserError

_ROOT = Path(__file__).resolve().parent.parent


def _data_folder() -> Path:
    """Where data of the user goes: into the checkout, or the user's own folder where the project is installed as a package."""
    if (_ROOT / "pyproject.toml").is_file():
        return _ROOT
    import platformdirs

    return platformdirs.user_data_path("embedding-playground", appauthor=False)


def _ports(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 0 < int(part) < 65536 for part in parts):
        raise ValueError("it must be ports such as 80,443,8080")
    return parts


def _access(text: str) -> str | None:
    if text.strip() not in ("", "full", "read"):
        raise ValueError("it must be full or read")
    return text.strip() or None


def _switch(text: str) -> bool:
    if text.strip() not in ("", "0", "1"):
        raise ValueError("it must be 0 or 1")
    return text.strip() == "1"


def _hosts(text: str) -> list[str]:
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        bare = hostnames.address(part.strip("[]"))
        try:
            host = str(bare) if bare else hostnames.parse(part.encode("idna").decode())
        except UnicodeError:
            host = None
        if host is None or (bare is None and ":" in part):
            raise ValueError(
                f"{part!r} is not the name of a host; write names without scheme, port and path, such as "
                "images.example.org,10.0.0.7"
            )
        found.append(host)
    return found


Access = Annotated[Literal["full", "read"] | None, BeforeValidator(_access)]
Ports = Annotated[tuple[int, ...], NoDecode, BeforeValidator(_ports)]
Switch = Annotated[bool, BeforeValidator(_switch)]
Hosts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_hosts)]


class Settings(BaseSettings):
    """The settings, read from the environment when an instance is made."""

    model_config = SettingsConfigDict(
        env_prefix="PLAYGROUND_", case_sensitive=True, env_ignore_empty=True, validate_default=False
    )

    # Where the grids lie: one folder per dataset.
    GRID_DIR: Path = _ROOT / "precomputed"

    # What ships of single models: one folder each.
    MODELS_DIR: Path = _ROOT / "precomputed" / "models"

    # Models that a user added: one folder each.
    ADDED_MODELS_DIR: Path = _data_folder() / "models"
    # An ONNX file that is added, with the files of its weights; and what the process may take that checks it: memory, and seconds.
    MAX_ONNX_BYTES: PositiveInt = 2_000_000_000
    ONNX_MEMORY_BYTES: PositiveInt = 12_000_000_000
    ONNX_SECONDS: PositiveInt = 300

    # Where collections lie: one folder each. Their catalogs are SQLite files there, or live in the PostgreSQL database of a
    # URL such as postgresql://user@host/name.
    COLLECTIONS_DIR: Path = _data_folder() / "collections"
    CATALOG_URL: str | None = None
    # Connections to that database that this process may have at a time; whoever needs another one waits.
    CATALOG_CONNECTIONS: PositiveInt = 20
    # Milvus for the index engine of that name: the address of a cluster, such as http://host:19530, or a file that ends with .db for
    # Milvus Lite; and the token, such as user:password.
    MILVUS_URI: str | None = None
    MILVUS_TOKEN: str | None = None
    # The only folder of this machine that collections take images from; pages offer no folder when it is not set.
    IMAGE_ROOT: Path | None = None

    # What visitors of a server may do: "full", or "read" for nothing that changes collections, grids or models. When it is not set, a
    # server that only this machine reaches is full and any other one is read-only.
    ACCESS: Access = None
    # More names that a server answers to, such as those of a reverse proxy. Loopback names always are; where the server listens beyond
    # loopback, IP addresses and the machine's own name too.
    ALLOWED_HOSTS: Hosts = ()

    # Limits of an image from outside.
    MAX_IMAGE_BYTES: PositiveInt = 20_000_000
    MAX_IMAGE_PIXELS: PositiveInt = 50_000_000
    # Pixels of its longer side, and how many times its shorter side that may be. Resizing very long images takes far more
    # memory than their pixels.
    MAX_IMAGE_SIDE: PositiveInt = 65_500
    MAX_IMAGE_RATIO: PositiveInt = 200

    # A zip archive of images for a collection: files in it, unpacked bytes, and how many times the size of the archive those may be.
    # The largest upload is maxUploadSize in dashboard/.streamlit/config.toml.
    MAX_ZIP_FILES: PositiveInt = 20_000
    MAX_ZIP_BYTES: PositiveInt = 2_000_000_000
    MAX_ZIP_RATIO: PositiveInt = 100

    # Uploads through pages, into one collection and into all of them, in bytes and in images. Files of removed images count until they
    # are deleted permanently; what `playground collection add` takes from folders does not count.
    MAX_UPLOAD_BYTES: PositiveInt = 5_000_000_000
    MAX_UPLOAD_PICTURES: PositiveInt = 50_000
    MAX_ALL_UPLOAD_BYTES: PositiveInt = 20_000_000_000
    MAX_ALL_UPLOAD_PICTURES: PositiveInt = 200_000

    # Uploads, vectors, exports, projections and experiments are refused when they would leave less than this on their disk.
    MIN_FREE_BYTES: PositiveInt = 500_000_000

    # The longest text in a cell of a list in CSV; a quotation mark that is never closed makes one of the rest of the file.
    MAX_CELL_CHARACTERS: PositiveInt = 10_000_000

    # A file of published results in JSON.
    MAX_JSON_BYTES: PositiveInt = 5_000_000

    # Collections are handed to browsers as a file when their vectors take at most this.
    MAX_EXPORT_BYTES: PositiveInt = 500_000_000

    # Images that go through a network together, and threads that decode the next ones meanwhile.
    BATCH_SIZE: PositiveInt = 8
    DECODE_THREADS: PositiveInt = 2

    # Run networks with OpenVINO where it is installed; 0 leaves that to TensorFlow.
    OPENVINO: Switch = True
    # Where networks are kept that were converted for OpenVINO, in the user's own cache folder when it is not set, and how many bytes
    # of them.
    NETWORKS_DIR: Path | None = None
    MAX_NETWORK_BYTES: PositiveInt = 2_000_000_000

    # Images from outside are decoded in separate processes: how many, what each may take, and how long
    # an image waits for a free one.
    DECODE_WORKERS: PositiveInt = 2
    DECODE_SECONDS: PositiveInt = 10
    DECODE_BYTES: PositiveInt = 1_500_000_000
    DECODE_QUEUE_SECONDS: PositiveInt = 20

    # Images from a URL: how long one may take in all, how often it may redirect, and where it may lead.
    # FETCH_PRIVATE=1 allows addresses of the private network as well; link-local addresses are never allowed.
    FETCH_SECONDS: PositiveInt = 10
    FETCH_REDIRECTS: PositiveInt = 3
    FETCH_PORTS: Ports = (80, 443)
    FETCH_PRIVATE: Switch = False
    # Downloads of the REST API at a time, and those that may wait; one more is answered with 429.
    FETCH_CONCURRENCY: PositiveInt = 16
    FETCH_QUEUE: PositiveInt = 32

    # Vectors of one layer and pooling larger than this together go through a scratch file instead of memory.
    MEMORY_BYTES: PositiveInt = 256_000_000
    # Folder of the scratch file; the platform's own temporary folder when not set.
    SCRATCH_DIR: Path | None = None

    # Projections are computed for datasets of at most this many images.
    MAX_LAYOUT_IMAGES: PositiveInt = 20_000

    # A configuration that is chosen for a new collection has at most so many dimensions: 4 kB as float16.
    MAX_CHOSEN_DIMENSIONS: PositiveInt = 2_048

    # Live search: models and indexes kept in memory, bytes of the vectors of one index, forward passes at a time.
    LIVE_MODELS: PositiveInt = 3
    LIVE_INDEXES: PositiveInt = 16
    LIVE_INDEX_BYTES: PositiveInt = 64_000_000
    LIVE_PASSES: PositiveInt = 2

    # REST API: requests worked on at a time, and those that may wait; one more is answered with 429.
    API_CONCURRENCY: PositiveInt = 4
    API_QUEUE: PositiveInt = 60

    # Computations that pages start: how many run at a time, and how many may wait for one of those to end.
    JOBS_RUNNING: PositiveInt = 8
    JOBS_WAITING: PositiveInt = 50

    # Bodies of requests: seconds that one may take to arrive, an image sent to the API or files sent to a page, and bytes that
    # all of them may take in memory together.
    BODY_SECONDS: PositiveInt = 60
    UPLOAD_SECONDS: PositiveInt = 1800
    BODY_MEMORY_BYTES: PositiveInt = 1_000_000_000


# How a value is wrong, where Pydantic's own words are longer.
_REASONS = {"int_parsing": "it must be a whole number", "greater_than": "it must be above zero"}


def load() -> Settings:
    """The settings of the environment; UserError names each variable that can't be used, and says why."""
    try:
        return Settings()
    except ValidationError as error:
        sentences = []
        for wrong in error.errors(include_url=False):
            reason = _REASONS.get(wrong["type"], str(wrong.get("ctx", {}).get("error", wrong["msg"])))
            sentences.append(
                f"The environment variable PLAYGROUND_{wrong['loc'][0]} is {wrong['input']!r}; {reason}."
            )
        raise UserError("\n".join(sentences)) from None


settings = load()
