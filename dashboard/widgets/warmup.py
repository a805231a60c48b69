"""Loading a model and an index in the background, once per server, while the page is there already."""

import streamlit as st

from core.data.source import Source
from core.jobs import Job, Jobs

# Of their own: they wait for no long computation, and are kept so that nothing is loaded twice.
_jobs = Jobs(most=32, running=8)


def start(source: Source) -> Job:
    """Begin to load what a source is searched with, unless that was done or is under way; one that failed is tried again.

    Raises
    ------
    JobsError : too much is being loaded.
    """
    key = (source.url_key, source.name, source.key, *source.configuration.values())
    job = _jobs.get(key) or _jobs.start(key, f"Loading {source.name}", source.prepare)
    if job.state == "failed":
        _jobs.forget(key)
    return job


@st.fragment(run_every=0.5)
def watch(job: Job, name: str) -> None:
    """Say what is being loaded; when it is loaded, the page runs again."""
    if not job.running:
        st.rerun()
    st.status(
        f"{job.stage_name or 'Waiting to load the model'} ({name}). This happens once per server.",
        state="running",
    )
