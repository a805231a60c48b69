"""What the first page of a server needs, imported and read while a browser still fetches Streamlit's scripts."""

import inspect
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from core.errors import UserError
from core.search import shared_engine


@asynccontextmanager
async def lifespan(app: object) -> AsyncIterator[None]:
    """The lifespan of the pages, which begins to load."""
    async with shared_engine.lifespan(app):
        threading.Thread(target=load, name="preload").start()
        yield


def load() -> None:
    """Import what pages share, and read the experiments that Home shows."""
    from core.experiments import experiment_table
    from core.experiments.store import Grid
    from dashboard import url
    from dashboard.widgets import decision_card, page_frame, pickers, read_only_notice  # noqa: F401

    # Streamlit does so at the first element of a process, which reads where each module lies; from then on that is known.
    inspect.stack()
    names = Grid().dataset_names()
    with suppress(UserError):
        if names:
            grid = Grid().load(url.first_dataset(names))
            experiment_table.load(grid, pickers.DEFAULT_NEIGHBORS, untrained=False)
