"""The one engine of a process: pages and API use the same models and indexes."""

from functools import lru_cache

from core import settings
from core.experiments.store import Grid
from core.search.engine import Engine


@lru_cache(maxsize=1)
def engine() -> Engine:
    """The engine over the grid that the settings name; nothing is loaded before it is asked."""
    return Engine(Grid(settings.GRID_DIR))
