"""DenseNet 121, as in ``keras.applications``."""

from functools import partial

from core.models.definition import Layer, Model
from core.models.keras_weights import KerasWeights, build
from core.models.preprocessing import TORCH

MODELS = (
    Model(
        name="densenet121",
        title="DenseNet 121",
        input_size=224,
        resample="bilinear",
        preprocessing=TORCH,
        parameters=7_037_504,
        layers=(
            Layer("conv2_block1_1_conv", (56, 56, 128), 18_112),
            Layer("conv2_block6_2_conv", (56, 56, 32), 347_968),
            Layer("conv3_block5_1_conv", (28, 28, 128), 657_984),
            Layer("conv4_block9_1_conv", (14, 14, 128), 2_200_128),
            Layer("conv4_block23_2_conv", (14, 14, 32), 4_150_464),
            Layer("conv5_block13_2_conv", (7, 7, 32), 6_541_120),
            Layer("conv5_block16_1_conv", (7, 7, 128), 6_996_032),
            Layer("conv5_block16_concat", (7, 7, 1024), 7_033_408),
        ),
        build=partial(build, "DenseNet121"),
        weights=KerasWeights("DenseNet121", "BSD-3-Clause (its authors)"),
        source="Huang et al. 2016, Densely Connected Convolutional Networks (arXiv:1608.06993)",
        position=30,
    ),
)
