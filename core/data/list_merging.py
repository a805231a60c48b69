"""The label and metadata that the rows of lists give an image together.

An image may be named by several rows and by several lists. Their order does not matter: a label counts if no row gives another one,
otherwise the rows are in conflict.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Merged:
    """Label and metadata of an image from all of its rows; ``label`` is None if no row gives one, or if they are in conflict."""

    label: str | None
    conflict: bool
    metadata: dict[str, Any]


def merge(rows: Sequence[Any], lists: Mapping[int, str], favored: int | None = None) -> Merged:
    """Label and metadata from the rows of the same image.

    Metadata on which they agree stay as they are; values that differ become a list without repetitions, ordered by the lists' paths
    and the rows' numbers.

    Parameters
    ----------
    rows : with ``source``, ``number``, ``label`` and ``metadata``.
    lists : the paths of the lists, by source.
    favored : the source whose labels win over those of others.
    """
    rows = sorted(rows, key=lambda row: (lists.get(row.source, ""), row.number))
    labels = {row.label for row in rows if row.label is not None}
    labels = {row.label for row in rows if row.label is not None and row.source == favored} or labels
    if len(rows) == 1:
        metadata = rows[0].metadata
    else:
        values: dict[str, dict[str, Any]] = {}
        for row in rows:
            for name, value in row.metadata.items():
                values.setdefault(name, {}).setdefault(json.dumps(value, sort_keys=True), value)
        metadata = {
            name: next(iter(found.values())) if len(found) == 1 else list(found.values())
            for name, found in values.items()
        }
    return Merged(next(iter(labels)) if len(labels) == 1 else None, len(labels) > 1, metadata)
