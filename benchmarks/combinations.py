"""Whether concatenated vectors of several networks find better neighbors than those of the best network alone.

    .venv/bin/python -m benchmarks.combinations objects200 emoji200 fashion1000

Of each trained network whose average-pooled vectors are stored, the layer with the highest score takes part. Its vectors are scaled to length
one, the mean of the set is subtracted or not, and those of two or more networks are concatenated and compared by cosine distance: every choice of
networks is a candidate. They are held against the best experiment of trained networks in the grid, under any layer, pooling and metric, and against
the best network alone, whose vectors may be centered as well. Intervals count each picture as a query and as a neighbor of others (``core.evaluation.uncertainty``).
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from core.cli import output
from core.evaluation import scoring, uncertainty
from core.evaluation import ties as ties_
from core.experiments import query_scores, runner
from core.experiments.store import Configuration, DatasetGrid, Grid, Summary
from core.metrics import get_metric
from core.models import weights

K, _TOP = 10, 20
_WAYS = ("as they are", "centered")
_COSINE = get_metric("cosine").name


@dataclass(frozen=True)
class Candidate:
    """A combination, or an experiment that is alone.

    name : of its networks; way : how their vectors were prepared; scores : (n_queries,) 0..100; contributed : (n_items,)
    of :func:`core.evaluation.uncertainty.contributions`.
    """

    name: str
    way: str
    scores: np.ndarray
    contributed: np.ndarray

    @property
    def mean(self) -> float:
        return float(self.scores.mean())


def chosen_layers(grid: DatasetGrid) -> dict[str, Configuration]:
    """Of each trained network with stored vectors, the layer that scores highest with average pooling and cosine distance."""
    found: dict[str, Configuration] = {}
    for one in sorted(grid.summaries, key=lambda one: one.best_first):
        stored = "vectors" in grid.run(one).about.files and _trained(one)
        if stored and (one.pooling, one.metric) == ("avg", _COSINE):
            found.setdefault(one.model, one.configuration)
    return dict(sorted(found.items()))


def _trained(one: Summary) -> bool:
    """Whether an experiment is of a single trained network that is known here."""
    return one.weights == weights.IMAGENET or one.weights.startswith("onnx-")


def similarities(grid: DatasetGrid, configuration: Configuration, way: str) -> np.ndarray:
    """Inner products (n, n) of all vectors of a network, as they go into a combination."""
    ids, stored = grid.run(configuration).vectors(configuration.layer, configuration.pooling)
    vectors = stored[np.argsort(ids)].astype(np.float64)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    if way == "centered":
        vectors -= vectors.mean(axis=0)
    return vectors @ vectors.T


def cosine(products: np.ndarray) -> np.ndarray:
    """Cosine distances (n, n) of vectors with these inner products; those of concatenated vectors are the sums of each part's."""
    lengths = np.sqrt(np.diag(products))
    return np.asarray(1.0 - products / (lengths[:, None] * lengths))


def combined(grid: DatasetGrid) -> Iterator[Candidate]:
    """Every choice of two or more networks, and each network alone."""
    layers = chosen_layers(grid)
    for way in _WAYS:
        products = {name: similarities(grid, one, way) for name, one in layers.items()}
        for size in range(1, len(products) + 1):
            for names in combinations(products, size):
                yield _scored(
                    grid, "+".join(names), way, cosine(np.sum([products[name] for name in names], axis=0))
                )


def _scored(grid: DatasetGrid, name: str, way: str, distances: np.ndarray) -> Candidate:
    n, codes = len(distances), scoring.class_codes(grid.dataset.labels)
    queries = np.arange(n)
    ids, near, beyond = runner.nearest_others(distances, queries, _TOP, codes)
    same = scoring.same_label(queries, ids, grid.dataset.labels)
    tied = ties_.find(near, same, beyond, codes)
    contributed = uncertainty.contributions(
        queries, ids[None], same[None], codes, scoring.gains(K), ties={0: tied} if tied else {}
    )[0]
    return Candidate(name, way, scoring.score(same if tied is None else tied.chance, K), contributed)


def alone(grid: DatasetGrid) -> Iterator[Candidate]:
    """Every experiment of trained networks in the grid."""
    codes = scoring.class_codes(grid.dataset.labels)
    for one in sorted(grid.summaries, key=lambda one: one.best_first):
        if not _trained(one):
            continue
        found = query_scores.evaluate(grid, one, K)
        contributed = uncertainty.contributions(
            found.queries,
            found.ids[None],
            found.same[None],
            codes,
            scoring.gains(K),
            ties={0: found.ties} if found.ties else {},
        )[0]
        yield Candidate(one.model, f"{one.layer}, {one.pooling}, {one.metric}", found.scores, contributed)


@dataclass(frozen=True)
class Gain:
    """By how much a candidate is above the best experiment; ``low`` and ``high`` hold for all candidates at once."""

    mean: float
    low: float
    high: float
    alone: uncertainty.Difference


def gains(candidates: Sequence[Candidate], best: Candidate, codes: np.ndarray) -> list[Gain]:
    """The gain of each candidate, with simultaneous 95% intervals (max-T; Westfall and Young, 1993)."""
    between = np.array([one.contributed - best.contributed for one in candidates])
    errors = np.maximum(uncertainty.standard_errors(between), 1e-6)
    signs = np.random.default_rng(0).choice((-1.0, 1.0), (uncertainty.n_resamples(len(codes)), len(codes)))
    reach = float(np.quantile(np.abs(signs @ between.T / errors).max(axis=1), uncertainty.LEVEL))
    unit = scoring.unit(K, tied=True)
    found = []
    for one, gap, error in zip(candidates, between, errors, strict=True):
        paired = uncertainty.difference(one.scores, best.scores, gap, codes, unit)
        found.append(Gain(paired.mean, paired.mean - reach * error, paired.mean + reach * error, paired))
    return found


@dataclass(frozen=True)
class Ranking:
    """The combinations of a dataset, the best first, with their gains over the best of others.

    experiment : the best experiment of one network; network : the best of one network, whose vectors may be centered as well.
    """

    n_experiments: int
    experiment: Candidate
    network: Candidate
    combinations: list[Candidate]
    over_experiment: list[Gain]
    over_network: list[Gain]


def rank(grid: DatasetGrid) -> Ranking:
    """Compare all combinations of a dataset with what one network can do."""
    experiments = list(alone(grid))
    single: list[Candidate] = []
    several: list[Candidate] = []
    for one in combined(grid):
        (several if "+" in one.name else single).append(one)
    if not several:
        raise SystemExit(f"{grid.dataset.name} has stored vectors of fewer than two trained networks.")
    several.sort(key=lambda one: -one.mean)
    experiment = max(experiments, key=lambda one: one.mean)
    network = max(experiment, *single, key=lambda one: one.mean)
    codes = scoring.class_codes(grid.dataset.labels)
    return Ranking(
        len(experiments),
        experiment,
        network,
        several,
        gains(several, experiment, codes),
        gains(several, network, codes),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.combinations", description=__doc__.splitlines()[0]
    )
    parser.add_argument("dataset", nargs="+")
    parser.add_argument("--most", type=int, default=5, help="combinations to print (default: 5)")
    output.grid_option(parser)
    options = parser.parse_args()
    stored = Grid(Path(output.grid_folder(options)))
    ranked = {name: rank(stored.load(name)) for name in options.dataset}
    for name, found in ranked.items():
        print(f"\n{name}: {len(found.combinations)} combinations, {found.n_experiments} experiments")
        print(
            f"{found.experiment.mean:5.1f}  best experiment: {found.experiment.name}, {found.experiment.way}"
        )
        print(f"{found.network.mean:5.1f}  best network alone: {found.network.name}, {found.network.way}")
        for place in range(min(options.most, len(found.combinations))):
            print(_line(found, place))
    print("\nThe best combination of one dataset on the others:")
    for source, there in ranked.items():
        best = there.combinations[0]
        for target, here in ranked.items():
            places = {(one.name, one.way): place for place, one in enumerate(here.combinations)}
            if target != source and (best.name, best.way) in places:
                print(f"{source} -> {target}\n{_line(here, places[best.name, best.way])}")


def _line(found: Ranking, place: int) -> str:
    one = found.combinations[place]
    return (
        f"{one.mean:5.1f}  {one.name}, {one.way}\n"
        f"       over the best experiment {_gain(found.over_experiment[place])}\n"
        f"       over the best network alone {_gain(found.over_network[place])}"
    )


def _gain(gain: Gain) -> str:
    paired = gain.alone
    decided = f", p {paired.p:.3f}" if paired.p is not None else ""
    return (
        f"{gain.mean:+.1f} [{paired.low:+.1f}, {paired.high:+.1f}]{decided}; "
        f"with all combinations at once [{gain.low:+.1f}, {gain.high:+.1f}]"
    )


if __name__ == "__main__":
    main()
