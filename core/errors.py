"""Errors that a user can cause, each with a message that says what was wrong and what to do."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

_MOST_FIELDS = 20


def first_problem(error: "ValidationError") -> str:
    """The first thing that pydantic found wrong, with its place, such as ``layers.0.name: Field required``."""
    problem = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg']}"


class UserError(Exception):
    """Something a user can put right; ``str(error)`` is one sentence fit to be shown to them."""


class UnknownNameError(UserError):
    """A name that is not one of those that exist.

    Parameters
    ----------
    kind : what was named, such as ``"model"``.
    name : what was given.
    valid : the names that would have been accepted.
    """

    def __init__(self, kind: str, name: str, valid: Iterable[str]):
        self.kind, self.name, self.valid = kind, name, tuple(valid)
        choices = ", ".join(self.valid) or "none"
        super().__init__(f"Unknown {kind} {name!r}; valid: {choices}.")


class AccessError(UserError):
    """A change that a read-only server does not make."""


class ImageError(UserError):
    """Bytes that can't be shown as an image."""


class WeightsError(UserError):
    """Weights that can't be had or don't fit the model."""


class OnnxError(UserError):
    """An ONNX file, or what is said of it, that can't be used."""


class CombinationError(UserError):
    """A combination of configurations that can't be made or used."""


class ModelDataError(UserError):
    """What ships about a model that is missing, broken or of another format."""


class DatasetError(UserError):
    """A dataset that can't be read."""


class GridError(UserError):
    """A part of a grid on disk that is missing, broken or of another format."""


class VectorsError(UserError):
    """Vectors from elsewhere that can't be used."""


class JobsError(UserError):
    """A computation that can't begin, since too many others are going on."""


class DiskError(UserError):
    """A disk that is too full for what is to be written."""


class CollectionError(UserError):
    """A collection that can't be made, read or written."""


class ShardError(UserError):
    """Shards that can't be written or read, or that don't fit."""


class CatalogUnreachableError(CollectionError):
    """The database of a collection's catalog does not answer."""


class ForeignCatalogError(CollectionError):
    """A catalog that belongs to another folder than the one that names it."""


class RefusedError(CollectionError):
    """A staged copy of a collection that is not published, and stays as it is."""


class ConditionError(CollectionError):
    """A filter of a collection's images that can't be used."""


class UnknownFieldError(ConditionError):
    """A filter that names no field of the collection.

    Parameters
    ----------
    field : what was named.
    fields : those that there are; of many, the message lists the first.
    close : the one that may have been meant.
    """

    def __init__(self, field: str, fields: Iterable[str], close: str | None = None):
        self.field, self.fields = field, tuple(fields)
        meant = f" Did you mean {close!r}?" if close else ""
        listed = ", ".join(one[:60] for one in self.fields[:_MOST_FIELDS])
        more = f" and {len(self.fields) - _MOST_FIELDS:,} more" if len(self.fields) > _MOST_FIELDS else ""
        super().__init__(f"The collection has no field {field[:60]!r}.{meant} Its fields are {listed}{more}.")
