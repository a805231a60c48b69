"""``grid``: compute experiments and read them."""

import argparse
import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cli import index_table, output
from core.errors import UnknownNameError, UserError

if TYPE_CHECKING:
    import numpy as np

    from core.evaluation.robustness import Recognition
    from core.experiments.store import Configuration, DatasetGrid, StoredRun

_DEFAULT_K = 10


def add(commands: Any) -> None:
    """Add the commands to a parser."""
    grid = output.group(commands, "grid", "compute and read experiments")
    run = output.command(grid, "run", _run, "compute experiments; those that exist are kept")
    _what_to_compute(run)
    run.add_argument("--layer", action="append", help="repeatable; default: all eight")
    run.add_argument(
        "--pooling", action="append", help="repeatable: avg, max, gem, flatten; default: avg and flatten"
    )
    run.add_argument("--metric", action="append", help="repeatable; default: all")
    run.add_argument("--top", type=int, default=20, help="neighbors kept per image (default: 20)")

    robustness = output.command(
        grid,
        "robustness",
        _robustness,
        "measure how well changed images are recognized; results that exist are kept",
    )
    _what_to_compute(robustness)
    robustness.add_argument("--pooling", action="append", help="repeatable: avg, max, gem; default: avg")
    robustness.add_argument("--metric", action="append", help="repeatable; default: cosine")
    robustness.add_argument(
        "--images",
        type=int,
        default=1000,
        help="most images of a dataset; of more, the same ones are always drawn (default: 1000)",
    )
    output.json_option(robustness, "print every result as JSON")

    measures = output.command(
        grid,
        "measures",
        _measures,
        "compute mAP, MRR and a linear probe for experiments that lack them",
    )
    measures.add_argument("--dataset", action="append", required=True, help="by name; repeatable")
    measures.add_argument("--model", action="append", help="repeatable; default: all that have experiments")
    output.grid_option(measures)

    listing = output.command(grid, "list", _list, "list the experiments and their scores")
    output.grid_option(listing)
    listing.add_argument("--dataset", action="append", help="only this dataset; repeatable")
    output.json_option(listing)

    show = output.command(grid, "show", _show, "show the measures of one experiment, by class")
    _which_experiment(show)
    show.add_argument(
        "-k", type=int, help="neighbors to score (default: 10, or all if the experiment has fewer)"
    )
    output.json_option(show)

    export = output.command(
        grid, "export", _export, "write the neighbors of every image under every configuration into one file"
    )
    export.add_argument("file", type=Path, metavar="FILE", help="ends in .csv or .parquet")
    export.add_argument("--dataset", required=True, help="by name")
    for name in ("model", "weights", "layer", "pooling", "metric"):
        export.add_argument(f"--{name}", action="append", help="repeatable; default: all")
    export.add_argument(
        "-k", type=output.count, default=_DEFAULT_K, help="neighbors of each image (default: 10)"
    )
    output.grid_option(export)

    tune = output.command(
        grid,
        "tune",
        _tune,
        "measure kinds of index on the vectors of an experiment, and the label precision that they lose",
    )
    _which_experiment(tune)
    index_table.add_options(tune)


def _which_experiment(parser: argparse.ArgumentParser) -> None:
    """The options that name one experiment."""
    for name in ("dataset", "model", "layer"):
        parser.add_argument(f"--{name}", required=True, help="as grid list prints it")
    for name, default in (("weights", "imagenet"), ("pooling", "avg"), ("metric", "cosine")):
        parser.add_argument(f"--{name}", default=default, help=f"as grid list prints it (default: {default})")
    output.grid_option(parser)


def _what_to_compute(parser: argparse.ArgumentParser) -> None:
    """The options of the commands that compute something of datasets."""
    parser.add_argument(
        "--dataset",
        action="append",
        required=True,
        help="a dataset by name, a folder of class-named folders, or collection:NAME for the labeled images of a collection",
    )
    parser.add_argument(
        "--model",
        action="append",
        help="repeatable; default: every model whose weights are on this machine",
    )
    parser.add_argument(
        "--weights",
        default="imagenet",
        help="imagenet (default), untrained, or a .weights.h5, .keras or Keras 2 .h5 file",
    )
    parser.add_argument(
        "--rescan",
        action="store_true",
        help="read a folder again that was run before; without it, its list of images stays as it was",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="folder of the grid; default: where the dashboard looks"
    )


def _models(options: argparse.Namespace) -> tuple[str, ...]:
    """The models that the options name, or those whose ImageNet weights are here."""
    from core.models import registry, weights

    here = [name for name, model in registry.MODELS.items() if weights.availability(model)[0]]
    return tuple(dict.fromkeys(options.model or here))


def _run(options: argparse.Namespace) -> None:
    from core.experiments import runner as grid
    from core.settings import settings

    out = options.out or settings.GRID_DIR
    request = grid.Request(
        models=_models(options),
        weights=options.weights,
        layers=tuple(options.layer) if options.layer else None,
        **({"poolings": tuple(options.pooling)} if options.pooling else {}),
        **({"metrics": tuple(options.metric)} if options.metric else {}),
        top=options.top,
    )
    request.check()
    chosen = _datasets(options.dataset, out, options.rescan)
    with output.Bar() as bar:
        bar.stage("starting TensorFlow", 1)
        output.start_tensorflow()
        grid.run(chosen, request, out, bar)
    print(f"The grid is in {out}", file=sys.stderr)


def _robustness(options: argparse.Namespace) -> None:
    from core.experiments import robustness_file, robustness_run
    from core.settings import settings

    out = options.out or settings.GRID_DIR
    request = robustness_run.Request(
        models=_models(options),
        weights=options.weights,
        poolings=tuple(options.pooling or ["avg"]),
        metrics=tuple(options.metric or ["cosine"]),
        images=options.images,
    )
    request.check()
    chosen = _datasets(options.dataset, out, options.rescan)
    with output.Bar() as bar:
        bar.stage("starting", 0)
        for model in request.models:
            output.prepare_network(model, options.weights)
        robustness_run.run(chosen, request, out, bar)
    rows = []
    for dataset in chosen:
        tables = robustness_file.read(out, dataset)
        for configuration, found in robustness_file.by_configuration(tables).items():
            named = {
                "dataset": dataset.name,
                **output.fields(configuration, "model weights layer pooling metric"),
            }
            if options.json:
                rows += [named | _recognition(*key, one) for key, one in found.items()]
            else:
                means = robustness_file.over_strengths(found, "recall")
                rows.append(named | {change: round(mean, 2) for change, mean in means.items()})
    output.table(rows, options.json, "")
    if not options.json:
        print(
            "\nSame-picture recall@1 of each change, mean over its three strengths; --json has all results."
        )


def _measures(options: argparse.Namespace) -> None:
    from core.experiments import measure_run
    from core.experiments.store import Grid

    grid = Grid(output.grid_folder(options))
    chosen = [grid.dataset(name) for name in dict.fromkeys(options.dataset)]
    with output.Bar() as bar:
        measure_run.run(chosen, tuple(options.model or ()), grid.folder, bar)


def _recognition(change: str, strength: int, one: "Recognition") -> dict[str, Any]:
    low, high = one.recall_interval
    return {
        "change": change,
        "strength": strength,
        "images": one.n,
        "recall@1": round(one.recall, 4),
        "recall@1_interval_95": [round(low, 4), round(high, 4)],
        "precision@10": round(one.precision, 4),
        "precision@10_interval_95": [round(one.precision_low, 4), round(one.precision_high, 4)],
    }


def _datasets(asked: list[str], out: Path, rescan: bool) -> list[Any]:
    """The datasets that options name, each once; UserError where two of them have one name."""
    chosen: dict[str, tuple[str, Any]] = {}
    for name in asked:
        dataset = dataset_of(name, out, rescan)
        first, there = chosen.setdefault(dataset.name, (name, dataset))
        if (there.images.resolve(), there.collection) != (dataset.images.resolve(), dataset.collection):
            raise UserError(
                f"{first!r} and {name!r} are two datasets of the same name, {dataset.name!r}; "
                "rename one of the folders, or run them one by one, each with its own --out."
            )
    return [dataset for _, dataset in chosen.values()]


def dataset_of(name: str, out: Path, rescan: bool) -> Any:
    """The dataset that an option names; of a collection, the dataset of its labeled images."""
    from core.collections import Collection, labelled_dataset
    from core.data import datasets
    from core.settings import settings

    if not name.startswith(labelled_dataset.PREFIX):
        say = functools.partial(print, file=sys.stderr)
        return datasets.find(name, out, settings.GRID_DIR, rescan=rescan, say=say)
    with Collection.open(name.removeprefix(labelled_dataset.PREFIX)) as collection:
        labelled = labelled_dataset.dataset(collection)
    for sentence in labelled.left_out:
        print(sentence, file=sys.stderr)
    return labelled.dataset


def _list(options: argparse.Namespace) -> None:
    from core.experiments.store import Grid

    grid = Grid(output.grid_folder(options))
    names = options.dataset or grid.dataset_names()
    rows = []
    for name in names:
        loaded = grid.load(name)
        for notice in loaded.notices:
            output.warn(notice)
        rows += [
            {
                **output.fields(s, "dataset model weights layer depth pooling metric dimensions"),
                "score@10": round(s.score_10, 4),
                "score@15": round(s.score_15, 4),
                "precision@1": round(s.precision_1, 4),
            }
            for s in loaded.summaries
        ]
    output.table(
        rows, options.json, "No experiments here yet; `playground grid run --dataset NAME` computes some."
    )


def _export(options: argparse.Namespace) -> None:
    from core.experiments import neighbor_export
    from core.experiments.store import Grid

    grid = Grid(output.grid_folder(options)).load(options.dataset)
    for notice in grid.notices:
        output.warn(notice)
    wanted = {part: values for part in neighbor_export.PARTS if (values := getattr(options, part))}
    some = neighbor_export.matching(grid, wanted)
    with output.Bar() as bar:
        rows = neighbor_export.write(options.file, grid, some, options.k, bar)
    print(f"Wrote {rows:,} rows of {len(some):,} experiments to {options.file}")


def _tune(options: argparse.Namespace) -> None:
    from core.collections import experiment_index
    from core.experiments.store import Configuration, Grid

    grid = Grid(output.grid_folder(options)).load(options.dataset)
    _known_run(grid, options)
    configuration = Configuration(
        options.model, options.weights, options.layer, options.pooling, options.metric
    )
    with output.Bar() as bar:
        found = experiment_index.measure(grid, configuration, options.index or (), bar)
    index_table.show(found, index_table.limits(options), options.json)


def _show(options: argparse.Namespace) -> None:
    import numpy as np

    from core.evaluation import scoring
    from core.experiments.query_scores import evaluate
    from core.experiments.store import Configuration, Grid

    grid = Grid(output.grid_folder(options)).load(options.dataset)
    dataset, run = grid.dataset, _known_run(grid, options)
    one = Configuration(options.model, options.weights, options.layer, options.pooling, options.metric)
    longest = run.neighbors(options.layer, options.pooling, options.metric).ids.shape[1]
    k = min(_DEFAULT_K, longest) if options.k is None else options.k
    if not 1 <= k <= longest:
        raise UserError(f"-k is {k}; this experiment holds 1 to {longest} neighbors per image.")
    found = evaluate(grid, one, k)
    values, intervals = _measured(grid, one, k)
    relevant = scoring.count_relevant(found.queries, dataset.labels)
    chance = found.same if found.ties is None else found.ties.chance
    values[f"AP@{k}"] = scoring.average_precision_at_k(chance, k, relevant, found.ties)
    labels = np.asarray(dataset.labels)[found.queries]
    classes = {name: scoring.per_class(column, labels) for name, column in values.items()}
    rows = [
        {"class": label, "queries": int((labels == label).sum())}
        | {name: round(classes[name][label], 4) for name in values}
        for label in dataset.classes
        if (labels == label).any()
    ]
    total: dict[str, Any] = {"class": "all", "queries": len(labels)}
    total |= {name: round(float(column.mean()), 4) for name, column in values.items()}
    attainable = round(float(found.attainable.mean()), 4)
    if options.json:
        capped = {"attainable": {f"score@{k}": attainable}} if attainable < 100 else {}
        undecided = {} if found.ties is None else {"undecided": round(found.ties.undecided(k), 4)}
        output.print_json({"classes": rows, "all": total, "interval_95": intervals, **capped, **undecided})
        return
    output.table([*rows, total], False, "")
    low, high = intervals[f"score@{k}"]
    print(f"\n95% interval of score@{k} over all queries: {low:.1f} to {high:.1f} (delete-d jackknife)")
    if found.ties is not None and found.saturated:
        print(
            f"These distances do not separate the images: for {found.ties.undecided(k):.0%} of them the {k}th neighbor and others are equally "
            "far, and the scores are means over all orders of these."
        )
    if found.n_unknown_ties:
        print(
            f"Ties unknown: {found.n_unknown_ties} lists end among equally distant neighbors; images beyond count as farther."
        )
    if attainable < 100:
        print(f"At most {attainable:.1f} can be reached: some classes have fewer than {k + 1} images.")


def _measured(
    grid: "DatasetGrid", one: "Configuration", k: int
) -> tuple[dict[str, "np.ndarray"], dict[str, list[float]]]:
    """Every measure that the experiment has, by its name: the values of all queries, and the 95% interval of their mean."""
    import numpy as np

    from core.evaluation import uncertainty
    from core.evaluation.measures import MEASURES
    from core.experiments import query_scores

    values, intervals = {}, {}
    key = (one.layer, one.pooling, one.metric)
    for name, measure in MEASURES.items():
        if measure.stored and key not in grid.measures(one.model, one.weights, name):
            continue
        found = query_scores.values(grid, one, k, name)
        contributed = found.contributed(np.ones(len(found.queries), bool))
        ends = uncertainty.interval(found.values.mean(), contributed, found.results.codes, 100.0)
        label = measure.label_at(k)
        values[label] = found.values / measure.whole
        intervals[label] = [round(float(end) / measure.whole, 4) for end in ends]
    return values, intervals


def _known_run(grid: "DatasetGrid", options: argparse.Namespace) -> "StoredRun":
    """The run that the options name, or an error that lists what there is instead."""
    for notice in grid.notices:
        output.warn(notice)
    if options.model not in {model for model, _ in grid.runs}:
        raise UnknownNameError("model", options.model, dict.fromkeys(model for model, _ in grid.runs))
    run = grid.runs.get((options.model, options.weights))
    if run is None:
        raise UnknownNameError(
            "weights", options.weights, [weights for model, weights in grid.runs if model == options.model]
        )
    for name in ("layer", "pooling", "metric"):
        valid = list(dict.fromkeys(getattr(s, name) for s in run.summaries))
        if getattr(options, name) not in valid:
            raise UnknownNameError(name, getattr(options, name), valid)
    return run
