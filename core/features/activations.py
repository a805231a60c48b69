"""The activations of a layer for one image."""

import numpy as np
from PIL import Image

from core.experiments.store import Configuration
from core.search import shared_engine


def activation(image: Image.Image, model: str, weights: str, layer: str) -> np.ndarray:
    """(height, width, channels) float32: the activation of any layer with height and width for an image.

    The process loads each network once and shares it with the searches.

    Raises
    ------
    UnknownNameError, WeightsError : there is no such model or layer, or its weights are not on this machine.
    UserError : the layer has no height and width.
    """
    return shared_engine.engine().activation(image, Configuration(model, weights, layer, "flatten", "cosine"))


def strongest(activation: np.ndarray, n: int) -> list[int]:
    """The n channels of an activation (height, width, channels) with the highest maximum, strongest first."""
    peaks = activation.max(axis=(0, 1))
    return [int(channel) for channel in np.argsort(-peaks, kind="stable")[:n]]
