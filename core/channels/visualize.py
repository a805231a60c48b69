"""The input that excites a channel most.

Gradient ascent on a picture that is kept as the coefficients of its Fourier transform, scaled so that all frequencies
are learned alike, in colors without correlation, under small random moves and turns, so that what comes out
does not hang on single pixels: Olah, Mordvintsev and Schubert, "Feature Visualization", Distill 2017.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from core.models import zoo
from core.progress import Progress

if TYPE_CHECKING:
    import keras

STEPS = 192


def visualize(
    graph: "keras.Model",
    model: zoo.Model,
    layer: str,
    channels: Sequence[int],
    progress: Progress,
    steps: int = STEPS,
) -> np.ndarray:
    """A picture for each of some channels of a layer.

    Parameters
    ----------
    graph : as ``core.models.weights.load`` gives it.
    layer : with height and width.
    channels : from 0.
    progress : told of every step; whatever it raises ends the ascent.

    Returns
    -------
    pictures : (len(channels), side, side, 3) uint8, RGB.

    Raises
    ------
    UserError : there is no such layer or channel, or the layer has no height and width.
    """
    raise NotImplementedError
