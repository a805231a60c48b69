"""Conditions on a collection's images, such as ``label=cat`` or ``year>=2019``: understood, checked against its fields, and turned into SQL.

A condition is a field, one of ``= != < <= > >=`` and a value. The fields are ``label``, ``path``, ``hash``, ``size`` (in bytes) and the names of
the metadata. What the value is decides how it is compared:

- A number is compared with cells that hold a number, also one written as text; integers exactly, whatever their size.
- A date (``2024-01-31``), a date with a time (``2024-01-31T12:00+02:00``), a month (``2024-01``) or a year is compared with cells that hold a date.
  It stands for all of its day, month or year: ``=`` means within, ``>`` after its end. Times without an offset are UTC.
- ``true``, ``false``, ``1`` and ``0`` in any capitals agree in a field that holds nothing but these and empty text.
- Anything else is text, compared by code point.

``=`` also finds equal text, and lists with an equal element. ``!=`` finds all that ``=`` does not, cells of other types included; other comparisons
leave those out. Images without the field are always left out.
"""

import difflib
import operator
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from core.collections import metadata_values
from core.collections.metadata_values import Cell
from core.collections.schema import INDEXED, images
from core.errors import ConditionError, UnknownFieldError
from core.text import nfc

# What is counted of a field's cells.
_KINDS: dict[str, metadata_values.Test] = {
    "present": lambda cell: cell.present,
    "number": lambda cell: cell.is_number,
    "date": lambda cell: cell.is_date,
    "text": lambda cell: cell.is_text,
    "flag": lambda cell: cell.is_flag,
    "empty": lambda cell: cell.is_empty,
}
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(r"\s*([^=<>!]+?)\s*(!=|<=|>=|=|<|>)\s*(.*?)\s*", re.DOTALL)
_TEXT_FIELDS = {"label": images.c.label, "path": images.c.path, "hash": images.c.hash}
_SIZE = "size"
FIELDS = (*_TEXT_FIELDS, _SIZE)
# So many names of metadata are looked at to say which fields there are.
_MOST_NAMES = 1_000
# Numbers that JSON does not write so, but people do.
_TYPED_NUMBER = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(metadata_values.DATE)
_LIKE_A_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}(-[0-9]{1,2})?")
_YEAR = re.compile(r"(?!0000)[0-9]{4}")
# How long what a time names lasts, by the length of its clock time: a day, a minute, a second, or else a millisecond.
_WIDTHS = {0: timedelta(days=1), 5: timedelta(minutes=1), 8: timedelta(seconds=1)}


@dataclass(frozen=True)
class Condition:
    """A condition in its parts; the field need not exist."""

    text: str
    field: str
    sign: str
    value: str


@dataclass(frozen=True)
class Filter:
    """Conditions that must all hold, as SQL, with a sentence for each that has images it can't compare."""

    expressions: tuple[sa.ColumnElement[bool], ...] = ()
    notes: tuple[str, ...] = ()


class Fields:
    """The fields of a collection at one version, each counted when it is first asked for.

    state : which images are looked at, the stored or the removed ones.
    """

    def __init__(self, version: int, state: str = INDEXED):
        self.version, self.state = version, state
        self._counts: dict[str, dict[str, int]] = {}
        self._images: int | None = None
        self._names: tuple[str, ...] | None = None

    def check(self, connection: sa.Connection, name: str) -> None:
        """Raises UnknownFieldError unless images have metadata of this name."""
        if name in self._counts:
            return
        # Once all names are known, a wrong one costs no look at the images.
        listed = self._names is None or len(self._names) == _MOST_NAMES or name in self._names
        if listed and metadata_values.exists(connection, self.state, name):
            self._counts[name] = {}
            return
        if self._names is None:
            self._names = tuple(metadata_values.names(connection, self.state, _MOST_NAMES))
        raise unknown(name, [*FIELDS, *(one for one in self._names if one not in FIELDS)])

    def count(self, connection: sa.Connection, name: str, kinds: Sequence[str]) -> dict[str, int]:
        """How many images have the field (``present``), and how many have which kinds of cell there."""
        known = self._counts[name]
        if missing := [kind for kind in ("present", *kinds) if kind not in known]:
            known |= metadata_values.count(
                connection, self.state, name, {kind: _KINDS[kind] for kind in missing}
            )
        return known

    def images(self, connection: sa.Connection) -> int:
        """How many images there are."""
        if self._images is None:
            total = sa.select(sa.func.count()).select_from(images).where(images.c.state == self.state)
            self._images = connection.execute(total).scalar_one()
        return self._images


def parse(text: str) -> Condition:
    """Raises ConditionError when it has not the parts of a condition."""
    parts = _CONDITION.fullmatch(text)
    if parts is None:
        raise ConditionError(
            f"The filter {text!r} can't be understood; write for example label=cat or 'price<20'."
        )
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ConditionError(f"The filter {text!r} holds characters that are not text.")
    field, sign, value = parts.groups()
    if sign in ("<", ">") and value.startswith(("<", ">")):
        raise ConditionError(
            f"The filter {text!r} can't be understood; the signs are =, !=, <, <=, > and >=."
        )
    # A path is what the file system has, which may not be composed.
    return Condition(text, nfc(field), sign, value if field == "path" else nfc(value))


def compile_(connection: sa.Connection, where: Sequence[str], fields: Fields) -> Filter:
    """Conditions as SQL with bound parameters, for the database of the connection.

    Raises
    ------
    ConditionError : one can't be understood; UnknownFieldError : there is no such field.
    """
    metadata_values.prepare(connection)
    expressions, notes = [], []
    for condition in map(parse, where):
        if condition.value.startswith(("=", "<", ">")):
            # A label may begin so; mostly it is the sign of another language.
            notes.append(
                f"{condition.text}: compares with the text {condition.value!r}; the signs are =, !=, <, <=, > and >=."
            )
        if condition.field in _TEXT_FIELDS:
            column = _TEXT_FIELDS[condition.field]
            if connection.dialect.name == "postgresql":
                column = sa.collate(column, "C")
            expressions.append(_text(column, condition))
            continue
        if condition.field == _SIZE:
            expressions.append(_size(condition))
            continue
        name = condition.field
        fields.check(connection, name)
        value = _Value.of(condition.value)
        if value.truth is not None and _is_flags(fields.count(connection, name, ("flag", "empty"))):
            test = _is_truth(condition.sign, value.truth)
        else:
            test = _comparison(condition.sign, value)
            if value.span is None and _LIKE_A_DATE.fullmatch(condition.value):
                notes.append(
                    f"{condition.text}: {condition.value!r} is no date and compares as text; dates are written like 2024-01-31."
                )
            notes += _notes(connection, condition, name, value, fields)
        expressions.append(metadata_values.having(connection.dialect.name, name, test))
    return Filter(tuple(expressions), tuple(dict.fromkeys(notes)))


def unknown(name: str, fields: Sequence[str]) -> UnknownFieldError:
    """The error for a field that is not one of those, with the one that may have been meant."""
    folded = {field.casefold(): field for field in reversed(fields)}
    close = difflib.get_close_matches(name.casefold(), list(folded), 1)
    return UnknownFieldError(name, fields, folded[close[0]] if close else None)


@dataclass(frozen=True)
class _Value:
    """What a typed value can be, beside text: a number, a time from ``start`` to before ``end``, a truth value."""

    text: str
    number: int | float | None
    span: tuple[str, str] | None
    truth: bool | None

    @classmethod
    def of(cls, text: str) -> "_Value":
        truth = {"true": True, "1": True, "false": False, "0": False}.get(text.lower())
        return cls(text, _number(text), _span(text), truth)


def _number(text: str) -> int | float | None:
    if len(text) > metadata_values.LONGEST_NUMBER or not _TYPED_NUMBER.fullmatch(text):
        return None
    try:
        return int(text)
    except ValueError:
        number = float(text)
        return number if abs(number) != float("inf") else None


def _span(text: str) -> tuple[str, str] | None:
    """The first moment of a year, month, day, minute, second or millisecond, and the first one after it, in UTC."""
    if _YEAR.fullmatch(text):
        start, end = datetime(int(text), 1, 1), _month_after(int(text), 12)
    elif not _DATE.fullmatch(text):
        return None
    elif len(text) == 7:
        year, month = int(text[:4]), int(text[5:])
        start, end = datetime(year, month, 1), _month_after(year, month)
    else:
        day, time = text[:10], text[11:].replace(" ", "").upper()
        clock = len(re.match(r"[0-9:.]*", time)[0])  # type: ignore[index]
        try:
            start = datetime.fromisoformat(f"{day}T{time}" if time else day)
            if start.tzinfo:
                start = start.astimezone(UTC).replace(tzinfo=None)
            end = start + _WIDTHS.get(clock, timedelta(milliseconds=1))
        except OverflowError:
            return None
    return start.isoformat(timespec="milliseconds"), end.isoformat(timespec="milliseconds")


def _month_after(year: int, month: int) -> datetime:
    if month < 12:
        return datetime(year, month + 1, 1)
    return datetime(year + 1, 1, 1) if year < 9999 else datetime.max


def _text(column: sa.ColumnElement[str], condition: Condition) -> sa.ColumnElement[bool]:
    value = condition.value
    # On the way from a file system to a keyboard a path may have become another form of the same text.
    same = {value, *(unicodedata.normalize(form, value) for form in ("NFC", "NFD"))}
    if condition.sign in ("=", "!=") and len(same) > 1 and condition.field == "path":
        return column.in_(sorted(same)) if condition.sign == "=" else column.not_in(sorted(same))
    return _OPERATORS[condition.sign](column, value)


def _size(condition: Condition) -> sa.ColumnElement[bool]:
    number = _number(condition.value)
    if number is None:
        raise ConditionError(
            f"The filter {condition.text!r} compares the size in bytes with something not a number."
        )
    return _OPERATORS[condition.sign](images.c.size, metadata_values.as_literal(number))


def _is_flags(count: dict[str, int]) -> bool:
    """Whether a field holds nothing but true, false, 0, 1 and empty text."""
    return count["flag"] > 0 and count["flag"] + count["empty"] == count["present"]


def _is_truth(sign: str, truth: bool) -> metadata_values.Test:
    compare = _OPERATORS[sign]
    return lambda cell: sa.and_(cell.is_flag, compare(sa.case((cell.truth, 1), else_=0), int(truth)))


def _comparison(sign: str, value: _Value) -> metadata_values.Test:
    if sign == "=":
        return lambda cell: _compare(cell, "=", value, cell.has(value.text, value.number))
    if sign == "!=":
        equal = _comparison("=", value)
        return lambda cell: sa.and_(cell.present, sa.not_(equal(cell)))
    return lambda cell: _compare(cell, sign, value)


def _compare(cell: Cell, sign: str, value: _Value, list_: Any = None) -> sa.ColumnElement[bool]:
    """Whether a cell fulfils a condition, never NULL. The order of the cases keeps what is no number from being read as one."""
    compare = _OPERATORS[sign]
    text, truth = sa.false(), None
    if sign == "=":
        text, truth = cell.text == value.text, cell.word == value.text
    elif value.number is None and value.span is None:
        text = compare(cell.text, value.text)
    number, written = None, []
    if value.number is not None:
        number = cell.compare_number(compare, value.number)
        written.append((cell.is_written_number, number))
    if value.span is not None:
        written.append((cell.is_written_date, _when(cell, sign, *map(cell.instant, value.span))))
    return cell.by_kind(sa.case(*written, else_=text) if written else text, number, truth, list_)


def _when(cell: Cell, sign: str, start: Any, end: Any) -> sa.ColumnElement[bool]:
    if sign == "=":
        return sa.and_(cell.moment >= start, cell.moment < end)
    return {
        "<": cell.moment < start,
        "<=": cell.moment < end,
        ">": cell.moment >= end,
        ">=": cell.moment >= start,
    }[sign]


def _notes(
    connection: sa.Connection, condition: Condition, name: str, value: _Value, fields: Fields
) -> list[str]:
    """A sentence about the images that have nothing that the condition compares, if there are any."""
    kinds = [kind for kind, given in (("number", value.number), ("date", value.span)) if given is not None]
    if not kinds:
        if condition.sign in ("=", "!="):
            return []
        kinds = ["text"]
    count, total = fields.count(connection, name, kinds), fields.images(connection)
    others, absent = count["present"] - sum(count[kind] for kind in kinds), total - count["present"]
    parts = []
    if others:
        wanted = " or ".join([kind for kind in kinds if count[kind]] or kinds)
        kept = "kept" if condition.sign == "!=" else "left out"
        parts.append(f"{others:,} of {total:,} images hold no {wanted} in {name!r} and are {kept}")
    if absent:
        parts.append(f"{absent:,} of {total:,} images have no {name!r} and are left out")
    return [f"{condition.text}: {'; '.join(parts)}."] if parts else []
