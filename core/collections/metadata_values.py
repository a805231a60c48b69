"""Metadata values of images as SQL expressions, for SQLite and for PostgreSQL.

A cell is the value of one name in the JSON object of an image's metadata. Both databases give the same results:
numbers are compared exactly, text by code point, dates and times as instants (UTC where no offset is given).
"""

import json
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from core.collections.schema import images

Expression = sa.ColumnElement[Any]
Test = Callable[["Cell"], sa.ColumnElement[bool]]
Compare = Callable[[Any, Any], sa.ColumnElement[bool]]

# As JSON writes them: -1.50 and 2e3, not 007 or 1,5. Longer text is not a number, since PostgreSQL has limits.
LONGEST_NUMBER = 300
_NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?"

# A calendar day from the year 1 to 9999, leap days only in leap years.
_DAY = (
    r"(?!0000)([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    r"|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)"
)
_ZONE = r"([Zz]|[+-](0[0-9]|1[0-4]):[0-5][0-9])"
_TIME = rf"[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{{1,9}})?)? *{_ZONE}?"
_LONGEST_DATE = 40
_MONTH = r"(?!0000)[0-9]{4}-(0[1-9]|1[0-2])"
# A month, a day, or a day with a time.
DATE = rf"({_DAY}({_TIME})?|{_MONTH})"

_TRUE, _FALSE = ("true", "True", "TRUE", "1"), ("false", "False", "FALSE", "0")


class Cell(ABC):
    """A value as SQL expressions. ``text``, ``moment`` and ``truth`` are defined only if the cell is of that kind."""

    # The names of the kinds of JSON values in the database.
    _TEXT: tuple[str, ...]
    _NUMBERS: tuple[str, ...]
    _TRUTHS: tuple[str, ...]

    kind: Expression
    present: Expression
    text: Expression
    word: Expression
    moment: Expression
    truth: Expression

    def by_kind(
        self,
        text: Expression | None = None,
        number: Expression | None = None,
        truth: Expression | None = None,
        list_: Expression | None = None,
    ) -> sa.ColumnElement[bool]:
        """One of several tests, by the kind of the cell; false for cells of other kinds and for missing cells."""
        tests = (
            (self._NUMBERS, number),
            (self._TEXT, text),
            (self._TRUTHS, truth),
            (("array",), list_),
        )
        cases = [(self.kind.in_(kinds), test) for kinds, test in tests if test is not None]
        return sa.case(*cases, else_=sa.false())

    @property
    @abstractmethod
    def is_written_number(self) -> Expression:
        """Whether text is a number."""

    @property
    @abstractmethod
    def is_written_date(self) -> Expression:
        """Whether text is a date."""

    @property
    def is_text(self) -> Expression:
        return self.by_kind(text=sa.true())

    @property
    def is_number(self) -> Expression:
        """Whether it is a number, or text that is one."""
        return self.by_kind(text=self.is_written_number, number=sa.true())

    @property
    def is_date(self) -> Expression:
        return self.by_kind(text=self.is_written_date)

    @property
    def is_flag(self) -> Expression:
        """Whether it is true, false, 0 or 1, or text that is one of them."""
        written = self.text.in_(_TRUE + _FALSE)
        zero_or_one = sa.or_(self.compare_number(operator.eq, 0), self.compare_number(operator.eq, 1))
        return self.by_kind(written, zero_or_one, sa.true())

    @property
    def is_empty(self) -> Expression:
        """Whether it is text of no characters."""
        return self.by_kind(text=self.text == "")

    @abstractmethod
    def compare_number(self, compare: Compare, number: int | float) -> Expression:
        """Compare a cell that is a number; integers with integers exactly, whatever their size."""

    @abstractmethod
    def instant(self, text: str) -> Expression:
        """A moment in UTC as ``2024-01-31T12:00:00.000``, to compare ``moment`` with."""

    @abstractmethod
    def has(self, text: str, number: int | float | None) -> Expression:
        """Whether a cell that is a list has an element equal to a text or a number."""


class _Sqlite(Cell):
    _TEXT, _NUMBERS, _TRUTHS = ("text",), ("integer", "real"), ("true", "false")

    def __init__(self, kind: Expression, value: Expression, name: str):
        self.kind, self._value, self._name = kind, value, name
        self.present = kind != "null"
        self.text, self.word = value, kind
        month = sa.func.julianday(value.op("||")("-01"))
        self.moment = sa.type_coerce(sa.func.coalesce(sa.func.julianday(value), month), sa.Float())
        # JSON's true is 1 here.
        self.truth = self.by_kind(value.in_(_TRUE), value == 1, value == 1)

    # Each use of the value copies it, so there are few, and the usual cases come first.

    @property
    def is_written_number(self) -> Expression:
        # Valid JSON of only these characters is a number.
        value = self._value
        return sa.and_(
            value.op("NOT GLOB")("*[^-+.0-9eE]*"),
            sa.func.json_valid(value) == 1,
            value.op("NOT GLOB")("*[eE]*[0-9][0-9][0-9][0-9]"),
            sa.func.length(value) <= LONGEST_NUMBER,
        )

    @property
    def is_written_date(self) -> Expression:
        value, length = self._value, sa.func.length(self._value)
        # SQLite takes the 31st of February for a day in March, unless it computes with it.
        month, day = value.op("||")("-01"), sa.func.substr(value, 1, 10)
        timed = sa.and_(
            _day(day) == day,
            sa.func.substr(value, 11).op("GLOB")("[T ][0-2][0-9]:[0-5][0-9]*"),
            sa.func.substr(value, 12, 2) <= "23",
            value.op("NOT GLOB")("*[^0-9TZz:. +-]*"),
            length <= _LONGEST_DATE,
            sa.func.julianday(value).is_not(None),
        )
        written = sa.case(
            (length == 10, _day(value) == value),
            (length == 7, _day(month) == month),
            (length > 10, timed),
            else_=sa.false(),
        )
        return sa.and_(written, value > "0001")

    def compare_number(self, compare: Compare, number: int | float) -> Expression:
        if isinstance(number, int) and not -(2**63) < number < 2**63:
            # SQLite turns such integers into floats.
            found = sa.func.compare_exactly(images.c.metadata, self._name, str(number))
            return compare(sa.type_coerce(found, sa.Integer()), 0)
        bound = as_literal(number)
        # With the type of the other, so that SQLAlchemy does not turn an integer into a float.
        return compare(sa.type_coerce(sa.cast(self._value, sa.Numeric()), bound.type), bound)

    def instant(self, text: str) -> Expression:
        return sa.func.julianday(text, type_=sa.Float())

    def has(self, text: str, number: int | float | None) -> Expression:
        each = sa.func.json_each(self._value).table_valued("value", "type").alias()
        equal = sa.and_(each.c.type == "text", each.c.value == text)
        if number is not None:
            numeric = each.c.type.in_(self._NUMBERS)
            equal = sa.or_(equal, sa.and_(numeric, each.c.value == as_literal(number)))
        return sa.exists(sa.select(1).select_from(each).where(equal))


class _Postgresql(Cell):
    _TEXT, _NUMBERS, _TRUTHS = ("string",), ("number",), ("boolean",)

    def __init__(self, json_: Expression):
        self._json = json_
        self.kind = sa.func.jsonb_typeof(json_, type_=sa.Text())
        self.present = self.kind != "null"
        self._written = json_.op("#>>", return_type=sa.Text())(sa.literal_column("'{}'"))
        self._number = sa.cast(self._written, sa.Numeric())
        self.text = self.word = sa.collate(self._written, "C")
        full = sa.case(
            (sa.func.length(self._written) == 10, self._written + "T00:00Z"),
            (sa.func.length(self._written) == 7, self._written + "-01T00:00Z"),
            (self._written.regexp_match(f"{_ZONE}$"), self._written),
            else_=self._written + "Z",
        )
        self.moment = sa.cast(full, sa.DateTime(timezone=True))
        self.truth = self.by_kind(
            self.text.in_(_TRUE), self.compare_number(operator.eq, 1), self.text == "true"
        )

    @property
    def is_written_number(self) -> Expression:
        short = sa.func.length(self._written) <= LONGEST_NUMBER
        return sa.and_(short, self._written.regexp_match(f"^{_NUMBER}$"))

    @property
    def is_written_date(self) -> Expression:
        # The pattern takes a hundred times as long as this test of most days.
        shape = sa.func.translate(self._written, "123456789", "000000000")
        usual = sa.and_(
            shape == "0000-00-00",
            self.text > "0001",
            sa.func.substr(self.text, 6, 2).between("01", "12"),
            sa.func.substr(self.text, 9, 2).between("01", "28"),
        )
        perhaps = sa.and_(self._written.like("____-__%"), sa.func.length(self._written) <= _LONGEST_DATE)
        return sa.case(
            (usual, sa.true()), (perhaps, self._written.regexp_match(f"^{DATE}$")), else_=sa.false()
        )

    def compare_number(self, compare: Compare, number: int | float) -> Expression:
        exact = Decimal(number) if isinstance(number, int) else Decimal(repr(number))
        return compare(self._number, sa.literal(exact, sa.Numeric()))

    def instant(self, text: str) -> Expression:
        return sa.cast(f"{text}Z", sa.DateTime(timezone=True))

    def has(self, text: str, number: int | float | None) -> Expression:
        # No subquery: the planner would overestimate its work and compile the query first.
        elements = [text, *([] if number is None else [number])]
        return sa.or_(
            *(self._json.op("@>", is_comparison=True)(sa.literal([one], JSONB())) for one in elements)
        )


def having(dialect: str, name: str, test: Test) -> sa.ColumnElement[bool]:
    """Whether an image has a cell that passes a test."""
    if dialect == "postgresql":
        return test(_Postgresql(images.c.metadata[name]))
    each, cell = _sqlite(name)
    return sa.exists(sa.select(1).select_from(each).where(each.c.key == name, test(cell)).correlate(images))


def exists(connection: sa.Connection, state: str, name: str) -> bool:
    """Whether an image of a state has a cell of this name."""
    found = (
        sa.select(1)
        .where(images.c.state == state, having(connection.dialect.name, name, lambda cell: cell.present))
        .limit(1)
    )
    return connection.execute(found).first() is not None


def count(connection: sa.Connection, state: str, name: str, tests: Mapping[str, Test]) -> dict[str, int]:
    """The number of images of a state whose cell of this name passes each test."""
    if connection.dialect.name == "postgresql":
        cell: Cell = _Postgresql(images.c.metadata[name])
        place: sa.FromClause = images
        here: Expression = sa.true()
    else:
        each, cell = _sqlite(name)
        place, here = images.join(each, sa.true()), each.c.key == name
    totals = [sa.func.count().filter(test(cell)).label(what) for what, test in tests.items()]
    query = sa.select(*totals).select_from(place).where(images.c.state == state, here, cell.present)
    return dict(connection.execute(query).one()._mapping)


def names(connection: sa.Connection, state: str, most: int) -> list[str]:
    """At most ``most`` names of the metadata of images of a state, by code point."""
    if connection.dialect.name == "postgresql":
        each = sa.func.jsonb_object_keys(images.c.metadata).table_valued("key").render_derived()
    else:
        each = sa.func.json_each(images.c.metadata).table_valued("key")
    found = sa.select(each.c.key).select_from(images.join(each, sa.true())).where(images.c.state == state)
    return sorted(connection.scalars(found.distinct().limit(most)))


def prepare(connection: sa.Connection) -> None:
    """Add a function to SQLite that compares large integers; PostgreSQL has that."""
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        driver.create_function("compare_exactly", 3, _compare_exactly, deterministic=True)


def as_literal(number: int | float) -> sa.BindParameter[Any]:
    """A number as a parameter that is compared with 64-bit integers; a larger one as a float, which is larger than all of them too."""
    if isinstance(number, int) and abs(number) < 2**63:
        return sa.literal(number, sa.BigInteger())
    return sa.literal(float(number), sa.Float())


def _day(text: Expression) -> Expression:
    return sa.func.date(text, "+0 days")


def _sqlite(name: str) -> tuple[Any, _Sqlite]:
    # Not by a path such as $.name: a path can't hold a name with a quotation mark.
    each = sa.func.json_each(images.c.metadata).table_valued("key", "value", "type")
    return each, _Sqlite(each.c.type, each.c.value, name)


def _compare_exactly(metadata: str, name: str, number: str) -> int:
    """Compare a cell that is a number with an integer: -1, 0 or 1."""
    found, wanted = Decimal(str(json.loads(metadata)[name])), Decimal(number)
    return (found > wanted) - (found < wanted)
