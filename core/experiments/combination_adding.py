"""Add combinations of configurations, and remove them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core import access, disk
from core.data.datasets import Dataset
from core.errors import CombinationError, GridError, UnknownNameError
from core.experiments import runner, vector_import
from core.experiments.store import Grid
from core.imaging import transform
from core.models import (
    added_folder,
    added_models,
    architecture,
    combinations,
    extractor,
    networks,
    registry,
    weights,
)
from core.models.architecture import Architecture, NetworkLayer
from core.models.combinations import DESCRIPTION, LAYER, MOST_DIMENSIONS, MOST_PARTS, Stored, StoredPart
from core.models.combined_weights import joined
from core.models.definition import Model
from core.progress import Progress, Silent
from core.settings import settings


@dataclass(frozen=True)
class Chosen:
    """A configuration of trained weights that is to be a part."""

    model: str
    layer: str
    pooling: str = "avg"


def add(
    name: str,
    parts: Sequence[Chosen],
    grid: Grid,
    center: str | None = None,
    progress: Progress | None = None,
) -> Model:
    """Add a combination as a model.

    Parameters
    ----------
    parts : two or more, in the order of their vectors; of any models but combinations.
    center : a dataset of the grid, whose mean is subtracted; None for no centering. Vectors that are not stored are computed.

    Raises
    ------
    AccessError : this process is a read-only server.
    UnknownNameError : there is no such model, layer, pooling or dataset.
    WeightsError : weights of a part are not here.
    CombinationError : the name is taken, or the parts can't be combined.
    DiskError : the disk is nearly full.
    UserError : another process adds or removes models, or too few images to center on can be read.
    """
    access.require_full("add a combination")
    _check_name(name, grid)
    stored = Stored(
        format=1,
        name=name,
        title=" + ".join(dict.fromkeys(registry.get_model(one.model).title for one in parts)),
        centered_on=center,
        parts=_parts(parts, grid, center, progress or Silent()),
    )
    disk.require(settings.ADDED_MODELS_DIR)
    with added_folder.staging(name) as staged:
        path = added_folder.folder(name) / DESCRIPTION
        made = combinations.model(stored, path, registry.MODELS)
        disk.replace_file(
            staged / architecture.FILE, architecture.text(_architecture(made, stored.parts)).encode()
        )
        disk.replace_file(staged / DESCRIPTION, stored.model_dump_json(indent=1).encode())
        disk.sync_folder(staged)
        staged.rename(path.parent)
    return registry.get_model(name)


def remove(name: str) -> None:
    """Delete a combination; what was computed with it elsewhere stays.

    Raises
    ------
    AccessError : this process is a read-only server.
    UnknownNameError : there is none of that name.
    UserError : another process adds or removes models.
    """
    access.require_full("remove a combination")
    if name not in combinations.names():
        raise UnknownNameError("combination", name, combinations.names())
    added_folder.delete(name)


def with_model(name: str) -> list[str]:
    """The combinations that a model is a part of; those that can't be read are left out."""
    found = []
    for one in combinations.names():
        try:
            stored = combinations.description(one)
        except CombinationError:
            continue
        if any(part.model == name for part in stored.parts):
            found.append(one)
    return found


def _check_name(name: str, grid: Grid) -> None:
    if not added_models.NAME.fullmatch(name):
        raise CombinationError(
            f"A combination can't be named {name[:80]!r}: lower case letters, digits, - and _, at most 63, the first a letter or digit."
        )
    if name in registry.MODELS or name in combinations.names() or name in vector_import.names(grid.folder):
        raise CombinationError(
            f"There is a model, a combination or imported vectors named {name!r} already; choose another name, or remove those first."
        )


def _parts(
    chosen: Sequence[Chosen], grid: Grid, center: str | None, progress: Progress
) -> tuple[StoredPart, ...]:
    if not 2 <= len(chosen) <= MOST_PARTS or len(set(chosen)) < len(chosen):
        raise CombinationError(
            f"A combination has 2 to {MOST_PARTS} different configurations; {len(chosen)} were given."
        )
    models = [registry.get_model(one.model) for one in chosen]
    for model in models:
        if model.name in combinations.names():
            raise CombinationError(f"{model.name!r} is a combination itself; name its parts instead.")
    if len({transform.parse(model.resample)[1] for model in models}) > 1:
        raise CombinationError(
            "Some of these models take the whole image and some a square from its middle, or of another share; combine models that see the same."
        )
    found = tuple(_part(one, model) for one, model in zip(chosen, models, strict=True))
    if (total := sum(part.dimensions for part in found)) > MOST_DIMENSIONS:
        raise CombinationError(
            f"The combined vectors would have {total:,} numbers; at most {MOST_DIMENSIONS:,} can be used."
        )
    if center is None:
        return found
    dataset = grid.dataset(center)
    return tuple(
        part.model_copy(update={"mean": _mean(part, grid, dataset, step)})
        for part, step in zip(found, progress.divide(*[1] * len(found)), strict=True)
    )


def _part(chosen: Chosen, model: Model) -> StoredPart:
    extractor.check_pooling(chosen.pooling)
    dimensions = extractor.dimensions(model.layer(chosen.layer).shape, chosen.pooling)
    here, about = weights.availability(model)
    if not here:
        raise CombinationError(f"The trained weights of {model.title} are not on this machine. {about}")
    origin = weights.provenance(model, weights.trained(model))
    return StoredPart(
        model=model.name,
        weights=origin.slug,
        fingerprint=origin.fingerprint,
        layer=chosen.layer,
        pooling=chosen.pooling,
        dimensions=dimensions,
    )


def _mean(part: StoredPart, grid: Grid, dataset: Dataset, progress: Progress) -> tuple[float, ...]:
    """The mean of the vectors of a dataset, each scaled to length one."""
    try:
        _, rows = grid.run(dataset, part.model, part.weights).vectors(part.layer, part.pooling)
    except GridError:
        model = registry.get_model(part.model)
        network = networks.load(model, part.weights, progress)
        progress.stage(f"vectors of {model.title}", len(dataset))
        one = extractor.Extractor(model, network, [part.layer], [part.pooling])
        rows = runner.extract(one, dataset, progress).vectors[part.layer, part.pooling].whole()
    return tuple(joined([rows.astype(np.float64)], [None]).mean(axis=0).tolist())


def _architecture(model: Model, parts: Sequence[StoredPart]) -> Architecture:
    """The image and the combined vectors: what lies between belongs to each network."""
    [layer] = model.layers
    size = model.input_size
    image = NetworkLayer(
        name="image",
        type="InputLayer",
        shape=(size, size, 3),
        kernel=None,
        stride=None,
        own_parameters=0,
        own_multiply_adds=0,
        parameters=0,
        multiply_adds=0,
        path=0,
        receptive_field=(1, 1),
        spacing=(1, 1),
        sees_all=False,
        depth=None,
        inputs=(),
    )
    multiply_adds = sum(architecture.read(part.model).layer(part.layer).multiply_adds for part in parts)
    joined_ = NetworkLayer(
        name=LAYER,
        type="Concatenate",
        shape=layer.shape,
        kernel=None,
        stride=None,
        own_parameters=layer.parameters,
        own_multiply_adds=multiply_adds,
        parameters=layer.parameters,
        multiply_adds=multiply_adds,
        path=1,
        receptive_field=None,
        spacing=None,
        sees_all=True,
        depth=1,
        inputs=(image.name,),
    )
    return Architecture(model.name, (image, joined_))
