"""The images of a dataset with the highest activation of a channel, and the region that activates it."""

from collections.abc import Sequence

import numpy as np

from core.cache import Shared
from core.data.datasets import Dataset
from core.errors import UserError
from core.features import channel_files
from core.features.channel_files import MOST, TopImage
from core.imaging import decode, transform
from core.models import extractor, registry
from core.models.intermediate_model import IntermediateModel
from core.models.runtime import Network
from core.progress import Progress, Silent
from core.search import shared_engine
from core.settings import settings

# Maps are upsampled to at least this many positions a side before a region is cut out of them.
_FINE = 56
_LOWEST = np.finfo(np.float16).min
_kept = Shared(settings.LIVE_INDEXES)


def top_images(
    dataset: Dataset,
    model: str,
    weights: str,
    layer: str,
    channel: int,
    n: int = MOST,
    progress: Progress | None = None,
) -> list[TopImage]:
    """The top-activating images of a channel, highest first; only those with an activation above zero.

    Stored results are read. Others are computed for all channels of the layer in one pass over the dataset, and kept
    in memory.

    Parameters
    ----------
    weights : ``"imagenet"`` or ``"untrained"``.
    layer : any with height and width, as ``core.models.architecture`` names them.
    n : at most :data:`MOST`.
    progress : gets a step per image; what it raises ends the computation.

    Raises
    ------
    UnknownNameError, WeightsError : there is no such model or layer, or its weights are not on this machine.
    UserError : the layer has no height and width, or no such channel.
    """
    stored = channel_files.top_images(dataset, model, weights, layer, channel, n)
    if stored is not None:
        return stored

    def compute() -> channel_files.TopImages:
        network = shared_engine.engine().loaded(model, weights)
        return find(dataset, registry.get_model(model), network, [layer], progress or Silent())[layer]

    found = _kept.get((dataset.fingerprint, model, weights, layer), compute)
    if not 0 <= channel < len(found.items):
        raise UserError(f"{layer} of {model} has the channels 0 to {len(found.items) - 1}, not {channel}.")
    return found.of(channel)[:n]


def find(
    dataset: Dataset, model: registry.Model, network: Network, layers: Sequence[str], progress: Progress
) -> dict[str, channel_files.TopImages]:
    """The top-activating images of all channels of some layers, in one pass over a dataset.

    Memory holds the maps of :data:`MOST` images per channel, however large the dataset is. Images that can't be read are
    left out.

    Returns
    -------
    images by layer.

    Raises
    ------
    UserError : none of the images can be read.
    """
    run = IntermediateModel(model, network, layers, settings.BATCH_SIZE)
    best = {layer: _Best() for layer in layers}
    reading, finding = progress.divide(9, 1)
    reading.stage(f"{model.name} on {dataset.name}, activations", len(dataset))
    files = [dataset.path(item.id) for item in dataset.items]
    for batch in extractor.read_batches(files, model.input_size, model.resample, settings.BATCH_SIZE):
        if len(batch.places):
            for layer, activations in zip(layers, run(batch.pixels), strict=True):
                for place, activation in zip(batch.places, activations, strict=True):
                    best[layer].add(int(place), activation)
        reading.step(len(batch.places) + len(batch.failures))
    if not best[layers[0]].seen:
        raise UserError(f"None of the images of {dataset.name!r} can be read.")
    finding.stage("regions", len(layers))
    found = {}
    for layer in layers:
        found[layer] = best.pop(layer).found()
        finding.step()
    if transform.cuts(model.resample):
        for images in found.values():
            _place(images, dataset, model.resample)
    return found


def _place(images: channel_files.TopImages, dataset: Dataset, resample: str) -> None:
    """Turn shares of the square that a network sees into shares of the whole image, in place."""
    for item in np.unique(images.items[images.values > 0]):
        left, top, right, bottom = transform.seen(decode.read(dataset.path(int(item))), resample)
        here = images.items == item
        start, span = (
            np.array([left, top] * 2, np.float32),
            np.array([right - left, bottom - top] * 2, np.float32),
        )
        images.boxes[here] = start + images.boxes[here] * span


class _Best:
    """The images with the highest peaks of each channel so far, with their maps."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def add(self, item: int, activation: np.ndarray) -> None:
        """Add an image with its activation (height, width, channels)."""
        height, width, n_channels = activation.shape
        if not self.seen:
            self.values = np.zeros((n_channels, MOST), np.float32)
            self.items = np.zeros((n_channels, MOST), np.int64)
            # As fractions of their peak, so that half precision holds them.
            self.maps = np.zeros((n_channels, MOST, height, width), np.float16)
        peaks = activation.max(axis=(0, 1))
        self.seen.append(peaks)
        last = self.values.argmin(axis=1)
        # Of equal peaks the first stays.
        risen = np.flatnonzero(peaks > self.values[np.arange(n_channels), last])
        self.values[risen, last[risen]] = peaks[risen]
        self.items[risen, last[risen]] = item
        # Without a rectifier, what lies far below a small peak is more than half precision holds.
        shares = np.maximum(activation[..., risen] / peaks[risen], _LOWEST)
        self.maps[risen, last[risen]] = shares.transpose(2, 0, 1)

    def found(self) -> channel_files.TopImages:
        boxes = np.zeros((*self.values.shape, 4), np.float32)
        n_channels, _, height, width = self.maps.shape
        fine_rows, fine_columns = _interpolation(height), _interpolation(width)
        for channel in range(n_channels):
            places = np.flatnonzero(self.values[channel])
            fine = fine_rows @ self.maps[channel, places].astype(np.float32) @ fine_columns.T
            for place, coarse, whole in zip(places, self.maps[channel, places], fine, strict=True):
                boxes[channel, place] = _region(coarse, whole)
        order = np.lexsort((self.items, -self.values))
        values, items = (np.take_along_axis(a, order, axis=1) for a in (self.values, self.items))
        boxes = np.take_along_axis(boxes, order[..., None], axis=1)
        return channel_files.TopImages(items, values, boxes, np.std(self.seen, axis=0))


def _interpolation(n: int) -> np.ndarray:
    """(factor * n, n) float32: the bilinear upsampling of n positions by an odd factor, to at least :data:`_FINE`.

    The factor is odd, so that the center of each position falls on a fine one, which keeps the peak.
    """
    factor = max(1, -(-_FINE // n)) | 1
    # Centers of the fine positions, in coarse positions; beyond the outermost centers, their values continue.
    at = np.clip((np.arange(n * factor) + 0.5) / factor - 0.5, 0, n - 1)
    weights: np.ndarray = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(n)))
    return weights.astype(np.float32)


def _region(coarse: np.ndarray, fine: np.ndarray) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the connected area around the peak where a map is at least half of it.

    After Zhou et al. 2015, "Object Detectors Emerge in Deep Scene CNNs". At least the peak's own position.

    Parameters
    ----------
    coarse, fine : the map with a peak of 1, as it is and upsampled.
    """
    from scipy import ndimage

    height, width = coarse.shape
    row, column = np.unravel_index(coarse.argmax(), coarse.shape)
    high, wide = fine.shape[0] // height, fine.shape[1] // width
    areas, _ = ndimage.label(fine >= 0.5 - 1e-3)
    mine = areas[row * high + high // 2, column * wide + wide // 2]
    rows, columns = ndimage.find_objects(areas, max_label=mine)[mine - 1]
    return (
        min(columns.start / fine.shape[1], column / width),
        min(rows.start / fine.shape[0], row / height),
        max(columns.stop / fine.shape[1], (column + 1) / width),
        max(rows.stop / fine.shape[0], (row + 1) / height),
    )
