"""What a model does to the colors of an image before its first layer."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Preprocessing:
    """``(channels - mean) / scale`` of RGB from 0 to 255, in the order BGR if ``reverse``.

    Called with float32 (batch, height, width, 3), it returns float32 of the same shape. Only indexing and arithmetic,
    so this may be a NumPy array or a tensor inside a ``tf.function``.

    Parameters
    ----------
    description : for people.
    """

    description: str
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]
    reverse: bool = False

    def __call__(self, x: Any) -> Any:
        if self.reverse:
            x = x[..., ::-1]
        if any(self.mean):
            x = x - np.array(self.mean, np.float32)
        if any(scale != 1 for scale in self.scale):
            x = x / np.array(self.scale, np.float32)
        return x


# The modes of keras.applications.imagenet_utils.
TF = Preprocessing("RGB from -1 to 1", (127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
TORCH = Preprocessing(
    "RGB, ImageNet mean 0 and deviation 1",
    mean=(123.675, 116.28, 103.53),  # 255 * (0.485, 0.456, 0.406)
    scale=(58.395, 57.12, 57.375),  # 255 * (0.229, 0.224, 0.225)
)
CAFFE = Preprocessing("BGR less the ImageNet mean", (103.939, 116.779, 123.68), (1.0, 1.0, 1.0), reverse=True)
