"""The grid on disk: one folder per dataset, in it one folder per model and weights.

``model.json`` is written last and names the other files, which carry a hash of their content in
their name: whatever moment a run is killed at, ``model.json`` names one whole set of files.
"""

import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, with_config

from core import disk
from core.cache import FileState, Shared, file_state, frozen
from core.data import datasets
from core.data.datasets import Dataset
from core.errors import DatasetError, GridError, UnknownNameError, first_problem
from core.evaluation.measured import Measured
from core.evaluation.rankings import Neighbors
from core.experiments import parquet_tables
from core.settings import settings

# Format 2 has no distances. Formats 1 and 3 have them; 3 says, too, what is as far as the last neighbor of a list.
FORMAT = 3
_WITHOUT_DISTANCES, _READABLE = 2, (1, 2, FORMAT)
_MANIFEST = "model.json"
_EXPERIMENT, _MEASURED = ("layer", "pooling", "metric"), ("values", "influence", "class_errors")
# Distances of all pairs are kept as this many quantiles, evenly spaced from 0 to 1.
N_QUANTILES = 201

# The layer, pooling and metric of an experiment.
Key = tuple[str, str, str]

_STRICT = ConfigDict(strict=True, allow_inf_nan=False)
_Count = Annotated[int, Field(ge=0)]

# What was read last, by the state of its file or the hash in the file's name.
_datasets = Shared(32)
_runs = Shared(256)
_neighbors = Shared(256)
_quantiles = Shared(256)
_projections = Shared(32)
_measures = Shared(256)


@dataclass(frozen=True, order=True)
class Configuration:
    """How images become vectors and what is near: all but the dataset of an experiment.

    ``weights`` is ``imagenet``, ``untrained``, ``file-XXXXXXXX``, ``onnx-XXXXXXXX``, ``published`` or ``vectors-XXXXXXXX``.
    """

    model: str
    weights: str
    layer: str
    pooling: str
    metric: str


@with_config(_STRICT)
@dataclass(frozen=True)
class LayerRun:
    """A layer as it was computed: place, size and measured cost.

    ``depth`` is 1 to 8; above are layers that others published beside those, in the order of the network.
    ``shape`` is (height, width, channels), ``parameters`` those of the model cut there,
    ``ms_per_image`` the time of a forward pass to the layer.
    """

    name: str
    depth: _Count
    shape: tuple[_Count, _Count, _Count]
    parameters: _Count
    ms_per_image: float | None = None


@with_config(_STRICT)
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
    input_size: _Count
    parameters: _Count
    layers: tuple[LayerRun, ...]
    top: Annotated[int, Field(ge=1)]
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


class _Version(BaseModel):
    format: int


_MODEL_RUN = TypeAdapter(ModelRun)


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

    @property
    def best_first(self) -> tuple[float, int]:
        """A key to sort by, as :func:`core.evaluation.comparison.best_first` does: the highest score, then the shortest vector."""
        return -self.score_10, self.dimensions


@dataclass(frozen=True)
class StoredProjection:
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


@dataclass(frozen=True)
class DatasetGrid:
    """A dataset with all its experiments that can be read.

    runs : by model and weights; summaries : every experiment in numbers; notices : a sentence for each model that can't be
    read; key : changes with any of the files.
    """

    dataset: Dataset
    runs: Mapping[tuple[str, str], "StoredRun"]
    summaries: tuple[Summary, ...]
    notices: tuple[str, ...]
    key: str = field(repr=False, default="")

    def run(self, configuration: Configuration | Summary) -> "StoredRun":
        """The model's experiments; raises :class:`GridError` when there are none."""
        try:
            return self.runs[configuration.model, configuration.weights]
        except KeyError:
            raise GridError(
                f"There are no experiments of {configuration.model} ({configuration.weights}) here."
            ) from None

    def neighbors(self, configuration: Configuration | Summary) -> Neighbors:
        """The result lists of an experiment, queries in ascending order; raises :class:`GridError`."""
        run, key = self.run(configuration), _experiment(configuration)

        def read() -> Neighbors:
            found = run.neighbors(*key)
            order = np.argsort(found.queries, kind="stable")
            distances = None if found.distances is None else frozen(found.distances[order])
            beyond = None if found.beyond is None else frozen(found.beyond[order])
            return Neighbors(frozen(found.queries[order]), frozen(found.ids[order]), distances, beyond)

        return _neighbors.get((run.file("neighbors"), key), read)

    def pair_quantiles(self, configuration: Configuration | Summary) -> np.ndarray:
        """Quantiles of the distances of all pairs, as :meth:`StoredRun.pair_quantiles`."""
        run, key = self.run(configuration), _experiment(configuration)
        return _quantiles.get((run.file("pairs"), key), lambda: run.pair_quantiles(*key))

    def projections(
        self, model: str, weights: str, pooling: str, method: str, dimensions: int
    ) -> list[StoredProjection]:
        """The projections of all layers of a model, by depth; empty when there are none; raises :class:`GridError`."""
        run = self.runs.get((model, weights))
        if run is None:
            return []
        wanted = (pooling, method, dimensions)
        return _projections.get((run.file("projections"), wanted), lambda: run.projections(*wanted))

    def measures(self, model: str, weights: str, name: str) -> "Mapping[Key, Measured]":
        """A measure of the experiments of a model that have it, by layer, pooling and metric; raises :class:`GridError`."""
        run = self.runs[model, weights]
        return _measures.get((run.file("measures"), name), lambda: run.measures(name))


class Grid:
    """All experiments below a folder, for reading.

    What is read is kept until its file changes, and shared by all threads. What is broken raises an error from the call that
    needs it and is read again by the next one.

    Parameters
    ----------
    folder : ``settings.GRID_DIR`` when not given.
    """

    def __init__(self, folder: Path | None = None):
        self.folder = folder or settings.GRID_DIR

    def dataset_names(self) -> list[str]:
        """Names of the datasets, in alphabetical order."""
        return datasets.names(self.folder)

    def dataset(self, name: str) -> Dataset:
        """The dataset of that name; raises UnknownNameError, or DatasetError when it can't be read."""
        if not datasets.exists(name, self.folder):
            raise UnknownNameError("dataset", name, self.dataset_names())
        folder = self.folder / name
        return _datasets.get((folder, file_state(folder / "dataset.json")), lambda: datasets.load(folder))

    def title(self, name: str) -> str:
        """The title of a dataset; its name when it can't be read."""
        return datasets.title(self.folder / name)

    def load(self, name: str) -> DatasetGrid:
        """A dataset and its experiments; raises as :meth:`dataset`."""
        dataset = self.dataset(name)
        runs: dict[tuple[str, str], StoredRun] = {}
        summaries: list[Summary] = []
        notices: list[str] = []
        key = [name, dataset.fingerprint]
        for folder in sorted((self.folder / name).glob("*.*/")):
            state = file_state(folder)
            # A folder that lost its manifest gets a notice; one that holds nothing of a grid does not.
            if not any(name == _MANIFEST or name.endswith(".parquet") for name, _, _ in state):
                continue
            try:
                run = _run(folder, state, dataset)
                summaries += run.summaries
            except GridError as error:
                notices.append(str(error))
            else:
                runs[run.about.model, run.about.weights] = run
                key.append(str(hash((folder, state))))
        return DatasetGrid(
            dataset, MappingProxyType(runs), tuple(summaries), tuple(notices), key="/".join(key)
        )

    def version(self, name: str) -> tuple[tuple[str, int], ...]:
        """Changes when experiments of a dataset are written or removed; takes less time than :meth:`load`."""
        manifests = sorted((self.folder / name).glob(f"*/{_MANIFEST}"))
        return tuple((path.parent.name, path.stat().st_mtime_ns) for path in manifests)

    def run(self, dataset: Dataset, model: str, weights: str) -> "StoredRun":
        """One model's experiments; raises :class:`GridError` when missing or broken."""
        folder = run_folder(self.folder / dataset.name, model, weights)
        return _run(folder, file_state(folder), dataset)


def _run(folder: Path, state: FileState, dataset: Dataset) -> "StoredRun":
    return _runs.get((folder, state, dataset.fingerprint), lambda: StoredRun(folder, dataset))


def _experiment(configuration: Configuration | Summary) -> Key:
    return configuration.layer, configuration.pooling, configuration.metric


class StoredRun:
    """The experiments of one model on one dataset, on disk."""

    def __init__(self, folder: Path, dataset: Dataset):
        self.folder = folder
        self.about, self.format = _read_manifest(folder)
        if self.about.dataset_fingerprint != dataset.fingerprint:
            raise GridError(
                f"{self._label} was computed on other images than {dataset.name} has now; run the grid again."
            )
        self._n_images, self._n_classes = len(dataset), len(set(dataset.labels))

    def file(self, kind: str) -> str:
        """A name for one of the files that changes with its content."""
        return f"{self.folder}/{self.about.files.get(kind)}"

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
            queries = parquet_tables.numbers(table["query"])
            ids = parquet_tables.matrix(table["ids"], len(queries))
            distances = parquet_tables.matrix(table["distances"], len(queries)) if known else None
            if (distances is not None and ids.shape != distances.shape) or ids.size == 0:
                raise ValueError("wrong shapes")
            if min(ids.min(), queries.min()) < 0 or max(ids.max(), queries.max()) >= self._n_images:
                raise ValueError("unknown images")
            beyond = self._beyond(self._key(layer, pooling, metric), queries)
        except ValueError as error:
            raise GridError(
                f"{self._label}: the neighbors of {layer}/{pooling}/{metric} are damaged ({error})."
            ) from None
        return Neighbors(queries, ids, distances, beyond)

    def _beyond(self, key: dict[str, Any], queries: np.ndarray) -> np.ndarray | None:
        """How many images are as far as the last neighbor but not in the list, by class; raises ValueError."""
        if self.format < FORMAT:
            return None
        beyond = np.zeros((len(queries), self._n_classes), np.int32)
        if key in [tied for tied, _ in self._entries("ties")]:
            table = self._tables("ties").read(key, ["query", "beyond"])
            asked = table["query"].to_numpy()
            counts = parquet_tables.matrix(table["beyond"], len(asked))
            order = np.argsort(queries)
            places = order[np.searchsorted(queries, asked, sorter=order).clip(max=len(queries) - 1)]
            totals = counts.sum(axis=1)
            if counts.shape[1] != self._n_classes or totals.max() >= self._n_images or counts.min() < -1:
                raise ValueError("impossible ties")
            if not np.array_equal(queries[places], asked):
                raise ValueError("ties of unknown queries")
            beyond[places] = counts
        return frozen(beyond)

    def pair_quantiles(self, layer: str, pooling: str, metric: str) -> np.ndarray:
        """:data:`N_QUANTILES` quantiles of the distances of all pairs, float32; raises :class:`GridError`."""
        if not self.about.has_distances:
            raise GridError(f"{self._label} holds no distances: they were not published.")
        table = self._tables("pairs").read(self._key(layer, pooling, metric), ["distance"])
        distances = parquet_tables.numbers(table["distance"])
        if distances.shape != (N_QUANTILES,) or not np.isfinite(distances).all():
            raise GridError(
                f"{self._label}: the distances of all pairs of {layer}/{pooling}/{metric} are damaged."
            )
        return distances

    def vectors(self, layer: str, pooling: str = "avg") -> tuple[np.ndarray, np.ndarray]:
        """Ids (n,) and pooled vectors (n, dimensions) float16 of a layer; raises :class:`GridError`."""
        table = self._tables("vectors").read({"layer": layer, "pooling": pooling}, ["id", "vector"])
        ids = parquet_tables.numbers(table["id"])
        return ids, parquet_tables.matrix(table["vector"], len(ids))

    @property
    def vector_keys(self) -> list[tuple[str, str]]:
        """The layers and poolings whose vectors are stored; raises :class:`GridError`."""
        return [(key["layer"], key["pooling"]) for key, _ in self._entries("vectors")]

    def projections(self, pooling: str, method: str, dimensions: int) -> list[StoredProjection]:
        """The projections of all layers, by depth; empty when there are none; raises :class:`GridError`."""
        wanted = {"pooling": pooling, "method": method, "dimensions": dimensions}
        return [
            self._projection(key, facts)
            for key, facts in self._entries("projections")
            if key == {**wanted, "layer": key["layer"]}
        ]

    def measures(self, name: str) -> dict[Key, Measured]:
        """A measure of the experiments that have it, such as ``"map"``; empty where none has; raises :class:`GridError`."""
        if {"measure": name} not in [key for key, _ in self._entries("measures")]:
            return {}
        table = self._tables("measures").read({"measure": name}, [*_EXPERIMENT, *_MEASURED])
        try:
            keys = zip(*(table[part].to_pylist() for part in _EXPERIMENT), strict=True)
            values, influence, errors = (
                frozen(parquet_tables.matrix(table[part], len(table)).astype(np.float32))
                for part in _MEASURED
            )
            known = np.isfinite(values)
            if (
                values.shape[1] != self._n_images
                or influence.shape != values.shape
                or errors.shape[1] != self._n_classes
            ):
                raise ValueError("wrong shapes")
            if not known.any(axis=1).all() or values[known].min() < 0 or values[known].max() > 1:
                raise ValueError("impossible values")
            if not np.isfinite(influence).all():
                raise ValueError("an influence is not a number")
        except ValueError as error:
            raise GridError(f"{self._label}: the measure {name} is damaged ({error}).") from None
        return {key: Measured(*rows) for key, *rows in zip(keys, values, influence, errors, strict=True)}

    @property
    def measure_names(self) -> list[str]:
        """The measures that some experiment has; raises :class:`GridError`."""
        return [key["measure"] for key, _ in self._entries("measures")]

    def read_all(self) -> "Contents":
        """Everything that is stored of this model; raises :class:`GridError` when a part is damaged."""
        measures = {name: self.measures(name) for name in self.measure_names}
        experiments = [
            Computed(
                **key,
                facts=facts,
                neighbors=self.neighbors(**key),
                pair_quantiles=self.pair_quantiles(**key) if self.about.has_distances else None,
                measures={
                    name: of[place] for name, of in measures.items() if (place := tuple(key.values())) in of
                },
            )
            for key, facts in self._tables("neighbors").entries
        ]
        vectors = {(key["layer"], key["pooling"]): self.vectors(**key) for key, _ in self._entries("vectors")}
        projections = [self._projection(key, facts) for key, facts in self._entries("projections")]
        return Contents(experiments, vectors, projections)

    def _entries(self, kind: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        return self._tables(kind).entries if kind in self.about.files else []

    def _projection(self, key: dict[str, Any], facts: dict[str, Any]) -> StoredProjection:
        table = self._tables("projections").read(key, ["id", "coordinates"])
        ids = parquet_tables.numbers(table["id"])
        return StoredProjection(
            ids=ids, coordinates=parquet_tables.matrix(table["coordinates"], len(ids)), **key, **facts
        )

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
    """One experiment; ``pair_quantiles`` (:data:`N_QUANTILES`,) float32, None where no distances are known; measures by their names."""

    layer: str
    pooling: str
    metric: str
    facts: dict[str, Any]
    neighbors: Neighbors
    pair_quantiles: np.ndarray | None
    measures: Mapping[str, Measured] = field(default_factory=dict)


@dataclass(frozen=True)
class Contents:
    """All that is stored of one model beside ``model.json``.

    ``vectors`` are ids (n,) and vectors (n, dimensions) by (layer, pooling).
    """

    experiments: list[Computed]
    vectors: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]
    projections: list[StoredProjection]


def write_run(dataset_folder: Path, dataset: Dataset, about: ModelRun, contents: Contents) -> StoredRun:
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
                _neighbors_table(e.neighbors),
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
        "ties": [
            parquet_tables.Entry({"layer": e.layer, "pooling": e.pooling, "metric": e.metric}, table)
            for e in contents.experiments
            if (table := _ties_table(e.neighbors, len(set(dataset.labels)))) is not None
        ],
        "measures": _measure_entries(
            {(e.layer, e.pooling, e.metric): e.measures for e in contents.experiments}
        ),
        "vectors": [
            parquet_tables.Entry(
                {"layer": layer, "pooling": pooling},
                pa.table(
                    {"id": pa.array(ids, pa.int32()), "vector": parquet_tables.list_array(rows, pa.float16())}
                ),
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
                        "coordinates": parquet_tables.list_array(one.coordinates, pa.float32()),
                    }
                ),
                {
                    "trustworthiness": one.trustworthiness,
                    "silhouette": one.silhouette,
                    "parameters": one.parameters,
                },
            )
            for one in contents.projections
        ],
    }
    files = {kind: _write_named(folder, kind, entries) for kind, entries in tables_by_kind.items() if entries}
    return _write_manifest(
        folder, dataset, replace(about, files=files), FORMAT if known else _WITHOUT_DISTANCES
    )


def add_measures(run: StoredRun, dataset: Dataset, found: Mapping[Key, Mapping[str, Measured]]) -> StoredRun:
    """Put measures on disk beside a model's experiments, which stay as they are.

    The caller holds the lock of the dataset's folder. A process killed at any moment leaves the measures from before or all of these.

    Parameters
    ----------
    found : by layer, pooling and metric, the measures by their names; in place of those of the same experiment and name.

    Raises
    ------
    DiskError : the disk is nearly full.
    """
    disk.require(run.folder)
    there = {name: run.measures(name) for name in run.measure_names}
    keys = [(one.layer, one.pooling, one.metric) for one in run.summaries]
    merged = {
        key: {name: of[key] for name, of in there.items() if key in of} | dict(found.get(key, {}))
        for key in keys
    }
    name = _write_named(run.folder, "measures", _measure_entries(merged))
    about = replace(run.about, files=run.about.files | {"measures": name})
    return _write_manifest(run.folder, dataset, about, run.format)


def _write_manifest(folder: Path, dataset: Dataset, about: ModelRun, version: int) -> StoredRun:
    """Name the files that a model's experiments are in from now on, and remove all others."""
    files = about.files
    manifest = {"format": version, **asdict(about)}
    disk.replace_file(folder / _MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False).encode())
    for path in folder.iterdir():
        if path.name != _MANIFEST and path.name not in files.values():
            path.unlink()
    return StoredRun(folder, dataset)


def _neighbors_table(lists: Neighbors) -> pa.Table:
    columns = {
        "query": pa.array(lists.queries, pa.int32()),
        "ids": parquet_tables.list_array(lists.ids, pa.int32()),
    }
    if lists.distances is not None:
        columns["distances"] = parquet_tables.list_array(lists.distances, pa.float32())
    return pa.table(columns)


def _measure_entries(found: Mapping[Key, Mapping[str, Measured]]) -> list[parquet_tables.Entry]:
    """A table for each measure, with a row for each experiment that has it."""
    entries = []
    for name in dict.fromkeys(name for measures in found.values() for name in measures):
        some = {key: measures[name] for key, measures in found.items() if name in measures}
        columns = {part: pa.array([key[place] for key in some]) for place, part in enumerate(_EXPERIMENT)}
        columns |= {
            part: parquet_tables.list_array(
                np.array([getattr(one, part) for one in some.values()]), pa.float16()
            )
            for part in _MEASURED
        }
        entries.append(parquet_tables.Entry({"measure": name}, pa.table(columns)))
    return entries


def _ties_table(lists: Neighbors, n_classes: int) -> pa.Table | None:
    """The queries with images as far as the last neighbor and not in the list, or where that is not known; None without any."""
    if lists.distances is None:
        return None
    if lists.beyond is not None:
        beyond = lists.beyond
    else:
        # Where the last two are equally far, more may be.
        open_ended = (np.diff(lists.distances[:, -2:], axis=1) == 0.0).any(axis=1)
        beyond = np.repeat(np.where(open_ended, -1, 0)[:, None], n_classes, axis=1)
    rows = np.flatnonzero(beyond.any(axis=1))
    if not len(rows):
        return None
    return pa.table(
        {
            "query": pa.array(lists.queries[rows], pa.int32()),
            "beyond": parquet_tables.list_array(beyond[rows], pa.int32()),
        }
    )


def write_dataset(grid_dir: Path, dataset: Dataset) -> Path:
    """Create a dataset's folder in the grid, unless it is there already.

    Returns
    -------
    folder : the dataset's folder in the grid.

    Raises
    ------
    DatasetError : there is another dataset of that name.
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
    disk.replace_file(folder / "dataset.json", datasets.describe(dataset, str(dataset.images)).encode())
    return folder


def remove_run(folder: Path) -> None:
    """Delete a model's experiments; a reader sees all of them or none, since the manifest goes first."""
    (folder / _MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def run_folder(dataset_folder: Path, model: str, weights: str) -> Path:
    """Where the experiments of a model with these weights lie."""
    return dataset_folder / f"{model}.{weights}"


def _read_manifest(folder: Path) -> tuple[ModelRun, int]:
    label = f"{folder.parent.name}/{folder.name}/{_MANIFEST}"
    try:
        data = (folder / _MANIFEST).read_bytes()
        version = _Version.model_validate_json(data).format
        if version not in _READABLE:
            raise GridError(f"{label} is of another format than {FORMAT}; run the grid again for this model.")
        about = _MODEL_RUN.validate_json(data)
    except FileNotFoundError:
        raise GridError(f"{label} is missing; run the grid for this model.") from None
    except (OSError, ValidationError) as error:
        reason = first_problem(error) if isinstance(error, ValidationError) else type(error).__name__
        raise GridError(f"{label} is damaged ({reason}); run the grid again for this model.") from None
    if f"{about.model}.{about.weights}" != folder.name or about.dataset != folder.parent.name:
        raise GridError(
            f"{label} belongs to {about.model}.{about.weights} on {about.dataset}; it was moved here."
        )
    return about, version


def _write_named(folder: Path, kind: str, entries: Sequence[parquet_tables.Entry]) -> str:
    part = folder / f".{kind}.{uuid.uuid4().hex}.part"
    parquet_tables.write(part, entries)
    name = f"{kind}-{parquet_tables.content_hash(part)[:12]}.parquet"
    part.replace(folder / name)
    return name
