"""What is done to a collection in the background: one change at a time, and looks at it beside that."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from core import jobs
from core.collections import Collection, embedder, image_sources
from core.collections.ingest import Report
from core.collections.state import About
from core.errors import JobsError, UserError
from core.jobs import Job
from core.settings import settings
from dashboard import url
from dashboard.widgets import job_progress, markdown, sources


def change(name: str, title: str, work: Callable[[Collection, Job], Any]) -> bool:
    """Begin to change a collection; False, with a sentence for the page, while another change or too much else is going on."""
    there = changing(name)
    if there is not None:
        url.say(
            f"{markdown.plain(there.title)} is still going on. One change at a time: wait for its end, or cancel it."
        )
        return False

    def run(job: Job) -> Any:
        # A model of its own that takes batches; the one that searches takes pictures one by one.
        with Collection.open(name, load=lambda about: _load(about, job)) as collection:
            return work(collection, job)

    with job_progress.limited():
        jobs.start(_key(name), title, run)
        return True
    return False


def changing(name: str) -> Job | None:
    """The change that is going on."""
    job = jobs.get(_key(name))
    return job if job is not None and job.running else None


def forget(name: str) -> None:
    """Let go of what became of the last change."""
    jobs.forget(_key(name))


def watch(name: str) -> None:
    """Show the change that is going on, or what became of the last one."""
    job = jobs.get(_key(name))
    if job is None:
        return
    if job.running:
        job_progress.watch(job, "pictures")
        _so_far(name, job)
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if job.state == "done":
            st.success(markdown.plain(f"{job.title}: {_told(job.result)}"), icon=":material/check_circle:")
        else:
            job_progress.watch(job)
        st.button("Dismiss", icon=":material/done:", key="images-dismiss", on_click=forget, args=(name,))
    if job.state == "done" and isinstance(job.result, Report) and job.result.conflicting:
        _conflicts(name, job.result)


def look(about: About, title: str, asked: tuple, work: Callable[[Job], Any]) -> Any:
    """The result of a computation that changes nothing, which is drawn as progress until it is there; None before.

    Parameters
    ----------
    asked : what is computed, with all that its result depends on.
    """
    key = ("look", about.uuid, *asked)
    try:
        job = jobs.get(key) or jobs.start(key, title, work)
    except JobsError as error:
        st.error(markdown.plain(str(error)), icon=":material/error:")
        st.button("Try again", icon=":material/refresh:", key="images-again")
        return None
    if not job.wait(0.5):
        job_progress.watch(job, "pictures")
        return None
    if job.state == "done":
        return job.result
    job_progress.watch(job)
    st.button("Try again", icon=":material/refresh:", key="images-again", on_click=jobs.forget, args=(key,))
    return None


def _key(name: str) -> tuple[str, str, str]:
    return "collection", str(settings.COLLECTIONS_DIR), name


def _load(about: About, job: Job) -> embedder.Embedder:
    job.say("Loading the model: this takes some seconds.")
    made, done = embedder.load(about), job.done_steps
    # The time that this took says nothing of how fast pictures are: the clock of the stage starts again.
    job.stage(job.stage_name, job.total)
    job.step(done)
    job.say("The model is loaded.")
    return made


@st.fragment(run_every=2)
def _so_far(name: str, job: Job) -> None:
    """What the collection has by now, besides what the job says it is doing."""
    if not job.running:
        return
    try:
        info = sources.load(name).info
    except UserError:
        # The job says what became of it.
        return
    failed = f", {info.failures:,} that can't be read" if info.failures else ""
    st.caption(
        f"Stored so far: {info.images:,} pictures{failed}. You can leave this page: this goes on, and what is stored stays."
    )


def _told(result: Any) -> str:
    if not isinstance(result, Report):
        return str(result) if result else "done."
    have = "has" if result.duplicates == 1 else "have"
    shared = f"{result.duplicates:,} {have} the content of another one." if result.duplicates else ""
    return " ".join(part for part in (result.summary(), shared, *result.problems) if part)


def _conflicts(name: str, report: Report) -> None:
    """The images that lists give different labels, without what lies above the folders that were added."""
    known = sources.load(name).info.sources
    sentences = [
        one.sentence(lambda path: image_sources.told_path(path, {}, known)) for one in report.conflicts
    ]
    lines = "".join(f"\n- {markdown.plain(sentence)}" for sentence in sentences)
    st.warning(f"{report.conflict_summary()}\n{lines}", icon=":material/label_off:")
