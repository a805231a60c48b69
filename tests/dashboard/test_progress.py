import threading

from streamlit.testing.v1 import AppTest

from core import jobs
from core.errors import UserError


def _page() -> None:
    from core import jobs
    from dashboard.components import progress

    progress.watch(jobs.get("test"), unit="pictures")


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


def test_a_failed_job_shows_its_sentence():
    def work(job: jobs.Job) -> None:
        raise UserError("There is no room.")

    assert jobs.start("test", "Adding", work).wait(10)
    page = AppTest.from_function(_page).run()
    assert page.error[0].value == r"Adding: There is no room."
