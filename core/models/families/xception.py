"""Xception, as in ``keras.applications``."""

from functools import partial

from core.models.definition import Layer, Model
from core.models.keras_weights import KerasWeights, build
from core.models.preprocessing import TF

MODELS = (
    Model(
        name="xception",
        title="Xception",
        input_size=299,
        resample="bilinear",
        preprocessing=TF,
        parameters=20_861_480,
        layers=(
            Layer("block1_conv1", (149, 149, 32), 864),
            Layer("block1_conv2", (147, 147, 64), 19_424),
            Layer("conv2d_1", (74, 74, 128), 27_872, index=12),
            Layer("block3_sepconv1", (74, 74, 256), 89_632),
            Layer("conv2d_3", (19, 19, 728), 379_680, index=32),
            Layer("block7_sepconv2", (19, 19, 728), 5_426_296),
            Layer("block12_sepconv3", (19, 19, 728), 14_057_464),
            Layer("block14_sepconv2_act", (10, 10, 2048), 20_861_480),
        ),
        build=partial(build, "Xception"),
        weights=KerasWeights("Xception"),
        source="Chollet 2016, Xception (arXiv:1610.02357)",
        position=40,
    ),
)
