"""How often intervals hold the mean, and how often equally good configurations are found to differ, in simulations.

    PYTHONPATH=. .venv/bin/python scripts/simulate_intervals.py

Each row is 1,000 sets of 200 images in 10 classes under two embeddings that are equally good: points around the centers of their classes, of
which a part is the same under both. The numbers of docs/user-guide.md are the extremes of this table.
"""

import numpy as np

from core.evaluation import scoring, uncertainty
from tests.evaluation.test_uncertainty import centers, draw, measured

_SETS = 1000


def main() -> None:
    print("spread shared  k  means held  differences held  differences found")
    for spread in (1.0, 1.5):
        for shared in (0.5, 0.9999):
            for k, rates in _simulate(spread, shared).items():
                print(
                    f"{spread:6} {shared:6} {k:2}  " + "  ".join(f"{rate:16.1%}" for rate in rates),
                    flush=True,
                )


def _simulate(spread: float, shared: float) -> dict[int, tuple[float, float, float]]:
    """By k: how often the interval of a mean holds it, that of the difference holds 0, and a difference is found."""
    rng, sizes = np.random.default_rng(11), (10, 15, 20)
    means: dict[int, list[np.ndarray]] = {k: [] for k in sizes}
    ends: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {k: [] for k in sizes}
    gaps: dict[int, list[uncertainty.Difference]] = {k: [] for k in sizes}
    for _ in range(_SETS):
        codes, ids = draw(rng, centers(spread), shared)
        for k in sizes:
            scores, contributed = measured(codes, ids, k)
            means[k].append(scores.mean(axis=1))
            ends[k].append(uncertainty.interval(means[k][-1], contributed, codes))
            between = contributed[0] - contributed[1]
            unit = scoring.unit(k, tied=False)
            gaps[k].append(uncertainty.difference(scores[0], scores[1], between, codes, unit))
    found = {}
    for k in sizes:
        low, high = np.array(ends[k])[:, 0], np.array(ends[k])[:, 1]
        truth = np.mean(means[k])
        held = float(np.mean((low <= truth) & (truth <= high)))
        found[k] = (
            held,
            float(np.mean([gap.low <= 0 <= gap.high for gap in gaps[k]])),
            float(np.mean([gap.certain for gap in gaps[k]])),
        )
    return found


if __name__ == "__main__":
    main()
