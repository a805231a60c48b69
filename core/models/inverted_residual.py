"""What MobileNetV2 and EfficientNet-Lite share: a stem, stages of inverted residual blocks, and a 1x1 top.

An inverted residual block (Sandler et al. 2018, arXiv:1801.04381) widens its input with a 1x1 convolution, filters
each channel on its own, narrows the result with another 1x1 convolution that has no activation, and adds its input
where the shapes agree.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.models.definition import Layer
from core.models.package_weights import Translation

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Stage:
    """Equal blocks in a row; only the first of them strides."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


@dataclass(frozen=True)
class Block:
    """One block: ``name`` is ``block<stage><letter>`` as in keras.applications, ``closes`` its stage or None."""

    name: str
    kernel: int
    stride: int
    expansion: int
    inputs: int
    outputs: int
    closes: int | None


def blocks(stages: Sequence[Stage], stem_channels: int) -> Iterator[Block]:
    """Every block of the stages, first to last."""
    inputs = stem_channels
    for number, stage in enumerate(stages, start=1):
        for repeat in range(stage.repeats):
            yield Block(
                name=f"block{number}{chr(ord('a') + repeat)}",
                kernel=stage.kernel,
                stride=stage.stride if repeat == 0 else 1,
                expansion=stage.expansion,
                inputs=inputs,
                outputs=stage.channels,
                closes=number if repeat == stage.repeats - 1 else None,
            )
            inputs = stage.channels


def build(
    name: str,
    input_size: int,
    stages: Sequence[Stage],
    *,
    stem_channels: int,
    top_channels: int,
    epsilon: float,
    symmetric_padding: bool,
) -> "keras.Model":
    """The graph from (input_size, input_size, 3) to the activation of its top convolution.

    Parameters
    ----------
    epsilon : of the batch normalizations.
    symmetric_padding : pad both sides of a strided convolution alike, as PyTorch does; otherwise pad as TensorFlow
        does, which puts the odd row and column at the bottom and the right.
    """
    import keras
    from keras import layers

    def normalize(x: Any, prefix: str, activate: bool = True) -> Any:
        x = layers.BatchNormalization(epsilon=epsilon, name=f"{prefix}_bn")(x)
        return layers.ReLU(max_value=6.0, name=f"{prefix}_activation")(x) if activate else x

    def pad(x: Any, prefix: str, kernel: int, stride: int) -> tuple[Any, str]:
        if stride == 1 or not symmetric_padding:
            return x, "same"
        return layers.ZeroPadding2D(kernel // 2, name=f"{prefix}_pad")(x), "valid"

    inputs = keras.Input((input_size, input_size, 3), name="image")
    x, padding = pad(inputs, "stem", 3, 2)
    x = layers.Conv2D(stem_channels, 3, strides=2, padding=padding, use_bias=False, name="stem_conv")(x)
    x = normalize(x, "stem")
    for block in blocks(stages, stem_channels):
        shortcut = x
        if block.expansion != 1:
            width = block.inputs * block.expansion
            x = layers.Conv2D(width, 1, use_bias=False, name=f"{block.name}_expand_conv")(x)
            x = normalize(x, f"{block.name}_expand")
        x, padding = pad(x, f"{block.name}_depthwise", block.kernel, block.stride)
        x = layers.DepthwiseConv2D(
            block.kernel,
            strides=block.stride,
            padding=padding,
            use_bias=False,
            name=f"{block.name}_depthwise_conv",
        )(x)
        x = normalize(x, f"{block.name}_depthwise")
        x = layers.Conv2D(block.outputs, 1, use_bias=False, name=f"{block.name}_project_conv")(x)
        x = normalize(x, f"{block.name}_project", activate=False)
        if block.stride == 1 and block.inputs == block.outputs:
            x = layers.Add(name=f"{block.name}_add")([shortcut, x])
        if block.closes is not None:
            x = layers.Identity(name=f"block{block.closes}_output")(x)
    x = layers.Conv2D(top_channels, 1, use_bias=False, name="top_conv")(x)
    return keras.Model(inputs, normalize(x, "top"), name=name)


def compared_layers(
    stages: Sequence[Stage], input_size: int, stem_channels: int, top_channels: int, parameters: Sequence[int]
) -> tuple[Layer, ...]:
    """The stem, the first six stages and the top, which has the size of the last stage.

    Parameters
    ----------
    parameters : of the network up to each of the eight.
    """
    ends = [Stage(1, 3, 2, 1, stem_channels), *stages[:6], Stage(1, 1, 1, 1, top_channels)]
    names = ("stem_activation", *(f"block{number}_output" for number in range(1, 7)), "top_activation")
    side, layers = input_size, []
    for name, stage, count in zip(names, ends, parameters, strict=True):
        side = -(-side // stage.stride)
        layers.append(Layer(name, (side, side, stage.channels), count))
    return tuple(layers)


def unit(
    arrays: dict[str, np.ndarray], ours: str, convolution: str, normalization: str, depthwise: bool = False
) -> Translation:
    """The weights of one convolution and its batch normalization.

    PyTorch keeps a kernel as (out, in, height, width) and a depthwise one as (channels, 1, height, width); Keras as
    (height, width, in, out) and (height, width, channels, 1).

    Parameters
    ----------
    arrays : the published arrays.
    ours : the prefix of our layers, such as ``"block2a_expand"``.
    convolution, normalization : the prefixes of the published names.
    """
    kernel = arrays[f"{convolution}.weight"]
    parts = ("weight", "bias", "running_mean", "running_var")
    return {
        f"{ours}_conv": [kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))],
        f"{ours}_bn": [arrays[f"{normalization}.{part}"] for part in parts],
    }


def translate(
    arrays: dict[str, np.ndarray],
    stages: Sequence[Stage],
    stem_channels: int,
    published: Callable[[int, Block, str], tuple[str, str]],
    stem: tuple[str, str],
    top: tuple[str, str],
) -> Translation:
    """The weights of all our layers.

    Parameters
    ----------
    published : (place of the block, the block, ``"expand"`` | ``"depthwise"`` | ``"project"``) -> the published
        prefixes of that convolution and its normalization.
    stem, top : the same two prefixes of stem and top.

    Raises
    ------
    KeyError : an array is missing.
    """
    weights = unit(arrays, "stem", *stem) | unit(arrays, "top", *top)
    for place, block in enumerate(blocks(stages, stem_channels)):
        for part in ("expand", "depthwise", "project"):
            if part == "expand" and block.expansion == 1:
                continue
            names = published(place, block, part)
            weights |= unit(arrays, f"{block.name}_{part}", *names, depthwise=part == "depthwise")
    return weights
