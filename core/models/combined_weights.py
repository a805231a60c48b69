"""The weights of a combination: those of the networks whose vectors it joins."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.errors import WeightsError
from core.models import weights
from core.models.definition import Model, OwnNetwork, WeightsFile
from core.progress import Progress

if TYPE_CHECKING:
    from core.models.combined_network import CombinedNetwork


@dataclass(frozen=True)
class Part:
    """A configuration whose vectors are a part of the combined ones.

    Parameters
    ----------
    weights : as ``core.models.weights`` names them; fingerprint : of these weights.
    mean : (dimensions,) float32, subtracted from vectors of length one; None where nothing is.
    """

    model: Model
    weights: str
    fingerprint: str
    layer: str
    pooling: str
    mean: np.ndarray | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class CombinedWeights(OwnNetwork):
    """The weights of several networks.

    Parameters
    ----------
    path : of the description; parts : in the order of their vectors; fingerprint : of all that the vectors depend on.
    about : a sentence.
    """

    path: Path
    parts: tuple[Part, ...]
    fingerprint: str
    about: str
    kind = "combined"

    def file(self, model: Model) -> WeightsFile:
        licenses = []
        for part in self.parts:
            found = weights.imagenet_file(part.model)
            if not found.here:
                about = (
                    f"{model.title} combines {part.model.title}, whose weights are not here. {found.about}"
                )
                return WeightsFile("combination", "", about, None)
            licenses.append(f"{part.model.title}: {found.license or 'not known'}")
        return WeightsFile("combination", self.about, self.about, self.path, "; ".join(licenses))

    def check(self, model: Model) -> None:
        if self.file(model).path is None:
            raise WeightsError(self.file(model).about)
        for part in self.parts:
            if not weights.provenance(part.model, part.weights).made(part.fingerprint):
                raise WeightsError(
                    f"{part.model.title} has other weights than when {model.title} was added; remove the combination and add it again."
                )

    def load(self, model: Model, progress: Progress) -> "CombinedNetwork":
        from core.models import networks
        from core.models.combined_network import CombinedNetwork

        loaded = [networks.load(part.model, part.weights, progress) for part in self.parts]
        return CombinedNetwork(model, self.parts, loaded)


def joined(vectors: Sequence[np.ndarray], means: Sequence[np.ndarray | None]) -> np.ndarray:
    """The concatenated vectors of several networks: each scaled to length one, less the mean where there is one.

    Parameters
    ----------
    vectors : (n, dimensions) of each network, for the same images; means : (dimensions,) of each.

    Examples
    --------
    >>> joined([np.array([[3.0, 4.0]]), np.array([[2.0]])], [None, np.array([0.5])]).tolist()
    [[0.6, 0.8, 0.5]]
    """
    parts = [
        rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        - (0.0 if mean is None else mean)
        for rows, mean in zip(vectors, means, strict=True)
    ]
    return np.concatenate(parts, axis=1)
