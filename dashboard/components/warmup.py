"""Loading a model and an index in the background, once per server, while the page is there already."""

import logging
import threading

import streamlit as st

from core.datasets import Dataset
from core.errors import UserError
from core.experiments.store import Configuration
from core.search import shared

_log = logging.getLogger(__name__)


class Warmup:
    """What is being loaded; ``error`` is a sentence when it can't be."""

    def __init__(self, dataset: Dataset, configuration: Configuration):
        self.stage = "Starting TensorFlow and loading the model"
        self.error: str | None = None
        self._done = threading.Event()
        threading.Thread(target=self._run, args=(dataset, configuration), daemon=True).start()

    @property
    def done(self) -> bool:
        return self._done.is_set()

    def wait(self, seconds: float) -> bool:
        """Whether it is done within this time."""
        return self._done.wait(seconds)

    def _run(self, dataset: Dataset, configuration: Configuration) -> None:
        try:
            engine = shared.engine()
            engine.network(configuration)
            self.stage = f"Preparing the {len(dataset):,} pictures to search"
            engine.index(dataset, configuration)
        except UserError as error:
            self.error = str(error)
        except Exception:
            _log.exception("Loading %s failed", configuration)
            self.error = "The model could not be loaded; the server's log says why."
        finally:
            self._done.set()


def start(dataset: Dataset, configuration: Configuration) -> Warmup:
    """Begin to load, unless that was done or is under way; one that failed is tried again."""
    warmup = _warmup(dataset.fingerprint, configuration, dataset)
    if warmup.error:
        _warmup.clear(dataset.fingerprint, configuration, dataset)
    return warmup


@st.cache_resource(show_spinner=False, max_entries=32)
def _warmup(fingerprint: str, configuration: Configuration, _dataset: Dataset) -> Warmup:
    return Warmup(_dataset, configuration)


@st.fragment(run_every=0.5)
def watch(warmup: Warmup, name: str) -> None:
    """Say what is being loaded; when it is done, the page is drawn anew."""
    if warmup.done:
        st.rerun()
    st.status(f"{warmup.stage} ({name}). This happens once per server.", state="running")
