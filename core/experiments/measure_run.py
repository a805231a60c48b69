"""Computing the measures that experiments of before lack: those of whole rankings, and linear probes.

Vectors that are stored are measured as they are; of others, the images pass the network again. Neighbors, projections and costs stay as they are. What was computed
of a model is on disk before the next one begins, and a run that is started again goes on there.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from core import access, lock
from core.data.datasets import Dataset
from core.errors import GridError, UnknownNameError, UserError
from core.evaluation.measured import Measured
from core.evaluation.whole_ranking import MAP, MOST_IMAGES
from core.experiments import runner, store
from core.experiments.column_file import ColumnBlocks
from core.experiments.runner import Features
from core.experiments.store import Key, StoredRun
from core.models import extractor, networks, registry, weights
from core.progress import Progress


def run(chosen: Sequence[Dataset], models: Sequence[str], out: Path, progress: Progress) -> None:
    """Compute what is missing of the experiments of some datasets, and put it beside them.

    Experiments without stored vectors whose weights are not on this machine are left as they are, and a sentence says so.

    Parameters
    ----------
    models : the models whose experiments to measure; all where there are none.
    out : folder of the grid.

    Raises
    ------
    AccessError : this process is a read-only server.
    UnknownNameError : a dataset has no experiments of a model.
    """
    access.require_full("measure experiments")
    for dataset, part in zip(chosen, progress.divide(*map(len, chosen)), strict=True):
        with lock.writing(out / dataset.name):
            grid = store.Grid(out).load(dataset.name)
            known = dict.fromkeys(model for model, _ in grid.runs)
            for name in models:
                if name not in known:
                    raise UnknownNameError("model", name, known)
            for notice in grid.notices:
                progress.say(notice)
            some = [run for (model, _), run in grid.runs.items() if not models or model in models]
            # What takes seconds first: another run may be needed for the rest.
            steps = part.divide(*([1] * len(some) + [20] * len(some)))
            for stored, one in zip(some, steps, strict=False):
                _measure_stored(dataset, stored, one)
            for stored, one in zip(some, steps[len(some) :], strict=True):
                _measure_again(dataset, store.StoredRun(stored.folder, dataset), one)


def _measure_stored(dataset: Dataset, stored: StoredRun, progress: Progress) -> None:
    """Measure the experiments of a model whose vectors are stored."""
    there = set(stored.vector_keys)
    missing = [key for key in _missing(dataset, stored) if key[:2] in there]
    if missing:
        progress.say(f"{_label(stored)}: {len(missing)} experiments to measure by stored vectors")
        features = _stored_features(stored, missing)
        store.add_measures(stored, dataset, _computed(features, dataset, stored, missing, progress))


def _measure_again(dataset: Dataset, stored: StoredRun, progress: Progress) -> None:
    """Measure the experiments of a model whose images have to pass the network again."""
    missing = _missing(dataset, stored)
    if not missing:
        progress.say(f"{_label(stored)}: complete")
        return
    progress.say(f"{_label(stored)}: {len(missing)} experiments to measure by the network")
    # Features take about as long as their measures.
    extracting, measuring = progress.divide(1, 1)
    try:
        features = _network_features(dataset, stored, missing, extracting)
    except UserError as error:
        progress.say(f"{_label(stored)}: {len(missing)} experiments are not measured. {error}")
        return
    store.add_measures(stored, dataset, _computed(features, dataset, stored, missing, measuring))


def _label(stored: StoredRun) -> str:
    return f"{stored.about.model} · {stored.about.weights} · {stored.about.dataset}"


def _computed(
    features: Features, dataset: Dataset, stored: StoredRun, missing: Sequence[Key], progress: Progress
) -> dict[Key, Mapping[str, Measured]]:
    """The measures of those of the missing experiments that have features."""
    found: dict[Key, Mapping[str, Measured]] = {}
    progress.stage("measures", len(features.vectors))
    for place, blocks in features.vectors.items():
        metrics = [key[2] for key in missing if key[:2] == place]
        computed, _ = runner.compare(features, *place, metrics, stored.about.top, dataset.labels)
        found |= {(one.layer, one.pooling, one.metric): one.measures for one in computed}
        blocks.close()
        progress.step()
    return found


def _missing(dataset: Dataset, stored: StoredRun) -> list[Key]:
    """The experiments without measures of the whole ranking, of datasets that have them."""
    if len(dataset) - len(stored.about.skipped) > MOST_IMAGES:
        return []
    there = stored.measures(MAP)
    keys = [(one.layer, one.pooling, one.metric) for one in stored.summaries]
    return [key for key in keys if key not in there]


def _stored_features(stored: StoredRun, missing: Sequence[Key]) -> Features:
    """The vectors of some experiments that are stored."""
    vectors, ids = {}, np.empty(0, np.int64)
    for layer, pooling in stored.vector_keys:
        if any(key[:2] == (layer, pooling) for key in missing):
            ids, rows = stored.vectors(layer, pooling)
            vectors[layer, pooling] = blocks = ColumnBlocks(len(ids), rows.shape[1])
            blocks.append(rows)
    return Features(ids, vectors, ())


def _network_features(
    dataset: Dataset, stored: StoredRun, missing: Sequence[Key], progress: Progress
) -> Features:
    """The vectors of the images of some experiments, from the network.

    Raises
    ------
    UserError : they can't be computed here, or would be others.
    """
    about = stored.about
    model = registry.get_model(about.model)
    if about.weights not in weights.names(model):
        raise GridError(f"The weights {about.weights} can't be loaded by their name.")
    if not weights.provenance(model, about.weights).made(about.weights_fingerprint):
        raise GridError("The weights on this machine are others than those of the experiments.")
    progress.stage(f"loading {about.model}", 0)
    network = networks.load(model, about.weights, progress)
    layers = tuple(layer.name for layer in model.layers if any(layer.name == key[0] for key in missing))
    poolings = tuple(name for name in extractor.POOLINGS if any(name == key[1] for key in missing))
    progress.stage(f"features of {about.model}", len(dataset))
    features = runner.extract(extractor.Extractor(model, network, layers, poolings), dataset, progress)
    if {place for place, _ in features.skipped} != {place for place, _ in about.skipped}:
        raise GridError("Other images can be read now than when the experiments were computed.")
    wanted = {key[:2] for key in missing}
    vectors = {place: blocks for place, blocks in features.vectors.items() if place in wanted}
    return Features(features.ids, vectors, features.skipped)
