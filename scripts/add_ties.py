"""Add what can be known of ties to grids that were computed before ties were stored.

    .venv/bin/python scripts/add_ties.py precomputed

The images behind the end of a list that are as far as its last neighbor follow from what is stored in two cases: the distance is the
largest of all pairs, or the vectors are stored and the distance is chebyshev's to numbers that are 0. All others stay unknown.
Running a model's experiments again stores them all.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.evaluation import scoring
from core.evaluation.rankings import Neighbors
from core.experiments import runner, store


def main() -> None:
    folder = Path(sys.argv[1])
    grid = store.Grid(folder)
    for name in grid.dataset_names():
        loaded = grid.load(name)
        for run in loaded.runs.values():
            contents = run.read_all()
            codes = scoring.class_codes(loaded.dataset.labels)
            experiments, left = [], 0
            for one in contents.experiments:
                vectors = contents.vectors.get((one.layer, one.pooling))
                beyond = _beyond(one, codes, vectors)
                left += int((beyond[:, 0] < 0).sum())
                found = replace(one.neighbors, beyond=beyond)
                facts = one.facts | runner.summarize(found, loaded.dataset.labels)
                experiments.append(replace(one, neighbors=found, facts=facts))
            store.write_run(
                folder / name, loaded.dataset, run.about, replace(contents, experiments=experiments)
            )
            print(f"{name}/{run.folder.name}: {left} lists with unknown ties")


def _beyond(
    one: store.Computed, codes: np.ndarray, vectors: tuple[np.ndarray, np.ndarray] | None
) -> np.ndarray:
    lists = one.neighbors
    assert lists.distances is not None and one.pair_quantiles is not None
    last = lists.distances[:, -1]
    beyond = np.zeros((len(last), int(codes.max()) + 1), np.int32)
    for row in np.flatnonzero(lists.distances[:, -2] == last).tolist():
        rest = np.setdiff1d(lists.queries, [*lists.ids[row], lists.queries[row]])
        if last[row] == one.pair_quantiles[-1]:
            tied = np.ones(len(rest), bool)
        elif vectors is not None and one.metric == "chebyshev" and _reached_zero(lists, row, *vectors):
            tied = np.array([_at(lists, row, item, *vectors) for item in rest])
        else:
            beyond[row] = -1
            continue
        beyond[row] = np.bincount(codes[rest[tied]], minlength=beyond.shape[1])
    return beyond


def _reached_zero(lists: Neighbors, row: int, ids: np.ndarray, rows: np.ndarray) -> bool:
    """Whether all neighbors in the last tie are as far as they are because one number of theirs is 0."""
    assert lists.distances is not None
    tied = lists.ids[row][lists.distances[row] == lists.distances[row, -1]]
    return all(_at(lists, row, item, ids, rows) for item in tied)


def _at(lists: Neighbors, row: int, item: int, ids: np.ndarray, rows: np.ndarray) -> bool:
    """Whether an image's largest difference from the query is the distance of the last, and its number there is 0, which float16 keeps."""
    assert lists.distances is not None
    place = {int(one): i for i, one in enumerate(ids)}
    query, other = rows[place[int(lists.queries[row])]], rows[place[int(item)]]
    gaps = np.abs(query.astype(np.float32) - other.astype(np.float32))
    largest = int(gaps.argmax())
    return bool(
        other[largest] == 0 and np.float16(lists.distances[row, -1]) == query[largest] == gaps[largest]
    )


if __name__ == "__main__":
    main()
