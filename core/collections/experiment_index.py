"""Kinds of index, measured on the stored vectors of an experiment."""

import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.collections import index_tuning
from core.collections.collection import Collection
from core.collections.index_tuning import MeasuredIndex
from core.collections.state import About
from core.errors import GridError
from core.experiments.store import Configuration, DatasetGrid
from core.progress import Progress
from core.settings import settings


def measure(
    grid: DatasetGrid, configuration: Configuration, kinds: Sequence[str], progress: Progress
) -> list[MeasuredIndex]:
    """Measure kinds of index as :func:`core.collections.index_tuning.measure` does, on a collection that is deleted afterwards.

    Raises
    ------
    GridError : the grid stores no vectors of this configuration.
    CollectionError : there are too few vectors, or FAISS has no such kind for them.
    """
    run = grid.run(configuration)
    if configuration.pooling != "avg" or "vectors" not in run.about.files:
        raise GridError(
            "The grid stores vectors of trained models with avg pooling only; create a collection with this configuration and use "
            "`playground collection tune`."
        )
    ids, vectors = run.vectors(configuration.layer)
    about = About(
        name="measured",
        uuid=uuid.uuid4().hex,
        catalog="sqlite",
        model=configuration.model,
        weights=configuration.weights,
        weights_fingerprint=run.about.weights_fingerprint,
        layer=configuration.layer,
        pooling=configuration.pooling,
        dimensions=vectors.shape[1],
        dtype="float16",
    )
    with (
        tempfile.TemporaryDirectory(dir=settings.SCRATCH_DIR) as folder,
        Collection.create_empty(about, configuration.metric, folder=Path(folder)) as made,
    ):
        labels = [grid.dataset.labels[item] for item in ids.tolist()]
        made.add_vectors(list(map(str, ids.tolist())), np.asarray(vectors, np.float32), labels)
        return index_tuning.measure(made, kinds, progress)
