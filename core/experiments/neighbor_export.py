"""The result lists of experiments as one flat table, for other tools: a row for each query, configuration and neighbor."""

import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from core import disk
from core.data.datasets import Dataset
from core.errors import UnknownNameError, UserError
from core.experiments import query_scores
from core.experiments.store import Configuration, DatasetGrid, Summary
from core.progress import Progress, Silent
from core.text import spreadsheet_safe

FORMATS = ("csv", "parquet")
# Larger tables are for the command line: so many rows have 40 MB as CSV.
MOST_ROWS = 200_000
PARTS = ("model", "weights", "layer", "pooling", "metric")


def matching(grid: DatasetGrid, wanted: Mapping[str, Sequence[str]]) -> list[Summary]:
    """The experiments whose parts are among the wanted ones.

    Parameters
    ----------
    wanted : of :data:`PARTS`, the values to let through; all where a part is missing.

    Raises
    ------
    UnknownNameError : no experiment that has the parts before has one of these.
    """
    found = list(grid.summaries)
    for part in PARTS:
        if part in wanted:
            valid = dict.fromkeys(getattr(one, part) for one in found)
            found = [one for one in found if getattr(one, part) in wanted[part]]
            if not found:
                raise UnknownNameError(part, ", ".join(wanted[part]), valid)
    return found


def count_rows(grid: DatasetGrid, some: Sequence[Configuration | Summary], k: int) -> int:
    """How many rows the table of some configurations has, at most."""
    return len(grid.dataset) * sum(min(k, grid.run(one).about.top) for one in some)


def table(grid: DatasetGrid, one: Configuration | Summary, k: int) -> pa.Table:
    """The result lists of a configuration.

    Returns
    -------
    table : ``dataset``, ``model``, ``weights``, ``layer``, ``pooling``, ``metric``; ``k``, that of the scores; ``query``, ``query_name``,
        ``query_label`` and ``score`` from 0 to 100; ``rank`` from 1, ``neighbor``, ``neighbor_name``, ``neighbor_label``, ``same_label``, and
        ``distance``, null where it is not known.

    Raises
    ------
    GridError : the experiment is missing or damaged.
    """
    found = query_scores.evaluate(grid, one, k)
    n, k = len(found.queries), found.k
    queries, neighbors = np.repeat(found.queries, k), found.ids[:, :k].ravel()
    distances = None if found.distances is None else found.distances[:, :k].ravel()
    names, labels = _texts(grid.dataset)
    parts = {part: getattr(one, part) for part in PARTS}
    return pa.table(
        {
            **{
                part: pa.repeat(pa.scalar(value, pa.string()), n * k).dictionary_encode()
                for part, value in ({"dataset": grid.dataset.name} | parts).items()
            },
            "k": pa.array(np.full(n * k, k), pa.int32()),
            "query": pa.array(queries, pa.int32()),
            "query_name": names.take(pa.array(queries)),
            "query_label": labels.take(pa.array(queries)),
            "score": pa.array(np.repeat(found.scores, k), pa.float64()),
            "rank": pa.array(np.tile(np.arange(1, k + 1), n), pa.int32()),
            "neighbor": pa.array(neighbors, pa.int32()),
            "neighbor_name": names.take(pa.array(neighbors)),
            "neighbor_label": labels.take(pa.array(neighbors)),
            "same_label": pa.array(found.same[:, :k].ravel()),
            "distance": pa.nulls(n * k, pa.float32())
            if distances is None
            else pa.array(distances, pa.float32()),
        }
    )


def _texts(dataset: Dataset) -> tuple[pa.Array, pa.Array]:
    """Names and labels of all images. The files of a collection are anywhere on the machine, so its images have titles only."""
    names = [item.title if dataset.collection else item.file for item in dataset.items]
    return pa.array(names, pa.string()), pa.array(dataset.labels, pa.string())


def content(grid: DatasetGrid, some: Sequence[Configuration | Summary], k: int, kind: str) -> bytes:
    """A file of :data:`FORMATS` with the tables of some configurations, at least one.

    Raises
    ------
    UserError : they have more than :data:`MOST_ROWS` rows.
    GridError : an experiment is missing or damaged.
    """
    rows = count_rows(grid, some, k)
    if rows > MOST_ROWS:
        raise UserError(
            f"The table has {rows:,} rows, and a server sends at most {MOST_ROWS:,}; choose fewer configurations or a smaller k, or "
            "write it with `playground grid export`."
        )
    out = io.BytesIO()
    _write(out, (table(grid, one, k) for one in some), kind)
    return out.getvalue()


def write(
    path: Path,
    grid: DatasetGrid,
    some: Sequence[Configuration | Summary],
    k: int,
    progress: Progress | None = None,
) -> int:
    """Write a file, CSV or Parquet by its suffix, and return the number of rows. It appears when it is complete.

    Raises
    ------
    UserError : there is nothing to write, or the file has another suffix or can't be written.
    GridError : an experiment is missing or damaged.
    DiskError : the disk is nearly full.
    """
    kind = path.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise UserError(f"The file {path.name!r} must end in {' or '.join('.' + one for one in FORMATS)}.")
    if not some:
        raise UserError("There are no experiments to export.")
    progress = progress or Silent()
    disk.require(path.parent)
    progress.stage("exporting", len(some))
    rows = 0

    def tables() -> Iterator[pa.Table]:
        nonlocal rows
        for one in some:
            found = table(grid, one, k)
            rows += len(found)
            yield found
            progress.step()

    try:
        with disk.replacing(path) as beside, beside.open("wb") as out:
            _write(out, tables(), kind)
    except (OSError, pa.ArrowException) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise UserError(f"The file {path.name!r} can't be written: {reason}.") from None
    return rows


def _write(out: BinaryIO, tables: Iterable[pa.Table], kind: str) -> None:
    import pyarrow.csv
    import pyarrow.parquet as pq

    writer = None
    for one in tables:
        if kind == "csv":
            one = _for_spreadsheets(one)
        if writer is None:
            writer = (
                pyarrow.csv.CSVWriter(out, one.schema)
                if kind == "csv"
                else pq.ParquetWriter(out, one.schema, compression="zstd")
            )
        writer.write_table(one)
    if writer is not None:
        writer.close()


def _for_spreadsheets(one: pa.Table) -> pa.Table:
    """The table with texts that no spreadsheet takes for a formula."""
    for place, column in enumerate(one.schema):
        if pa.types.is_dictionary(column.type) or pa.types.is_string(column.type):
            known = one.column(place).combine_chunks().dictionary_encode()
            known = known if isinstance(known, pa.DictionaryArray) else known.chunk(0)
            safe = pa.array([spreadsheet_safe(text) for text in known.dictionary.to_pylist()], pa.string())
            one = one.set_column(place, column.name, safe.take(known.indices))
    return one
