"""The grid on disk: one folder per dataset, in it one folder per model and weights.

``model.json`` is written last and names the other files, which carry a hash of their content in
their name: whatever moment a run is killed at, ``model.json`` names one whole set of files.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from core import disk
from core.data import datasets
from core.errors import DatasetError, GridError
from core.experiments import parquet_tables

# Format 2 differs from 1 in that result lists may come without distances, and so without those of all pairs. Runs that have
# them are written as format 1, which older versions read.
FORMAT = 2
_WITH_DISTANCES = 1
_MANIFEST = "model.json"
# Distances of all pairs are kept as this many quantiles, evenly spaced from 0 to 1.
N_QUANTILES = 201


@dataclass(frozen=True, order=True)
class Configuration:
    """How images become vectors and what is near: all but the dataset of an experiment.

    ``weights`` is ``imagenet``, ``untrained``, ``file-XXXXXXXX`` or ``published``.
    """

    model: str
    weights: str
    layer: str
    pooling: str
    metric: str


@dataclass(frozen=True)
class LayerRun:
    """A layer as it was computed: place, size and measured cost.

    ``depth`` is 1 to 8; above are layers that others published beside those, in the order of the network.
    ``shape`` is (height, width, channels), ``parameters`` those of the model cut there,
    ``ms_per_image`` the time of a forward pass to the layer.
    """

    name: str
    depth: int
    shape: tuple[int, int, int]
    parameters: int
    ms_per_image: float | None = None


@dataclass(frozen=True)
class ModelRun:
    """What ``model.json`` says of a model's experiments on a dataset."""

    dataset: str
    dataset_fingerprint: str
    model: str
    title: str
    weights: str
    weights_source: str
    weights_fingerprint: str
    input_size: int
    parameters: int
    layers: tuple[LayerRun, ...]
    top: int
    measured: dict[str, Any] = field(default_factory=dict)
    skipped: tuple[tuple[int, str], ...] = ()
    files: dict[str, str] = field(default_factory=dict)

    @property
    def has_distances(self) -> bool:
        """Whether the distances of neighbors and pairs are known; results that others published may lack them."""
        return "pairs" in self.files

    def layer(self, name: str) -> LayerRun:
        """The run of a layer; raises :class:`GridError` when the grid lacks it."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise GridError(f"The grid of {self.model} ({self.weights}) on {self.dataset} has no layer {name!r}.")


@dataclass(frozen=True)
class Neighbors:
    """Result lists of one experiment, each query left out of its own.

    queries : (n,) ids; ids : (n, top) ids, nearest first; distances : (n, top) float32, None where
    they are not known.
    """

    queries: np.ndarray
    ids: np.ndarray
    distances: np.ndarray | None


@dataclass(frozen=True)
class Summary:
    """One experiment in numbers: a row of ``grid list``."""

    dataset: str
    model: str
    weights: str
    layer: str
    depth: int
    pooling: str
    metric: str
    dimensions: int
    score_10: float
    score_15: float
    precision_1: float

    @property
    def configuration(self) -> Configuration:
        return Configuration(self.model, self.weights, self.layer, self.pooling, self.metric)


@dataclass(frozen=True)
class StoredLayout:
    """Coordinates (n, dimensions) float32 of the images ``ids``, with how they were made and how far to trust them."""

    layer: str
    pooling: str
    method: str
    dimensions: int
    ids: np.ndarray
    coordinates: np.ndarray
    trustworthiness: float | None
    silhouette: float | None
    parameters: dict[str, Any]


class Grid:
    """All experiments below a folder, for reading.

    Opening is cheap; every file is read when asked for. What is broken raises :class:`GridError`
    from the call that needs it and touches nothing else.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def dataset_names(self) -> list[str]:
        """Names of the datasets that stand here."""
        return datasets.names(self.folder)

    def dataset(self, name: str) -> datasets.Dataset:
        """The dataset of that name; raises :class:`DatasetError` when it can't be read."""
        if name not in self.dataset_names():
            raise DatasetError(f"There is no dataset {name!r} here.")
        return datasets.load(self.folder / name)

    def runs(self, dataset: datasets.Dataset) -> tuple[list["StoredRun"], list[str]]:
        """The models of a dataset, and a sentence for each that can't be read."""
        found, notices = [], []
        for manifest in sorted((self.folder / dataset.name).glob(f"*/{_MANIFEST}")):
            try:
                found.append(StoredRun(manifest.parent, dataset))
            except GridError as error:
                notices.append(str(error))
        return found, notices

    def run(self, dataset: datasets.Dataset, model: str, weights: str) -> "StoredRun":
        """One model's experiments; raises :class:`GridError` when missing or broken."""
        return StoredRun(run_folder(self.folder / dataset.name, model, weights), dataset)

    def summaries(self, dataset: datasets.Dataset) -> tuple[list[Summary], list[str]]:
        """Every experiment of a dataset in numbers, and a sentence for each model that can't be read."""
        runs, notices = self.runs(dataset)
        rows: list[Summary] = []
        for run in runs:
            try:
                rows += run.summaries
            except GridError as error:
                notices.append(str(error))
        return rows, notices


class StoredRun:
    """The experiments of one model on one dataset, on disk."""

    def __init__(self, folder: Path, dataset: datasets.Dataset):
        self.folder = folder
        self.about = _read_manifest(folder)
        if self.about.dataset_fingerprint != dataset.fingerprint:
            raise GridError(
                f"{self._label} was computed on other pictures than {dataset.name} has now; run the grid again."
            )
        self._n_images = len(dataset)

    @cached_property
    def summaries(self) -> list[Summary]:
        """Every experiment in numbers, by depth, pooling and metric; raises :class:`GridError`."""
        about = self.about
        try:
            found = [
                Summary(
                    dataset=about.dataset,
                    model=about.model,
                    weights=about.weights,
                    depth=about.layer(key["layer"]).depth,
                    **key,
                    **facts,
                )
                for key, facts in self._tables("neighbors").entries
            ]
            for one in found:
                numbers = (one.dimensions, one.score_10, one.score_15, one.precision_1)
                if not all(type(number) in (int, float) and np.isfinite(number) for number in numbers):
                    raise TypeError("a score is not a number")
            return found
        except (KeyError, TypeError) as error:
            raise GridError(f"{self._label}: the list of experiments is damaged ({error}).") from None

    def neighbors(self, layer: str, pooling: str, metric: str) -> Neighbors:
        """Result lists of one experiment; raises :class:`GridError`."""
        tables_ = self._tables("neighbors")
        known = self.about.has_distances
        columns = ["query", "ids", *(["distances"] if known else [])]
        table = tables_.read(self._key(layer, pooling, metric), columns)
        try:
            queries = table["query"].to_numpy()
            ids = _matrix(table["ids"], len(queries))
            distances = _matrix(table["distances"], len(queries)) if known else None
            if (distances is not None and ids.shape != distances.shape) or ids.size == 0:
                raise ValueError("wrong shapes")
            if min(ids.min(), queries.min()) < 0 or max(ids.max(), queries.max()) >= self._n_images:
                raise ValueError("unknown images")
        except ValueError as error:
            raise GridError(
                f"{self._label}: the neighbors of {layer}/{pooling}/{metric} are damaged ({error})."
            ) from None
        return Neighbors(queries, ids, distances)

    def pair_quantiles(self, layer: str, pooling: str, metric: str) -> np.ndarray:
        """:data:`N_QUANTILES` quantiles of the distances of all pairs, float32; raises :class:`GridError`."""
        if not self.about.has_distances:
            raise GridError(f"{self._label} holds no distances: they were not published.")
        table = self._tables("pairs").read(self._key(layer, pooling, metric), ["distance"])
        distances = table["distance"].to_numpy()
        if distances.shape != (N_QUANTILES,) or not np.isfinite(distances).all():
            raise GridError(
                f"{self._label}: the distances of all pairs of {layer}/{pooling}/{metric} are damaged."
            )
        return distances

    def vectors(self, layer: str, pooling: str = "avg") -> tuple[np.ndarray, np.ndarray]:
        """Ids (n,) and pooled vectors (n, dimensions) float16 of a layer; raises :class:`GridError`."""
        table = self._tables("vectors").read({"layer": layer, "pooling": pooling}, ["id", "vector"])
        ids = table["id"].to_numpy()
        return ids, _matrix(table["vector"], len(ids))

    def layouts(self, pooling: str, method: str, dimensions: int) -> list[StoredLayout]:
        """The layouts of all layers, by depth; empty when there are none; raises :class:`GridError`."""
        wanted = {"pooling": pooling, "method": method, "dimensions": dimensions}
        return [
            self._layout(key, facts)
            for key, facts in self._entries("projections")
            if key == {**wanted, "layer": key["layer"]}
        ]

    def read_all(self) -> "Contents":
        """Everything that is stored of this model; raises :class:`GridError` when a part is damaged."""
        experiments = [
            Computed(
                **key,
                facts=facts,
                neighbors=self.neighbors(**key),
                pair_quantiles=self.pair_quantiles(**key) if self.about.has_distances else None,
            )
            for key, facts in self._tables("neighbors").entries
        ]
        vectors = {(key["layer"], key["pooling"]): self.vectors(**key) for key, _ in self._entries("vectors")}
        layouts = [self._layout(key, facts) for key, facts in self._entries("projections")]
        return Contents(experiments, vectors, layouts)

    def _entries(self, kind: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        return self._tables(kind).entries if kind in self.about.files else []

    def _layout(self, key: dict[str, Any], facts: dict[str, Any]) -> StoredLayout:
        table = self._tables("projections").read(key, ["id", "coordinates"])
        ids = table["id"].to_numpy()
        return StoredLayout(ids=ids, coordinates=_matrix(table["coordinates"], len(ids)), **key, **facts)

    def _tables(self, kind: str) -> parquet_tables.Tables:
        if kind not in self._opened:
            name = self.about.files.get(kind)
            if not name or Path(name).name != name:
                raise GridError(
                    f"{self._label}/{_MANIFEST} names no {kind} file; run the grid again for this model."
                )
            self._opened[kind] = parquet_tables.Tables(self.folder / name)
        return self._opened[kind]

    @cached_property
    def _opened(self) -> dict[str, parquet_tables.Tables]:
        return {}

    def _key(self, layer: str, pooling: str, metric: str) -> dict[str, Any]:
        return {"layer": layer, "pooling": pooling, "metric": metric}

    @property
    def _label(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"


@dataclass(frozen=True)
class Computed:
    """One experiment; ``pair_quantiles`` (:data:`N_QUANTILES`,) float32, None where no distances are known."""

    layer: str
    pooling: str
    metric: str
    facts: dict[str, Any]
    neighbors: Neighbors
    pair_quantiles: np.ndarray | None


@dataclass(frozen=True)
class Contents:
    """All that is stored of one model beside ``model.json``.

    ``vectors`` are ids (n,) and vectors (n, dimensions) by (layer, pooling).
    """

    experiments: list[Computed]
    vectors: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]
    layouts: list[StoredLayout]


def write_run(
    dataset_folder: Path, dataset: datasets.Dataset, about: ModelRun, contents: Contents
) -> StoredRun:
    """Put a model's experiments on disk, in place of those that were there.

    A run killed at any moment leaves the old experiments or the new ones, never a mixture.

    Parameters
    ----------
    contents : experiments in the order in which they are to be listed, at least one; all with distances or none.

    Raises
    ------
    DiskError : the disk is nearly full.
    """
    disk.require(dataset_folder)
    known = all(e.neighbors.distances is not None for e in contents.experiments)
    folder = run_folder(dataset_folder, about.model, about.weights)
    folder.mkdir(parents=True, exist_ok=True)
    tables_by_kind = {
        "neighbors": [
            parquet_tables.Entry(
                {"layer": e.layer, "pooling": e.pooling, "metric": e.metric},
                pa.table(
                    {
                        "query": pa.array(e.neighbors.queries, pa.int32()),
                        "ids": _lists(e.neighbors.ids, pa.int32()),
                    }
                    | ({"distances": _lists(e.neighbors.distances, pa.float32())} if known else {})
                ),
                e.facts,
            )
            for e in contents.experiments
        ],
        "pairs": [
            parquet_tables.Entry(
                {"layer": e.layer, "pooling": e.pooling, "metric": e.metric},
                pa.table({"distance": pa.array(e.pair_quantiles, pa.float32())}),
            )
            for e in contents.experiments
            if known
        ],
        "vectors": [
            parquet_tables.Entry(
                {"layer": layer, "pooling": pooling},
                pa.table({"id": pa.array(ids, pa.int32()), "vector": _lists(rows, pa.float16())}),
            )
            for (layer, pooling), (ids, rows) in contents.vectors.items()
        ],
        "projections": [
            parquet_tables.Entry(
                {
                    "layer": one.layer,
                    "pooling": one.pooling,
                    "method": one.method,
                    "dimensions": one.dimensions,
                },
                pa.table(
                    {
                        "id": pa.array(one.ids, pa.int32()),
                        "coordinates": _lists(one.coordinates, pa.float32()),
                    }
                ),
                {
                    "trustworthiness": one.trustworthiness,
                    "silhouette": one.silhouette,
                    "parameters": one.parameters,
                },
            )
            for one in contents.layouts
        ],
    }
    files = {kind: _write_named(folder, kind, entries) for kind, entries in tables_by_kind.items() if entries}
    about = replace(about, files=files)
    manifest = {"format": _WITH_DISTANCES if known else FORMAT, **asdict(about)}
    parquet_tables.replace_file(
        folder / _MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False).encode()
    )
    for path in folder.iterdir():
        if path.name != _MANIFEST and path.name not in files.values():
            path.unlink()
    return StoredRun(folder, dataset)


def write_dataset(grid_dir: Path, dataset: datasets.Dataset) -> Path:
    """Make a dataset's folder in the grid, unless the dataset stands there already.

    Returns
    -------
    folder : the dataset's folder in the grid.

    Raises
    ------
    DatasetError : another dataset of that name stands there.
    """
    folder = grid_dir / dataset.name
    if dataset.name in datasets.names(grid_dir):
        there = datasets.load(folder)
        if there.images.resolve() != dataset.images.resolve():
            raise DatasetError(
                f"{folder.name!r} in the grid is another dataset of the same name; rename the folder or choose another --out."
            )
        if there.fingerprint == dataset.fingerprint:
            return folder
    folder.mkdir(parents=True, exist_ok=True)
    parquet_tables.replace_file(
        folder / "dataset.json", datasets.describe(dataset, str(dataset.images)).encode()
    )
    return folder


def run_folder(dataset_folder: Path, model: str, weights: str) -> Path:
    """Where the experiments of a model with these weights lie."""
    return dataset_folder / f"{model}.{weights}"


def _read_manifest(folder: Path) -> ModelRun:
    label = f"{folder.parent.name}/{folder.name}/{_MANIFEST}"
    try:
        data = json.loads((folder / _MANIFEST).read_text("utf-8"))
        if data.pop("format") not in (_WITH_DISTANCES, FORMAT):
            raise GridError(f"{label} is of another format than {FORMAT}; run the grid again for this model.")
        data["layers"] = tuple(
            LayerRun(**{**layer, "shape": tuple(layer["shape"])}) for layer in data["layers"]
        )
        data["skipped"] = tuple((int(item), str(reason)) for item, reason in data["skipped"])
        about = ModelRun(**data)
        _check_kinds(about)
    except FileNotFoundError:
        raise GridError(f"{label} is missing; run the grid for this model.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GridError(
            f"{label} is damaged ({type(error).__name__}); run the grid again for this model."
        ) from None
    if f"{about.model}.{about.weights}" != folder.name or about.dataset != folder.parent.name:
        raise GridError(
            f"{label} belongs to {about.model}.{about.weights} on {about.dataset}; it was moved here."
        )
    return about


def _check_kinds(about: ModelRun) -> None:
    """Raise :class:`TypeError` for a value of another kind than its field: readers rely on them."""
    texts = [
        about.title,
        about.weights_source,
        about.weights_fingerprint,
        *about.files,
        *about.files.values(),
    ]
    numbers = [about.input_size, about.parameters, about.top]
    costs = []
    for layer in about.layers:
        texts.append(layer.name)
        numbers += [layer.depth, layer.parameters, *layer.shape]
        costs += [] if layer.ms_per_image is None else [layer.ms_per_image]
    if (
        not all(isinstance(text, str) for text in texts)
        or not all(type(number) is int and number >= 0 for number in numbers)
        or not all(type(cost) in (int, float) and np.isfinite(cost) for cost in costs)
        or not all(len(layer.shape) == 3 for layer in about.layers)
        or not isinstance(about.measured, dict)
        or about.top < 1
    ):
        raise TypeError("a value is of another kind than its field")


def _write_named(folder: Path, kind: str, entries: Sequence[parquet_tables.Entry]) -> str:
    part = folder / f".{kind}.{uuid.uuid4().hex}.part"
    parquet_tables.write(part, entries)
    name = f"{kind}-{parquet_tables.content_hash(part)[:12]}.parquet"
    part.replace(folder / name)
    return name


def _lists(rows: np.ndarray, kind: pa.DataType) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(rows).astype(kind.to_pandas_dtype()).ravel(), kind)
    return pa.ListArray.from_arrays(pa.array(np.arange(0, rows.size + 1, rows.shape[1]), pa.int32()), flat)


def _matrix(column: pa.ChunkedArray, n_rows: int) -> np.ndarray:
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(n_rows, -1)
