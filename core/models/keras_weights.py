"""The ImageNet weights that keras.applications offers, without a classifier: where they are and Keras's cache of them.

Keras knows these addresses and hashes too, but only in the middle of building a graph.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core import download
from core.errors import UnknownNameError
from core.progress import Progress

BASE_URL = "https://storage.googleapis.com/"
_FOLDER = "tensorflow/keras-applications/"


@dataclass(frozen=True)
class File:
    """A file of weights.

    Parameters
    ----------
    path : below :data:`BASE_URL`.
    known_hash : as Keras publishes it, with its algorithm; None where it publishes none.
    name : in Keras's cache.
    """

    path: str
    known_hash: str | None
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.path.rsplit("/", 1)[1])

    @property
    def url(self) -> str:
        return BASE_URL + self.path


FILES: Mapping[str, File] = {
    "ConvNeXtBase": File(
        _FOLDER + "convnext/convnext_base_notop.h5",
        "sha256:40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
    ),
    "ConvNeXtLarge": File(
        _FOLDER + "convnext/convnext_large_notop.h5",
        "sha256:96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
    ),
    "ConvNeXtSmall": File(
        _FOLDER + "convnext/convnext_small_notop.h5",
        "sha256:6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
    ),
    "ConvNeXtTiny": File(
        _FOLDER + "convnext/convnext_tiny_notop.h5",
        "sha256:d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
    ),
    "ConvNeXtXLarge": File(
        _FOLDER + "convnext/convnext_xlarge_notop.h5",
        "sha256:de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05",
    ),
    "DenseNet121": File(
        _FOLDER + "densenet/densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:30ee3e1110167f948a6b9946edeeb738",
    ),
    "DenseNet169": File(
        _FOLDER + "densenet/densenet169_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:b8c4d4c20dd625c148057b9ff1c1176b",
    ),
    "DenseNet201": File(
        _FOLDER + "densenet/densenet201_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:c13680b51ded0fb44dff2d8f86ac8bb1",
    ),
    "EfficientNetB0": File(
        "keras-applications/efficientnetb0_notop.h5", "md5:50bc09e76180e00e4465e1a485ddc09d"
    ),
    "EfficientNetB1": File(
        "keras-applications/efficientnetb1_notop.h5", "md5:74c4e6b3e1f6a1eea24c589628592432"
    ),
    "EfficientNetB2": File(
        "keras-applications/efficientnetb2_notop.h5", "md5:111f8e2ac8aa800a7a99e3239f7bfb39"
    ),
    "EfficientNetB3": File(
        "keras-applications/efficientnetb3_notop.h5", "md5:af6d107764bb5b1abb91932881670226"
    ),
    "EfficientNetB4": File(
        "keras-applications/efficientnetb4_notop.h5", "md5:ebc24e6d6c33eaebbd558eafbeedf1ba"
    ),
    "EfficientNetB5": File(
        "keras-applications/efficientnetb5_notop.h5", "md5:38879255a25d3c92d5e44e04ae6cec6f"
    ),
    "EfficientNetB6": File(
        "keras-applications/efficientnetb6_notop.h5", "md5:9ecce42647a20130c1f39a5d4cb75743"
    ),
    "EfficientNetB7": File(
        "keras-applications/efficientnetb7_notop.h5", "md5:cbcfe4450ddf6f3ad90b1b398090fe4a"
    ),
    "EfficientNetV2B0": File(
        _FOLDER + "efficientnet_v2/efficientnetv2-b0_notop.h5", "md5:893217f2bb855e2983157299931e43ff"
    ),
    "EfficientNetV2B1": File(
        _FOLDER + "efficientnet_v2/efficientnetv2-b1_notop.h5", "md5:0e80663031ca32d657f9caa404b6ec37"
    ),
    "EfficientNetV2B2": File(
        _FOLDER + "efficientnet_v2/efficientnetv2-b2_notop.h5", "md5:1dfe2e7a5d45b6632553a8961ea609eb"
    ),
    "EfficientNetV2B3": File(
        _FOLDER + "efficientnet_v2/efficientnetv2-b3_notop.h5", "md5:f6abf7b5849ac99a89b50dd3fd532856"
    ),
    "EfficientNetV2L": File(
        _FOLDER + "efficientnet_v2/efficientnetv2-l_notop.h5", "md5:b0b66b5c863aef5b46e8608fe1711615"
    ),
    "EfficientNetV2M": File(
        _FOLDER + "efficientnet_v2/efficientnetv2-m_notop.h5", "md5:1b8dc055df72dde80d614482840fe342"
    ),
    "EfficientNetV2S": File(
        _FOLDER + "efficientnet_v2/efficientnetv2-s_notop.h5", "md5:af0682fb74e8c54910f2d4393339c070"
    ),
    "InceptionResNetV2": File(
        _FOLDER + "inception_resnet_v2/inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:d19885ff4a710c122648d3b5c3b684e4",
    ),
    "InceptionV3": File(
        _FOLDER + "inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:bcbd6486424b2319ff4ef7d526e38f63",
    ),
    "MobileNet": File(_FOLDER + "mobilenet/mobilenet_1_0_224_tf_no_top.h5", None),
    "MobileNetV2": File(
        _FOLDER + "mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5", None
    ),
    "MobileNetV3Large": File(
        _FOLDER + "mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
        "md5:07fb09a5933dd0c8eaafa16978110389",
    ),
    "MobileNetV3Small": File(
        _FOLDER + "mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
        "md5:d3e8ec802a04aa4fc771ee12a9a9b836",
    ),
    "NASNetLarge": File(
        _FOLDER + "nasnet/NASNet-large-no-top.h5",
        "md5:d81d89dc07e6e56530c4e77faddd61b5",
        name="nasnet_large_no_top.h5",
    ),
    "NASNetMobile": File(
        _FOLDER + "nasnet/NASNet-mobile-no-top.h5",
        "md5:1ed92395b5b598bdda52abe5c0dbfd63",
        name="nasnet_mobile_no_top.h5",
    ),
    "ResNet101": File(
        _FOLDER + "resnet/resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:88cf7a10940856eca736dc7b7e228a21",
    ),
    "ResNet101V2": File(
        _FOLDER + "resnet/resnet101v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:c0ed64b8031c3730f411d2eb4eea35b5",
    ),
    "ResNet152": File(
        _FOLDER + "resnet/resnet152_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:ee4c566cf9a93f14d82f913c2dc6dd0c",
    ),
    "ResNet152V2": File(
        _FOLDER + "resnet/resnet152v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:ed17cf2e0169df9d443503ef94b23b33",
    ),
    "ResNet50": File(
        _FOLDER + "resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:4d473c1dd8becc155b73f8504c6f6626",
    ),
    "ResNet50V2": File(
        _FOLDER + "resnet/resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:fac2f116257151a9d068a22e544a4917",
    ),
    "VGG16": File(
        _FOLDER + "vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:6d6bbae143d832006294945121d1f1fc",
    ),
    "VGG19": File(
        _FOLDER + "vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:253f8cb515780f3b799900260a226db6",
    ),
    "Xception": File(
        _FOLDER + "xception/xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:b0042744bf5b25fce3cb969f33bebb97",
    ),
}
"""Function of keras.applications -> its file."""


def find(name: str) -> str:
    """The function of keras.applications that a user means, however it is capitalized; raises UnknownNameError."""
    for application in FILES:
        if application.lower() == name.lower():
            return application
    raise UnknownNameError("model", name, (application.lower() for application in FILES))


def path(application: str) -> Path:
    """Where Keras caches the file: KERAS_HOME, or the home folder, or /tmp where neither can be written."""
    home = Path.home()
    base = home if os.access(home, os.W_OK) else Path("/tmp")
    cache = Path(os.environ.get("KERAS_HOME", base / ".keras")).expanduser()
    if not os.access(cache if cache.exists() else cache.parent, os.W_OK):
        cache = Path("/tmp", ".keras")
    return cache / "models" / FILES[application].name


def fetch(application: str, progress: Progress) -> Path:
    """The weights' file in Keras's cache, downloaded if it is not there or damaged; raises DownloadError."""
    file = FILES[application]
    return download.download(file.url, path(application), file.known_hash, progress, application)


def is_whole(application: str) -> bool:
    """Whether the file is in Keras's cache with the published hash, if there is one."""
    import pooch

    where, known_hash = path(application), FILES[application].known_hash
    if not where.is_file():
        return False
    if known_hash is None:
        return True
    algorithm, wanted = known_hash.split(":")
    return pooch.file_hash(str(where), alg=algorithm) == wanted
