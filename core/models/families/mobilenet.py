"""MobileNet, as in ``keras.applications``."""

from functools import partial

from core.models.definition import Layer, Model
from core.models.keras_weights import KerasWeights, build
from core.models.preprocessing import TF

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
        weights=KerasWeights("MobileNet"),
        source="Howard et al. 2017, MobileNets (arXiv:1704.04861)",
        position=10,
    ),
)
