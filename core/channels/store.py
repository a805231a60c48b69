"""What ships of the channels of a layer: pictures that excite them, and what excites them in the datasets.

One folder per model below ``settings.MODELS_DIR``. Reading imports no TensorFlow; what is missing or damaged reads as not
there, since all of it can be computed again.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from core.datasets import Dataset


@dataclass(frozen=True)
class ChannelPicture:
    """A picture made to excite a channel.

    Parameters
    ----------
    channel : from 0.
    webp : the picture's file.
    activation : the mean activation of the channel on the picture.
    """

    channel: int
    webp: bytes
    activation: float

    @cached_property
    def version(self) -> str:
        """Changes with the picture: hex digits for the end of its address."""
        return hashlib.sha256(self.webp).hexdigest()[:16]


@dataclass(frozen=True)
class Exciting:
    """A picture of a dataset that excites a channel.

    Parameters
    ----------
    item : id of the picture in its dataset.
    value : the highest activation of the channel on it, above zero.
    box : left, top, right, bottom of the region that did it, as shares (0 to 1) of the picture's width and height.
    """

    item: int
    value: float
    box: tuple[float, float, float, float]


def pictures(model: str, weights: str, layer: str) -> list[ChannelPicture]:
    """The pictures that ship for a layer, by channel; empty when there are none."""
    return []


def exciting(
    dataset: Dataset, model: str, weights: str, layer: str, channel: int, n: int = 9
) -> list[Exciting] | None:
    """What excites a channel most in a dataset, highest first; None when that is not stored for this dataset and layer."""
    return None
