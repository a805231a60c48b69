"""A dataset of the grid under one configuration, as a :class:`core.data.source.Source`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from PIL import Image

from core.data.datasets import Dataset
from core.data.source import Capability, Neighbor, SourceItem
from core.experiments.store import Configuration
from core.models import registry
from core.progress import Progress
from core.search.engine import Engine


class DatasetSource:
    """A dataset, searched in its stored vectors."""

    url_key: ClassVar[str] = "dataset"
    capabilities = frozenset({Capability.CONFIGURATIONS, Capability.ACTIVATIONS})

    def __init__(self, engine: Engine, dataset: Dataset, configuration: Configuration):
        self.dataset = dataset
        self._engine, self._configuration = engine, configuration

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def name(self) -> str:
        return self.dataset.name

    @property
    def key(self) -> str:
        return self.dataset.fingerprint

    @property
    def configuration(self) -> Mapping[str, str]:
        return vars(self._configuration)

    @property
    def params(self) -> Mapping[str, str]:
        return {self.url_key: self.name, **self.configuration}

    @property
    def labels(self) -> Mapping[str, int]:
        return Counter(self.dataset.labels)

    @property
    def input_size(self) -> int:
        return registry.get_model(self._configuration.model).input_size

    @property
    def resample(self) -> str:
        return registry.get_model(self._configuration.model).resample

    def sample(self, most: int) -> list[SourceItem]:
        return self.dataset.sample(most)

    def prepare(self, progress: Progress) -> None:
        self._engine.check(self.dataset, self._configuration)
        progress.stage("Starting TensorFlow and loading the model", 0)
        self._engine.network(self._configuration)
        progress.stage(f"Preparing the {len(self):,} pictures to search", 0)
        self._engine.index(self.dataset, self._configuration)

    def embed(self, image: Image.Image) -> np.ndarray:
        return self._engine.embed(image, self._configuration)

    def nearest(
        self, vector: np.ndarray, k: int, where: Sequence[str] = ()
    ) -> tuple[list[Neighbor], tuple[str, ...]]:
        index = self._engine.index(self.dataset, self._configuration)
        found = zip(*self._engine.nearest(index, vector, k), strict=True)
        return [Neighbor(self.dataset.item(int(i)), float(distance)) for i, distance in found], ()

    def activation(self, image: Image.Image) -> np.ndarray:
        return self._engine.activation(image, self._configuration)
