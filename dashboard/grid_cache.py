"""What the pages read, read once: datasets, experiments and the numbers made of them.

Everything is cached by what is on disk (names with hashes, times and sizes), so a grid that was
computed again shows up at the next run of a page. A failed reading is never cached: once the file
is restored the page shows it. The caches hold one shared copy that nobody may write to, since
``st.cache_data`` would hand every run of every page a copy of its own.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
import streamlit as st

from core.data import datasets
from core.data.datasets import Dataset
from core.errors import DatasetError, GridError, UnknownNameError
from core.evaluation import scoring
from core.experiments.store import Configuration, Grid, Neighbors, StoredLayout, StoredRun, Summary
from core.features import channel_files
from core.features.channel_files import Visualization
from core.models import architecture as architectures
from core.models import registry
from core.models.architecture import Architecture
from core.settings import settings

_Signature = tuple[tuple[str, int, int], ...]
# One number per query and resample is drawn: large datasets take fewer resamples, not more memory.
_BOOTSTRAP_DRAWS = 4_000_000


@dataclass(frozen=True)
class DatasetGrid:
    """A dataset with all its experiments that can be read.

    runs : by model and weights; summaries : every experiment in numbers; notices : a sentence for
    each model that can't be read.
    """

    dataset: Dataset
    runs: Mapping[tuple[str, str], StoredRun]
    summaries: tuple[Summary, ...]
    notices: tuple[str, ...]
    key: str = field(repr=False, default="")

    def run(self, configuration: Configuration | Summary) -> StoredRun:
        """The model's experiments; raises :class:`GridError` when there are none."""
        try:
            return self.runs[configuration.model, configuration.weights]
        except KeyError:
            raise GridError(
                f"There are no experiments of {configuration.model} ({configuration.weights}) here."
            ) from None


@dataclass(frozen=True)
class Evaluation:
    """How good one configuration is, query by query.

    queries : (n,) ids; ids, distances, same : (n, top) the result lists and whether labels agree, distances None
    where they are not known;
    scores : (n,) 0..100; mean, low, high : their mean with its 95% interval; attainable : (n,) the highest that each can be.
    """

    k: int
    queries: np.ndarray
    ids: np.ndarray
    distances: np.ndarray | None
    same: np.ndarray
    scores: np.ndarray
    mean: float
    low: float
    high: float
    attainable: np.ndarray
    # All result lists together, nearest first: distances, and whether labels agree; None without distances.
    sorted_distances: np.ndarray | None = field(repr=False)
    sorted_same: np.ndarray | None = field(repr=False)

    def row(self, query: int) -> int | None:
        """Where the query stands in the arrays; None when it was left out of the experiment."""
        place = int(np.searchsorted(self.queries, query))
        return place if place < len(self.queries) and self.queries[place] == query else None

    def standing(self, row: int) -> tuple[float, float]:
        """Shares of the other queries, 0..1, that score lower than this one, and that score the same."""
        others = max(1, len(self.scores) - 1)
        lower = int((self.scores < self.scores[row] - 1e-9).sum())
        higher = int((self.scores > self.scores[row] + 1e-9).sum())
        return lower / others, (len(self.scores) - 1 - lower - higher) / others

    def agreement_near(self, distance: float, window: int = 100) -> tuple[int, int]:
        """Of the neighbors about this close, in all result lists, how many share the query's label.

        Raises
        ------
        ValueError : no distances are known.
        """
        if self.sorted_distances is None or self.sorted_same is None:
            raise ValueError("No distances are known.")
        # The nearest distances all lie within a window's width of this one's place in the order.
        place = int(np.searchsorted(self.sorted_distances, distance))
        part = slice(max(0, place - window), place + window)
        return scoring.agreement_near(distance, self.sorted_distances[part], self.sorted_same[part], window)


def dataset_names() -> list[str]:
    """Names of the datasets that stand in the grid folder."""
    return datasets.names(settings.GRID_DIR)


def dataset(name: str) -> Dataset:
    """A dataset of the grid folder, without its experiments; raises as :func:`load`."""
    names = dataset_names()
    if name not in names:
        raise UnknownNameError("dataset", name, names)
    folder = settings.GRID_DIR / name
    return _dataset(str(folder), _signature(folder / "dataset.json"))


def load(name: str) -> DatasetGrid:
    """A dataset and its experiments.

    Raises
    ------
    UnknownNameError : there is no dataset of that name.
    DatasetError : its description can't be read.
    """
    described = dataset(name)
    folder = settings.GRID_DIR / name
    runs: dict[tuple[str, str], StoredRun] = {}
    summaries: list[Summary] = []
    notices: list[str] = []
    key = [described.fingerprint]
    for run_folder in sorted(folder.glob("*.*/")):
        signature = _signature(run_folder)
        # A folder that lost its manifest is told too, one that holds nothing of ours is not.
        if not any(name == "model.json" or name.endswith(".parquet") for name, _, _ in signature):
            continue
        try:
            run = _run(str(run_folder), signature, described.fingerprint, described)
            summaries += run.summaries
        except GridError as error:
            notices.append(str(error))
        else:
            runs[run.about.model, run.about.weights] = run
            key.append(str(hash((str(run_folder), signature))))
    return DatasetGrid(
        described, MappingProxyType(runs), tuple(summaries), tuple(notices), key="/".join([name, *key])
    )


def architecture(model: str) -> Architecture:
    """What ships about the layers of a model; raises :class:`ModelDataError`."""
    return _architecture(model, _signature(settings.MODELS_DIR / model / architectures.FILE))


def channel_pictures(model: str, weights: str, layer: str) -> Sequence[Visualization]:
    """The pictures that ship for the channels of a layer; none where there are none, or no such model."""
    if model not in registry.MODELS:
        return ()
    return _channel_pictures(model, weights, layer, _signature(settings.MODELS_DIR / model))


def title(name: str) -> str:
    """The title of a dataset; its name when the description can't be read."""
    folder = settings.GRID_DIR / name
    try:
        return _dataset(str(folder), _signature(folder / "dataset.json")).title
    except DatasetError:
        return name


def evaluation(grid: DatasetGrid, configuration: Configuration, k: int) -> Evaluation:
    """The result lists of a configuration with their scores; raises :class:`GridError`."""
    run = grid.run(configuration)
    return _evaluation(_file(run, "neighbors"), grid.key, configuration, k, run, grid.dataset)


def pair_quantiles(grid: DatasetGrid, configuration: Configuration) -> np.ndarray:
    """Quantiles of the distances of all pairs; raises :class:`GridError`."""
    run = grid.run(configuration)
    return _pair_quantiles(_file(run, "pairs"), configuration, run)


def vectors(
    grid: DatasetGrid, configuration: Configuration | Summary, pooling: str = "avg"
) -> tuple[np.ndarray, np.ndarray]:
    """Ids (n,) and pooled vectors (n, dimensions) of a layer; raises :class:`GridError`."""
    run = grid.run(configuration)
    return _vectors(_file(run, "vectors"), configuration.layer, pooling, run)


def layouts(
    grid: DatasetGrid, model: str, weights: str, pooling: str, method: str, dimensions: int
) -> list[StoredLayout]:
    """The layouts of all layers of a model, by depth, empty when there are none; raises :class:`GridError`."""
    run = grid.runs.get((model, weights))
    if run is None:
        return []
    return _layouts(_file(run, "projections"), pooling, method, dimensions, run)


def _signature(path: Path) -> _Signature:
    """What changes when a file, or a file in a folder, is written: names, times and sizes."""
    try:
        if path.is_dir():
            with os.scandir(path) as entries:
                stats = [(entry.name, entry.stat()) for entry in entries]
        else:
            stats = [(path.name, path.stat())]
    except OSError:
        return ()
    return tuple(sorted((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats))


def _file(run: StoredRun, kind: str) -> str:
    """A name for a run's file that changes with its content."""
    return f"{run.folder}/{run.about.files.get(kind)}"


@st.cache_resource(show_spinner=False, max_entries=32)
def _dataset(folder: str, signature: _Signature) -> Dataset:
    return datasets.load(Path(folder))


@st.cache_resource(show_spinner=False, max_entries=32)
def _architecture(model: str, signature: _Signature) -> Architecture:
    return architectures.read(model)


@st.cache_resource(show_spinner=False, max_entries=256)
def _channel_pictures(
    model: str, weights: str, layer: str, signature: _Signature
) -> tuple[Visualization, ...]:
    return tuple(channel_files.visualizations(model, weights, layer))


@st.cache_resource(show_spinner=False, max_entries=256)
def _run(folder: str, signature: _Signature, fingerprint: str, _of: Dataset) -> StoredRun:
    run = Grid(Path(folder).parent.parent).run(_of, *Path(folder).name.split(".", 1))
    # Read here, so that a damaged list of experiments fails before the run is cached.
    _ = run.summaries
    return run


@st.cache_resource(show_spinner=False, max_entries=256)
def _lists(file: str, configuration: Configuration, _run: StoredRun) -> Neighbors:
    found = _run.neighbors(configuration.layer, configuration.pooling, configuration.metric)
    order = np.argsort(found.queries, kind="stable")
    distances = None if found.distances is None else _frozen(found.distances[order])
    return Neighbors(_frozen(found.queries[order]), _frozen(found.ids[order]), distances)


@st.cache_resource(show_spinner=False, max_entries=256)
def _evaluation(
    file: str, key: str, configuration: Configuration, k: int, _run: StoredRun, _dataset: Dataset
) -> Evaluation:
    lists = _lists(file, configuration, _run)
    k = min(k, lists.ids.shape[1])
    same = scoring.same_label(lists.queries, lists.ids, _dataset.labels)
    scores = scoring.score(same, k)
    resamples = max(200, min(2000, _BOOTSTRAP_DRAWS // len(scores)))
    low, high = scoring.bootstrap_interval(scores, resamples=resamples)
    nearest_first = distances = None
    if lists.distances is not None:
        order = np.argsort(lists.distances, axis=None)
        distances, nearest_first = np.ravel(lists.distances)[order], np.ravel(same)[order]
    return Evaluation(
        k=k,
        queries=lists.queries,
        ids=lists.ids,
        distances=lists.distances,
        same=_frozen(same),
        scores=_frozen(scores),
        mean=float(scores.mean()),
        low=low,
        high=high,
        attainable=_frozen(
            scoring.attainable_score(scoring.count_relevant(lists.queries, _dataset.labels), k)
        ),
        sorted_distances=None if distances is None else _frozen(distances),
        sorted_same=None if nearest_first is None else _frozen(nearest_first),
    )


@st.cache_resource(show_spinner=False, max_entries=256)
def _pair_quantiles(file: str, configuration: Configuration, _run: StoredRun) -> np.ndarray:
    return _frozen(
        _run.pair_quantiles(configuration.layer, configuration.pooling, configuration.metric).copy()
    )


@st.cache_resource(show_spinner=False, max_entries=8)
def _vectors(file: str, layer: str, pooling: str, _run: StoredRun) -> tuple[np.ndarray, np.ndarray]:
    ids, rows = _run.vectors(layer, pooling)
    return _frozen(ids), _frozen(rows)


@st.cache_resource(show_spinner=False, max_entries=32)
def _layouts(file: str, pooling: str, method: str, dimensions: int, _run: StoredRun) -> list[StoredLayout]:
    return _run.layouts(pooling, method, dimensions)


def _frozen(array: np.ndarray) -> np.ndarray:
    if array.flags.owndata:
        array.flags.writeable = False
        return array
    array = array.view()
    array.flags.writeable = False
    return array
