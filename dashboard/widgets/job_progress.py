"""A long computation on a page: how far it is, a button that ends it, and what became of it."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

from core import jobs
from core.errors import JobsError
from core.jobs import Job
from dashboard import url
from dashboard.widgets import glossary, markdown


@contextmanager
def limited() -> Iterator[None]:
    """A block that begins a computation; where too many others are going on it ends, with a sentence for the next run of the page."""
    try:
        yield
    except JobsError as error:
        url.say(markdown.plain(str(error)))


def start(key: Hashable, title: str, work: Callable[[Job], Any]) -> None:
    """Begin a computation from a widget's callback, unless too many others are going on."""
    with limited():
        jobs.start(key, title, work)


def watch(job: Job, unit: str = "", cancel: bool = True) -> None:
    """Show a job; one that is running is drawn anew every half second, and the page once when it has ended.

    Parameters
    ----------
    unit : what all of its stages count, such as ``"images"``.
    cancel : offer to end it; what is still waiting can always be cancelled.
    """
    if job.running:
        _running(job, unit, cancel)
    elif job.state == "failed":
        st.error(f"{markdown.plain(job.title)}: {markdown.plain(job.error or '')}", icon=":material/error:")
    elif job.state == "cancelled":
        st.info(f"{markdown.plain(job.title)}: stopped.", icon=":material/cancel:")


@st.fragment(run_every=0.5)
def _running(job: Job, unit: str, cancel: bool) -> None:
    if not job.running:
        st.rerun()
    with st.container(border=True):
        st.markdown(f"**{markdown.plain(job.title)}**")
        st.progress(job.fraction, markdown.plain(_sentence(job, unit)))
        if job.sentences and job.sentences[-1]:
            st.caption(markdown.plain(job.sentences[-1]))
        # A page may show several jobs, and their buttons have the same label.
        if (cancel or job.waiting) and st.button(
            "Cancel", icon=":material/close:", disabled=job.cancelling, key=f"cancel-{id(job)}"
        ):
            job.cancel()


@st.fragment(run_every=1)
def watch_line(job: Job) -> None:
    """Show a running job in one line, which is drawn anew every second, and the page once when it has ended."""
    if not job.running:
        st.rerun()
    # Rounded down: it is not at 100% before everything is done.
    done = "waiting" if job.waiting else f"{int(100 * job.fraction)}%"
    st.caption(f":material/progress_activity: {markdown.plain(job.title)}: {done}")


def _sentence(job: Job, unit: str) -> str:
    """The stage, how much of it is done, and the time left of the whole job."""
    if job.cancelling:
        return (
            f"Stopping at the next step · {glossary.capital(job.stage_name)}"
            if job.stage_name
            else "Stopping…"
        )
    if job.waiting:
        return "Waiting for other computations to end"
    counts = job.total > 1 or (job.done_steps and not job.total)
    # "128 of 1,200 images" says what the stage is.
    parts = [] if counts and job.stage_name == unit else [glossary.capital(job.stage_name or "Starting")]
    if job.total > 1:
        parts.append(f"{job.done_steps:,} of {job.total:,} {unit}".rstrip())
    elif job.done_steps and not job.total:
        parts.append(f"{job.done_steps:,} {unit} so far".replace("  ", " "))
    left = job.seconds_left
    if left is not None and left >= 1:
        parts.append(f"about {span(left)} left")
    return " · ".join(parts)


def span(seconds: float) -> str:
    """A length of time, rounded to what matters."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
