"""EfficientNet-Lite 0, 1 and 2: EfficientNet (Tan and Le 2019, arXiv:1905.11946) without squeeze-and-excitation.

The Lite variants use ReLU6 instead of swish and scale neither the stem, nor the top, nor the repeats of the first and
the last stage (tensorflow/tpu, models/official/efficientnet/lite). Padding is TensorFlow's.
"""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from core.models import inverted_residual
from core.models.inverted_residual import Block, Stage, Translation

if TYPE_CHECKING:
    import keras

BASE_STAGES = (
    Stage(repeats=1, kernel=3, stride=1, expansion=1, channels=16),
    Stage(repeats=2, kernel=3, stride=2, expansion=6, channels=24),
    Stage(repeats=2, kernel=5, stride=2, expansion=6, channels=40),
    Stage(repeats=3, kernel=3, stride=2, expansion=6, channels=80),
    Stage(repeats=3, kernel=5, stride=1, expansion=6, channels=112),
    Stage(repeats=4, kernel=5, stride=2, expansion=6, channels=192),
    Stage(repeats=1, kernel=3, stride=1, expansion=6, channels=320),
)
SCALES = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}
"""Variant -> (width, depth)."""

STEM_CHANNELS = 32
TOP_CHANNELS = 1280
EPSILON = 1e-3
_CHANNEL_MULTIPLE = 8


def scale_channels(channels: int, width: float) -> int:
    """``channels * width`` as the nearest multiple of eight, though never more than a tenth below it."""
    wanted = channels * width
    nearest = max(_CHANNEL_MULTIPLE, int(wanted / _CHANNEL_MULTIPLE + 0.5) * _CHANNEL_MULTIPLE)
    return nearest if nearest >= 0.9 * wanted else nearest + _CHANNEL_MULTIPLE


def stages(variant: int) -> tuple[Stage, ...]:
    """The stages of a variant: 0, 1 or 2."""
    width, depth = SCALES[variant]
    ends = (0, len(BASE_STAGES) - 1)
    return tuple(
        replace(
            stage,
            channels=scale_channels(stage.channels, width),
            repeats=stage.repeats if place in ends else math.ceil(stage.repeats * depth),
        )
        for place, stage in enumerate(BASE_STAGES)
    )


def build(variant: int, input_size: int) -> "keras.Model":
    """(input_size, input_size, 3) -> (ceil(input_size / 32), ceil(input_size / 32), 1280)."""
    return inverted_residual.build(
        f"efficientnet-lite{variant}",
        input_size,
        stages(variant),
        stem_channels=STEM_CHANNELS,
        top_channels=TOP_CHANNELS,
        epsilon=EPSILON,
        symmetric_padding=False,
    )


def translate(variant: int, arrays: dict[str, np.ndarray]) -> Translation:
    """The arrays of the PyTorch file, by the names of our layers; raises KeyError where one is missing."""

    def published(place: int, block: Block, part: str) -> tuple[str, str]:
        normalization = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}[part]
        return f"_blocks.{place}._{part}_conv", f"_blocks.{place}.{normalization}"

    return inverted_residual.translate(
        arrays,
        stages(variant),
        STEM_CHANNELS,
        published,
        stem=("_conv_stem", "_bn0"),
        top=("_conv_head", "_bn1"),
    )
