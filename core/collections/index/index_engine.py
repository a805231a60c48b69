"""What an index engine does for a collection.

Vectors have the number of their row in the vector file as identifier, which a compaction changes only by building a new index. The
catalog and the vector file are the truth; an index is derived from them and can be built again.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import sqlalchemy as sa

from core.collections.catalog import Catalog
from core.collections.index.index_record import IndexFile
from core.collections.snapshot import Snapshot
from core.collections.state import About, State
from core.collections.vector_file import VectorFile
from core.errors import CollectionError
from core.metrics import Metric, get_metric

Step = Callable[[int], None]


class DamagedIndexError(CollectionError):
    """An index that is not what was written."""


class Engine(ABC):
    """The index of one collection.

    Parameters
    ----------
    folder : of the collection.
    """

    # What each kind of index is, by name; the first is the default.
    kinds: ClassVar[dict[str, str]]

    def __init__(self, folder: Path, about: About, catalog: Catalog):
        self.folder, self.about, self.catalog = folder, about, catalog

    @classmethod
    @abstractmethod
    def check(cls, kind: str, dimensions: int, metric: Metric) -> None:
        """Check that a kind of index can be built and searched.

        Raises
        ------
        CollectionError : it can't.
        """

    @abstractmethod
    def build(
        self, vectors: VectorFile, rows: int, metric: Metric, kind: str, step: Step = lambda n: None
    ) -> IndexFile:
        """Build an index of the first rows beside the one in use; ``step`` is called with the number of rows added.

        Raises
        ------
        CollectionError : it can't be built from these vectors.
        OSError : the disk is full or fails.
        """

    @abstractmethod
    def grow(self, state: State, adding: bool, step: Step = lambda n: None) -> IndexFile | None:
        """An index with the rows that were added since, if it is time for one; ``adding`` if more are about to be added.

        Raises as :meth:`build`.
        """

    def copy(self, source: "Engine", state: State) -> IndexFile | None:
        """Have the index of another collection, whose vectors are in the folder of this one already; raises as :meth:`build`.

        Parameters
        ----------
        source : of the other collection, an engine of the same class.
        state : with the index of the other collection and the file of vectors of this one.
        """
        if not state.index:
            return None
        vectors = state.vectors(self.folder, self.about)
        return self.build(vectors, state.rows, get_metric(state.metric), state.kind)

    @abstractmethod
    def open(
        self, state: State, vectors: VectorFile, tombstones: np.ndarray, old: Snapshot | None = None
    ) -> Snapshot:
        """Open the index for searching.

        Parameters
        ----------
        old : of an earlier state; what has not changed since is taken from it.

        Raises
        ------
        DamagedIndexError : it can't be read.
        FileNotFoundError : a writer has replaced it.
        """

    @abstractmethod
    def verify(self, connection: sa.Connection, state: State) -> Iterator[str]:
        """A message for everything that is wrong with the index; reads all of it.

        Raises
        ------
        FileNotFoundError : its file is gone, for example because a writer just replaced it.
        """

    @abstractmethod
    def sweep(self, state: State) -> None:
        """Remove indexes that a state does not name: those before the last change, and those of a change that did not finish."""
