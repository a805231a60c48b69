"""Projections of a collection: its images in two or three dimensions, computed once for each state and stored in its folder."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from core import disk, projection
from core.collections import catalog
from core.collections.collection import Collection
from core.data.image_sources import title
from core.errors import GridError
from core.experiments import parquet_tables
from core.progress import Progress
from core.settings import settings

_FOLDER = "layouts"
_COLUMNS = ("id", "hash", "label", "title", "coordinates")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CollectionProjection:
    """A projection of the images of a state, or of a sample of them.

    version : of the state; total : the number of different images; ids, hashes, labels, titles : of the n projected images;
    coordinates : (n, dimensions) float32; trustworthiness, silhouette, parameters : see :class:`core.projection.Projection`, the
    silhouette is known only if all have a label.
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


def read(collection: Collection, method: str, dimensions: int) -> CollectionProjection | None:
    """The projection of the current state, if it was computed; a damaged one counts as not computed."""
    version = collection.state.version
    path = _path(collection, method, dimensions, version)
    if not path.is_file():
        return None
    try:
        file = parquet_tables.Tables(path)
        [(key, facts)] = file.entries
        table = file.read(key, _COLUMNS)
        coordinates = parquet_tables.matrix(table["coordinates"], len(table))
        ids, hashes, labels, titles = (tuple(table[name].to_pylist()) for name in _COLUMNS[:-1])
        if coordinates.shape != (len(table), dimensions) or not np.isfinite(coordinates).all():
            raise ValueError("wrong coordinates")
        return CollectionProjection(
            version, facts["total"], ids, hashes, labels, titles, coordinates, **facts["judged"]
        )
    except (GridError, ValueError, KeyError, TypeError) as error:
        _log.warning(
            "The projection %s of the collection %r is damaged: %s", path.name, collection.about.name, error
        )
        return None


def compute(collection: Collection, method: str, dimensions: int, progress: Progress) -> None:
    """Project the images, or a fixed sample of many, and store the projection in place of those of earlier states.

    Raises
    ------
    CollectionError : the collection has no images, or the storage fails.
    DiskError : the disk is nearly full.
    """
    disk.require(collection.folder)
    reading, projecting, writing = progress.divide(1, 50, 1)
    reading.stage("reading the vectors", 0)
    # The projection uses float64.
    most = max(1, min(settings.MAX_LAYOUT_IMAGES, settings.MEMORY_BYTES // (8 * collection.about.dimensions)))
    version, total, images, vectors = collection.sample(most)
    labels = [image.label for image in images]
    [projected] = projection.project(
        labels if all(label is not None for label in labels) else None,
        vectors=[vectors],
        method=method,
        dimensions=dimensions,
        progress=projecting,
    )
    writing.stage("writing", 0)
    rows = pa.table(
        {
            "id": pa.array([image.id for image in images], pa.int64()),
            "hash": pa.array([image.hash for image in images], pa.string()),
            "label": pa.array(labels, pa.string()),
            "title": pa.array([title(image.path, image.metadata) for image in images], pa.string()),
            "coordinates": parquet_tables.list_array(projected.coordinates, pa.float32()),
        }
    )
    judged = {
        "trustworthiness": _known(projected.trustworthiness),
        "silhouette": _known(projected.silhouette),
        "parameters": projected.parameters,
    }
    entry = parquet_tables.Entry(
        {"method": method, "dimensions": dimensions}, rows, {"total": total, "judged": judged}
    )
    path = _path(collection, method, dimensions, version)
    with catalog.storage_errors():
        # Without parents: a collection that was deleted in the meantime is not created again.
        path.parent.mkdir(exist_ok=True)
        with disk.replacing(path) as beside:
            parquet_tables.write(beside, [entry])
        for old in path.parent.glob(f"{method}-{dimensions}-*.parquet"):
            if old != path:
                old.unlink(missing_ok=True)


def _path(collection: Collection, method: str, dimensions: int, version: int) -> Path:
    return collection.folder / _FOLDER / f"{method}-{dimensions}-{version}.parquet"


def _known(number: float) -> float | None:
    return number if np.isfinite(number) else None
