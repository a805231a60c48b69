"""What the channels of a layer answer to one picture."""

import numpy as np
from PIL import Image


def activation(image: Image.Image, model: str, weights: str, layer: str) -> np.ndarray:
    """(height, width, channels) float32: the activation of any layer with height and width, for a picture.

    Raises
    ------
    UnknownNameError, WeightsError : there is no such model or layer, or its weights are not on this machine.
    UserError : the layer has no height and width.
    """
    raise NotImplementedError


def strongest(activation: np.ndarray, n: int) -> list[int]:
    """The channels of an activation (height, width, channels) with the highest maximum, strongest first."""
    peaks = activation.max(axis=(0, 1))
    return [int(channel) for channel in np.argsort(-peaks, kind="stable")[:n]]
