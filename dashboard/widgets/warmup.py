"""Loading a model and an index in the background, once per server, while the page is there already."""

import logging
import threading
from collections.abc import Callable, Hashable, Sequence

import streamlit as st

from core.collections import Collection
from core.data.datasets import Dataset
from core.errors import UserError
from core.experiments.store import Configuration
from core.search import shared_engine

_log = logging.getLogger(__name__)
_MODEL = "Starting TensorFlow and loading the model"

# What is being done, in words, and what does it.
_Stage = tuple[str, Callable[[], object]]


class Warmup:
    """What is being loaded; ``error`` is a sentence when it can't be."""

    def __init__(self, stages: Sequence[_Stage]):
        self.stage = stages[0][0]
        self.error: str | None = None
        self._done = threading.Event()
        threading.Thread(target=self._run, args=(stages,), daemon=True).start()

    @property
    def done(self) -> bool:
        return self._done.is_set()

    def wait(self, seconds: float) -> bool:
        """Whether it is done within this time."""
        return self._done.wait(seconds)

    def _run(self, stages: Sequence[_Stage]) -> None:
        try:
            for self.stage, work in stages:
                work()
        except UserError as error:
            self.error = str(error)
        except Exception:
            _log.exception("Failed: %s", self.stage)
            self.error = "The model could not be loaded; the server's log says why."
        finally:
            self._done.set()


def start(dataset: Dataset, configuration: Configuration) -> Warmup:
    """Begin to load what a dataset is searched with, unless that was done or is under way; one that failed is tried again."""
    engine = shared_engine.engine()
    return _start(
        (dataset.fingerprint, configuration),
        [
            (_MODEL, lambda: engine.network(configuration)),
            (
                f"Preparing the {len(dataset):,} pictures to search",
                lambda: engine.index(dataset, configuration),
            ),
        ],
    )


def start_collection(collection: Collection) -> Warmup:
    """The same for a collection."""
    about = collection.about
    return _start(
        (about.uuid, about.name),
        [(_MODEL, lambda: collection.embedder), ("Opening the index", collection.snapshot)],
    )


def _start(key: Hashable, stages: Sequence[_Stage]) -> Warmup:
    warmup = _warmup(key, stages)
    if warmup.error:
        _warmup.clear(key, stages)
    return warmup


@st.cache_resource(show_spinner=False, max_entries=32)
def _warmup(key: Hashable, _stages: Sequence[_Stage]) -> Warmup:
    return Warmup(_stages)


@st.fragment(run_every=0.5)
def watch(warmup: Warmup, name: str) -> None:
    """Say what is being loaded; when it is done, the page is drawn anew."""
    if warmup.done:
        st.rerun()
    st.status(f"{warmup.stage} ({name}). This happens once per server.", state="running")
