"""Conditions as expressions of Milvus, and what Milvus has to know of the images of a row for them.

An expression holds for every row with an image that meets the conditions, and may hold for others: the catalog has the last word. Fields and
values are hashed, so that no text of a user needs quoting or is too long.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from core.collections import catalog, filters
from core.collections.filters import Condition

# Terms of a row. A row that would have more has the term for any condition.
MOST_TERMS = 1_024
# Integers are exact up to here in JSON.
_EXACT = 2**53
_SIZE = "size"
_UNKNOWN = ("path", "hash")


@dataclass
class Facts:
    """What Milvus knows of a row.

    terms : hashes of fields and of their values; numbers : the lowest and highest number of each field.
    """

    terms: list[int] = field(default_factory=list)
    numbers: dict[str, float] = field(default_factory=dict)


def of_rows(connection: sa.Connection, rows: Sequence[int]) -> dict[int, Facts]:
    """The facts of some rows, from their stored images."""
    found = catalog.of_rows(connection, rows)
    return {row: _facts(found.get(row, [])) for row in rows}


def expression(conditions: Sequence[Condition]) -> str:
    """Conditions that must all hold, as far as Milvus can check them; empty if it can check none."""
    parts = [part for condition in conditions if (part := _expression(condition))]
    return " and ".join(f"({part} or {_has(_term('any'))})" for part in parts)


def _facts(images: Sequence[Any]) -> Facts:
    facts, terms = Facts(), set[int]()
    for image in images:
        cells = {**image.metadata, "label": image.label, _SIZE: image.size}
        for name, cell in cells.items():
            for value in cell if isinstance(cell, list) else [cell]:
                if value is not None:
                    terms |= set(_terms(name, value))
                    _widen(facts.numbers, name, value)
    facts.terms = sorted(terms) if len(terms) <= MOST_TERMS else [_term("any")]
    return facts


def _terms(name: str, value: Any) -> Iterator[int]:
    yield _term("has", name)
    yield _term("is", name, str(value))
    number = _number(value)
    if number is not None:
        yield _term("is", name, _written(number))
    if isinstance(value, str) and value[:4].isdigit():
        # It may be a date.
        yield _term("dated", name)


def _widen(numbers: dict[str, float], name: str, value: Any) -> None:
    number = _number(value)
    if number is not None:
        low, high = _bounds(name)
        numbers[low] = min(number, numbers.get(low, number))
        numbers[high] = max(number, numbers.get(high, number))


def _expression(condition: Condition) -> str:
    name, operator = condition.field, condition.operator
    if name in _UNKNOWN:
        return ""
    if name == "label" and operator == "=":
        return _has(_term("is", name, condition.value))
    value = filters.value_of(condition)
    if operator == "!=" or value.truth is not None or (name == "label"):
        return _has(_term("has", name))
    parts = []
    if operator == "=":
        parts.append(_has(_term("is", name, value.text)))
        if (number := _number(value.number)) is not None:
            parts.append(_has(_term("is", name, _written(number))))
    elif value.number is not None and abs(value.number) < _EXACT:
        low, high = _bounds(name)
        # Rounding may make numbers equal that are not.
        compared = f'"{low}"] <=' if operator[0] == "<" else f'"{high}"] >='
        parts.append(f"numbers[{compared} {value.number!r}")
    else:
        return _has(_term("has", name))
    if value.span is not None:
        parts.append(_has(_term("dated", name)))
    return f"({' or '.join(parts)})" if len(parts) > 1 else parts[0]


def _has(term: int) -> str:
    return f"array_contains(terms, {term})"


def _bounds(name: str) -> tuple[str, str]:
    """The keys of the lowest and the highest number of a field."""
    digest = f"{_term('number', name):x}"
    return f"low{digest}", f"high{digest}"


def _term(*parts: str) -> int:
    """63 bits of a hash."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _number(value: Any) -> float | None:
    """A cell as a number, also where the catalog reads it as text; None if it can't be one."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _written(number: float) -> str:
    """The same text for equal numbers."""
    return repr(float(number))
