"""The arrays of a ``.keras`` file. Its description and its HDF5 file are read as data; no model is built from them."""

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import WeightsError

if TYPE_CHECKING:
    import h5py


def read_layers(path: Path) -> dict[str, list[np.ndarray]]:
    """The weights of every layer, those of models in the model included.

    Returns
    -------
    name of the layer in the file -> its arrays in the order of ``keras.Layer.get_weights``.

    Raises
    ------
    WeightsError : the file is missing or damaged.
    """
    import h5py

    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            # Into memory, since the archive has it compressed.
            weights = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(weights) as file:
            return dict(_layers(config["config"]["layers"], file["layers"]))
    except OSError as error:
        raise WeightsError(f"{path.name} can't be read ({error.strerror or error}).") from None
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"{path.name} is damaged ({error}).") from None


def _layers(described: list[dict[str, Any]], group: "h5py.Group") -> Iterator[tuple[str, list[np.ndarray]]]:
    """Keras numbers the groups of a kind in the order of the layers, whatever the layers are called."""
    counts: Counter[str] = Counter()
    for layer in described:
        kind = _snake(layer["class_name"])
        name = f"{kind}_{counts[kind]}" if counts[kind] else kind
        counts[kind] += 1
        if "layers" in layer["config"]:
            yield from _layers(layer["config"]["layers"], group[name]["layers"])
        elif name in group and len(group[name]["vars"]):
            values = group[name]["vars"]
            yield layer["config"]["name"], [np.asarray(values[str(place)]) for place in range(len(values))]


def _snake(kind: str) -> str:
    """The name of a class as Keras writes it: SeparableConv2D becomes separable_conv2d."""
    words = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", re.sub(r"\W+", "", kind))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
