"""The rows of remembered lists in the catalog."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import sqlalchemy as sa

from core.collections import schema
from core.data.image_lists import NO_PATH, Row

_table = schema.list_rows
_BATCH, _CHUNK = 5_000, 500
# The most rows that are named for one conflict.
_MOST_ROWS = 20


@dataclass(frozen=True)
class Place:
    """A row of a list, given by its path; ``row`` is None if an older version of the project read it."""

    list: str
    row: int | None


@dataclass(frozen=True)
class Conflict:
    """An image to which rows of lists give different labels: the rows for each of them."""

    path: str
    labels: dict[str, list[Place]]

    def sentence(self, name: Callable[[str], str] = lambda path: path) -> str:
        """The labels with their rows; ``name`` returns the name shown for a path."""
        labels = (
            f"{label!r} in " + ", ".join(_named(place, name) for place in places)
            for label, places in self.labels.items()
        )
        return f"{name(self.path)}: {'; '.join(labels)}"


def _named(place: Place, name: Callable[[str], str]) -> str:
    return name(place.list) + (f" (row {place.row:,})" if place.row is not None else "")


def replace(connection: sa.Connection, source: int, rows: Iterable[Row]) -> None:
    """Store the rows of a list in place of those that were stored."""
    forget(connection, source)
    left = iter(rows)
    while part := list(islice(left, _BATCH)):
        connection.execute(sa.insert(_table), [{"source": source, **vars(row)} for row in part])


def forget(connection: sa.Connection, source: int) -> None:
    """Forget the rows of a list."""
    connection.execute(sa.delete(_table).where(_table.c.source == source))


def of_paths(connection: sa.Connection, paths: Sequence[str]) -> dict[str, list[schema.Row]]:
    """The usable rows of all lists that name some images, by path."""
    found: dict[str, list[schema.Row]] = {}
    for start in range(0, len(paths), _CHUNK):
        part = _table.c.path.in_(paths[start : start + _CHUNK])
        for row in connection.execute(sa.select(_table).where(part, _table.c.problem.is_(None))):
            found.setdefault(row.path, []).append(row)
    return found


def page(connection: sa.Connection, source: int, after: int | None) -> list[schema.Row]:
    """Some of a list's rows after a number, in order: the first for each image, and unusable ones that are not empty."""
    earlier = _table.alias()
    same = sa.and_(
        earlier.c.path == _table.c.path,
        earlier.c.source == _table.c.source,
        earlier.c.number < _table.c.number,
        earlier.c.problem.is_(None),
    )
    repeated = sa.and_(_table.c.problem.is_(None), sa.exists(sa.select(1).where(same)))
    empty = sa.func.coalesce(_table.c.problem, "") == NO_PATH
    query = sa.select(_table.c.number, _table.c.path, _table.c.problem)
    query = query.where(_table.c.source == source, sa.not_(repeated), sa.not_(empty))
    if after is not None:
        query = query.where(_table.c.number > after)
    return list(connection.execute(query.order_by(_table.c.number).limit(_CHUNK)))


def without_path(connection: sa.Connection, source: int) -> int:
    """How many rows of a list name no image."""
    query = sa.select(sa.func.count()).where(_table.c.source == source, _table.c.problem == NO_PATH)
    return connection.execute(query).scalar_one()


def conflicts(
    connection: sa.Connection, lists: Mapping[int, str], favored: int | None, most: int
) -> tuple[int, list[Conflict]]:
    """The number of stored images in conflict, and some of the conflicts, by path."""
    label, path, images = _table.c.label, _table.c.path, schema.images.c
    query = sa.select(path).join(schema.images, images.path == path).group_by(path)
    query = query.where(images.state == schema.INDEXED, _table.c.problem.is_(None), label.is_not(None))
    query = query.having(sa.func.min(label) != sa.func.max(label))
    if favored is not None:
        own = sa.case((_table.c.source == favored, label))
        query = query.having(sa.func.count(sa.distinct(own)) != 1)
    total = connection.execute(sa.select(sa.func.count()).select_from(query.subquery())).scalar_one()
    paths = sorted(connection.scalars(query.order_by(path).limit(most)))
    return total, list(_described(of_paths(connection, paths), lists))


def _described(found: Mapping[str, Sequence[schema.Row]], lists: Mapping[int, str]) -> Iterator[Conflict]:
    for path in sorted(found):
        labels: dict[str, list[Place]] = {}
        places = sorted(
            (lists.get(row.source, ""), row.number, row.label) for row in found[path] if row.label
        )
        for name, number, label in places[:_MOST_ROWS]:
            labels.setdefault(label, []).append(Place(name, number if number > 0 else None))
        yield Conflict(path, labels)
