"""ResNet 50, as in ``keras.applications``."""

from functools import partial

from core.models.definition import Layer, Model
from core.models.keras_weights import KerasWeights, build
from core.models.preprocessing import CAFFE

MODELS = (
    Model(
        name="resnet50",
        title="ResNet 50",
        input_size=224,
        resample="bilinear",
        preprocessing=CAFFE,
        parameters=23_587_712,
        layers=(
            Layer("conv2_block1_1_conv", (56, 56, 64), 13_888),
            Layer("conv2_block2_1_conv", (56, 56, 64), 103_104),
            Layer("conv3_block2_1_conv", (28, 28, 128), 678_656),
            Layer("conv4_block1_1_conv", (14, 14, 256), 1_591_424),
            Layer("conv4_block3_1_conv", (14, 14, 256), 4_364_416),
            Layer("conv4_block5_1_conv", (14, 14, 256), 6_608_000),
            Layer("conv5_block1_1_conv", (7, 7, 512), 9_113_984),
            Layer("conv5_block3_3_conv", (7, 7, 2048), 23_579_520),
        ),
        build=partial(build, "ResNet50"),
        weights=KerasWeights("ResNet50", "MIT (its authors)"),
        source="He et al. 2015, Deep Residual Learning (arXiv:1512.03385)",
        position=60,
    ),
)
