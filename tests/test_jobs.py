import threading

import pytest

from core.errors import JobsError, UserError
from core.jobs import Job, Jobs
from core.settings import settings


def test_a_job_runs_in_the_background_and_keeps_its_result():
    go = threading.Event()

    def work(job: Job) -> int:
        job.stage("counting", 4)
        job.step(3)
        job.say("almost there")
        go.wait(10)
        return 42

    jobs = Jobs()
    job = jobs.start("count", "Counting", work)
    while not job.sentences:
        job.wait(0.01)
    assert job.running and job.result is None
    assert (job.stage_name, job.done_steps, job.total, job.fraction) == ("counting", 3, 4, 0.75)

    go.set()
    assert job.wait(10)
    assert (job.state, job.result, job.sentences, job.fraction) == ("done", 42, ["almost there"], 1.0)
    assert jobs.get("count") is job


def test_a_second_start_of_a_running_job_is_the_first_one():
    go, jobs = threading.Event(), Jobs()
    first = jobs.start("key", "Waiting", lambda job: go.wait(10))

    assert jobs.start("key", "Waiting", lambda job: pytest.fail("ran twice")) is first
    go.set()
    assert first.wait(10)
    again = jobs.start("key", "Again", lambda job: "new")
    assert again is not first and again.wait(10) and again.result == "new"


def test_a_cancelled_job_ends_at_its_next_step_whatever_it_catches():
    jobs, steps = Jobs(), []

    def work(job: Job) -> None:
        job.stage("endless", 10**9)
        while True:
            try:
                job.step()
                steps.append(job.done_steps)
            except Exception:
                continue

    job = jobs.start("endless", "Endless", work)
    while not steps:
        job.wait(0.001)
    job.cancel()
    assert job.wait(10)
    assert (job.state, job.error, job.cancelling) == ("cancelled", None, False)


def test_a_cancelled_job_ends_in_each_of_its_parts():
    jobs, begun, cancelled = Jobs(), threading.Event(), threading.Event()

    def work(job: Job) -> None:
        first, second = job.divide(1, 1)
        first.stage("first", 1)
        first.step()
        begun.set()
        cancelled.wait(10)
        second.stage("second", 1)
        pytest.fail("it went on")

    job = jobs.start("parts", "Parts", work)
    assert begun.wait(10)
    job.cancel()
    cancelled.set()
    assert job.wait(10)
    assert (job.state, job.stage_name, job.fraction) == ("cancelled", "first", 0.5)


def test_a_mistake_of_the_user_is_shown_and_another_error_is_logged(caplog):
    def refuse(job: Job) -> None:
        raise UserError("The folder is empty; choose another one.")

    jobs = Jobs()
    refused, broken = jobs.start(1, "Refused", refuse), jobs.start(2, "Broken", lambda job: 1 / 0)
    assert refused.wait(10) and broken.wait(10)
    assert (refused.state, refused.error) == ("failed", "The folder is empty; choose another one.")
    assert broken.state == "failed" and "server's log" in broken.error
    assert "ZeroDivisionError" in caplog.text


def test_the_oldest_that_have_ended_are_let_go_and_those_that_run_are_kept():
    go, jobs = threading.Event(), Jobs(most=3)
    running = jobs.start("running", "Running", lambda job: go.wait(10))
    for number in range(5):
        assert jobs.start(number, "Short", lambda job: None).wait(10)

    assert jobs.get("running") is running
    assert [number for number in range(5) if jobs.get(number)] == [3, 4]
    jobs.forget("running")
    jobs.forget(4)
    assert jobs.get("running") is running and jobs.get(4) is None
    go.set()


def test_so_many_run_at_a_time_the_next_wait_and_more_are_refused():
    go, jobs, running, most = threading.Event(), Jobs(running=3, waiting=2), [], []

    def work(job: Job) -> None:
        running.append(job)
        most.append(len(running))
        go.wait(10)
        running.remove(job)

    started = [jobs.start(number, f"Number {number}", work) for number in range(5)]
    assert [job.state for job in started] == ["running"] * 3 + ["waiting"] * 2
    assert all(job.running for job in started) and started[4].waiting
    with pytest.raises(JobsError) as caught:
        jobs.start("more", "More", work)
    assert "3" in str(caught.value) and "2" in str(caught.value) and isinstance(caught.value, UserError)
    assert jobs.get("more") is None
    # The one that is there already is no more work.
    assert jobs.start(4, "Again", work) is started[4]

    go.set()
    assert all(job.wait(10) for job in started)
    assert [job.state for job in started] == ["done"] * 5 and max(most) == 3
    assert jobs.start("more", "More", lambda job: "there is room").wait(10)


def test_three_hundred_started_at_once_are_no_more_threads_than_the_settings_allow():
    go, jobs, refused = threading.Event(), Jobs(), 0
    before = threading.active_count()
    for number in range(300):
        try:
            jobs.start(number, "One of many", lambda job: go.wait(10))
        except JobsError:
            refused += 1
    try:
        assert threading.active_count() - before == settings.JOBS_RUNNING
        assert refused == 300 - settings.JOBS_RUNNING - settings.JOBS_WAITING
    finally:
        go.set()


def test_a_job_that_waits_can_be_cancelled_and_never_runs():
    go, jobs = threading.Event(), Jobs(running=1, waiting=1)
    first = jobs.start("first", "First", lambda job: go.wait(10))
    second = jobs.start("second", "Second", lambda job: pytest.fail("it ran"))
    second.cancel()
    assert second.wait(0) and (second.state, second.running) == ("cancelled", False)
    # Its place is free.
    third = jobs.start("third", "Third", lambda job: "ran")
    go.set()
    assert third.wait(10) and third.result == "ran" and first.wait(10)


def test_a_job_that_fails_lets_the_next_one_run(caplog):
    jobs = Jobs(running=1, waiting=3)
    several = [jobs.start(number, "Broken", lambda job: 1 / 0) for number in range(4)]
    assert all(job.wait(10) for job in several)
    assert [job.state for job in several] == ["failed"] * 4
