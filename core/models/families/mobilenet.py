"""MobileNet, as in ``keras.applications``."""

from functools import partial

import numpy as np

from core.models.definition import Layer, Model
from core.models.frozen_graph import read_constants
from core.models.keras_weights import KerasWeights, build
from core.models.package_weights import PackageWeights, Translation
from core.models.preprocessing import TF

_BLOCKS = range(1, 14)


def translate(arrays: dict[str, np.ndarray]) -> Translation:
    """The constants of TensorFlow's published graph, by the names of our layers; raises KeyError where one is missing."""
    units = [("conv1", "Conv2d_0", "weights")]
    for block in _BLOCKS:
        units.append((f"conv_dw_{block}", f"Conv2d_{block}_depthwise", "depthwise_weights"))
        units.append((f"conv_pw_{block}", f"Conv2d_{block}_pointwise", "weights"))
    found: Translation = {}
    for ours, theirs, kernel in units:
        found[ours] = [arrays[f"MobilenetV1/{theirs}/{kernel}"]]
        parts = ("gamma", "beta", "moving_mean", "moving_variance")
        found[f"{ours}_bn"] = [arrays[f"MobilenetV1/{theirs}/BatchNorm/{part}"] for part in parts]
    return found


_PACKAGE = PackageWeights(
    "nudity",
    "nudity/files/retrained_graph.pb",
    "3b90af536f810f5f75e9f6d431bc2e8a3c4fc2ff4f693aa0dd4ae429816f8735",
    translate,
    read_constants,
    license="Apache-2.0 (TensorFlow); the package is under MIT",
    release=("0.2.3", "d26e10346f00ad76b1166a221f1b56877d154ca343e82c6e6c8e738ca5f27d5f"),
    arrays="10c632aa9b6ab1771e93920ff3ac8c995c43d441857833d302e385fa6af6a376",
)

MODELS = (
    Model(
        name="mobilenet",
        title="MobileNet",
        input_size=224,
        resample="bilinear",
        preprocessing=TF,
        parameters=3_228_864,
        layers=(
            Layer("conv1", (112, 112, 32), 864),
            Layer("conv_pw_2", (56, 56, 128), 12_736),
            Layer("conv_dw_3", (56, 56, 128), 14_400),
            Layer("conv_dw_4", (28, 28, 128), 32_960),
            Layer("conv_dw_6", (14, 14, 256), 139_456),
            Layer("conv_dw_9", (14, 14, 512), 819_904),
            Layer("conv_pw_12", (7, 7, 1024), 2_158_784),
            Layer("conv_pw_13", (7, 7, 1024), 3_224_768),
        ),
        build=partial(build, "MobileNet"),
        weights=KerasWeights("MobileNet", "Apache-2.0 (TensorFlow)", _PACKAGE),
        source="Howard et al. 2017, MobileNets (arXiv:1704.04861)",
        position=10,
    ),
)
