"""Compute and store top-activating images of all channels, and feature visualizations of some."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from core import access, lock
from core.data.datasets import Dataset
from core.errors import ModelDataError, UnknownNameError
from core.features import channel_files, top_activating, visualize
from core.features.channel_files import Visualization
from core.models import networks, registry, runtime, weights
from core.progress import Progress

DATASETS = ("objects200", "emoji200")
"""Those whose results ship."""

N_CHANNELS = 6
"""Visualizations of each layer."""

# Shares of the sides: regions whose centers are less apart are at one place, and farther from the middle than this it is away.
_ONE_PLACE, _AWAY = 0.05, 0.25

SIDE = 96
_QUALITY = 80


def compute(
    model: registry.Model,
    slug: str,
    datasets: Sequence[Dataset],
    progress: Progress,
    n: int = N_CHANNELS,
    steps: int = visualize.STEPS,
) -> None:
    """Compute and store what is missing for a model's eight layers.

    First the top-activating images of every channel, then visualizations of the channels whose highest activation varies
    most over the images; a model that is an ONNX file has none, since it has no gradients. A run that is stopped continues after the last
    finished layer.

    Parameters
    ----------
    slug : ``"imagenet"`` or ``"untrained"``.
    n : visualizations of each layer.

    Raises
    ------
    AccessError : this process is a read-only server.
    UnknownNameError, WeightsError : no such weights, or they are not here.
    UserError : another process is computing this model.
    """
    access.require_full("store what is computed of a model")
    slug = weights.resolve(model, slug)
    if slug not in weights.names(model):
        raise UnknownNameError("weights", slug, weights.names(model))
    layers = [layer.name for layer in model.layers]
    with lock.writing(registry.folder(model.name)):
        facts = {"weights_fingerprint": weights.provenance(model, slug).fingerprint}
        missing = [
            dataset for dataset in datasets if not _has_top_images(model, slug, dataset, layers, facts)
        ]
        unvisualized = [
            layer
            for layer in layers
            # Without gradients there are none.
            if model.build and not _has_visualizations(model, slug, layer, {**facts, "steps": steps}, n)
        ]
        if not missing and not unvisualized:
            progress.say(f"{model.name} · {slug}: already there")
            return
        progress.stage(f"loading {model.name}", 0)
        if model.build is None:
            network = networks.load(model, slug, progress)
        else:
            graph, origin = weights.load(model, slug, progress)
            network = runtime.of_graph(model, graph)
            facts = {"weights_fingerprint": origin.fingerprint}
        # A pass over a dataset takes about as long as the visualizations of a layer.
        parts = iter(progress.divide(*[1] * (len(missing) + len(unvisualized))))
        for dataset in missing:
            found = top_activating.find(dataset, model, network, layers, next(parts))
            channel_files.write_top_images(model.name, slug, dataset, found, facts)
            progress.say(
                f"{model.name} · {slug} · {dataset.name}: top-activating images of {len(layers)} layers"
            )
        for layer in unvisualized:
            chosen = choose(model, slug, datasets, layer)[:n]
            images = visualize.visualize(graph, model, layer, chosen, next(parts), steps)
            peaks = visualize.peaks(graph, model, layer, chosen, images)
            visualizations = [
                Visualization(channel, small(image), float(peak))
                for channel, image, peak in zip(chosen, images, peaks, strict=True)
            ]
            channel_files.write_visualizations(
                model.name, slug, layer, visualizations, {**facts, "steps": steps}
            )
            progress.say(f"{model.name} · {slug} · {layer}: visualizations of {len(chosen)} channels")


def choose(model: registry.Model, slug: str, datasets: Sequence[Dataset], layer: str) -> list[int]:
    """All channels of a layer, those first whose highest activation varies most over the images.

    By the standard deviation, added up over the datasets. Channels that respond to a place come after the others, and those that
    stay at zero or below in one of the datasets last.

    Raises
    ------
    ModelDataError : no top-activating images are stored for one of the datasets.
    """
    found = []
    for dataset in datasets:
        images = channel_files.top_images_of_layer(dataset, model.name, slug, layer)
        if images is None:
            raise ModelDataError(f"No top-activating images of {model.name} in {dataset.name} are stored.")
        found.append(images)
    spread = np.sum([one.spread for one in found], axis=0)
    boxes, values = (
        np.concatenate(parts, axis=1)
        for parts in zip(*((one.boxes, one.values) for one in found), strict=True)
    )
    placed = [of_a_place(mine[there]) for mine, there in zip(boxes, values > 0, strict=True)]
    silent = np.any([one.values[:, 0] <= 0 for one in found], axis=0)
    return [int(channel) for channel in np.lexsort((-spread, placed, silent))]


def of_a_place(boxes: np.ndarray) -> bool:
    """Whether a channel responds to a place and not to what is there, as those do that see the padding of the convolutions.

    The regions of most of its top-activating images are then at one place, and not in the middle, where the objects are.

    Parameters
    ----------
    boxes : (n, 4), left, top, right and bottom of each region, as shares of the image.
    """
    if not len(boxes):
        return False
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    place = np.median(centers, axis=0)
    apart = np.median(np.linalg.norm(centers - place, axis=1))
    return bool(apart < _ONE_PLACE and np.abs(place - 0.5).max() > _AWAY)


def small(image: np.ndarray) -> bytes:
    """(side, side, 3) uint8 as a WebP of the size that ships."""
    out = io.BytesIO()
    resized = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    resized.save(out, "WEBP", quality=_QUALITY, method=6)
    return out.getvalue()


def _has_top_images(
    model: registry.Model, slug: str, dataset: Dataset, layers: list[str], facts: dict[str, Any]
) -> bool:
    known = {
        key["layer"]: known
        for key, known in channel_files.stored(model.name, slug, channel_files.TOP_IMAGES)
        if key["dataset"] == dataset.name
    }
    wanted = {**facts, "dataset_fingerprint": dataset.fingerprint}
    return all(
        known.get(layer) == wanted and channel_files.top_images_of_layer(dataset, model.name, slug, layer)
        for layer in layers
    )


def _has_visualizations(model: registry.Model, slug: str, layer: str, facts: dict[str, Any], n: int) -> bool:
    known = [
        found
        for key, found in channel_files.stored(model.name, slug, channel_files.VISUALIZATIONS)
        if key["layer"] == layer
    ]
    most = min(n, model.layer(layer).shape[-1])
    return known == [facts] and len(channel_files.visualizations(model.name, slug, layer)) >= most
