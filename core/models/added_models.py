"""Models that a user has added from ONNX files: one folder each, with the file, what is said of it, and its architecture.

``core.models.onnx_adding`` writes the folders and removes them.
"""

import hashlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from core.cache import Shared, file_state
from core.errors import OnnxError, UnknownNameError, UserError, first_problem
from core.imaging import transform
from core.models.added_folder import folder
from core.models.definition import Layer, Model
from core.models.onnx_description import MOST_LAYERS, Description
from core.models.onnx_weights import OnnxWeights, Tap
from core.settings import settings

DESCRIPTION = "model.json"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_POSITION = 2000
_kept = Shared(64)
_log = logging.getLogger(__name__)

_Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Size = tuple[PositiveInt, PositiveInt, PositiveInt]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredTap(_Part):
    layer: str
    tensor: str
    layout: Literal["NCHW", "NHWC", "NLC", "NCL", "NC"]
    shape: _Size
    prefix: Annotated[int, Field(ge=0)]
    token: Annotated[int, Field(ge=0)] | None


class StoredLayer(_Part):
    name: str
    shape: _Size
    parameters: Annotated[int, Field(ge=0)]


class Stored(_Part):
    """What ``model.json`` says; files : name -> SHA-256, the ONNX file first."""

    format: Literal[1]
    name: str
    description: Description
    files: Annotated[dict[str, _Hash], Field(min_length=1)]
    producer: str
    layout: Literal["NCHW", "NHWC"]
    size: PositiveInt
    batched: bool
    parameters: Annotated[int, Field(ge=0)]
    layers: Annotated[tuple[StoredLayer, ...], Field(min_length=1, max_length=MOST_LAYERS)]
    taps: tuple[StoredTap, ...]

    @property
    def fingerprint(self) -> str:
        """A SHA-256 that changes with everything that the vectors depend on: the files, how images go in, and the layers."""
        parts = self.model_dump_json(include={"files", "layout", "size", "taps"})
        how = self.description.model_dump_json(exclude={"title", "license", "source", "layers"})
        return hashlib.sha256(f"{parts}\n{how}".encode()).hexdigest()


def names() -> list[str]:
    """The names of all added models, those that can't be read included."""
    try:
        found = [
            path.name
            for path in settings.ADDED_MODELS_DIR.iterdir()
            if NAME.fullmatch(path.name) and (path / DESCRIPTION).is_file()
        ]
    except OSError:
        return []
    return sorted(found)


def get(name: str) -> Model:
    """An added model.

    Raises
    ------
    UnknownNameError : there is none of that name.
    OnnxError : its folder is damaged.
    """
    path = folder(name) / DESCRIPTION
    state = file_state(path) if NAME.fullmatch(name) else None
    if state is None:
        raise UnknownNameError("added model", name, names())
    return _kept.get((path, state), lambda: _read(path))


def readable() -> Iterator[Model]:
    """Those that can be read, by name; the log says why others are left out."""
    for name in names():
        try:
            yield get(name)
        except UserError as error:
            _log.warning("%s", error)


def _read(path: Path) -> Model:
    name = path.parent.name
    again = f"remove it with `playground models remove {name}` and add it again"
    try:
        stored = Stored.model_validate_json(path.read_bytes())
        if stored.name != name:
            raise ValueError("it is of another model")
    except ValidationError as error:
        raise OnnxError(f"The added model {name!r} is damaged ({first_problem(error)}); {again}.") from None
    except (OSError, ValueError) as error:
        raise OnnxError(f"The added model {name!r} can't be read ({error}); {again}.") from None
    about = stored.description
    file = next(iter(stored.files))
    return Model(
        name=name,
        title=about.title or name,
        input_size=stored.size,
        resample=transform.with_square(about.resample, about.crop),
        preprocessing=about.preprocessing,
        parameters=stored.parameters,
        layers=tuple(Layer(one.name, one.shape, one.parameters) for one in stored.layers),
        build=None,
        weights=OnnxWeights(
            path=path.parent / file,
            files=tuple(stored.files.items()),
            fingerprint=stored.fingerprint,
            layout=stored.layout,
            batched=stored.batched,
            taps=tuple(Tap(**dict(tap)) for tap in stored.taps),
            about=f"The ONNX file {file}, added here.",
            license=about.license or "",
        ),
        source=about.source
        or f"the ONNX file {file}{f', written by {stored.producer}' if stored.producer else ''}",
        position=_POSITION,
    )
