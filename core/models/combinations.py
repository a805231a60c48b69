"""Combinations that a user has added: several configurations whose vectors are joined, as a model with one layer.

``core.experiments.combination_adding`` writes their folders.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from core.cache import Shared, file_state
from core.errors import CombinationError, UnknownNameError, UserError, first_problem
from core.models.added_folder import folder
from core.models.added_models import NAME
from core.models.combined_weights import CombinedWeights, Part
from core.models.definition import Layer, Model
from core.models.preprocessing import Preprocessing
from core.settings import settings

DESCRIPTION = "combination.json"
LAYER = "combined"
MOST_PARTS, MOST_DIMENSIONS = 8, 65_536
# Each network of a combination prepares the pixels in its own way.
_PIXELS = Preprocessing("as each of its networks takes them", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_POSITION = 3000
_kept = Shared(64)
_log = logging.getLogger(__name__)


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StoredPart(_Stored):
    """A configuration; mean : subtracted from its vectors, which are scaled to length one."""

    model: str
    weights: str
    fingerprint: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    layer: str
    pooling: str
    dimensions: PositiveInt
    mean: tuple[float, ...] | None = None


class Stored(_Stored):
    """What ``combination.json`` says; centered_on : the dataset that the means are of."""

    format: Literal[1]
    name: str
    title: str
    centered_on: str | None
    parts: Annotated[tuple[StoredPart, ...], Field(min_length=2, max_length=MOST_PARTS)]

    @property
    def fingerprint(self) -> str:
        """A SHA-256 that changes with everything that the vectors depend on."""
        return hashlib.sha256(self.model_dump_json(include={"parts"}).encode()).hexdigest()


def names() -> list[str]:
    """The names of all combinations, those that can't be read included."""
    try:
        found = [path.parent.name for path in settings.ADDED_MODELS_DIR.glob(f"*/{DESCRIPTION}")]
    except OSError:
        return []
    return sorted(name for name in found if NAME.fullmatch(name))


def get(name: str, models: Mapping[str, Model]) -> Model:
    """A combination as a model.

    Parameters
    ----------
    models : those that can be a part of it, by name.

    Raises
    ------
    UnknownNameError : there is none of that name.
    CombinationError : its folder is damaged, or it combines a model that is not here.
    """
    stored = description(name)
    missing = [part.model for part in stored.parts if part.model not in models]
    if missing:
        raise CombinationError(
            f"The combination {name!r} combines {missing[0]!r}, which is not here any more; add that model again, or remove the "
            f"combination with `playground combinations remove {name}`."
        )
    return model(stored, folder(name) / DESCRIPTION, models)


def description(name: str) -> Stored:
    """What is stored of a combination; raises as :func:`get`."""
    path = folder(name) / DESCRIPTION
    state = file_state(path) if NAME.fullmatch(name) else None
    if state is None:
        raise UnknownNameError("combination", name, names())
    return _kept.get((path, state), lambda: _read(path))


def readable(models: Mapping[str, Model]) -> Iterator[Model]:
    """Those that can be used, by name; the log says why others are left out."""
    for name in names():
        try:
            yield get(name, models)
        except UserError as error:
            _log.warning("%s", error)


def model(stored: Stored, path: Path, models: Mapping[str, Model]) -> Model:
    """A description as a model; ``path`` is that of its file."""
    parts = tuple(
        Part(
            models[part.model],
            part.weights,
            part.fingerprint,
            part.layer,
            part.pooling,
            None if part.mean is None else np.array(part.mean, np.float32),
        )
        for part in stored.parts
    )
    largest = max((part.model for part in parts), key=lambda one: one.input_size)
    parameters = sum(part.model.layer(part.layer).parameters for part in parts)
    dimensions = sum(part.dimensions for part in stored.parts)
    centered = f", less their mean on {stored.centered_on}" if stored.centered_on else ""
    about = " + ".join(f"{part.model.title} ({part.layer}, {part.pooling})" for part in parts) + centered
    return Model(
        name=stored.name,
        title=f"{stored.name} ({stored.title})",
        input_size=largest.input_size,
        resample=largest.resample,
        preprocessing=_PIXELS,
        parameters=parameters,
        layers=(Layer(LAYER, (1, 1, dimensions), parameters),),
        build=None,
        weights=CombinedWeights(path, parts, stored.fingerprint, f"A combination: {about}."),
        source=f"a combination of {about}",
        position=_POSITION,
    )


def _read(path: Path) -> Stored:
    name = path.parent.name
    again = f"remove it with `playground combinations remove {name}` and add it again"
    try:
        stored = Stored.model_validate_json(path.read_bytes())
        if stored.name != name:
            raise ValueError("it is of another one")
        if any(part.mean is not None and len(part.mean) != part.dimensions for part in stored.parts):
            raise ValueError("a mean has another length than its vectors")
    except ValidationError as error:
        raise CombinationError(
            f"The combination {name!r} is damaged ({first_problem(error)}); {again}."
        ) from None
    except (OSError, ValueError) as error:
        raise CombinationError(f"The combination {name!r} can't be read ({error}); {again}.") from None
    return stored
