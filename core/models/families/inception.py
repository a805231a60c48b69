"""Inception V3, as in ``keras.applications``."""

from functools import partial

from core.models.definition import Layer, Model
from core.models.keras_weights import KerasWeights, build
from core.models.preprocessing import TF

MODELS = (
    Model(
        name="inceptionv3",
        title="Inception V3",
        input_size=299,
        resample="bilinear",
        preprocessing=TF,
        parameters=21_802_784,
        layers=(
            Layer("conv2d_1", (149, 149, 32), 864, index=1),
            Layer("conv2d_3", (147, 147, 64), 28_704, index=7),
            Layer("conv2d_23", (35, 35, 64), 725_840, index=64),
            Layer("conv2d_54", (17, 17, 192), 5_656_736, index=185),
            Layer("mixed6", (17, 17, 768), 6_831_392),
            Layer("conv2d_75", (17, 17, 192), 9_639_968, index=236),
            Layer("conv2d_86", (8, 8, 320), 16_378_080, index=294),
            Layer("mixed10", (8, 8, 2048), 21_802_784),
        ),
        build=partial(build, "InceptionV3"),
        weights=KerasWeights("InceptionV3", "Apache-2.0 (TensorFlow)"),
        source="Szegedy et al. 2015, Rethinking the Inception Architecture (arXiv:1512.00567)",
        position=50,
    ),
)
