"""What a collection is, for good (``collection.json``) and for now (a fact in its catalog)."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.collections.ann_index import IndexFile
from core.collections.vector_file import DTYPES
from core.errors import CollectionError

FORMAT = 1
DESCRIPTION = "collection.json"


@dataclass(frozen=True)
class About:
    """What never changes of a collection.

    catalog : ``"sqlite"`` or ``"postgresql"``; weights : as ``core.models.weights`` takes them; weights_fingerprint : of
    the weights its vectors were made with; dtype : of the stored vectors.
    """

    name: str
    uuid: str
    catalog: str
    model: str
    weights: str
    weights_fingerprint: str
    layer: str
    pooling: str
    dimensions: int
    dtype: str

    @property
    def schema(self) -> str:
        """PostgreSQL's schema of the collection."""
        return f"collection_{self.uuid[:12]}"


def write_about(folder: Path, about: About) -> None:
    """Put the description into a folder, in place of the one that is there."""
    part = folder / f".{DESCRIPTION}.{secrets.token_hex(4)}.part"
    try:
        with part.open("wb") as file:
            file.write(describe(about))
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / DESCRIPTION)
    finally:
        part.unlink(missing_ok=True)


def read_about(folder: Path) -> About:
    """The description in a folder, which may have another name when it was copied or renamed.

    Raises
    ------
    CollectionError : it is missing, broken or of another format.
    """
    try:
        return parse_about((folder / DESCRIPTION).read_bytes(), folder.name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CollectionError(
            f"The description of the collection {folder.name!r} can't be read ({type(error).__name__}); "
            "restore its folder from a copy."
        ) from None


def describe(about: About) -> bytes:
    """The text of a description, which :func:`parse_about` reads."""
    return json.dumps({"format": FORMAT, **asdict(about)}, indent=1).encode()


def parse_about(text: bytes, name: str) -> About:
    """A description by its JSON; ``name`` is what the collection is called in an error.

    Raises
    ------
    CollectionError : it is of another format; ValueError, KeyError, TypeError, AttributeError, RecursionError : it is broken.
    """
    data = json.loads(text)
    found = data.pop("format")
    if found != FORMAT:
        raise CollectionError(
            f"The collection {name!r} has format {found!r}, this version reads format {FORMAT}; update the project."
        )
    about = About(**data)
    numbers = isinstance(about.dimensions, int) and about.dimensions > 0 and about.dtype in DTYPES
    texts = all(isinstance(value, str) for key, value in asdict(about).items() if key != "dimensions")
    if not (numbers and texts and about.uuid.isalnum()):
        raise ValueError("wrong values")
    return about


@dataclass(frozen=True)
class State:
    """What a commit changes.

    version : counts commits; generation : counts vector files; rows : how many rows of that file count, those with a tombstone among them;
    metric : name of the distance; kind : of index, as asked for; index : the file, None before there is one.
    """

    version: int
    generation: int
    rows: int
    metric: str
    kind: str
    index: IndexFile | None

    @property
    def vector_file(self) -> str:
        """Name of the file of vectors."""
        return f"vectors-{self.generation}.bin"

    @classmethod
    def from_json(cls, data: Any) -> "State":
        """Raises CollectionError when it is not what :meth:`to_json` gave."""
        try:
            index = IndexFile(**data["index"]) if data["index"] else None
            return cls(**{**data, "index": index})
        except (KeyError, TypeError):
            raise CollectionError("The catalog's state of the collection can't be read.") from None

    def to_json(self) -> dict[str, Any]:
        """For the catalog."""
        return asdict(self)
