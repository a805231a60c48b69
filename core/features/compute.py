"""Computing what ships of the channels: what excites them in datasets, and pictures of some of them."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from core import access, lock
from core.data.datasets import Dataset
from core.errors import UnknownNameError
from core.features import channel_files, top_activating, visualize
from core.features.channel_files import Visualization
from core.models import registry, weights
from core.progress import Progress
from core.settings import settings

DATASETS = ("objects200", "emoji200")
"""Those that ship."""

N_CHANNELS = 6
"""Pictures of each layer."""

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
    """Compute and keep what is missing of a model's eight layers: first what excites every channel in the datasets, then
    a picture of the channels whose highest activation differs most between the pictures there.

    Stopped at any moment, it goes on from the last layer that was finished.

    Parameters
    ----------
    slug : ``"imagenet"`` or ``"untrained"``.
    n : channels of each layer that get a picture.

    Raises
    ------
    AccessError : this process is a read-only server.
    UnknownNameError, WeightsError : no such weights, or they are not here.
    UserError : another process is computing this model.
    """
    access.require_full("keep what is computed of a model")
    if slug not in (weights.IMAGENET, weights.UNTRAINED):
        raise UnknownNameError("weights", slug, (weights.IMAGENET, weights.UNTRAINED))
    layers = [layer.name for layer in model.layers]
    with lock.writing(settings.MODELS_DIR / model.name):
        facts = {"weights_fingerprint": weights.provenance(model, slug).fingerprint}
        missing = [dataset for dataset in datasets if not _there(model, slug, dataset, layers, facts)]
        unpainted = [
            layer for layer in layers if not _painted(model, slug, layer, {**facts, "steps": steps}, n)
        ]
        if not missing and not unpainted:
            progress.say(f"{model.name} · {slug}: already there")
            return
        progress.stage(f"loading {model.name}", 1)
        graph, origin = weights.load(model, slug, progress)
        facts = {"weights_fingerprint": origin.fingerprint}
        progress.step()
        for dataset in missing:
            found = top_activating.find(dataset, model, graph, layers, progress)
            channel_files.write_top_images(model.name, slug, dataset, found, facts)
            progress.say(f"{model.name} · {slug} · {dataset.name}: what excites {len(layers)} layers")
        for layer in unpainted:
            chosen = choose(model, slug, datasets, layer)[:n]
            made = visualize.visualize(graph, model, layer, chosen, progress, steps)
            peaks = visualize.peaks(graph, model, layer, chosen, made)
            pictures = [
                Visualization(channel, small(picture), float(peak))
                for channel, picture, peak in zip(chosen, made, peaks, strict=True)
            ]
            channel_files.write_visualizations(model.name, slug, layer, pictures, {**facts, "steps": steps})
            progress.say(f"{model.name} · {slug} · {layer}: pictures of {len(chosen)} channels")


def choose(model: registry.Model, slug: str, datasets: Sequence[Dataset], layer: str) -> list[int]:
    """All channels of a layer, those first whose highest activation differs most between pictures.

    By the standard deviation, added up over the datasets. Those that nothing brings above zero in one of them come last.
    """
    found = [channel_files.top_images_of_layer(dataset, model.name, slug, layer) for dataset in datasets]
    spread = sum(one.spread for one in found)
    silent = np.any([one.values[:, 0] <= 0 for one in found], axis=0)
    return [int(channel) for channel in np.lexsort((-spread, silent))]


def small(picture: np.ndarray) -> bytes:
    """(side, side, 3) uint8 as a WebP of the size that ships."""
    out = io.BytesIO()
    resized = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    resized.save(out, "WEBP", quality=_QUALITY, method=6)
    return out.getvalue()


def _there(model: registry.Model, slug: str, dataset: Dataset, layers: list[str], facts: dict) -> bool:
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


def _painted(model: registry.Model, slug: str, layer: str, facts: dict, n: int) -> bool:
    known = [
        found
        for key, found in channel_files.stored(model.name, slug, channel_files.VISUALIZATIONS)
        if key["layer"] == layer
    ]
    most = min(n, model.layer(layer).shape[-1])
    return known == [facts] and len(channel_files.visualizations(model.name, slug, layer)) >= most
