"""SqueezeNet 1.1 (Iandola et al. 2016, arXiv:1602.07360; the 1.1 variant of github.com/forresti/SqueezeNet).

The first convolution is not padded. At 224 pixels the feature maps are 111, 55, 27 and 13 wide: every pooling window
fits, so rounding the pooled size up (Caffe, PyTorch's ``ceil_mode``) or down comes to the same.

The last convolution of the original has one channel a class: it is the classifier, and is left out.
"""

from typing import TYPE_CHECKING

import numpy as np

from core.models.definition import Layer, Model
from core.models.package_weights import PackageWeights, Translation
from core.models.preprocessing import Preprocessing

if TYPE_CHECKING:
    import keras

# Caffe's ilsvrc_2012_mean, as the users of the package subtract it.
BGR_LESS_MEAN = Preprocessing(
    "BGR less the mean of ILSVRC 2012", (104.006, 116.669, 122.679), (1.0, 1.0, 1.0), reverse=True
)

FIRES = {number: (16 * (number // 2), 64 * (number // 2)) for number in range(2, 10)}
"""Number of the fire module -> (channels of its squeeze, channels of each of its two expansions)."""

POOL_BEFORE = (2, 4, 6)
CONVOLUTIONS = ("squeeze1x1", "expand1x1", "expand3x3")


def build(input_size: int) -> "keras.Model":
    """(input_size, input_size, 3) -> (h, w, 512), 13 x 13 at 224 pixels."""
    import keras
    from keras import layers

    inputs = keras.Input((input_size, input_size, 3), name="image")
    x = layers.Conv2D(64, 3, strides=2, name="conv1")(inputs)
    x = layers.ReLU(name="conv1_activation")(x)
    for number, (squeezed, expanded) in FIRES.items():
        if number in POOL_BEFORE:
            x = layers.MaxPooling2D(3, strides=2, name=f"pool{number - 1}")(x)
        fire = f"fire{number}"
        x = layers.Conv2D(squeezed, 1, activation="relu", name=f"{fire}_squeeze1x1")(x)
        narrow = layers.Conv2D(expanded, 1, activation="relu", name=f"{fire}_expand1x1")(x)
        wide = layers.Conv2D(expanded, 3, padding="same", activation="relu", name=f"{fire}_expand3x3")(x)
        x = layers.Concatenate(name=f"{fire}_concat")([narrow, wide])
    return keras.Model(inputs, x, name="squeezenet")


def translate(arrays: dict[str, list[np.ndarray]]) -> Translation:
    """The published [kernel, bias] pairs, which have Keras's shapes already, by the names of our layers.

    Raises KeyError where one is missing.
    """
    weights = {"conv1": list(arrays["conv1"])}
    for number in FIRES:
        for part in CONVOLUTIONS:
            weights[f"fire{number}_{part}"] = list(arrays[f"fire{number}/{part}"])
    return weights


MODELS = (
    Model(
        name="squeezenet",
        title="SqueezeNet 1.1",
        input_size=224,
        resample="bicubic",
        preprocessing=BGR_LESS_MEAN,
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
        build=build,
        weights=PackageWeights(
            "ndf",
            "ndf/example_models/weights/squeezenet_weights.pkl",
            "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
            translate,
            license="not declared; the package is under MIT",
        ),
        source="Iandola et al. 2016, SqueezeNet (arXiv:1602.07360), version 1.1",
        position=140,
    ),
)
