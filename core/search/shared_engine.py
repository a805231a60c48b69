"""The one engine of a process: pages and API use the same models and indexes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache

from core.experiments.store import Grid
from core.search.engine import Engine


@lru_cache(maxsize=1)
def engine() -> Engine:
    """The engine over the grid that the settings name; nothing is loaded before it is asked."""
    return Engine(Grid())


@asynccontextmanager
async def lifespan(app: object) -> AsyncIterator[None]:
    """The lifespan of a server over the engine, which closes its collections at the end."""
    yield
    if engine.cache_info().currsize:
        engine().close()
