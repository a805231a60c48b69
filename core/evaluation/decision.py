"""Which configuration to take: within some limits, the cheapest of those that can't be told from the best."""

from dataclasses import dataclass

import numpy as np

from core.evaluation import comparison, uncertainty

# Of all searches under a configuration, one that a quarter scores below, the middle one, and one that a quarter scores above.
_QUANTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Decision:
    """The places of the experiments that it is between.

    best : the highest quality; alike : that one and all that can't be told from it, the cheapest first, of equally cheap ones the highest mean.
    """

    best: int
    alike: np.ndarray

    @property
    def taken(self) -> int:
        """The cheapest of them."""
        return int(self.alike[0])


def decide(
    quality: np.ndarray,
    values: np.ndarray,
    contributed: np.ndarray,
    cost: np.ndarray,
    within: np.ndarray,
    unit: float,
) -> Decision | None:
    """Compare the experiments within the limits with the best of them, at once; None where none is within.

    Parameters
    ----------
    quality : (n_experiments,) by which the best is chosen; values : (n_experiments, n_queries), contributed : (n_experiments, n_items) and
        unit : as for :func:`core.evaluation.uncertainty.compare_with_best`.
    cost : (n_experiments,) less is cheaper, not a number where it is not known; within : (n_experiments,) bool.
    """
    places = np.flatnonzero(within)
    if not len(places):
        return None
    first = int(comparison.best_first(quality[places], cost[places])[0])
    found = uncertainty.compare_with_best(values[places], contributed[places], first, unit)
    alike = places[found.alike]
    means = values[alike].mean(axis=1)
    return Decision(int(places[first]), alike[np.lexsort((-means, cost[alike]))])


def examples(scores: np.ndarray, codes: np.ndarray) -> list[int]:
    """Rows of a weak, a typical and a strong search, of different classes where there are several.

    Parameters
    ----------
    scores : (n_queries,); codes : (n_queries,) class number of each.
    """
    rows: list[int] = []
    for level in np.quantile(scores, _QUANTILES):
        order = np.argsort(np.abs(scores - level), kind="stable")
        others = order[~np.isin(codes[order], codes[rows])]
        rows.append(int(others[0] if len(others) else order[0]))
    return rows
