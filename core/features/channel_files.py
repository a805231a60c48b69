"""The files of feature visualizations and top-activating images.

One folder per model below ``settings.MODELS_DIR``, in it two files of tables per weights, a table per layer. Reading imports
no TensorFlow. A damaged table reads as a missing one, since it can be computed again.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core import disk
from core.cache import FileState, Shared, file_state
from core.data.datasets import Dataset
from core.errors import GridError, ModelDataError
from core.models import registry
from core.models import weights as weights_

if TYPE_CHECKING:
    import pyarrow as pa

    from core.experiments.parquet_tables import Entry, Tables

MOST = 9
"""Top-activating images of a dataset that are kept for each channel."""

VISUALIZATIONS, TOP_IMAGES = "channels", "exciting"
_log = logging.getLogger(__name__)
_visualizations = Shared(256)


@dataclass(frozen=True)
class Visualization:
    """A feature visualization: an image optimized to activate a channel.

    Parameters
    ----------
    channel : from 0.
    webp : the image's file.
    activation : the highest activation of the channel for the image, at the size it was computed in.
    """

    channel: int
    webp: bytes
    activation: float

    @cached_property
    def version(self) -> str:
        """Hex digits that change with the image, for its URL."""
        return hashlib.sha256(self.webp).hexdigest()[:16]


@dataclass(frozen=True)
class TopImage:
    """A top-activating image of a channel.

    Parameters
    ----------
    item : id of the image in its dataset.
    value : the highest activation of the channel for it, above zero.
    box : left, top, right, bottom of the region with the high activation, as fractions of the image's width and height.
    """

    item: int
    value: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class TopImages:
    """The top-activating images of all channels of a layer in a dataset.

    items : (n_channels, MOST) ids, highest activation first.
    values : (n_channels, MOST) float32, zero where fewer images have an activation above zero.
    boxes : (n_channels, MOST, 4) float32, as in :class:`TopImage`.
    spread : (n_channels,) float32, standard deviation of the highest activation over all images.
    """

    items: np.ndarray
    values: np.ndarray
    boxes: np.ndarray
    spread: np.ndarray

    def of(self, channel: int) -> list[TopImage]:
        """Of one channel, highest first."""
        rows = zip(self.items[channel], self.values[channel], self.boxes[channel].tolist(), strict=True)
        return [TopImage(int(item), float(value), tuple(box)) for item, value, box in rows if value > 0]


def visualizations(model: str, weights: str, layer: str) -> list[Visualization]:
    """The stored visualizations of a layer, in the order of ``core.features.compute.choose``."""
    tables = _tables(model, weights, VISUALIZATIONS)
    if tables is None:
        return []

    def read() -> list[Visualization]:
        rows = _read(tables, {"layer": layer}, ["channel", "webp", "activation"])
        return [] if rows is None else [Visualization(**row) for row in rows.to_pylist()]

    return list(_visualizations.get((tables, layer), read))


def top_images(
    dataset: Dataset, model: str, weights: str, layer: str, channel: int, n: int = MOST
) -> list[TopImage] | None:
    """The stored top-activating images of a channel, highest first; None where none are stored for this dataset and layer."""
    found = top_images_of_layer(dataset, model, weights, layer)
    if found is None or not 0 <= channel < len(found.items):
        return None
    return found.of(channel)[:n]


def top_images_of_layer(dataset: Dataset, model: str, weights: str, layer: str) -> TopImages | None:
    """The stored top-activating images of a layer; None where none are stored for the images that the dataset has now."""
    key = {"dataset": dataset.name, "layer": layer}
    tables = _tables(model, weights, TOP_IMAGES)
    facts = next((facts for one, facts in tables.entries if one == key), {}) if tables else {}
    if tables is None or facts.get("dataset_fingerprint") != dataset.fingerprint:
        return None
    rows = _read(tables, key, ["items", "shares", "boxes", "peak", "spread"])
    if rows is None:
        return None
    from core.experiments import parquet_tables

    n = len(rows)
    items, shares, boxes = (
        parquet_tables.matrix(rows[name], n).reshape(n, MOST, -1) for name in ("items", "shares", "boxes")
    )
    peak = parquet_tables.numbers(rows["peak"])
    if items.max(initial=0) >= len(dataset):
        return None
    return TopImages(
        items=items[..., 0].astype(np.int64),
        values=shares[..., 0].astype(np.float32) * peak[:, None],
        boxes=boxes.astype(np.float32) / 255,
        spread=parquet_tables.numbers(rows["spread"]),
    )


def stored(model: str, weights: str, kind: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Key and facts of every table of a kind, :data:`VISUALIZATIONS` or :data:`TOP_IMAGES`."""
    tables = _tables(model, weights, kind)
    return tables.entries if tables else []


def write_visualizations(
    model: str, weights: str, layer: str, visualizations: Sequence[Visualization], facts: dict[str, Any]
) -> None:
    """Store the visualizations of a layer, in place of those that exist.

    The file of the model is replaced as a whole: a process that is killed leaves the old one or the new one.

    Raises
    ------
    ModelDataError : it can't be written.
    """
    import pyarrow as pa

    from core.experiments import parquet_tables as tables

    rows = pa.table(
        {
            "channel": pa.array([one.channel for one in visualizations], pa.int32()),
            "webp": pa.array([one.webp for one in visualizations], pa.binary()),
            "activation": pa.array([one.activation for one in visualizations], pa.float32()),
        }
    )
    _put(model, weights, VISUALIZATIONS, [tables.Entry({"layer": layer}, rows, facts)])


def write_top_images(
    model: str, weights: str, dataset: Dataset, by_layer: dict[str, TopImages], facts: dict[str, Any]
) -> None:
    """Store the top-activating images of layers; replaces and raises as :func:`write_visualizations`."""
    import pyarrow as pa

    from core.experiments import parquet_tables as tables

    facts = {**facts, "dataset_fingerprint": dataset.fingerprint}
    entries = []
    for layer, found in by_layer.items():
        peak = found.values.max(axis=1)
        # As fractions of the highest, half precision holds values of any size.
        shares = found.values / np.where(peak > 0, peak, 1)[:, None]
        columns = {
            "items": tables.list_array(found.items, pa.int32()),
            "shares": tables.list_array(shares, pa.float16()),
            "boxes": tables.list_array(np.round(found.boxes * 255).reshape(len(peak), -1), pa.uint8()),
            "peak": pa.array(peak, pa.float32()),
            "spread": pa.array(found.spread, pa.float32()),
        }
        entries.append(tables.Entry({"dataset": dataset.name, "layer": layer}, pa.table(columns), facts))
    _put(model, weights, TOP_IMAGES, entries)


def _put(model: str, weights: str, kind: str, entries: "list[Entry]") -> None:
    """Add tables to a file, or replace them; the caller holds the lock of the model's folder."""
    from core.experiments import parquet_tables as tables

    path = _path(model, weights, kind)
    new = [entry.key for entry in entries]
    old = _tables(model, weights, kind)
    for key, facts in old.entries if old else []:
        if old and key not in new:
            try:
                rows = old.read(key, entries[0].rows.column_names)
            except GridError as error:
                _log.warning("%s It is left out.", error)
            else:
                entries.append(tables.Entry(key, rows.cast(entries[0].rows.schema), facts))
    # The same results give the same file, in any order of computation.
    depths = [layer.name for layer in registry.get_model(model).layers]
    entries.sort(key=lambda entry: (entry.key.get("dataset", ""), depths.index(entry.key["layer"])))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        disk.remove_unfinished(path)
        with disk.replacing(path) as part:
            tables.write(part, entries)
    except OSError as error:
        raise ModelDataError(
            f"{model}/{path.name} can't be written ({error.strerror or error}); make room, or choose another folder with "
            "PLAYGROUND_MODELS_DIR."
        ) from None


def _path(model: str, weights: str, kind: str) -> Path:
    return registry.folder(model) / f"{kind}.{weights}.parquet"


def _tables(model: str, weights: str, kind: str) -> "Tables | None":
    # Names may come from a URL: only known ones lead to a file.
    if model not in registry.MODELS or weights not in weights_.names(registry.MODELS[model]):
        return None
    path = _path(model, weights, kind)
    state = file_state(path)
    return _open(path, state) if state else None


@lru_cache(maxsize=32)
def _open(path: Path, _state: FileState) -> "Tables | None":
    from core.experiments.parquet_tables import Tables

    try:
        return Tables(path)
    except GridError as error:
        _log.warning("%s", error)
        return None


def _read(tables: "Tables", key: dict[str, Any], columns: list[str]) -> "pa.Table | None":
    if key not in (known for known, _ in tables.entries):
        return None
    try:
        return tables.read(key, columns)
    except GridError as error:
        _log.warning("%s", error)
        return None
