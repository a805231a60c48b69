"""What the commands share: how a command is declared, tables, JSON, progress."""

import argparse
import json
import numbers
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.progress import Tracker

# A bar is drawn so often at most.
_REDRAW_SECONDS = 0.1


def group(commands: Any, name: str, text: str) -> Any:
    """A command that has commands of its own."""
    parser = commands.add_parser(name, help=text, description=_sentence(text))
    return parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)


class _Parser(argparse.ArgumentParser):
    """Takes names behind options too: until Python 3.12.7 those of ``remove NAME --undo PATH`` were not recognized."""

    _mixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._mixing:
            return super().parse_known_args(args, namespace)
        self._mixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False


def command(
    commands: Any,
    name: str,
    function: Callable[[argparse.Namespace], None],
    text: str,
    aliases: Sequence[str] = (),
) -> argparse.ArgumentParser:
    """A command that calls ``function`` with the options."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, aliases=aliases, help=text, description=_sentence(text)
    )
    parser.set_defaults(command=function)
    return parser


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def json_option(parser: argparse.ArgumentParser, text: str = "print JSON", default: Any = False) -> None:
    """The option ``--json``."""
    parser.add_argument("--json", action="store_true", default=default, help=text)


def yes_option(parser: argparse.ArgumentParser) -> None:
    """The option that :func:`confirm` takes."""
    parser.add_argument("--yes", action="store_true", help="do not ask")


def grid_option(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """The option that :func:`grid_folder` reads."""
    parser.add_argument(
        "--grid",
        type=Path,
        default=default,
        metavar="FOLDER",
        help="folder of the grid; default: where the dashboard looks",
    )


def grid_folder(options: argparse.Namespace) -> Path:
    """The folder of the grid that the options name; UserError when there is none."""
    from core.settings import settings

    folder = options.grid or settings.GRID_DIR
    if not folder.is_dir():
        raise UserError(f"There is no folder {str(folder)!r}; `playground grid run --out` creates one.")
    return folder


def count(text: str) -> int:
    """An option that is a number from 1 on."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def level(text: str) -> int:
    """The value of ``--label-level``."""
    if text.lower() == "none":
        return 0
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a level; give a number from 1 on, or none")
    return int(text)


def warn(about: object) -> None:
    """Print a warning on standard error."""
    print(f"warning: {about}", file=sys.stderr)


def confirm(yes: bool, question: str) -> None:
    """Ask before something is removed for good; UserError where the answer is no, or nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError("Removing can't be undone; confirm with --yes.")
    if input(f"{question} [y/N] ").strip().lower() != "y":
        raise UserError("Nothing was removed.")


def fields(row: object, names: str) -> dict[str, Any]:
    """Some attributes of an object by their names, which spaces separate."""
    return {name: getattr(row, name) for name in names.split()}


def print_json(value: Any) -> None:
    """Print plain data as JSON; letters that the console can't show are escaped as JSON has it."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=1)
    print(text)


def table(rows: list[dict[str, Any]], as_json: bool, empty: str) -> None:
    """Print rows as a table or as JSON; ``empty`` is printed when there are none."""
    if as_json:
        print_json(rows)
    elif not rows:
        print(empty)
    else:
        names = dict.fromkeys(name for row in rows for name in row)
        columns = [_column(name, [row.get(name) for row in rows]) for name in names]
        for line in zip(*columns, strict=True):
            print(" ".join(line).rstrip())


def _column(name: str, values: Sequence[Any]) -> list[str]:
    """The lines of a column, as wide as its longest: numbers to the right, text to the left."""
    cells = [name, *_cells(values)]
    width = max(map(len, cells))
    numeric = all(value is None or isinstance(value, numbers.Real) for value in values)
    return [cell.rjust(width) if numeric else cell.ljust(width) for cell in cells]


def _cells(values: Sequence[Any]) -> list[str]:
    """A column as text: its fractions with as many digits as the longest needs, up to six. What is missing stays empty."""
    fractions = [f"{value:.6f}".rstrip("0") for value in values if _is_fraction(value)]
    digits = max((len(text) - text.index(".") - 1 for text in fractions if "." in text), default=0)
    return [
        "" if value is None else f"{value:.{max(digits, 1)}f}" if _is_fraction(value) else str(value)
        for value in values
    ]


def _is_fraction(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral)


def prepare_network(model: str, weights: str) -> None:
    """Import TensorFlow as :func:`start_tensorflow` does, unless a network is loaded without it.

    Raises
    ------
    UnknownNameError, WeightsError : there is no such model, or its weights are not available.
    """
    from core.models import networks, registry

    if not networks.is_exported(registry.get_model(model), weights):
        start_tensorflow()


def start_tensorflow() -> None:
    """Import TensorFlow without its log lines: its C++ part writes them to the terminal before any setting applies."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        import tensorflow as tf

        # Listing the devices writes more of them.
        tf.config.list_physical_devices()
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class Bar(Tracker):
    """Progress on standard error: one bar for all of it, with the stage, its steps and the time left."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None
        self._drawn = 0.0

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def say(self, sentence: str) -> None:
        from tqdm import tqdm

        tqdm.write(sentence, file=sys.stderr)

    def _changed(self) -> None:
        from tqdm import tqdm

        if self._bar is not None and self.done_steps and time.monotonic() - self._drawn < _REDRAW_SECONDS:
            return
        self._drawn, seconds = time.monotonic(), self.seconds_left
        name = self.stage_name.replace("{", "{{").replace("}", "}}")
        steps = f" {self.done_steps:,}/{self.total:,}" if self.total > 1 else ""
        left = "" if seconds is None else f", {tqdm.format_interval(seconds)} left"
        # Rounded down: the bar is not at its end before everything is done.
        drawn = f"  {name}: {int(100 * self.fraction):3}% |{{bar}}|{steps} [{{elapsed}}{left}]"
        if self._bar is None:
            self._bar = tqdm(total=1.0, leave=False, dynamic_ncols=True, bar_format=drawn)
            return
        self._bar.bar_format, self._bar.n = drawn, self.fraction
        self._bar.refresh()
