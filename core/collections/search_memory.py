"""What searches have read of one state of a catalog, used while the catalog does not change."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

import numpy as np

from core.collections.schema import Row
from core.collections.snapshot import Snapshot, Where

# Images, and conditions whose matching rows are kept if they take so many bytes together.
_MOST_IMAGES = 20_000
_MOST_CONDITIONS = 8
_MOST_BYTES = 32_000_000

Conditions = tuple[str, ...]
Images = Mapping[int, tuple[Row, list[str]]]
"""Row of the vector file -> the oldest image with it that meets the conditions, and the paths of all that do."""


@dataclass(frozen=True, eq=False)
class Memory:
    """Several threads may use it.

    snapshot : of the state; changes : what :meth:`core.collections.catalog.Catalog.changes` returned before it was read.
    """

    snapshot: Snapshot
    changes: Hashable
    _images: dict[tuple[Conditions, int], tuple[Row, list[str]]] = field(default_factory=dict)
    _matching: dict[Conditions, np.ndarray] = field(default_factory=dict)

    def nearest(
        self, queries: np.ndarray, k: int, conditions: Conditions
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """As :meth:`Snapshot.nearest`; None if it is not known which rows meet the conditions."""
        if not conditions:
            return self.snapshot.nearest(queries, k)
        matching = self._matching.get(conditions)
        return None if matching is None else self.snapshot.nearest(queries, k, matching)

    def images(self, rows: np.ndarray, conditions: Conditions) -> Images | None:
        """The images of some rows; None unless all of them are known."""
        found = {}
        for row in rows.ravel().tolist():
            if (image := self._images.get((conditions, row))) is None:
                return None
            found[row] = image
        return found

    def keep(self, conditions: Conditions, allowed: Where, images: Images) -> None:
        """Remember which rows meet conditions, if the search has found out, and the images of some of them."""
        if conditions and (matching := allowed.found) is not None:
            # The latest are asked for again.
            kept = [*list(self._matching.items()), (conditions, matching)][-_MOST_CONDITIONS:]
            while sum(rows.nbytes for _, rows in kept) > _MOST_BYTES:
                kept = kept[1:]
            self._matching.clear()
            self._matching.update(kept)
        # Copies of an image may be thousands.
        if len(self._images) + sum(len(paths) for _, paths in images.values()) > _MOST_IMAGES:
            self._images.clear()
        self._images.update({(conditions, row): image for row, image in images.items()})
