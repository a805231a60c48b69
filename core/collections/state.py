"""What never changes of a collection (``collection.json``), and what every commit changes (a fact in its catalog)."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from pydantic_core import from_json

from core import disk
from core.collections import catalog
from core.collections.index.index_record import IndexFile, IndexRecord, ServerIndex
from core.collections.vector_file import DTYPES, VectorFile
from core.errors import CollectionError

FORMAT = 1
DESCRIPTION = "collection.json"
_Model = TypeVar("_Model", bound=BaseModel)


class About(BaseModel):
    """The manifest of a collection.

    catalog : ``"sqlite"`` or ``"postgresql"``; weights : as ``core.models.weights`` takes them; weights_fingerprint : of
    the weights that made its vectors; dtype : of the stored vectors.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    name: str
    uuid: Annotated[str, Field(pattern="^[0-9A-Za-z]+$")]
    catalog: str
    model: str
    weights: str
    weights_fingerprint: str
    layer: str
    pooling: str
    dimensions: PositiveInt
    dtype: Annotated[str, Field(pattern=f"^({'|'.join(DTYPES)})$")]

    @property
    def schema_name(self) -> str:
        """The PostgreSQL schema of the collection."""
        return f"collection_{self.uuid[:12]}"


def write_about(folder: Path, about: About) -> None:
    """Write the manifest into a folder, in place of an older one; raises OSError."""
    disk.replace_file(folder / DESCRIPTION, describe(about))


def read_about(folder: Path) -> About:
    """The manifest in a folder, which may have another name if the folder was copied or renamed.

    Raises
    ------
    CollectionError : it is missing, damaged or of another format.
    """
    try:
        return parse_about((folder / DESCRIPTION).read_bytes(), folder.name)
    except (OSError, ValueError) as error:
        raise CollectionError(
            f"The description of the collection {folder.name!r} can't be read ({type(error).__name__}); "
            "restore its folder from a copy."
        ) from None


def describe(manifest: BaseModel, format_: int = FORMAT) -> bytes:
    """The JSON of a manifest."""
    return json.dumps({"format": format_, **manifest.model_dump()}, indent=1).encode()


def parse_about(text: bytes, name: str) -> About:
    """The manifest of a collection; ``name`` is that of the collection in errors. Raises as :func:`parse_manifest`."""
    return parse_manifest(About, text, FORMAT, f"The collection {name!r}")


def parse_manifest(model: type[_Model], text: bytes, format_: int, what: str) -> _Model:
    """A manifest from the JSON of :func:`describe`.

    Raises
    ------
    CollectionError : it is of another format; ValueError : it is damaged.
    """
    data = from_json(text)
    if not isinstance(data, dict) or "format" not in data:
        raise ValueError("no manifest")
    found = data.pop("format")
    if found != format_:
        raise CollectionError(
            f"{what} has format {found!r}, this version reads format {format_}; update the project."
        )
    return model.model_validate(data)


@dataclass(frozen=True)
class State:
    """What a commit changes.

    version : counts commits; generation : counts vector files; rows : valid rows of that file, including those with a tombstone;
    metric : name of the distance; kind : of index, as requested; index : its record, None before there is one; engine : that has it.
    """

    version: int
    generation: int
    rows: int
    metric: str
    kind: str
    index: IndexRecord | None
    engine: str = "faiss"

    @property
    def index_file(self) -> IndexFile | None:
        """The file of the index; None if there is none, or a server has it."""
        return self.index if isinstance(self.index, IndexFile) else None

    @property
    def vector_file(self) -> str:
        """Name of the file of vectors."""
        return f"vectors-{self.generation}.bin"

    def vectors(self, folder: Path, about: About) -> VectorFile:
        """The file of vectors."""
        return VectorFile(folder / self.vector_file, about.dimensions, about.dtype)

    @classmethod
    def read(cls, connection: sa.Connection) -> Self:
        """The state in a catalog.

        Raises
        ------
        CollectionError : it is not what :meth:`to_json` returned.
        """
        data = catalog.get_fact(connection, "state")
        try:
            record = ServerIndex if "name" in (data["index"] or {}) else IndexFile
            index = record(**data["index"]) if data["index"] else None
            return cls(**{**data, "index": index})
        except (KeyError, TypeError):
            raise CollectionError("The catalog's state of the collection can't be read.") from None

    def to_json(self) -> dict[str, Any]:
        """As plain data, for the catalog."""
        data = asdict(self)
        if self.engine == "faiss":
            # As versions wrote it that knew no other.
            del data["engine"]
        return data
