"""The file of a dataset that says how well changed images are recognized: ``robustness.parquet`` beside the experiments.

A table for each model, weights, pooling and metric, replaced as a whole file. Reading imports no TensorFlow.
"""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from core import disk
from core.cache import Shared, file_state
from core.data.datasets import Dataset
from core.errors import GridError
from core.evaluation.robustness import Recognition
from core.experiments import parquet_tables
from core.experiments.store import Configuration
from core.imaging.changes import CHANGES, STRENGTHS

NAME = "robustness.parquet"
# The images as they are, of strength 0.
UNCHANGED = "none"
_COLUMNS = ("layer", "change", "strength", "recall", "precision", "low", "high")
_files = Shared(32)


@dataclass(frozen=True)
class Table:
    """The results of all layers of a model under one pooling and metric.

    drawn : images that were chosen from the dataset; images : those of them that could be read, which were searched for and were
    also the gallery; rows : by layer, change and strength.
    """

    model: str
    weights: str
    weights_fingerprint: str
    pooling: str
    metric: str
    drawn: int
    images: int
    rows: Mapping[tuple[str, str, int], Recognition] = field(repr=False)

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.model, self.weights, self.pooling, self.metric

    @property
    def changes(self) -> list[str]:
        """The changes that it has, the images as they are among them."""
        return list(dict.fromkeys(change for _, change, _ in self.rows))


def read(folder: Path, dataset: Dataset) -> list[Table]:
    """The tables of a dataset in a folder of a grid, none where there are none of the images that it has now.

    Raises
    ------
    GridError : the file is damaged.
    """
    path = folder / dataset.name / NAME
    state = file_state(path)
    if not state:
        return []
    return list(_files.get((path, state, dataset.fingerprint), lambda: _read(path, dataset)))


def by_configuration(tables: Iterable[Table]) -> dict[Configuration, dict[tuple[str, int], Recognition]]:
    """The results of each configuration by change and strength, of those that have all of them."""
    wanted = {(UNCHANGED, 0), *((name, s) for name in CHANGES for s in range(1, len(STRENGTHS) + 1))}
    found: dict[Configuration, dict[tuple[str, int], Recognition]] = {}
    for table in tables:
        for (layer, change, strength), one in table.rows.items():
            configuration = Configuration(table.model, table.weights, layer, table.pooling, table.metric)
            found.setdefault(configuration, {})[change, strength] = one
    return {configuration: rows for configuration, rows in found.items() if wanted <= rows.keys()}


def over_strengths(found: Mapping[tuple[str, int], Recognition], share: str) -> dict[str, float]:
    """The mean over the strengths of each change, of a share such as ``recall``."""
    strengths = range(1, len(STRENGTHS) + 1)
    return {
        change: statistics.fmean(getattr(found[change, strength], share) for strength in strengths)
        for change in CHANGES
    }


def write(folder: Path, dataset: Dataset, tables: Iterable[Table]) -> None:
    """Replace the tables of a dataset; the caller holds the lock of its folder.

    Raises
    ------
    DiskError : the disk is nearly full.
    OSError : it can't be written.
    """
    path = folder / dataset.name / NAME
    disk.require(path.parent)
    disk.remove_unfinished(path)
    # The same results give the same file, in any order of computation.
    ordered = sorted(tables, key=lambda table: table.key)
    with disk.replacing(path) as part:
        parquet_tables.write(part, [_entry(dataset, table) for table in ordered])


def _entry(dataset: Dataset, table: Table) -> parquet_tables.Entry:
    order = {name: place for place, name in enumerate((UNCHANGED, *CHANGES))}
    # Layers stay in the order of the network, in which they were computed.
    layers = {layer: place for place, (layer, _, _) in enumerate(table.rows)}
    keys = sorted(table.rows, key=lambda key: (layers[key[0]], order[key[1]], key[2]))
    found = [table.rows[key] for key in keys]
    columns = {
        "layer": pa.array([layer for layer, _, _ in keys], pa.string()),
        "change": pa.array([change for _, change, _ in keys], pa.string()),
        "strength": pa.array([strength for _, _, strength in keys], pa.int8()),
        "recall": pa.array([one.recall for one in found], pa.float32()),
        "precision": pa.array([one.precision for one in found], pa.float32()),
        "low": pa.array([one.precision_low for one in found], pa.float32()),
        "high": pa.array([one.precision_high for one in found], pa.float32()),
    }
    facts = {
        "dataset_fingerprint": dataset.fingerprint,
        "weights_fingerprint": table.weights_fingerprint,
        "drawn": table.drawn,
        "images": table.images,
        "levels": {name: CHANGES[name].levels for name in table.changes if name != UNCHANGED},
    }
    key = dict(zip(("model", "weights", "pooling", "metric"), table.key, strict=True))
    return parquet_tables.Entry(key, pa.table(columns), facts)


def _read(path: Path, dataset: Dataset) -> list[Table]:
    opened = parquet_tables.Tables(path)
    return [
        _table(opened, key, facts)
        for key, facts in opened.entries
        if facts.get("dataset_fingerprint") == dataset.fingerprint
    ]


def _table(opened: parquet_tables.Tables, key: dict[str, Any], facts: dict[str, Any]) -> Table:
    columns = opened.read(key, _COLUMNS).to_pydict()
    try:
        n, levels = int(facts["images"]), facts["levels"]
        rows = {
            (layer, change, strength): Recognition(n, *numbers)
            for layer, change, strength, *numbers in zip(*columns.values(), strict=True)
            # Changes that this version makes in another way count as missing.
            if change == UNCHANGED
            or (change in CHANGES and tuple(levels.get(change, ())) == CHANGES[change].levels)
        }
        if n < 1 or not all(
            isinstance(share, float) and 0.0 <= share <= 1.0
            for one in rows.values()
            for share in (one.recall, one.precision, one.precision_low, one.precision_high)
        ):
            raise ValueError("a share is not between 0 and 1")
        return Table(
            **{name: str(key[name]) for name in ("model", "weights", "pooling", "metric")},
            weights_fingerprint=str(facts["weights_fingerprint"]),
            drawn=int(facts["drawn"]),
            images=n,
            rows=rows,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GridError(
            f"{NAME} is damaged ({error}); `playground grid robustness` measures it again."
        ) from None
