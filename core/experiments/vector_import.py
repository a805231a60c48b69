"""Vectors that something else computed, as a configuration of a dataset: compared like all others, without a model."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core import access, lock
from core.data.datasets import Dataset
from core.errors import UserError, VectorsError
from core.experiments import runner, store
from core.experiments.column_file import ColumnBlocks
from core.experiments.runner import Features
from core.metrics import METRICS
from core.models import added_models, file_hash, registry
from core.progress import Progress
from core.settings import settings

SLUG = "vectors-"
"""Before eight hex digits of what the vectors hash to, as weights are named elsewhere."""

LAYER, POOLING = "vectors", "avg"
KEYS = ("path", "id", "hash")
_TOP = 20
_MOST_DIMENSIONS = 65_536


@dataclass(frozen=True)
class Table:
    """Vectors by the images that they are of.

    Parameters
    ----------
    keys : of each row: a path, an id or a SHA-256; None where the rows are all images in their order.
    vectors : (n, dimensions) float32.
    """

    keys: tuple[Any, ...] | None
    vectors: np.ndarray


@dataclass(frozen=True)
class Report:
    """What became of a file of vectors.

    images : those that have vectors now; missing : those of the dataset without one; unknown : rows of no image of the dataset;
    duplicates : rows of an image that had one already, which are left out.
    """

    images: int
    missing: int
    unknown: int
    duplicates: int


def read(path: Path, by: str | None = None, column: str = "vector") -> tuple[Table, str]:
    """The vectors in a file, and what its rows are named by.

    Parameters
    ----------
    path : ``.npy`` with a row for each image in the order of the dataset; or ``.parquet`` with a column of lists and one of keys.
    by : of :data:`KEYS`: the name of the column of keys; the first that there is when not given.
    column : the name of the column of lists.

    Raises
    ------
    VectorsError : the file can't be used; a sentence says why.
    """
    if not path.is_file():
        raise VectorsError(f"There is no file {path.name}; check its path.")
    if path.stat().st_size > settings.MAX_EXPORT_BYTES:
        raise VectorsError(
            f"{path.name} has {path.stat().st_size / 1e6:,.0f} MB, more than the {settings.MAX_EXPORT_BYTES / 1e6:,.0f} MB allowed "
            "(PLAYGROUND_MAX_EXPORT_BYTES)."
        )
    if path.suffix == ".npy":
        return Table(None, _checked(path, _read_array(path))), "order"
    if path.suffix == ".parquet":
        return _read_parquet(path, by, column)
    raise VectorsError(f"{path.name} is neither .npy nor .parquet.")


def import_vectors(
    out: Path, dataset: Dataset, name: str, table: Table, by: str, source: str, progress: Progress
) -> Report:
    """Compute the experiments of these vectors under all metrics and put them into a grid, in place of those of that name.

    Parameters
    ----------
    out : folder of the grid.
    name : of the configuration, where other experiments have the name of their model.
    by : what ``table.keys`` are: of :data:`KEYS`, or ``"order"``.
    source : where the vectors come from, in a few words.

    Raises
    ------
    AccessError : this process is a read-only server.
    VectorsError : the name is taken, or the vectors do not belong to the images of this dataset.
    """
    access.require_full("import vectors")
    if not added_models.NAME.fullmatch(name):
        raise VectorsError(
            f"Vectors can't be named {name[:80]!r}: lower case letters, digits, - and _ (--name)."
        )
    if name in registry.MODELS:
        raise VectorsError(f"{name!r} is the name of a model; choose another one (--name).")
    places, report = _matched(dataset, table, by)
    ids = np.flatnonzero(places >= 0)
    if len(ids) < 2:
        raise VectorsError(
            f"{len(ids)} of the {len(dataset):,} images of {dataset.name!r} have a vector (by {by}); neighbors need at least two. "
            "Do these vectors belong to another set of images?"
        )
    rows = table.vectors[places[ids]]
    blocks = ColumnBlocks(len(ids), rows.shape[1])
    blocks.append(rows)
    features = Features(ids, {(LAYER, POOLING): blocks}, ())
    comparing, placing = progress.divide(1, 10)
    comparing.stage("neighbors", 0)
    top = min(_TOP, len(ids) - 1)
    experiments, cosine = runner.compare(features, LAYER, POOLING, list(METRICS), top, dataset.labels)
    projections = runner.place(features, [LAYER], POOLING, [cosine], dataset.labels, placing)
    fingerprint = hashlib.sha256(ids.astype("<i8").tobytes() + rows.astype("<f4").tobytes()).hexdigest()
    about = store.ModelRun(
        dataset=dataset.name,
        dataset_fingerprint=dataset.fingerprint,
        model=name,
        title=name,
        weights=f"{SLUG}{fingerprint[:8]}",
        weights_source=f"Vectors from {source}, computed elsewhere.",
        weights_fingerprint=fingerprint,
        input_size=0,
        parameters=0,
        layers=(store.LayerRun(LAYER, 1, (1, 1, rows.shape[1]), 0),),
        top=top,
        skipped=tuple((int(one), "no vector was imported") for one in np.flatnonzero(places < 0)),
    )
    with lock.writing(out / dataset.name):
        folder = store.write_dataset(out, dataset)
        before = stored(folder, name)
        store.write_run(
            folder, dataset, about, store.Contents(experiments, {(LAYER, POOLING): (ids, rows)}, projections)
        )
        for one in before:
            if one.name != f"{name}.{about.weights}":
                store.remove_run(one)
    return report


def stored(dataset_folder: Path, name: str | None = None) -> list[Path]:
    """The folders of imported vectors of a dataset, all or those of one name."""
    return sorted(
        path
        for path in dataset_folder.glob(f"*.{SLUG}*")
        if path.is_dir() and name in (None, path.name.partition(".")[0])
    )


def names(out: Path) -> list[str]:
    """The names of all imported vectors in a grid."""
    return sorted({path.name.partition(".")[0] for folder in out.glob("*/") for path in stored(folder)})


def remove(out: Path, dataset: str, name: str) -> None:
    """Delete the experiments of imported vectors.

    Raises
    ------
    AccessError : this process is a read-only server.
    VectorsError : there are none of that name.
    """
    access.require_full("remove vectors")
    # Before the lock, which would create a folder for a dataset that is not there.
    if not stored(out / dataset, name):
        names = sorted({path.name.partition(".")[0] for path in stored(out / dataset)})
        raise VectorsError(
            f"{dataset!r} has no imported vectors {name[:80]!r}; it has {', '.join(names) or 'none'}."
        )
    with lock.writing(out / dataset):
        for folder in stored(out / dataset, name):
            store.remove_run(folder)


def _read_array(path: Path) -> np.ndarray:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (ValueError, OSError, EOFError, MemoryError) as error:
        raise VectorsError(f"{path.name} can't be read as an array of numbers ({error}).") from None


def _read_parquet(path: Path, by: str | None, column: str) -> tuple[Table, str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            key = by or next((one for one in KEYS if one in names), None)
            missing = [one for one in (key or "path, id or hash", column) if one not in names]
            if key is None or missing:
                raise VectorsError(
                    f"{path.name} has no column {missing[0]!r}; its columns are {', '.join(names)[:300]}."
                )
            table = file.read(columns=[key, column])
    except (pa.ArrowException, OSError) as error:
        raise VectorsError(f"{path.name} can't be read ({' '.join(str(error).split())[:200]}).") from None
    lists = table[column].combine_chunks()
    kind = lists.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise VectorsError(f"The column {column!r} of {path.name} has {kind} and not lists of numbers.")
    flat = lists.flatten()
    if (
        lists.null_count
        or flat.null_count
        or not (pa.types.is_floating(flat.type) or pa.types.is_integer(flat.type))
    ):
        raise VectorsError(f"The column {column!r} of {path.name} has something else than numbers.")
    n = len(lists)
    lengths = (
        set(np.diff(lists.offsets.to_numpy())) if not pa.types.is_fixed_size_list(kind) else {kind.list_size}
    )
    if len(lengths) > 1:
        raise VectorsError(
            f"The vectors of {path.name} have {min(lengths)} to {max(lengths)} numbers; all must have as many."
        )
    values = flat.to_numpy(zero_copy_only=False).reshape(n, -1) if n else np.empty((0, 0))
    return Table(tuple(table[key].to_pylist()), _checked(path, values)), key


def _checked(path: Path, values: np.ndarray) -> np.ndarray:
    if values.ndim != 2 or values.dtype.kind not in "fiu" or not values.size:
        raise VectorsError(
            f"{path.name} has {values.dtype} of the shape {values.shape}; it must have numbers, a row for each image."
        )
    if values.shape[1] > _MOST_DIMENSIONS:
        raise VectorsError(
            f"The vectors of {path.name} have {values.shape[1]:,} numbers; at most {_MOST_DIMENSIONS:,} can be used."
        )
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(values, np.float32)
    bad = int((~np.isfinite(rows)).any(axis=1).sum())
    if bad:
        raise VectorsError(
            f"{bad:,} of the {len(rows):,} vectors of {path.name} have values that are not finite numbers."
        )
    if zero := int((~rows.any(axis=1)).sum()):
        raise VectorsError(
            f"{zero:,} of the {len(rows):,} vectors of {path.name} are all zeros, which have no direction."
        )
    return rows


def _matched(dataset: Dataset, table: Table, by: str) -> tuple[np.ndarray, Report]:
    """For each image the row of its vector, or -1."""
    if table.keys is None:
        if len(table.vectors) != len(dataset):
            raise VectorsError(
                f"There are {len(table.vectors):,} vectors and {len(dataset):,} images in {dataset.name!r}; an array needs a row for "
                "each image in the order of dataset.json. Use Parquet with a column of paths, ids or hashes for a part of them."
            )
        return np.arange(len(dataset)), Report(len(dataset), 0, 0, 0)
    ids = _ids(dataset, by)
    places = np.full(len(dataset), -1, np.int64)
    unknown = duplicates = 0
    for row, key in enumerate(table.keys):
        found: Sequence[int] = ids.get(_normal(dataset, key, by), ())
        if not found:
            unknown += 1
        elif places[found[0]] >= 0:
            duplicates += 1
        else:
            places[list(found)] = row
    matched = int((places >= 0).sum())
    return places, Report(matched, len(dataset) - matched, unknown, duplicates)


def _ids(dataset: Dataset, by: str) -> Mapping[Any, list[int]]:
    """The images of each key; several have one hash where their content is the same."""
    found: dict[Any, list[int]] = {}
    for item in dataset.items:
        if by == "id":
            key: Any = item.id
        elif by == "path":
            key = item.file
        else:
            try:
                key = file_hash.sha256(dataset.path(item.id))
            except (OSError, UserError):
                continue
        found.setdefault(key, []).append(item.id)
    return found


def _normal(dataset: Dataset, key: Any, by: str) -> Any:
    """A key of a row as :func:`_ids` has it."""
    if by == "id":
        return key if isinstance(key, int) else None
    if not isinstance(key, str):
        return None
    if by == "hash":
        return key.lower()
    path = Path(key)
    root = dataset.images.resolve()
    # Items of a collection are named by absolute paths already.
    below = not dataset.collection and path.is_absolute() and path.is_relative_to(root)
    return (path.relative_to(root) if below else path).as_posix()
