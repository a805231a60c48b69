"""The images of a collection in two or three dimensions: computed once for each of its states and kept in its folder."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from core import disk, projection
from core.collections import catalog
from core.collections.collection import Collection
from core.collections.image_sources import title
from core.errors import GridError
from core.experiments import parquet_tables
from core.progress import Progress
from core.settings import settings

_FOLDER = "layouts"
_COLUMNS = ("id", "hash", "label", "title", "coordinates")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CollectionLayout:
    """Where the images of a state lie, or a sample of them.

    version : of the state; total : different images that there are; ids, hashes, labels, titles : of the n that are laid out;
    coordinates : (n, dimensions) float32; trustworthiness, silhouette, parameters : see :class:`core.projection.Layout`, the
    silhouette known only where all have a label.
    """

    version: int
    total: int
    ids: tuple[int, ...]
    hashes: tuple[str | None, ...]
    labels: tuple[str | None, ...]
    titles: tuple[str, ...]
    coordinates: np.ndarray
    trustworthiness: float | None
    silhouette: float | None
    parameters: dict[str, Any]


def read(collection: Collection, method: str, dimensions: int) -> CollectionLayout | None:
    """The layout of the collection as it is now, when it was computed; one that is damaged counts as not computed."""
    version = collection.state.version
    path = _path(collection, method, dimensions, version)
    if not path.is_file():
        return None
    try:
        file = parquet_tables.Tables(path)
        [(key, facts)] = file.entries
        table = file.read(key, _COLUMNS)
        coordinates = table["coordinates"].combine_chunks().flatten().to_numpy().reshape(-1, dimensions)
        columns = [tuple(table[name].to_pylist()) for name in _COLUMNS[:-1]]
        if len(coordinates) != len(table) or not np.isfinite(coordinates).all():
            raise ValueError("wrong coordinates")
        return CollectionLayout(version, facts["total"], *columns, coordinates, **facts["judged"])
    except (GridError, ValueError, KeyError, TypeError) as error:
        _log.warning(
            "The layout %s of the collection %r is damaged: %s", path.name, collection.about.name, error
        )
        return None


def compute(collection: Collection, method: str, dimensions: int, progress: Progress) -> None:
    """Lay out the images, or of many a sample that is always the same, and keep that in place of what there was of earlier states.

    Raises
    ------
    CollectionError : the collection has no images, or the storage refuses.
    DiskError : the disk is nearly full.
    """
    disk.require(collection.folder)
    progress.stage("reading the vectors", 0)
    # In float64, as they are laid out.
    most = max(1, min(settings.MAX_LAYOUT_IMAGES, settings.MEMORY_BYTES // (8 * collection.about.dimensions)))
    version, total, images, vectors = collection.sample(most)
    labels = [image.label for image in images]
    [layout] = projection.project(
        labels if all(label is not None for label in labels) else None,
        vectors=[vectors],
        method=method,
        dimensions=dimensions,
        progress=progress,
    )
    progress.stage("writing", 0)
    rows = pa.table(
        {
            "id": pa.array([image.id for image in images], pa.int64()),
            "hash": pa.array([image.hash for image in images], pa.string()),
            "label": pa.array(labels, pa.string()),
            "title": pa.array([title(image.path, image.metadata) for image in images], pa.string()),
            "coordinates": pa.array(list(layout.coordinates), pa.list_(pa.float32())),
        }
    )
    judged = {
        "trustworthiness": _known(layout.trustworthiness),
        "silhouette": _known(layout.silhouette),
        "parameters": layout.parameters,
    }
    entry = parquet_tables.Entry(
        {"method": method, "dimensions": dimensions}, rows, {"total": total, "judged": judged}
    )
    path = _path(collection, method, dimensions, version)
    part = path.with_name(f".{path.name}.part")
    with catalog.storage_errors():
        # The folder above is the collection's: where it was deleted meanwhile, none is made.
        path.parent.mkdir(exist_ok=True)
        try:
            parquet_tables.write(part, [entry])
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        for old in path.parent.glob(f"{method}-{dimensions}-*.parquet"):
            if old != path:
                old.unlink(missing_ok=True)


def _path(collection: Collection, method: str, dimensions: int, version: int) -> Path:
    return collection.folder / _FOLDER / f"{method}-{dimensions}-{version}.parquet"


def _known(number: float) -> float | None:
    return number if np.isfinite(number) else None
