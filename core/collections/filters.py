"""Conditions on a collection's images, such as ``label=cat`` or ``year>=2019``: parsed, checked against its fields, and turned into SQL.

A condition is a field, one of ``= != < <= > >=`` and a value. The fields are ``label``, ``path``, ``hash``, ``size`` (in bytes) and the names of
the metadata. The type of the value decides how it is compared:

- A number is compared with cells that hold a number, also as text; integers exactly, whatever their size.
- A date (``2024-01-31``), a date with a time (``2024-01-31T12:00+02:00``), a month (``2024-01``) or a year is compared with cells that
  hold a date. It means its whole day, month or year: ``=`` means within, ``>`` after its end. Times without an offset are UTC.
- ``true``, ``false``, ``1`` and ``0`` in any case are equal in a field that holds only these and empty text.
- Anything else is text, compared by code point.

``=`` also matches equal text, and lists with an equal element. ``!=`` matches all images that ``=`` does not, including cells of other
types; other comparisons leave these out. Images without the field are always left out.
"""

import difflib
import operator
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from core.collections import metadata_values
from core.collections.metadata_values import Cell
from core.collections.schema import INDEXED, images
from core.errors import ConditionError, UnknownFieldError
from core.text import nfc

# The kinds of cells that are counted.
_KINDS: dict[str, metadata_values.Test] = {
    "present": lambda cell: cell.present,
    "number": lambda cell: cell.is_number,
    "date": lambda cell: cell.is_date,
    "text": lambda cell: cell.is_text,
    "flag": lambda cell: cell.is_flag,
    "empty": lambda cell: cell.is_empty,
}
_OPERATORS: dict[str, metadata_values.Compare] = {
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
# The most names of metadata that an error lists.
_MOST_NAMES = 1_000
# Numbers as people type them, which JSON may write differently.
_TYPED_NUMBER = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(metadata_values.DATE)
_LIKE_A_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}(-[0-9]{1,2})?")
_YEAR = re.compile(r"(?!0000)[0-9]{4}")
# The duration that a time means, by the length of its clock time: a day, a minute, a second, or else a millisecond.
_WIDTHS = {0: timedelta(days=1), 5: timedelta(minutes=1), 8: timedelta(seconds=1)}


@dataclass(frozen=True)
class Condition:
    """The parts of a condition; the field need not exist."""

    text: str
    field: str
    operator: str
    value: str


@dataclass(frozen=True)
class Filter:
    """Conditions that must all hold, also as SQL, with a note for each that can't compare some images."""

    conditions: tuple[Condition, ...] = ()
    expressions: tuple[sa.ColumnElement[bool], ...] = ()
    notes: tuple[str, ...] = ()


class Fields:
    """The fields of a collection at one version, each counted at first use.

    state : of the images, stored or removed.
    """

    def __init__(self, version: int, state: str = INDEXED):
        self.version, self.state = version, state
        self._counts: dict[str, dict[str, int]] = {}
        self._images: int | None = None
        self._names: tuple[str, ...] | None = None

    def check(self, connection: sa.Connection, name: str) -> None:
        """Raise UnknownFieldError unless images have metadata of this name."""
        if name in self._counts:
            return
        # Once all names are known, a wrong one needs no query.
        listed = self._names is None or len(self._names) == _MOST_NAMES or name in self._names
        if listed and metadata_values.exists(connection, self.state, name):
            self._counts[name] = {}
            return
        if self._names is None:
            self._names = tuple(metadata_values.names(connection, self.state, _MOST_NAMES))
        raise unknown(name, [*FIELDS, *(one for one in self._names if one not in FIELDS)])

    def count(self, connection: sa.Connection, name: str, kinds: Sequence[str]) -> dict[str, int]:
        """The number of images with the field (``present``), and with each kind of cell in it."""
        known = self._counts[name]
        if missing := [kind for kind in ("present", *kinds) if kind not in known]:
            known |= metadata_values.count(
                connection, self.state, name, {kind: _KINDS[kind] for kind in missing}
            )
        return known

    def images(self, connection: sa.Connection) -> int:
        """The number of images."""
        if self._images is None:
            total = sa.select(sa.func.count()).select_from(images).where(images.c.state == self.state)
            self._images = connection.execute(total).scalar_one()
        return self._images


def parse(text: str) -> Condition:
    """Parse a condition; raises ConditionError."""
    parts = _CONDITION.fullmatch(text)
    if parts is None:
        raise ConditionError(
            f"The filter {text!r} can't be parsed; write for example label=cat or 'price<20'. "
            "Fields with = ! < or > in their names can't be filtered."
        )
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ConditionError(f"The filter {text!r} holds characters that are not text.")
    field, operator_, value = parts.groups()
    if operator_ in ("<", ">") and value.startswith(("<", ">")):
        raise ConditionError(
            f"The filter {text!r} can't be parsed; the operators are =, !=, <, <=, > and >=. "
            "Fields with = ! < or > in their names can't be filtered."
        )
    # A path has the form of the file system, which may not be composed.
    return Condition(text, nfc(field), operator_, value if field == "path" else nfc(value))


def compile_(connection: sa.Connection, where: Sequence[str], fields: Fields) -> Filter:
    """Conditions as SQL with bound parameters, for the database of the connection.

    Raises
    ------
    ConditionError : one can't be parsed; UnknownFieldError : there is no such field.
    """
    metadata_values.prepare(connection)
    expressions, notes = [], []
    conditions = tuple(map(parse, where))
    for condition in conditions:
        if condition.value.startswith(("=", "<", ">")):
            # A label may begin so, but mostly it is the operator of another language.
            notes.append(
                f"{condition.text}: compares with the text {condition.value!r}; the operators are =, !=, <, <=, > and >=."
            )
        if condition.field in _TEXT_FIELDS:
            column: sa.ColumnElement[str] = _TEXT_FIELDS[condition.field]
            # Equal text is the same everywhere, and the indexes of PostgreSQL are for its own order.
            if connection.dialect.name == "postgresql" and condition.operator not in ("=", "!="):
                column = sa.collate(column, "C")
            expressions.append(_text(column, condition))
            continue
        if condition.field == _SIZE:
            expressions.append(_size(condition))
            continue
        name = condition.field
        fields.check(connection, name)
        value = Value.of(condition.value)
        if value.truth is not None and _is_flags(fields.count(connection, name, ("flag", "empty"))):
            test = _is_truth(condition.operator, value.truth)
        else:
            test = _comparison(condition.operator, value)
            if value.span is None and _LIKE_A_DATE.fullmatch(condition.value):
                notes.append(
                    f"{condition.text}: {condition.value!r} is not a date and is compared as text; dates are written like 2024-01-31."
                )
            notes += _notes(connection, condition, name, value, fields)
        expressions.append(metadata_values.having(connection.dialect.name, name, test))
    return Filter(conditions, tuple(expressions), tuple(dict.fromkeys(notes)))


def value_of(condition: Condition) -> "Value":
    """The value of a condition, as the kinds that it can be compared as."""
    return Value.of(condition.value)


def unknown(name: str, fields: Sequence[str]) -> UnknownFieldError:
    """The error for an unknown field, with the closest known one."""
    folded = {field.casefold(): field for field in reversed(fields)}
    close = difflib.get_close_matches(name.casefold(), list(folded), 1)
    return UnknownFieldError(name, fields, folded[close[0]] if close else None)


@dataclass(frozen=True)
class Value:
    """A value as text and, if possible, as a number, a time span (start, and the first moment after it) and a truth value."""

    text: str
    number: int | float | None
    span: tuple[str, str] | None
    truth: bool | None

    @classmethod
    def of(cls, text: str) -> "Value":
        """The value of a text."""
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
    # A typed path may have another Unicode form than the file system's.
    same = {value, *(unicodedata.normalize(form, value) for form in ("NFC", "NFD"))}
    if condition.operator in ("=", "!=") and len(same) > 1 and condition.field == "path":
        return column.in_(sorted(same)) if condition.operator == "=" else column.not_in(sorted(same))
    return _OPERATORS[condition.operator](column, value)


def _size(condition: Condition) -> sa.ColumnElement[bool]:
    number = _number(condition.value)
    if number is None:
        raise ConditionError(
            f"The filter {condition.text!r} compares the size in bytes with something that is not a number."
        )
    return _OPERATORS[condition.operator](images.c.size, metadata_values.as_literal(number))


def _is_flags(count: dict[str, int]) -> bool:
    """Whether a field holds only true, false, 0, 1 and empty text."""
    return count["flag"] > 0 and count["flag"] + count["empty"] == count["present"]


def _is_truth(operator_: str, truth: bool) -> metadata_values.Test:
    compare = _OPERATORS[operator_]
    return lambda cell: sa.and_(cell.is_flag, compare(sa.case((cell.truth, 1), else_=0), int(truth)))


def _comparison(operator_: str, value: Value) -> metadata_values.Test:
    if operator_ == "=":
        return lambda cell: _compare(cell, "=", value, cell.has(value.text, value.number))
    if operator_ == "!=":
        equal = _comparison("=", value)
        return lambda cell: sa.and_(cell.present, sa.not_(equal(cell)))
    return lambda cell: _compare(cell, operator_, value)


def _compare(cell: Cell, operator_: str, value: Value, list_: Any = None) -> sa.ColumnElement[bool]:
    """Whether a cell meets a condition, never NULL. The order of the cases prevents other text from being read as a number."""
    compare = _OPERATORS[operator_]
    text: sa.ColumnElement[bool] = sa.false()
    truth = None
    if operator_ == "=":
        text, truth = cell.text == value.text, cell.word == value.text
    elif value.number is None and value.span is None:
        text = compare(cell.text, value.text)
    number, written = None, []
    if value.number is not None:
        number = cell.compare_number(compare, value.number)
        written.append((cell.is_written_number, number))
    if value.span is not None:
        written.append((cell.is_written_date, _when(cell, operator_, *map(cell.instant, value.span))))
    return cell.by_kind(sa.case(*written, else_=text) if written else text, number, truth, list_)


def _when(cell: Cell, operator_: str, start: Any, end: Any) -> sa.ColumnElement[bool]:
    if operator_ == "=":
        return sa.and_(cell.moment >= start, cell.moment < end)
    bound = start if operator_ in ("<", ">=") else end
    return _OPERATORS["<" if operator_ in ("<", "<=") else ">="](cell.moment, bound)


def _notes(
    connection: sa.Connection, condition: Condition, name: str, value: Value, fields: Fields
) -> list[str]:
    """A note on the images that a condition can't compare, if there are any."""
    kinds = [kind for kind, given in (("number", value.number), ("date", value.span)) if given is not None]
    if not kinds:
        if condition.operator in ("=", "!="):
            return []
        kinds = ["text"]
    count, total = fields.count(connection, name, kinds), fields.images(connection)
    others, absent = count["present"] - sum(count[kind] for kind in kinds), total - count["present"]
    parts = []
    if others:
        wanted = " or ".join([kind for kind in kinds if count[kind]] or kinds)
        kept = "kept" if condition.operator == "!=" else "left out"
        parts.append(f"{others:,} of {total:,} images hold no {wanted} in {name!r} and are {kept}")
    if absent:
        parts.append(f"{absent:,} of {total:,} images have no {name!r} and are left out")
    return [f"{condition.text}: {'; '.join(parts)}."] if parts else []
