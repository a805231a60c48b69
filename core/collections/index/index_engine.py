"""What an index engine does for a collection.

Vectors have the number of their row in the vector file as identifier, which a compaction changes only by building a new index. The
catalog and the vector file are the truth; an index is derived from them and can be built again.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import sqlalchemy as sa

from core.collections.catalog import Catalog
from core.collections.index.index_record import IndexRecord
from core.collections.snapshot import Snapshot
from core.collections.state import About, State
from core.collections.vector_file import VectorFile
from core.errors import CollectionError
from core.metrics import METRICS, Metric, get_metric
from core.settings import settings

Step = Callable[[int], None]


class DamagedIndexError(CollectionError):
    """An index that is not what was written."""


class ReplacedIndexError(CollectionError):
    """An index that a writer has replaced since the state was read; the next search finds the new one."""

    def __init__(self) -> None:
        super().__init__(
            "The index is not there any more. If another search does not find it either, `playground collection optimize` builds a new one."
        )


class Engine(ABC):
    """The index of one collection.

    Parameters
    ----------
    folder : of the collection.
    """

    # As users write it, and where the index is.
    name: ClassVar[str]
    description: ClassVar[str]
    # What each kind of index is, by name; the first is the default.
    kinds: ClassVar[dict[str, str]]
    # The metrics that it has.
    metrics: ClassVar[tuple[str, ...]] = tuple(METRICS)
    # The kinds that are measured by default.
    candidates: ClassVar[tuple[str, ...]]
    # The setting that names its server, with an example of its value; None if it needs no server.
    setting: ClassVar[tuple[str, str] | None] = None

    def __init__(self, folder: Path, about: About, catalog: Catalog):
        self.folder, self.about, self.catalog = folder, about, catalog

    @classmethod
    def lacks(cls) -> str | None:
        """What this machine lacks for new collections with this engine, None if nothing. No server is asked."""
        if cls.setting is None or getattr(settings, cls.setting[0]):
            return None
        name, example = cls.setting
        return f"PLAYGROUND_{name}, such as {example}"

    @classmethod
    @abstractmethod
    def is_local(cls, about: About) -> bool:
        """Whether the index is with the files or the catalog of the collection."""

    @classmethod
    @abstractmethod
    def check(cls, about: About, kind: str, metric: Metric) -> None:
        """Check that a kind of index of a collection can be built and searched.

        Raises
        ------
        CollectionError : it can't.
        """

    @abstractmethod
    def build(
        self,
        vectors: VectorFile,
        rows: int,
        metric: Metric,
        kind: str,
        step: Step = lambda n: None,
        old_rows: np.ndarray | None = None,
        described: Catalog | None = None,
    ) -> IndexRecord:
        """Build an index of the first rows beside the one in use.

        Parameters
        ----------
        step : called with the number of rows added.
        old_rows : (rows,) those of the vector file that the catalog knows, where a compaction has written these ones; default: the same.
        described : the catalog that knows the rows; default: that of the collection.

        Raises
        ------
        CollectionError : it can't be built from these vectors.
        OSError : the disk is full or fails.
        """

    @abstractmethod
    def grow(self, state: State, adding: bool, step: Step = lambda n: None) -> IndexRecord | None:
        """An index with the rows that were added since, if it is time for one; ``adding`` if more are about to be added.

        Raises as :meth:`build`.
        """

    def copy(self, source: "Engine", state: State) -> IndexRecord | None:
        """Have the index of another collection, whose vectors are in the folder of this one already; raises as :meth:`build`.

        Parameters
        ----------
        source : of the other collection, an engine of the same class.
        state : with the index of the other collection and the file of vectors of this one.
        """
        if not state.index:
            return None
        vectors = state.vectors(self.folder, self.about)
        metric = get_metric(state.metric)
        return self.build(vectors, state.rows, metric, state.kind, described=source.catalog)

    def put(self, connection: sa.Connection, state: State, rows: np.ndarray, vectors: np.ndarray) -> None:
        """Follow a transaction of the catalog that stores vectors (n, dimensions) at rows (n,), or uses their rows again.

        Engines that search the latest rows without an index need not.
        """

    def remove(self, connection: sa.Connection, state: State, rows: Sequence[int]) -> None:
        """Follow a transaction of the catalog after which no image uses some rows. Engines that know tombstones need not."""

    def change(self, connection: sa.Connection, state: State, rows: Sequence[int]) -> None:
        """Follow a transaction of the catalog that changes labels or metadata of the images of some rows."""

    def commit(self, state: State) -> None:
        """Follow a commit of the catalog."""

    def is_behind(self, connection: sa.Connection) -> bool:
        """Whether :meth:`commit` has to follow a commit that is past."""
        return False

    def drop(self, state: State) -> None:
        """Remove all indexes of the collection, which a state named until now."""
        self.sweep(replace(state, index=None))

    @abstractmethod
    def size(self, connection: sa.Connection, state: State) -> tuple[int, int]:
        """The size of the index in bytes, and the number of its rows."""

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
