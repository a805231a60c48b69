"""Computing a grid: every configuration of some models on a dataset.

One model at a time: features of all layers in one pass, then distances, neighbors and projections; a
model's results go to disk together. A run that is started again computes what is not there yet.
"""

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from core import access, lock, projection
from core.data.datasets import Dataset
from core.errors import GridError, UnknownNameError, UserError
from core.evaluation import linear_probe, scoring, ties, whole_ranking
from core.evaluation.measured import Measured
from core.evaluation.rankings import Neighbors
from core.experiments import layer_cost, store
from core.experiments.column_file import ColumnBlocks
from core.metrics import METRICS, PairwiseDistances, get_metric
from core.models import extractor, networks, registry, runtime, weights
from core.progress import Progress
from core.settings import settings

# A tile of distances (rows of queries by all images) stays below this many numbers.
_TILE = 8_000_000
# About how many seconds the stages take, measured with EfficientNet-Lite 0 on 200 images and two cores.
_LOADING, _MEASURING = 6.0, 7.0
_FEATURES = 0.03  # of an image
_NEIGHBORS, _FLATTENED_NEIGHBORS = 6e-6, 6e-5  # of a pair of images in a layer
_PROJECTIONS = 9e-3  # of an image in a layer
# How long a projection takes compared with the others.
_PROJECTING = {"umap": 10, "pca": 1}
# Quantiles of the distances are taken from about this many pairs.
_PAIRS = 2_000_000


@dataclass(frozen=True)
class Request:
    """The part of a grid to be computed; layers of None are all eight of each model."""

    models: tuple[str, ...]
    weights: str = "imagenet"
    layers: tuple[str, ...] | None = None
    poolings: tuple[str, ...] = ("avg", "flatten")
    metrics: tuple[str, ...] = tuple(METRICS)
    top: int = 20

    def check(self) -> None:
        """Raise :class:`UnknownNameError` or :class:`UserError` for what does not exist."""
        for pooling in self.poolings:
            if pooling not in extractor.POOLINGS:
                raise UnknownNameError("pooling", pooling, extractor.POOLINGS)
        for metric in self.metrics:
            get_metric(metric)
        for model in self.models:
            for layer in self.layers or ():
                registry.get_model(model).layer(layer)
            registry.get_model(model)
        if self.top < 1:
            raise UserError(f"--top is {self.top}; it must be at least 1.")


@dataclass(frozen=True)
class Features:
    """Vectors of one model on a dataset, by (layer, pooling), rows in the order of ``ids``."""

    ids: np.ndarray
    vectors: dict[tuple[str, str], ColumnBlocks]
    skipped: tuple[tuple[int, str], ...]


def run(chosen: Sequence[Dataset], request: Request, out: Path, progress: Progress) -> None:
    """Compute what is missing of the requested grid on some datasets and put it below ``out``.

    Raises
    ------
    AccessError : this process is a read-only server.
    UnknownNameError, UserError : the request or a dataset can't be computed; a sentence says why.
    """
    access.require_full("run a grid")
    request.check()
    with ExitStack() as locks:
        folders = []
        for dataset in chosen:
            locks.enter_context(lock.writing(out / dataset.name))
            folders.append(store.write_dataset(out, dataset))
        tasks = [(name, *pair) for name in request.models for pair in zip(chosen, folders, strict=True)]
        parts = progress.divide(*(_task_seconds(*task, request) for task in tasks))
        spent: list[float] = []
        network: _Network | None = None
        for number, ((name, dataset, folder), part) in enumerate(zip(tasks, parts, strict=True), 1):
            model = registry.get_model(name)
            provenance = weights.provenance(model, request.weights)
            label = f"[{number}/{len(tasks)}] {name} · {provenance.slug} · {dataset.name}"
            work = _pending(folder, dataset, model, provenance, request)
            if work is None:
                progress.say(f"{label}: already there")
                continue
            progress.say(f"{label}: {work.sentence}")
            started = time.monotonic()
            is_loaded = network is not None and network.model is model
            loading, measuring, computing = part.divide(
                *([0, 0] if is_loaded else [_LOADING, _MEASURING]), sum(work.seconds(len(dataset)))
            )
            if network is None or not is_loaded:
                # The one before is let go first: two models at a time would take twice the memory.
                network = None
                network = _Network(model, request.weights, loading)
            cost = network.cost(work.layers, measuring)
            _run_model(folder, dataset, network, cost, work, computing)
            spent.append(time.monotonic() - started)
            left = sum(spent) / len(spent) * (len(tasks) - number)
            rest = f", about {_span(left)} left" if left else ""
            progress.say(f"{label}: done in {_span(spent[-1])}{rest}")


def _task_seconds(name: str, dataset: Dataset, folder: Path, request: Request) -> float:
    """About how long a model takes on a dataset; 0 if there is nothing to compute."""
    model = registry.get_model(name)
    work = _pending(folder, dataset, model, weights.provenance(model, request.weights), request)
    return 0.0 if work is None else _LOADING + _MEASURING + sum(work.seconds(len(dataset)))


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


class _Network:
    """A loaded model, and what its layers were measured to cost: once, however many datasets it is run on."""

    def __init__(self, model: registry.Model, weights_name: str, progress: Progress):
        progress.stage("loading the model", 1)
        self.model = model
        if model.build is None:
            self.network = self._measured_network = networks.load(model, weights_name, progress)
            self.provenance = weights.provenance(model, weights_name)
        else:
            graph, self.provenance = weights.load(model, weights_name, progress)
            self.network = runtime.of_graph(model, graph)
            self._measured_network = runtime.TensorFlowNetwork(model, graph)
        self._measured: dict[tuple[str, ...], layer_cost.Cost] = {}
        progress.step()

    def cost(self, layers: tuple[str, ...], progress: Progress) -> layer_cost.Cost:
        if layers not in self._measured:
            progress.stage("measuring its speed", len(layers))
            self._measured[layers] = layer_cost.measure(
                self.model, self._measured_network, layers, progress.step
            )
        return self._measured[layers]


@dataclass(frozen=True)
class _Work:
    """What to compute of one model, and what is kept of an earlier run."""

    layers: tuple[str, ...]
    poolings: tuple[str, ...]
    metrics: tuple[str, ...]
    top: int
    kept: store.StoredRun | None

    def seconds(self, n: int) -> list[float]:
        """About how long the features of n images take, and then what is computed of each pooling."""
        return [_FEATURES * n, *(sum(self.comparing_seconds(pooling, n)) for pooling in self.poolings)]

    def comparing_seconds(self, pooling: str, n: int) -> tuple[float, float]:
        """About how long the neighbors of n images and their projections take."""
        of_pair = _FLATTENED_NEIGHBORS if pooling == "flatten" else _NEIGHBORS
        return of_pair * n**2 * len(self.layers), _PROJECTIONS * n * len(self.layers)

    @property
    def sentence(self) -> str:
        kept = f", {len(self.kept.summaries)} experiments are there" if self.kept else ""
        n = len(self.layers) * len(self.poolings) * len(self.metrics)
        return f"{n} experiments to compute{kept}"


def _pending(
    folder: Path, dataset: Dataset, model: registry.Model, provenance: weights.Provenance, request: Request
) -> _Work | None:
    layers = request.layers or tuple(layer.name for layer in model.layers)
    work = _Work(layers, request.poolings, request.metrics, request.top, None)
    try:
        there = store.StoredRun(store.run_folder(folder, model.name, provenance.slug), dataset)
        done = {(s.layer, s.pooling, s.metric) for s in there.summaries}
    except GridError:
        return work
    usable_top = there.about.top >= min(request.top, _n_good(there, dataset) - 1)
    # Weights that Keras has yet to download have no fingerprint to compare.
    other_weights = not provenance.made(there.about.weights_fingerprint)
    if other_weights or not usable_top:
        return work
    missing = [
        (layer, pooling, metric)
        for layer in layers
        for pooling in request.poolings
        for metric in request.metrics
        if (layer, pooling, metric) not in done
    ]
    if not missing:
        return None
    poolings = {pooling for _, pooling, _ in missing}
    needed = {layer for layer, _, _ in missing}
    placed = {(layer, pooling) for layer, pooling, _ in done}
    if any((layer, pooling) not in placed for layer, pooling, _ in missing):
        # Projections of layers are aligned with each other, so a new layer means all of them again.
        needed |= {layer for layer, pooling in placed if pooling in poolings}
    return _Work(
        layers=tuple(layer.name for layer in model.layers if layer.name in needed),
        poolings=tuple(name for name in request.poolings if name in poolings),
        metrics=tuple(name for name in request.metrics if any(name == metric for _, _, metric in missing)),
        top=there.about.top,
        kept=there,
    )


def _n_good(there: store.StoredRun, dataset: Dataset) -> int:
    return len(dataset) - len(there.about.skipped)


def _run_model(
    folder: Path,
    dataset: Dataset,
    network: _Network,
    measured: layer_cost.Cost,
    work: _Work,
    progress: Progress,
) -> None:
    model, provenance = network.model, network.provenance
    extracting, *comparing = progress.divide(*work.seconds(len(dataset)))
    extracting.stage("features", len(dataset))
    features = extract(
        extractor.Extractor(model, network.network, work.layers, work.poolings), dataset, extracting
    )
    top = min(work.top, len(features.ids) - 1)

    experiments: list[store.Computed] = []
    placed: list[store.StoredProjection] = []
    for pooling, part in zip(work.poolings, comparing, strict=True):
        finding, placing = part.divide(*work.comparing_seconds(pooling, len(dataset)))
        finding.stage(f"neighbors, {pooling}", len(work.layers))
        matrices = []
        for layer in work.layers:
            found, cosine = compare(features, layer, pooling, work.metrics, top, dataset.labels)
            experiments += found
            matrices.append(cosine)
            finding.step()
        placed += place(features, work.layers, pooling, matrices, dataset.labels, placing)
    vectors = {
        key: (features.ids, blocks.whole())
        for key, blocks in features.vectors.items()
        if key[1] == "avg" and provenance.kind != "untrained"
    }
    for blocks in features.vectors.values():
        blocks.close()

    about = store.ModelRun(
        dataset=dataset.name,
        dataset_fingerprint=dataset.fingerprint,
        model=model.name,
        title=model.title,
        weights=provenance.slug,
        weights_source=provenance.source,
        weights_fingerprint=provenance.fingerprint,
        input_size=model.input_size,
        parameters=model.parameters,
        layers=tuple(
            store.LayerRun(
                name=name,
                depth=model.depth(name),
                shape=model.layer(name).shape,
                parameters=model.layer(name).parameters,
                ms_per_image=measured.ms_per_image[name],
            )
            for name in work.layers
        ),
        top=top,
        measured=measured.conditions,
        skipped=features.skipped,
    )
    contents = store.Contents(experiments, vectors, placed)
    if work.kept is not None:
        about, contents = _merge(work.kept, about, contents)
    store.write_run(folder, dataset, about, _in_order(contents, about))


def extract(network: extractor.Extractor, dataset: Dataset, progress: Progress) -> Features:
    """Vectors of every readable image of a dataset; the others are reported and left out.

    Raises
    ------
    UserError : fewer than two images can be read.
    """
    vectors = {
        (layer, pooling): ColumnBlocks(len(dataset), network.dimensions(layer, pooling))
        for layer in network.layers
        for pooling in network.poolings
    }
    ids: list[np.ndarray] = []
    skipped: list[tuple[int, str]] = []
    for batch in network.batches([dataset.path(item.id) for item in dataset.items]):
        for place, reason in batch.failures:
            skipped.append((place, reason))
            progress.say(f"Skipped {reason}")
        if len(batch.places):
            ids.append(batch.places)
            for key, rows in network(batch.pixels).items():
                vectors[key].append(rows)
        progress.step(len(batch.places) + len(batch.failures))
    good = np.concatenate(ids) if ids else np.empty(0, np.int64)
    if len(good) < 2:
        raise UserError(
            f"Dataset {dataset.name!r} has {len(good)} readable images; neighbors need at least two."
        )
    return Features(good, vectors, tuple(skipped))


def compare(
    features: Features, layer: str, pooling: str, metrics: Sequence[str], top: int, labels: Sequence[str]
) -> tuple[list[store.Computed], np.ndarray | None]:
    """Experiments of one layer and pooling, and the cosine distances of all pairs when they fit in one tile.

    The whole rankings of datasets of at most :data:`core.evaluation.whole_ranking.MOST_IMAGES` images are measured, and a linear probe of at most
    :data:`core.evaluation.linear_probe.MOST_IMAGES`.

    Returns
    -------
    experiments : one per metric.
    cosine : (n, n) float64 or None.
    """
    n = len(features.ids)
    blocks = features.vectors[layer, pooling]
    wanted = list(dict.fromkeys([*metrics, "cosine"]))
    sample = _sample_rows(n)
    found: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {metric: [] for metric in metrics}
    codes, n_classes = scoring.class_codes(labels)[features.ids], len(set(labels))
    rankings = (
        {metric: whole_ranking.WholeRankings(codes, n_classes) for metric in metrics}
        if n <= whole_ranking.MOST_IMAGES
        else {}
    )
    # A probe of vectors that are longer than they are many needs no more than these.
    dots = np.empty((n, n) if n <= linear_probe.MOST_IMAGES and n < blocks.n_columns else 0)
    pairs: dict[str, list[np.ndarray]] = {metric: [] for metric in metrics}
    cosine = None
    for start, stop in _tiles(n):
        tile = PairwiseDistances(wanted, stop - start, n)
        for block in blocks.blocks():
            tile.add(block if stop - start == n else block[start:stop], block)
        rows = np.arange(start, stop)
        for metric in metrics:
            distances = tile.result(metric)
            if not np.isfinite(distances).all():
                raise UserError(
                    f"Layer {layer} gives numbers that are not finite for some images; check the weights."
                )
            chosen = np.intersect1d(rows, sample, assume_unique=True)
            # Each pair once: of a sampled row, the columns after it.
            later = np.arange(n)[None, :] > chosen[:, None]
            pairs[metric].append(distances[chosen - start][later].astype(np.float32))
            found[metric].append(nearest_others(distances, rows, top, codes))
            if metric in rankings:
                rankings[metric].add(rows, distances)
        if len(dots):
            dots[start:stop] = tile.dots
        if stop - start == n:
            cosine = tile.result("cosine")
            np.fill_diagonal(cosine, 0.0)
    probe = _probe(blocks, dots, codes, n_classes)
    experiments = []
    for metric in metrics:
        places, near, beyond = (np.concatenate(part) for part in zip(*found[metric], strict=True))
        neighbors = Neighbors(features.ids, features.ids[places], near, beyond)
        quantiles = np.quantile(np.concatenate(pairs[metric]), np.linspace(0, 1, store.N_QUANTILES))
        facts = {"dimensions": blocks.n_columns, **summarize(neighbors, labels)}
        measures = rankings[metric].result() if metric in rankings else {}
        measures |= {} if probe is None else {linear_probe.PROBE: probe}
        experiments.append(
            store.Computed(
                layer,
                pooling,
                metric,
                facts,
                neighbors,
                quantiles.astype(np.float32),
                {name: one.spread(features.ids, len(labels)) for name, one in measures.items()},
            )
        )
    return experiments, cosine


def _probe(blocks: ColumnBlocks, dots: np.ndarray, codes: np.ndarray, n_classes: int) -> Measured | None:
    """The linear probe of some vectors, long ones by their dot products (n, n); None where there are too many."""
    if len(codes) > linear_probe.MOST_IMAGES:
        return None
    vectors = linear_probe.isometric(dots) if len(dots) else blocks.whole()
    return linear_probe.measure(vectors, codes, n_classes)


def place(
    features: Features,
    layers: Sequence[str],
    pooling: str,
    cosine: Sequence[np.ndarray | None],
    labels: Sequence[str],
    progress: Progress,
) -> list[store.StoredProjection]:
    """UMAP and PCA of all images under each layer, in two and three dimensions.

    Parameters
    ----------
    cosine : for each layer the distances of all pairs, or None where they are too many.
    """
    blocks = [features.vectors[layer, pooling] for layer in layers]
    shown = [labels[place] for place in features.ids]
    distances = [matrix for matrix in cosine if matrix is not None]
    if len(distances) == len(layers):
        project = partial(projection.project, shown, distances=distances)
    elif len(features.ids) <= settings.MAX_LAYOUT_IMAGES and all(one.in_memory for one in blocks):
        project = partial(projection.project, shown, vectors=[one.whole() for one in blocks])
    else:
        progress.say(f"No projections for {pooling}: too many images for vectors of this length.")
        return []
    kinds = list(itertools.product(projection.METHODS, projection.DIMENSIONS))
    placed = []
    for (method, dimensions), part in zip(
        kinds, progress.divide(*(_PROJECTING[method] for method, _ in kinds)), strict=True
    ):
        for one in project(method=method, dimensions=dimensions, progress=part):
            placed.append(
                store.StoredProjection(
                    layer=layers[one.layer],
                    pooling=pooling,
                    method=method,
                    dimensions=dimensions,
                    ids=features.ids,
                    coordinates=one.coordinates,
                    trustworthiness=_known(one.trustworthiness),
                    silhouette=_known(one.silhouette),
                    parameters=one.parameters,
                )
            )
    return placed


def _known(number: float) -> float | None:
    return None if np.isnan(number) else round(number, 6)


def summarize(neighbors: Neighbors, labels: Sequence[str]) -> dict[str, float]:
    """Mean scores of an experiment; k is cut to what the result lists hold."""
    same, own = (
        scoring.same_label(neighbors.queries, neighbors.ids, labels),
        scoring.class_codes(labels)[neighbors.queries],
    )
    tied, longest = ties.find(neighbors.distances, same, neighbors.beyond, own), same.shape[1]
    chance = same if tied is None else tied.chance
    return {
        "score_10": float(scoring.score(chance, min(10, longest)).mean()),
        "score_15": float(scoring.score(chance, min(15, longest)).mean()),
        "precision_1": float(scoring.precision_at_k(chance, 1).mean()),
    }


def nearest_others(
    distances: np.ndarray, rows: np.ndarray, top: int, codes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places and distances (n_rows, top) of the nearest, the row itself left out, ties by place; and how many of each class tie with the last."""
    distances = distances.copy()
    distances[np.arange(len(rows)), rows] = np.inf
    places = np.argsort(distances, axis=1, kind="stable")[:, :top]
    # Compared as they are stored.
    stored = distances.astype(np.float32)
    near = np.take_along_axis(stored, places, axis=1)
    np.put_along_axis(stored, places, np.inf, axis=1)
    return places, near, ties.behind_the_end(stored, near[:, -1], codes)


def _tiles(n: int) -> Iterator[tuple[int, int]]:
    height = max(1, min(n, _TILE // n))
    for start in range(0, n, height):
        yield start, min(n, start + height)


def _sample_rows(n: int) -> np.ndarray:
    size = min(n, max(1, 2 * _PAIRS // n))
    return np.sort(np.random.default_rng(0).choice(n, size, replace=False))


def _merge(
    kept: store.StoredRun, about: store.ModelRun, new: store.Contents
) -> tuple[store.ModelRun, store.Contents]:
    """The new results together with those of an earlier run that were not computed again."""
    old = kept.read_all()
    computed = {(e.layer, e.pooling, e.metric) for e in new.experiments}
    projections: list[store.StoredProjection] = []
    for pooling in {one.pooling for one in (*old.projections, *new.projections)}:
        before = [one for one in old.projections if one.pooling == pooling]
        now = [one for one in new.projections if one.pooling == pooling]
        # Only projections computed together are aligned with each other: those of the more layers stay.
        projections += now if {one.layer for one in before} <= {one.layer for one in now} else before
    layers = {layer.name: layer for layer in (*kept.about.layers, *about.layers)}
    return (
        replace(about, layers=tuple(sorted(layers.values(), key=lambda layer: layer.depth))),
        store.Contents(
            new.experiments + [e for e in old.experiments if (e.layer, e.pooling, e.metric) not in computed],
            {**old.vectors, **new.vectors},
            projections,
        ),
    )


def _in_order(contents: store.Contents, about: store.ModelRun) -> store.Contents:
    """By depth, then pooling, then metric, as the registries list them: the same results, the same files."""
    depth = {layer.name: layer.depth for layer in about.layers}
    place = {name: i for i, name in enumerate([*extractor.POOLINGS, *METRICS])}
    return store.Contents(
        sorted(contents.experiments, key=lambda e: (depth[e.layer], place[e.pooling], place[e.metric])),
        dict(sorted(contents.vectors.items(), key=lambda item: (depth[item[0][0]], place[item[0][1]]))),
        sorted(
            contents.projections,
            key=lambda one: (place[one.pooling], one.method, one.dimensions, depth[one.layer]),
        ),
    )
