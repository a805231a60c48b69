"""What excites a channel in a dataset: the pictures with the highest activation, and the region that did it."""

from core.channels.store import Exciting
from core.datasets import Dataset
from core.progress import Progress, Silent


def exciting(
    dataset: Dataset,
    model: str,
    weights: str,
    layer: str,
    channel: int,
    n: int = 9,
    progress: Progress | None = None,
) -> list[Exciting]:
    """The pictures of a dataset that excite a channel most, highest first; only those with an activation above zero.

    Stored results are read; others are computed for all channels of the layer in one pass over the dataset, and kept
    in memory.

    Parameters
    ----------
    weights : ``"imagenet"`` or ``"untrained"``.
    n : at most :data:`MOST`.
    progress : told of every picture; whatever it raises ends the computation.

    Raises
    ------
    UnknownNameError, WeightsError : there is no such model or layer, or its weights are not on this machine.
    UserError : there is no such channel.
    """
    progress = progress or Silent()
    raise NotImplementedError
