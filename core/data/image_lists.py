"""Lists of images: tables in CSV, TSV or Parquet whose rows name files or URLs, with a label and other columns.

Text is read as it is written: cells such as ``NA`` or dates stay text, and only a metadata column in which every cell is a number becomes
numbers. A list is read twice, a row at a time; the first time finds out what its columns hold.
"""

# Paths are strings here, as in sources.

import codecs
import csv
import hashlib
import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes, urlsplit

from core.data.image_sources import SourceError, is_remote
from core.settings import settings
from core.text import nfc

# Usual names of columns, in lower case and with underscores; the first one that holds paths is used.
PATH_COLUMNS = (
    *("path", "file", "filename", "filepath", "file_path", "file_name"),
    *("image", "image_path", "image_file", "image_name", "img", "img_path", "url", "image_url", "uri"),
)
LABEL_COLUMNS = ("label", "class", "category")
# PostgreSQL's index of labels takes 2,700 bytes.
LONGEST_LABEL = 500
_SEPARATORS = ",;\t"
# The longer ones first: UTF-32 begins like UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_BATCH = 5_000
# Increase it when the same file is read differently than before, so that remembered lists are read again.
_RULES = 1
_NUMBER = re.compile(r"-?\d[\d.e+-]{0,30}")
# The problem of a row without a path.
NO_PATH = "row without a path"


@dataclass(frozen=True)
class Row:
    """A row of a list.

    number : as in a spreadsheet, where the header is row 1; path : absolute, or a URL, None if the row has none;
    label : as it is written, None if the cell is empty; problem : why the row can't be used.
    """

    number: int
    path: str | None = None
    label: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None


def read(path: Path, path_column: str | None = None) -> Iterator[Row]:
    """The rows of a list in their order; rows without any text are left out.

    Parameters
    ----------
    path_column : the column of paths; default: the first of :data:`PATH_COLUMNS` that names an existing file or a URL.

    Raises
    ------
    SourceError : it can't be read, has no column of paths, or none of its rows names an existing file or a URL.
    """
    with _reading(path):
        table: _Table = _Parquet(path) if path.suffix.lower() == ".parquet" else _Text(path)
        place = _place(path, table, path_column)
        names = [_normal(column) for column in table.columns]
        kind = next((names.index(name) for name in LABEL_COLUMNS if name in names), None)
        others = [i for i in range(len(names)) if i not in (place, kind)]
        exact = table.columns_of_numbers(others)
        for number, cells in table.rows():
            if isinstance(cells, str):
                yield Row(number, problem=cells)
            elif any(cell is not None and cell != "" for cell in cells):
                yield _row(path.parent, table.columns, number, cells, place, kind, others, exact)


def digest(path: Path, path_column: str | None = None) -> str:
    """A SHA-256 of the list and of the rules by which :func:`read` reads it.

    Raises
    ------
    SourceError : the list can't be read.
    """
    try:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"The list {path.name!r} can't be read: {error.strerror}.") from None
    return hashlib.sha256(f"{_RULES}\n{path_column}\n{content}".encode()).hexdigest()


class _Table(Protocol):
    columns: list[str]

    def rows(self) -> Iterator[tuple[int, Sequence[Any] | str]]:
        """Number and cells of each row, or the problem of a row."""

    def columns_of_numbers(self, columns: Sequence[int]) -> set[int]:
        """Which of some columns hold only text that is a number."""

    def may_hold_paths(self, column: int) -> bool:
        """Whether the cells of a column are text."""


class _Text:
    """A table in CSV or TSV; encoding, separator and spaces after it are detected from its beginning."""

    def __init__(self, path: Path):
        self._path = path
        with path.open("rb") as file:
            start = file.read(4)
        self._encoding = next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")
        self._separator, header, self._first = self._begin()
        # Written by hand, like "path, label": the space belongs to the separator.
        self._spaced = len(header) > 1 and all(cell.startswith(" ") for cell in header[1:])
        self.columns = _unique(path, [cell.strip() for cell in header])

    def rows(self) -> Iterator[tuple[int, Sequence[str] | str]]:
        width = len(self.columns)
        for number, cells in self._records(self._separator, self._spaced):
            if number <= self._first:
                continue
            if len(cells) > width and any(cells[width:]):
                yield number, f"it has {len(cells):,} cells, the header has {width:,}"
            else:
                yield number, (cells + [""] * width)[:width]

    def columns_of_numbers(self, columns: Sequence[int]) -> set[int]:
        left, filled = set(columns), set()
        for _, cells in self.rows():
            if not left:
                break
            if not isinstance(cells, str):
                given = {column for column in left if cells[column]}
                filled |= given
                left -= {column for column in given if _number(cells[column]) is None}
        return left & filled

    def may_hold_paths(self, column: int) -> bool:
        return True

    def _begin(self) -> tuple[str, list[str], int]:
        """Separator, header and its row number: with a column of paths if possible, or else with the most columns."""
        found = [header for separator in _SEPARATORS if (header := self._read_header(separator))]
        if not found:
            raise SourceError(f"The list {self._path.name!r} has no header in its first row, or is empty.")
        return max(found, key=lambda one: (any(_normal(c) in PATH_COLUMNS for c in one[1]), len(one[1])))

    def _read_header(self, separator: str) -> tuple[str, list[str], int] | None:
        try:
            for number, cells in self._records(separator):
                if any(cell.strip() for cell in cells):
                    return separator, cells, number
        except csv.Error:
            # The quotation marks may be valid with another separator.
            pass
        return None

    def _records(self, separator: str, spaced: bool = False) -> Iterator[tuple[int, list[str]]]:
        # For the whole process; nothing else in it uses this module.
        csv.field_size_limit(settings.MAX_CELL_CHARACTERS)
        number = 0
        with self._path.open(encoding=self._encoding, newline="") as file:
            # Strict: an unclosed quotation mark would swallow all rows after it.
            records = csv.reader(
                _without_nul(file), delimiter=separator, skipinitialspace=spaced, strict=True
            )
            try:
                for number, cells in enumerate(records, 1):
                    yield number, cells
            except csv.Error as error:
                raise csv.Error(f"row {number + 1:,}: {error}") from None


class _Parquet:
    """A table in Parquet; cells keep the types of the file."""

    def __init__(self, path: Path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path = path
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
        text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
        # The row numbers that pandas stores are not a column of the user's, and bytes can't be metadata.
        kept = [
            f for f in schema if not re.fullmatch(r"__index_level_\d+__", f.name) and not _holds_bytes(f.type)
        ]
        self._names = [f.name for f in kept]
        self._text = [
            any(is_text(f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for is_text in text)
            for f in kept
        ]
        self.columns = _unique(path, [name.strip() for name in self._names])
        self._large = {i for i, f in enumerate(kept) if f.type == pa.uint64() and self._is_large(f.name)}

    def rows(self) -> Iterator[tuple[int, Sequence[Any] | str]]:
        number = 1
        for columns in self._batches(self._names):
            for cells in zip(*columns, strict=True):
                number += 1
                if any(isinstance(cell, str) and "\0" in cell for cell in cells):
                    yield number, "it holds a NUL character"
                else:
                    yield (
                        number,
                        [
                            str(cell) if i in self._large and cell is not None else _plain(cell)
                            for i, cell in enumerate(cells)
                        ],
                    )

    def columns_of_numbers(self, columns: Sequence[int]) -> set[int]:
        # The file says which columns are numbers.
        return set()

    def may_hold_paths(self, column: int) -> bool:
        return self._text[column]

    def _is_large(self, name: str) -> bool:
        """Whether a column has integers that are too large for databases."""
        return any(cell is not None and cell >= 2**63 for [cells] in self._batches([name]) for cell in cells)

    def _batches(self, names: list[str]) -> Iterator[list[list[Any]]]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(self._path) as file:
            for batch in file.iter_batches(_BATCH, columns=names):
                yield [batch.column(name).to_pylist() for name in names]


def _row(
    folder: Path,
    columns: Sequence[str],
    number: int,
    cells: Sequence[Any],
    place: int,
    kind: int | None,
    others: Sequence[int],
    exact: set[int],
) -> Row:
    named = cells[place]
    if not isinstance(named, str) or not named.strip():
        return Row(number, problem=NO_PATH)
    label = None if kind is None or cells[kind] is None else nfc(str(cells[kind]))
    if label is not None and not label.strip():
        label = None
    if label is not None and len(label) > LONGEST_LABEL:
        return Row(number, problem=f"its label has more than {LONGEST_LABEL:,} characters")
    metadata = {
        columns[i]: _number(cells[i])
        if i in exact
        else nfc(cells[i])
        if isinstance(cells[i], str)
        else cells[i]
        for i in others
        if cells[i] is not None and cells[i] != ""
    }
    found = _find(folder, named)
    return Row(number, found, label, metadata, _why_not(found))


def _place(path: Path, table: _Table, path_column: str | None) -> int:
    """The column of paths: the first with a usual name that names an existing file or a URL."""
    names = [_normal(column) for column in table.columns]
    if path_column is not None:
        usual = [i for i, column in enumerate(table.columns) if column == nfc(path_column.strip())]
        usual = usual or [i for i, name in enumerate(names) if name == _normal(path_column)]
    else:
        usual = [i for known in PATH_COLUMNS for i, name in enumerate(names) if name == known]
        usual = [i for i in usual if table.may_hold_paths(i)]
    if not usual:
        wanted = (
            f"column {path_column!r}"
            if path_column
            else f"column of paths ({', '.join(PATH_COLUMNS)}); rename one or choose it with --path-column"
        )
        raise SourceError(
            f"The list {path.name!r} has no {wanted}. Its columns: {', '.join(map(repr, table.columns))}."
        )
    count, example = 0, None
    # Candidates by priority; those after the first one that holds paths no longer matter.
    open_, chosen = usual, None
    for number, cells in table.rows():
        count += 1
        if isinstance(cells, str):
            continue
        for i in open_:
            if isinstance(cells[i], str) and cells[i].strip():
                found = _find(path.parent, cells[i])
                if i == usual[0] and example is None:
                    example = (number, cells[i], found)
                if is_remote(found) or os.path.isfile(found):
                    chosen = i
                    break
        if chosen is not None:
            open_ = usual[: usual.index(chosen)]
            if not open_:
                break
    if chosen is not None:
        return chosen
    name = table.columns[usual[0]]
    if not count:
        reason = "it has a header and no rows"
    elif example is None:
        reason = f"its column {name!r} is empty or holds no text"
    else:
        number, cell, found = example
        reason = (
            f"its column {name!r} names no existing file. In row {number:,} it holds {cell!r}, which would be "
            f"{found!r}; paths are relative to the list's folder, and --path-column chooses another column"
        )
    raise SourceError(f"No row of the list {path.name!r} can be used: {reason}.")


def _find(folder: Path, cell: str) -> str:
    """What a cell names: a URL, or an absolute path. If it can be read in several ways, the first one that leads to a file."""
    text = cell.strip()
    if is_remote(text):
        return text
    if text.lower().startswith("file://"):
        parts = urlsplit(text)
        if parts.netloc.lower() in ("", "localhost"):
            return os.path.abspath(os.fsdecode(unquote_to_bytes(parts.path)))
        return text
    readings = list(dict.fromkeys([cell, text, text.replace("\\", "/")]))
    paths = [os.path.abspath(os.path.join(folder, os.path.expanduser(one))) for one in readings]
    # Files are looked up only if there is a choice.
    return next((path for path in paths[:-1] if os.path.isfile(path)), paths[-1])


def _why_not(found: str) -> str | None:
    if found.lower().startswith("file:"):
        return "it names a file on another machine"
    try:
        found.encode()
    except UnicodeEncodeError:
        return "the name of its file is not valid UTF-8; rename it"
    return None


def _number(cell: str) -> int | float | None:
    """The number in a cell, if it is written back as the same text."""
    if not _NUMBER.fullmatch(cell):
        return None
    try:
        number = int(cell) if cell.lstrip("-").isdigit() else float(cell)
    except ValueError:
        return None
    fits = -(2**63) <= number < 2**63 if isinstance(number, int) else math.isfinite(number)
    return number if fits and repr(number) == cell else None


def _plain(value: Any) -> Any:
    """A Parquet cell as JSON; None if it is empty."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    return str(value)


def _holds_bytes(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_nested(kind):
        return any(_holds_bytes(kind.field(i).type) for i in range(kind.num_fields))
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def _normal(column: str) -> str:
    return re.sub(r"[\s-]+", "_", column.strip().lower())


def _unique(path: Path, columns: list[str]) -> list[str]:
    """Names of columns; a column without a name is named by its position."""
    columns = [nfc(column) or f"Unnamed: {place}" for place, column in enumerate(columns)]
    for column in columns:
        if columns.count(column) > 1:
            raise SourceError(
                f"The list {path.name!r} has several columns named {column!r}; rename all but one."
            )
    return columns


def _without_nul(lines: Iterator[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise ValueError(
                f"line {number:,} holds a NUL character; if it is UTF-16 without a byte order mark, save it as UTF-8"
            )
        yield line


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raise errors of a file as SourceError."""
    import pyarrow as pa

    try:
        yield
    except UnicodeDecodeError as error:
        raise SourceError(f"The list {path.name!r} can't be read: {_encoding_advice(path, error)}") from None
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        message = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise SourceError(f"The list {path.name!r} can't be read: {message}.") from None


def _encoding_advice(path: Path, error: UnicodeDecodeError) -> str:
    """Where the encoding of a file is wrong, and how to fix it."""
    if error.encoding != "utf-8":
        return f"it begins as {error.encoding.upper()}, but is not valid."
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as found:
                start = line[max(0, found.start - 20) : found.start + 20]
                return (
                    f"line {number:,} is not UTF-8. As Latin-1 (Windows-1252) it says "
                    f"{start.decode('cp1252', 'replace').strip()!r}; if that is right, save the file as UTF-8, for example with "
                    f"iconv -f WINDOWS-1252 -t UTF-8."
                )
    return "it is not UTF-8; save it as UTF-8."
