"""The command line: parses a command, calls the other modules, prints a table or JSON.

A mistake of the user ends with exit code 2 and a sentence on standard error; a staged copy that is not published with 3.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence

from core.cli import (
    bench_here,
    channels,
    collection,
    combinations,
    datasets,
    grid,
    models,
    plan,
    published,
    run,
    shards,
    vectors,
)
from core.errors import RefusedError, UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A console that can't show a label or file name prints its characters escaped.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3 if isinstance(error, RefusedError) else 2
    except KeyboardInterrupt:
        print("\nStopped. What is on disk is complete, and the same command continues.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of the pipe closed it; keep Python from complaining again on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="playground",
        description="Compare image embeddings for semantic search, and search your own images.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for part in (
        grid,
        published,
        datasets,
        models,
        vectors,
        combinations,
        channels,
        collection,
        shards,
        plan,
        bench_here,
        run,
    ):
        part.add(commands)
    return parser
