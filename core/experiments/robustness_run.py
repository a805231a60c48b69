"""Computing how well a model recognizes changed images of a dataset.

The unchanged images pass the network once and are the gallery. Then the images of each change pass it, and one pass gives all
layers. What a change gives is on disk before the next one begins, and a run that is started again goes on there.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np

from core import access, lock
from core.data.datasets import Dataset
from core.errors import GridError, ImageError, UnknownNameError, UserError
from core.evaluation import robustness, scoring
from core.evaluation.rankings import Neighbors
from core.evaluation.robustness import Recognition
from core.experiments import robustness_file, store
from core.experiments.robustness_file import UNCHANGED, Table
from core.experiments.runner import nearest_others
from core.imaging import decode, transform
from core.imaging.changes import CHANGES, STRENGTHS
from core.imaging.transform import Reduction
from core.metrics import PairwiseDistances, get_metric
from core.models import extractor, networks, registry, weights
from core.progress import Progress
from core.settings import settings
from core.threads import in_threads

POOLINGS = tuple(name for name in extractor.POOLINGS if name != "flatten")
"""Those with vectors of all images that fit into memory."""
# Larger images are reduced before they are changed, unchanged ones too: no network sees more.
_LONGEST = 512


@dataclass(frozen=True)
class Request:
    """What to compute. ``images`` : of a larger dataset so many are drawn, always the same."""

    models: tuple[str, ...]
    weights: str = "imagenet"
    poolings: tuple[str, ...] = ("avg",)
    metrics: tuple[str, ...] = ("cosine",)
    images: int = 1000

    def check(self) -> None:
        """Raise :class:`UnknownNameError` or :class:`UserError` for what does not exist."""
        for pooling in self.poolings:
            if pooling not in POOLINGS:
                raise UnknownNameError("pooling", pooling, POOLINGS)
        for metric in self.metrics:
            get_metric(metric)
        for model in self.models:
            registry.get_model(model)
        if self.images < 2:
            raise UserError(f"--images is {self.images}; it must be at least 2.")


class _Model:
    """A model, which is loaded when it is first needed."""

    def __init__(self, name: str, request: Request, progress: Progress):
        self.model = registry.get_model(name)
        self.provenance = weights.provenance(self.model, request.weights)
        self._request, self._progress = request, progress
        if not self.provenance.fingerprint:
            # Which weights these are is known once they have been downloaded, which loading them does.
            _ = self.network
            self.provenance = weights.provenance(self.model, request.weights)

    @cached_property
    def network(self) -> extractor.Extractor:
        self._progress.stage("loading the model", 0)
        loaded = networks.load(self.model, self._request.weights, self._progress)
        layers = [layer.name for layer in self.model.layers]
        # Whole images at all strengths fill a batch.
        size = len(STRENGTHS) * max(1, settings.BATCH_SIZE // len(STRENGTHS))
        return extractor.Extractor(self.model, loaded, layers, self._request.poolings, size)


@dataclass(frozen=True)
class _Gallery:
    """The unchanged images that can be read: their files, labels, and vectors (n, dimensions) by layer and pooling."""

    files: tuple[Path, ...]
    labels: tuple[str, ...]
    vectors: dict[tuple[str, str], np.ndarray]


def run(chosen: Sequence[Dataset], request: Request, out: Path, progress: Progress) -> None:
    """Compute what is missing, and put it beside the experiments of each dataset.

    Raises
    ------
    AccessError : this process is a read-only server.
    UnknownNameError, UserError : the request or a dataset can't be computed.
    """
    access.require_full("measure robustness")
    request.check()
    with ExitStack() as locks:
        for dataset in chosen:
            locks.enter_context(lock.writing(out / dataset.name))
            store.write_dataset(out, dataset)
        images = [min(len(dataset), request.images) for dataset in chosen]
        of_models = progress.divide(*[1] * len(request.models))
        for name, of_model in zip(request.models, of_models, strict=True):
            model = _Model(name, request, of_model)
            for dataset, part in zip(chosen, of_model.divide(*images), strict=True):
                _run_model(model, dataset, request, out, part)


def _run_model(model: _Model, dataset: Dataset, request: Request, out: Path, progress: Progress) -> None:
    label = f"{model.model.name} · {model.provenance.slug} · {dataset.name}"
    try:
        kept = {table.key: table for table in robustness_file.read(out, dataset)}
    except GridError as error:
        progress.say(f"{error} All of it is computed again.")
        kept = {}
    drawn = _drawn(len(dataset), request.images)
    tables = {}
    for pooling in request.poolings:
        for metric in request.metrics:
            slug, fingerprint = model.provenance.slug, model.provenance.fingerprint
            table = Table(model.model.name, slug, fingerprint, pooling, metric, len(drawn), 0, {})
            there = kept.get(table.key)
            if there and (there.weights_fingerprint, there.drawn) == (fingerprint, len(drawn)):
                table = there
            tables[table.key] = table
    missing = [
        change
        for change in (UNCHANGED, *CHANGES)
        if any(change not in table.changes for table in tables.values())
    ]
    if not missing:
        progress.say(f"{label}: already there")
        return
    progress.say(f"{label}: {len(missing) * len(model.model.layers) * len(tables)} results to compute")
    network = model.network
    # An image passes the network once at each strength.
    reading, *parts = progress.divide(1, *(len(_strengths(change)) for change in missing))
    gallery = _read_gallery(network, dataset, drawn, reading)
    for change, part in zip(missing, parts, strict=True):
        part.stage(change, len(gallery.files))
        for (pooling, metric), rows in _change(network, gallery, change, request.metrics, part).items():
            table = tables[model.model.name, model.provenance.slug, pooling, metric]
            tables[table.key] = replace(table, images=len(gallery.files), rows={**table.rows, **rows})
        robustness_file.write(out, dataset, (kept | tables).values())
    progress.say(f"{label}: done")


def _drawn(n: int, most: int) -> np.ndarray:
    """Ids of the images that are used: all, or as many of them as asked for, always the same."""
    return np.sort(np.random.default_rng(0).choice(n, min(n, most), replace=False))


def _read_gallery(
    network: extractor.Extractor, dataset: Dataset, drawn: np.ndarray, progress: Progress
) -> _Gallery:
    progress.stage("unchanged images", len(drawn))
    ids: list[int] = []
    vectors: dict[tuple[str, str], list[np.ndarray]] = {}
    read = _pixels([dataset.path(item) for item in drawn.tolist()], UNCHANGED, network)
    for batch in _batches(zip(drawn.tolist(), read, strict=True), network.batch_size):
        good = [(item, pixels[0]) for item, pixels in batch if not isinstance(pixels, ImageError)]
        for _, failed in batch:
            if isinstance(failed, ImageError):
                progress.say(f"Skipped {failed}")
        if good:
            ids += [item for item, _ in good]
            for key, rows in network(np.stack([pixels for _, pixels in good])).items():
                vectors.setdefault(key, []).append(rows)
        progress.step(len(batch))
    if len(ids) < 2:
        raise UserError(
            f"Dataset {dataset.name!r} has {len(ids)} readable images; neighbors need at least two."
        )
    return _Gallery(
        tuple(dataset.path(item) for item in ids),
        tuple(dataset.labels[item] for item in ids),
        {key: np.concatenate(rows) for key, rows in vectors.items()},
    )


def _change(
    network: extractor.Extractor,
    gallery: _Gallery,
    change: str,
    metrics: Sequence[str],
    progress: Progress,
) -> dict[tuple[str, str], dict[tuple[str, str, int], Recognition]]:
    """The recognition under all strengths of a change, of each layer, by pooling and metric."""
    strengths = _strengths(change)
    top, codes = min(robustness.TOP, len(gallery.files) - 1), scoring.class_codes(gallery.labels)
    found: dict[tuple[str, str, str, int], list[tuple[np.ndarray, ...]]] = {}
    read = enumerate(_pixels(gallery.files, change, network))
    for batch in _batches(read, max(1, network.batch_size // len(strengths))):
        changed = [versions for _, versions in batch if not isinstance(versions, ImageError)]
        if len(changed) < len(batch):
            raise UserError("An image that could be read before can't be read any more; run this again.")
        own = np.array([place for place, _ in batch])
        # All images at one strength, then at the next.
        pixels = np.stack([versions[i] for i in range(len(strengths)) for versions in changed])
        for (layer, pooling), rows in network(pixels).items():
            for metric, distances in _distances(rows, gallery.vectors[layer, pooling], metrics, layer):
                for strength, part in zip(strengths, np.split(distances, len(strengths)), strict=True):
                    searched = (
                        robustness.recognized(part, own),
                        own,
                        *nearest_others(part, own, top, codes),
                    )
                    found.setdefault((layer, pooling, metric, strength), []).append(searched)
        progress.step(len(batch))
    results: dict[tuple[str, str], dict[tuple[str, str, int], Recognition]] = {}
    for (layer, pooling, metric, strength), parts in found.items():
        recognized, *lists = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        one = robustness.recognition(recognized, Neighbors(*lists), gallery.labels)
        results.setdefault((pooling, metric), {})[layer, change, strength] = one
    return results


def _distances(
    rows: np.ndarray, vectors: np.ndarray, metrics: Sequence[str], layer: str
) -> Iterator[tuple[str, np.ndarray]]:
    sums = PairwiseDistances(metrics, len(rows), len(vectors))
    sums.add(rows, vectors)
    for metric in metrics:
        distances = sums.result(metric)
        if not np.isfinite(distances).all():
            raise UserError(
                f"Layer {layer} gives numbers that are not finite for some images; check the weights."
            )
        yield metric, distances


def _strengths(change: str) -> range:
    return range(1) if change == UNCHANGED else range(1, len(STRENGTHS) + 1)


def _pixels(
    files: Sequence[Path], change: str, network: extractor.Extractor
) -> Iterator[list[np.ndarray] | ImageError]:
    """Of each file the pixels (size, size, 3) at all strengths of a change, made in threads ahead of their use."""

    def versions(path: Path) -> list[np.ndarray] | ImageError:
        try:
            image = decode.read(path, Reduction(_LONGEST))
        except ImageError as error:
            return error
        changed = (
            image if change == UNCHANGED else CHANGES[change](image, strength)
            for strength in _strengths(change)
        )
        return [transform.resize(one, network.model.input_size, network.model.resample) for one in changed]

    return in_threads(versions, files, settings.DECODE_THREADS, 2 * network.batch_size)


def _batches(
    items: Iterator[tuple[int, list[np.ndarray] | ImageError]], size: int
) -> Iterator[list[tuple[int, list[np.ndarray] | ImageError]]]:
    while batch := list(islice(items, size)):
        yield batch
