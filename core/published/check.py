"""Compare our own results with the published ones, to prove that graphs and preprocessing are the same."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.data.datasets import Dataset
from core.errors import GridError, UserError
from core.evaluation import rankings
from core.experiments import runner
from core.experiments.store import Grid, StoredRun
from core.metrics import METRICS
from core.models import extractor, networks, registry, weights
from core.progress import Progress
from core.published import names

K = 10


@dataclass(frozen=True)
class Agreement:
    """How far our neighbors under a layer and metric are the published ones.

    overlap : of the K nearest, the share that both have, 0..1, mean over ``queries`` images;
    chance : what random lists would share.
    """

    dataset: str
    model: str
    layer: str
    depth: int
    metric: str
    queries: int
    overlap: float
    chance: float


def check(
    folder: Path,
    wanted: Sequence[str],
    models: Sequence[str],
    layers: Sequence[str],
    weights_name: str,
    progress: Progress,
) -> tuple[list[Agreement], list[str]]:
    """Compute the published experiments of a grid again, one model at a time, and compare the neighbors.

    Images go into every model as they did then: at the published size, resized in the published way.

    Parameters
    ----------
    folder : of the grid.
    wanted : names of datasets; all that have published results when empty.
    models, layers : only these; all that were published when empty.
    weights_name : as ``core.models.weights`` names them; those of the published results are ``imagenet``.

    Returns
    -------
    agreements : by dataset, model, depth and metric.
    sentences : what could not be checked, and why.

    Raises
    ------
    UnknownNameError : a dataset or model that does not exist.
    UserError : there are no published results, or none of the wanted datasets.
    """
    runs, sentences = _published(folder, wanted)
    for model in models:
        registry.get_model(model)
    found: list[Agreement] = []
    by_model = {
        model: [(dataset, run) for dataset, run in runs if run.about.model == model]
        for model in registry.APPLICATIONS
        if not models or model in models
    }
    for (model, of_model), part in zip(
        by_model.items(), progress.divide(*map(len, by_model.values())), strict=True
    ):
        if of_model:
            try:
                found += _check_model(
                    registry.get_model(model), of_model, layers, weights_name, part, sentences
                )
            except UserError as error:
                sentences.append(f"{model} could not be checked: {error}")
    order = {dataset.name: place for place, (dataset, _) in enumerate(runs)}
    return sorted(found, key=lambda one: order[one.dataset]), sentences


def _published(folder: Path, wanted: Sequence[str]) -> tuple[list[tuple[Dataset, StoredRun]], list[str]]:
    """Every published run of the wanted datasets, with a sentence for each that can't be read."""
    stored = Grid(folder)
    runs: list[tuple[Dataset, StoredRun]] = []
    sentences: list[str] = []
    for name in wanted or stored.dataset_names():
        grid = stored.load(name)
        sentences += grid.notices
        runs += [(grid.dataset, run) for run in grid.runs.values() if run.about.weights == names.WEIGHTS]
    if not runs:
        of = f" of {', '.join(map(repr, wanted))}" if wanted else ""
        raise UserError(
            f"There are no published results{of} here to check against. `playground published import` or "
            f"`playground published fetch` brings those of {', '.join(names.DIGESTS)}."
        )
    return runs, sentences


def _check_model(
    model: registry.Model,
    runs: Sequence[tuple[Dataset, StoredRun]],
    layers: Sequence[str],
    weights_name: str,
    progress: Progress,
    sentences: list[str],
) -> list[Agreement]:
    here, sentence = weights.availability(model)
    if weights_name == weights.IMAGENET and not here:
        # A check downloads nothing unasked.
        raise UserError(f"its ImageNet weights are not here. {sentence}")
    eight = [layer.name for layer in model.layers if not layers or layer.name in layers]
    published = {summary.layer for _, run in runs for summary in run.summaries}
    if not layers:
        sentences += [
            f"{model.name}: {name} is not one of the eight layers and is not checked."
            for name in sorted(published.difference(eight))
        ]
    chosen = [name for name in eight if name in published]
    if not chosen:
        raise UserError("none of its layers that were asked for was published.")
    progress.stage(f"{model.name}, loading", 0)
    model = replace(model.at_size(names.INPUT_SIZE), resample=names.RESAMPLE)
    loaded = networks.load(model, weights_name, progress)
    network = extractor.Extractor(model, loaded, chosen, [names.POOLING])
    found: list[Agreement] = []
    parts = progress.divide(*(len(dataset) for dataset, _ in runs))
    for (dataset, run), part in zip(runs, parts, strict=True):
        # Of 200 images, neighbors of flattened maps take longer than features.
        extracting, comparing = part.divide(1, 2)
        extracting.stage(f"{model.name} on {dataset.name}, features", len(dataset))
        features = runner.extract(network, dataset, extracting)
        comparing.stage(f"{model.name} on {dataset.name}, neighbors", len(chosen))
        for layer in chosen:
            found += _check_layer(run, features, layer, dataset, sentences)
            comparing.step()
        for blocks in features.vectors.values():
            blocks.close()
    return found


def _check_layer(
    run: StoredRun, features: runner.Features, layer: str, dataset: Dataset, sentences: list[str]
) -> list[Agreement]:
    there = {summary.metric for summary in run.summaries if summary.layer == layer}
    metrics = [metric for metric in METRICS if metric in there]
    if not metrics:
        return []
    top = min(K, len(features.ids) - 1)
    computed, _ = runner.compare(features, layer, names.POOLING, metrics, top, dataset.labels)
    found = []
    for ours in computed:
        try:
            theirs = run.neighbors(layer, names.POOLING, ours.metric)
        except GridError as error:
            sentences.append(str(error))
            continue
        _, mine, its = np.intersect1d(ours.neighbors.queries, theirs.queries, return_indices=True)
        k = min(top, theirs.ids.shape[1])
        if not len(mine):
            sentences.append(f"{run.about.model}/{layer}/{ours.metric} has no images in common with ours.")
            continue
        both = rankings.shared(ours.neighbors.ids[mine, :k], theirs.ids[its, :k])
        found.append(
            Agreement(
                dataset=dataset.name,
                model=run.about.model,
                layer=layer,
                depth=run.about.layer(layer).depth,
                metric=ours.metric,
                queries=len(mine),
                overlap=float(both.mean() / k),
                chance=k / (len(features.ids) - 1),
            )
        )
    return found
