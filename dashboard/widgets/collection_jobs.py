"""Jobs of a collection: one change at a time, and computations that change nothing."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from core import jobs
from core.collections import Collection, embedder
from core.collections.ingest_report import Report
from core.collections.state import About
from core.data import image_sources
from core.errors import JobsError, UserError
from core.jobs import Job
from core.models.image_embedder import Embedder
from core.settings import settings
from dashboard import url
from dashboard.widgets import job_progress, markdown, sources
from dashboard.widgets.error_box import show_error
from dashboard.widgets.glossary import plural


def change(name: str, title: str, work: Callable[[Collection, Job], Any]) -> bool:
    """Start to change a collection; False, with a notice on the page, if another change is running or the server is busy."""
    running = changing(name)
    if running is not None:
        url.say(
            f"{markdown.plain(running.title)} is still running. One change at a time: wait for it, or cancel it."
        )
        return False

    def run(job: Job) -> Any:
        # With a model of its own, for batches; the shared one is for single images.
        with Collection.open(name, load=lambda about: _load(about, job)) as collection:
            return work(collection, job)

    started = False
    with job_progress.limited():
        jobs.start(_key(name), title, run)
        started = True
    return started


def changing(name: str) -> Job | None:
    """The running change."""
    job = jobs.get(_key(name))
    return job if job is not None and job.running else None


def forget(name: str) -> None:
    """Forget the result of the last change."""
    jobs.forget(_key(name))


def watch(name: str, shown: int) -> None:
    """Show the running change, or the result of the last one; the page runs again when its first images are stored.

    Parameters
    ----------
    shown : the number of images that the page shows.
    """
    job = jobs.get(_key(name))
    if job is None:
        return
    if job.running:
        job_progress.watch(job, "images")
        _so_far(name, job, shown)
        return
    with st.container(horizontal=True, vertical_alignment="center", key="images-result"):
        if job.state == "done":
            st.success(markdown.plain(f"{job.title}: {_summary(job.result)}"), icon=":material/check_circle:")
        elif job.state == "cancelled":
            st.info(
                f"{markdown.plain(job.title)}: stopped. What it finished is kept. Start it again for the rest.",
                icon=":material/cancel:",
            )
        else:
            job_progress.watch(job)
        st.button("Dismiss", icon=":material/done:", key="images-dismiss", on_click=forget, args=(name,))
    if job.state == "done" and isinstance(job.result, Report) and job.result.conflicting:
        _conflicts(name, job.result)


def result_of(about: About, title: str, query: tuple[Any, ...], work: Callable[[Job], Any]) -> Any:
    """The result of a computation that changes nothing; shows its progress and returns None until it is done.

    Parameters
    ----------
    query : what is computed, with all that the result depends on.
    """
    key = ("look", about.uuid, *query)
    try:
        job = jobs.get(key) or jobs.start(key, title, work)
    except JobsError as error:
        show_error(error)
        st.button("Try again", icon=":material/refresh:", key="images-again")
        return None
    if not job.wait(0.5):
        job_progress.watch(job)
        return None
    if job.state == "done":
        return job.result
    job_progress.watch(job)
    st.button("Try again", icon=":material/refresh:", key="images-again", on_click=jobs.forget, args=(key,))
    return None


def result_on_request(
    about: About, what: str, title: str, pressed: bool, version: Any, work: Callable[[Job], Any]
) -> Any:
    """As :func:`result_of`, computed anew whenever a button is pressed; None before the first time.

    Parameters
    ----------
    what : names the computation; version : of the collection, that the result depends on.
    """
    key = f"images-{what}-{about.uuid}"
    if pressed:
        st.session_state[key] = st.session_state.get(key, 0) + 1
    if key not in st.session_state:
        return None
    return result_of(about, title, (what, version, st.session_state[key]), work)


def _key(name: str) -> tuple[str, str, str]:
    return "collection", str(settings.COLLECTIONS_DIR), name


def _load(about: About, job: Job) -> Embedder:
    job.say("Loading the model: this takes some seconds.")
    loaded = embedder.load(about)
    # Nothing takes its place.
    job.say("")
    return loaded


@st.fragment(run_every=2)
def _so_far(name: str, job: Job, shown: int) -> None:
    """The number of images stored so far."""
    if not job.running:
        return
    try:
        info = sources.load(name).info
    except UserError:
        # The job shows the error.
        return
    if info.images and not shown:
        st.rerun()
    failed = f", {info.failures:,} that can't be read" if info.failures else ""
    st.caption(f"Stored so far: {plural(info.images, 'image')}{failed}. You can leave this page.")


def _summary(result: Any) -> str:
    if not isinstance(result, Report):
        return str(result) if result else "done."
    have = "has" if result.duplicates == 1 else "have"
    shared = f"{result.duplicates:,} {have} the same content as another one." if result.duplicates else ""
    return " ".join(part for part in (result.summary(), shared, *result.problems) if part)


def _conflicts(name: str, report: Report) -> None:
    """The images to which lists give different labels."""
    known = sources.load(name).info.sources
    sentences = [
        one.sentence(lambda path: image_sources.public_path(path, {}, known)) for one in report.conflicts
    ]
    lines = "".join(f"\n- {markdown.plain(sentence)}" for sentence in sentences)
    st.warning(f"{report.conflict_summary()}\n{lines}", icon=":material/label_off:")
