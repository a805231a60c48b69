"""The command line: words in, calls of the other modules, tables or JSON out.

A mistake of the user ends with exit code 2 and a sentence on standard error.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.errors import UnknownNameError, UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "\nStopped; what is on disk is whole, and the same command goes on from there.", file=sys.stderr
        )
        return 130
    except BrokenPipeError:
        # The reader of a pipe has seen enough; keep Python from complaining again on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m core", description="How should images become vectors for semantic search?"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    grid = commands.add_parser("grid", help="compute and read experiments").add_subparsers(
        required=True, metavar="COMMAND"
    )
    run = _command(grid, "run", _grid_run, "compute experiments; what is there already is kept")
    run.add_argument(
        "--dataset",
        action="append",
        required=True,
        help="a dataset by name, or a folder of class-named folders",
    )
    run.add_argument(
        "--model", action="append", help="repeatable; default: every model with ImageNet weights here"
    )
    run.add_argument(
        "--weights", default="imagenet", help="imagenet (default), untrained, or a .weights.h5 or .keras file"
    )
    run.add_argument("--layer", action="append", help="repeatable; default: all eight")
    run.add_argument(
        "--pooling", action="append", help="repeatable: avg, max, gem, flatten; default: avg and flatten"
    )
    run.add_argument("--metric", action="append", help="repeatable; default: all")
    run.add_argument("--top", type=int, default=20, help="neighbors kept per image (default: 20)")
    run.add_argument("--out", type=Path, help="folder of the grid; default: where the dashboard looks")

    listing = _command(grid, "list", _grid_list, "list the experiments that exist")
    listing.add_argument("--grid", type=Path, help="folder of the grid; default: where the dashboard looks")
    listing.add_argument("--dataset", action="append", help="only this dataset; repeatable")
    listing.add_argument("--json", action="store_true", help="a JSON array, one object per experiment")

    show = _command(grid, "show", _grid_show, "the scores of one experiment, by class")
    for name in ("dataset", "model", "layer"):
        show.add_argument(f"--{name}", required=True)
    show.add_argument("--weights", default="imagenet", help="as grid list prints it (default: imagenet)")
    show.add_argument("--pooling", default="avg")
    show.add_argument("--metric", default="cosine")
    show.add_argument("-k", type=int, default=10, help="neighbors looked at (default: 10)")
    show.add_argument("--grid", type=Path, help="folder of the grid; default: where the dashboard looks")
    show.add_argument("--json", action="store_true")

    datasets = _command(commands, "datasets", _datasets, "list the datasets")
    datasets.add_argument("--grid", type=Path, help="folder of the grid; default: where the dashboard looks")
    datasets.add_argument("--json", action="store_true")

    models = _command(commands, "models", _models, "list the models, their layers and weights")
    models.add_argument("--json", action="store_true")
    serve = _command(commands, "serve", _serve, "serve the dashboard with its REST API, or the API alone")
    serve.add_argument("--api-only", action="store_true", help="without the pages")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8501)
    return parser


def _command(commands: Any, name: str, function: Callable, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text.capitalize() + ".")
    parser.set_defaults(command=function)
    return parser


def _grid_run(options: argparse.Namespace) -> None:
    from core import datasets, settings
    from core.experiments import grid
    from core.models import weights, zoo

    out = options.out or settings.GRID_DIR
    models = options.model or [name for name, model in zoo.MODELS.items() if weights.availability(model)[0]]
    request = grid.Request(
        models=tuple(dict.fromkeys(models)),
        weights=options.weights,
        layers=tuple(options.layer) if options.layer else None,
        **({"poolings": tuple(options.pooling)} if options.pooling else {}),
        **({"metrics": tuple(options.metric)} if options.metric else {}),
        top=options.top,
    )
    request.check()
    found = [datasets.find(name, out, settings.GRID_DIR) for name in options.dataset]
    chosen = list({dataset.name: dataset for dataset in found}.values())
    with _Bar() as bar:
        bar.stage("starting TensorFlow", 1)
        _start_tensorflow()
        grid.run(chosen, request, out, bar)
    print(f"The grid is in {out}", file=sys.stderr)


def _grid_list(options: argparse.Namespace) -> None:
    from core.experiments.store import Grid

    grid = Grid(_grid_folder(options))
    names = options.dataset or grid.dataset_names()
    rows = []
    for name in names:
        if name not in grid.dataset_names():
            raise UnknownNameError("dataset", name, grid.dataset_names())
        summaries, notices = grid.summaries(grid.dataset(name))
        for notice in notices:
            print(f"warning: {notice}", file=sys.stderr)
        rows += [
            {
                "dataset": s.dataset,
                "model": s.model,
                "weights": s.weights,
                "layer": s.layer,
                "depth": s.depth,
                "pooling": s.pooling,
                "metric": s.metric,
                "dimensions": s.dimensions,
                "score@10": round(s.score_10, 4),
                "score@15": round(s.score_15, 4),
                "precision@1": round(s.precision_1, 4),
            }
            for s in summaries
        ]
    _print(
        rows, options.json, "No experiments here yet; `python -m core grid run --dataset NAME` computes some."
    )


def _grid_show(options: argparse.Namespace) -> None:
    import numpy as np

    from core.experiments import evaluate
    from core.experiments.store import Grid

    grid = Grid(_grid_folder(options))
    if options.dataset not in grid.dataset_names():
        raise UnknownNameError("dataset", options.dataset, grid.dataset_names())
    dataset = grid.dataset(options.dataset)
    run = _known_run(grid, dataset, options)
    neighbors = run.neighbors(options.layer, options.pooling, options.metric)
    longest = neighbors.ids.shape[1]
    if not 1 <= options.k <= longest:
        raise UserError(f"-k is {options.k}; this experiment holds 1 to {longest} neighbors per image.")
    k = options.k
    same = evaluate.same_label(neighbors.queries, neighbors.ids, dataset.labels)
    relevant = evaluate.count_relevant(neighbors.queries, dataset.labels)
    values = {
        f"score@{k}": evaluate.score(same, k),
        "precision@1": evaluate.precision_at_k(same, 1),
        f"precision@{k}": evaluate.precision_at_k(same, k),
        f"AP@{k}": evaluate.average_precision_at_k(same, k, relevant),
        f"recall@{k}": evaluate.recall_at_k(same, k, relevant),
    }
    labels = np.asarray(dataset.labels)[neighbors.queries]
    classes = {name: evaluate.per_class(column, labels) for name, column in values.items()}
    rows = [
        {"class": label, "queries": int((labels == label).sum())}
        | {name: round(classes[name][label], 4) for name in values}
        for label in dataset.classes
        if (labels == label).any()
    ]
    total: dict[str, Any] = {"class": "all", "queries": len(labels)}
    total |= {name: round(float(column.mean()), 4) for name, column in values.items()}
    intervals = {name: [round(x, 4) for x in evaluate.bootstrap_interval(c)] for name, c in values.items()}
    if options.json:
        print(
            json.dumps(
                {"classes": rows, "all": total, "interval_95": intervals}, indent=1, ensure_ascii=False
            )
        )
        return
    _print([*rows, total], False, "")
    low, high = intervals[f"score@{k}"]
    print(f"\n95% interval of score@{k} over all queries: {low:.1f} to {high:.1f} (bootstrap)")


def _known_run(grid: Any, dataset: Any, options: argparse.Namespace) -> Any:
    """The run that the options name, or an error that lists what there is instead."""
    runs, notices = grid.runs(dataset)
    for notice in notices:
        print(f"warning: {notice}", file=sys.stderr)
    for run in runs:
        if (run.about.model, run.about.weights) == (options.model, options.weights):
            break
    else:
        models = [run.about.model for run in runs]
        if options.model not in models:
            raise UnknownNameError("model", options.model, dict.fromkeys(models))
        raise UnknownNameError(
            "weights", options.weights, [r.about.weights for r in runs if r.about.model == options.model]
        )
    for name in ("layer", "pooling", "metric"):
        valid = list(dict.fromkeys(getattr(s, name) for s in run.summaries))
        if getattr(options, name) not in valid:
            raise UnknownNameError(name, getattr(options, name), valid)
    return run


def _datasets(options: argparse.Namespace) -> None:
    from core.experiments.store import Grid

    grid = Grid(_grid_folder(options))
    rows = []
    for name in grid.dataset_names():
        try:
            dataset = grid.dataset(name)
        except UserError as error:
            print(f"warning: {error}", file=sys.stderr)
            continue
        rows.append(
            {
                "dataset": dataset.name,
                "title": dataset.title,
                "images": len(dataset),
                "classes": list(dataset.classes) if options.json else len(dataset.classes),
            }
        )
    _print(rows, options.json, "No datasets here.")


def _models(options: argparse.Namespace) -> None:
    from dataclasses import asdict

    from core.models import weights, zoo

    rows = []
    for model in zoo.MODELS.values():
        available, sentence = weights.availability(model)
        row = {
            "model": model.name,
            "title": model.title,
            "input": model.input_size,
            "parameters": model.parameters,
            "imagenet": available if options.json else "here" if available else "not here",
            "about": sentence,
        }
        if options.json:
            row["layers"] = [{**asdict(layer), "depth": depth} for depth, layer in enumerate(model.layers, 1)]
        rows.append(row)
    _print(rows, options.json, "")


def _serve(options: argparse.Namespace) -> None:
    import subprocess

    if not options.api_only:
        script = Path(__file__).resolve().parent.parent / "scripts" / "serve.py"
        with suppress(KeyboardInterrupt):
            subprocess.run(
                [sys.executable, script, "--host", options.host, "--port", str(options.port)], check=False
            )
        return
    import uvicorn
    from starlette.applications import Starlette

    from core import api, pictures

    print(f"The API is at http://{options.host}:{options.port}/api/docs", file=sys.stderr)
    with suppress(KeyboardInterrupt):
        uvicorn.run(
            Starlette(routes=[*api.routes(), *pictures.routes()]),
            host=options.host,
            port=options.port,
            log_level="warning",
        )


def _grid_folder(options: argparse.Namespace) -> Path:
    from core import settings

    folder = options.grid or settings.GRID_DIR
    if not folder.is_dir():
        raise UserError(f"There is no folder {str(folder)!r}; `grid run --out` makes one.")
    return folder


def _print(rows: list[dict[str, Any]], as_json: bool, empty: str) -> None:
    if as_json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    elif not rows:
        print(empty)
    else:
        import pandas as pd

        print(pd.DataFrame(rows).to_string(index=False))


def _start_tensorflow() -> None:
    """Import it with its greetings hushed: its C++ part writes them to the terminal before any setting applies."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        import tensorflow  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class _Bar:
    """Progress on standard error: one bar per stage, with what is computed and the time left."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def stage(self, name: str, total: int) -> None:
        from tqdm import tqdm

        self._close()
        self._bar = tqdm(
            total=total,
            desc=f"  {name}",
            leave=False,
            dynamic_ncols=True,
            bar_format="{desc}: {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left]",
        )

    def step(self, n: int = 1) -> None:
        self._bar.update(n)

    def say(self, sentence: str) -> None:
        from tqdm import tqdm

        tqdm.write(sentence, file=sys.stderr)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
