"""The folders of models that a user adds: complete or absent, since they are built out of sight and renamed."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core import lock
from core.settings import settings

_STAGING = ".staging"


def folder(name: str) -> Path:
    """The folder of an added model."""
    return settings.ADDED_MODELS_DIR / name


@contextmanager
def staging(name: str) -> Iterator[Path]:
    """A folder for what is not yet or no longer a model, which is removed if it is left; raises UserError where another process has it."""
    place = settings.ADDED_MODELS_DIR / _STAGING
    with lock.writing(place):
        for left in place.iterdir():
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
        path = place / name
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def delete(name: str) -> None:
    """Delete the folder of an added model, out of sight in one step; raises as :func:`staging`."""
    with staging(name) as staged:
        staged.rmdir()
        folder(name).rename(staged)
