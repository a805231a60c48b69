"""The engine of a process: pages and the REST API use the same models and indexes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path

from core.experiments.store import Grid
from core.search.engine import Engine
from core.settings import settings


def engine() -> Engine:
    """The engine over the grid of the settings; it loads what a call needs, and keeps it."""
    return of_grid(settings.GRID_DIR)


@lru_cache(maxsize=1)
def of_grid(folder: Path) -> Engine:
    """The engine over a grid, kept until that over another is needed."""
    return Engine(Grid(folder))


@asynccontextmanager
async def lifespan(app: object) -> AsyncIterator[None]:
    """The lifespan of a server over the engine, which closes its collections at the end."""
    yield
    if of_grid.cache_info().currsize:
        engine().close()
