"""VGG 16 and 19, as in ``keras.applications``."""

from functools import partial

from core.models.definition import Layer, Model
from core.models.keras_weights import KerasWeights, build
from core.models.preprocessing import CAFFE

_SOURCE = "Simonyan and Zisserman 2014, Very Deep Convolutional Networks (arXiv:1409.1556)"

MODELS = (
    Model(
        name="vgg16",
        title="VGG 16",
        input_size=224,
        resample="bilinear",
        preprocessing=CAFFE,
        parameters=14_714_688,
        layers=(
            Layer("block1_conv1", (224, 224, 64), 1_792),
            Layer("block1_conv2", (224, 224, 64), 38_720),
            Layer("block3_conv1", (56, 56, 256), 555_328),
            Layer("block3_conv3", (56, 56, 256), 1_735_488),
            Layer("block4_conv1", (28, 28, 512), 2_915_648),
            Layer("block4_conv3", (28, 28, 512), 7_635_264),
            Layer("block5_conv1", (14, 14, 512), 9_995_072),
            Layer("block5_conv3", (14, 14, 512), 14_714_688),
        ),
        build=partial(build, "VGG16"),
        weights=KerasWeights("VGG16"),
        source=_SOURCE,
        position=80,
    ),
    Model(
        name="vgg19",
        title="VGG 19",
        input_size=224,
        resample="bilinear",
        preprocessing=CAFFE,
        parameters=20_024_384,
        layers=(
            Layer("block1_conv1", (224, 224, 64), 1_792),
            Layer("block1_conv2", (224, 224, 64), 38_720),
            Layer("block3_conv1", (56, 56, 256), 555_328),
            Layer("block3_conv4", (56, 56, 256), 2_325_568),
            Layer("block4_conv1", (28, 28, 512), 3_505_728),
            Layer("block4_conv4", (28, 28, 512), 10_585_152),
            Layer("block5_conv1", (14, 14, 512), 12_944_960),
            Layer("block5_conv4", (14, 14, 512), 20_024_384),
        ),
        build=partial(build, "VGG19"),
        weights=KerasWeights("VGG19"),
        source=_SOURCE,
        position=90,
    ),
)
