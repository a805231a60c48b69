"""What ``collection tune`` and ``grid tune`` share: their options and the table of kinds of index."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.cli import output
from core.errors import UserError
from core.wish import RECALL_GOAL

if TYPE_CHECKING:
    from core.collections.index_tuning import Limits, MeasuredIndex


def add_options(parser: argparse.ArgumentParser) -> None:
    """The limits, and the kinds to try."""
    parser.add_argument("--max-memory", type=float, metavar="MB", help="largest index")
    parser.add_argument("--max-latency", type=float, metavar="MS", help="longest median time of a query")
    parser.add_argument(
        "--min-recall",
        type=float,
        default=RECALL_GOAL,
        metavar="X",
        help=f"lowest recall@10 against exact search (default: {RECALL_GOAL:g})",
    )
    parser.add_argument(
        "--index",
        action="append",
        help="kind of index to measure; repeatable; default: those that the engine proposes",
    )
    output.json_option(parser)


def limits(options: argparse.Namespace) -> "Limits":
    """The limits that the options give."""
    from core.collections.index_tuning import Limits

    return Limits(options.min_recall, options.max_memory, options.max_latency)


def show(found: Sequence["MeasuredIndex"], limits: "Limits", as_json: bool) -> "MeasuredIndex":
    """Print the candidates and return the best; UserError when none is within the limits."""
    from core.collections import index_tuning

    best = index_tuning.choose(found, limits)
    output.table([_row(candidate, candidate is best) for candidate in found], as_json, "")
    if best is None:
        raise UserError("No candidate is within the limits; allow more memory or time, or less recall.")
    if not as_json and best.label_loss is not None:
        print(
            "\nLabel loss: how much lower label precision@10 is than with exact search, with its 95% interval."
        )
    return best


def _row(candidate: "MeasuredIndex", best: bool) -> dict[str, Any]:
    precision, loss = candidate.label_precision, candidate.label_loss
    return {
        "": "best" if best else "",
        "engine": candidate.engine,
        "index": candidate.kind,
        "factory": candidate.factory,
        "effort": candidate.effort,
        "recall@10": round(candidate.recall, 4),
        "median ms": round(candidate.median_ms, 3),
        "p95 ms": round(candidate.p95_ms, 3),
        "filtered recall@10": round(candidate.filtered_recall, 4),
        "filtered median ms": round(candidate.filtered_ms, 3),
        "label precision@10": None if precision is None else round(precision, 4),
        # Rounding may leave a minus zero.
        "label loss": None if loss is None else round(loss.mean, 4) + 0.0,
        "loss from": None if loss is None else round(loss.low, 4) + 0.0,
        "loss to": None if loss is None else round(loss.high, 4) + 0.0,
        "build s": round(candidate.build_seconds, 2),
        "bytes/vector": round(candidate.bytes_per_vector),
        "MB": round(candidate.megabytes, 1),
    }
