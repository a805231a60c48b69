import threading
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from core import jobs, progress
from core.errors import UserError
from dashboard.widgets import job_progress


def _page() -> None:
    from core import jobs
    from dashboard.widgets import job_progress

    job_progress.watch(jobs.get("test"), unit="pictures")


@pytest.mark.slow
def test_a_running_job_shows_how_far_it_is_and_can_be_cancelled():
    go = threading.Event()

    def work(job: jobs.Job) -> None:
        job.stage("features", 10)
        job.step(5)
        go.set()
        while True:
            job.step(0)
            job.wait(0.01)

    job = jobs.start("test", "Adding [cats](x)", work)
    assert go.wait(10)
    page = AppTest.from_function(_page).run()
    assert not page.exception
    assert page.markdown[0].value == r"**Adding \[cats\]\(x\)**"
    bar = page.get("progress")[0].proto
    assert bar.value == 50 and "5 of 10 pictures" in bar.text

    page.button[0].click().run()
    assert job.wait(10) and job.state == "cancelled"
    assert "stopped" in page.run().info[0].value


def test_the_bar_and_its_text_are_of_the_whole_job(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    job = jobs.Job("Adding")
    job.state = "running"
    computing, indexing = job.divide(1, 1)
    computing.stage("features", 8)
    assert job_progress._sentence(job, "images") == "Features · 0 of 8 images"
    for _ in range(8):
        clock.now += 10
        computing.step()
    assert job_progress._sentence(job, "images").startswith("Features · 8 of 8 images · about 80 s")
    indexing.stage("index", 0)
    assert "Index" in job_progress._sentence(job, "images") and job.fraction == 0.5
    indexing.stage("images", 8)
    assert job_progress._sentence(job, "images").startswith("0 of 8 images")
    # One step can take long; what it is at stays there.
    job.stage("loading the model", 0)
    job.cancel()
    assert "Loading the model" in job_progress._sentence(job, "images")


def test_a_failed_job_shows_its_sentence():
    def work(job: jobs.Job) -> None:
        raise UserError("There is no room.")

    assert jobs.start("test", "Adding", work).wait(10)
    page = AppTest.from_function(_page).run()
    assert page.error[0].value == r"Adding: There is no room."


@pytest.mark.slow
@pytest.mark.parametrize("cancel", [True, False])
def test_a_waiting_job_says_so_and_can_be_cancelled(monkeypatch, cancel):
    def watching(cancel: bool) -> None:
        from core import jobs
        from dashboard.widgets import job_progress

        job_progress.watch(jobs.get("test"), cancel=cancel)

    go, few = threading.Event(), jobs.Jobs(running=1, waiting=1)
    monkeypatch.setattr(jobs, "get", few.get)
    few.start("other", "Other", lambda job: go.wait(10))
    job = few.start("test", "Adding", lambda job: None)
    page = AppTest.from_function(watching, kwargs={"cancel": cancel}).run()
    assert "Waiting" in page.get("progress")[0].proto.text
    page.button[0].click().run()
    assert job.state == "cancelled"
    assert "stopped" in page.run().info[0].value
    go.set()


def test_over_the_limit_of_jobs_the_page_says_so(monkeypatch):
    def page() -> None:
        import streamlit as st

        from dashboard import url
        from dashboard.widgets import job_progress

        job_progress.start("more", "More", lambda job: None)
        st.write(" ".join(url.read(url.YOUR_IMAGES).notices))

    go, few = threading.Event(), jobs.Jobs(running=1, waiting=0)
    monkeypatch.setattr(jobs, "start", few.start)
    few.start("other", "Other", lambda job: go.wait(10))
    shown = AppTest.from_function(page).run()
    assert not shown.exception and "server is busy" in shown.markdown[0].value
    assert few.get("more") is None
    go.set()
