import random
from types import SimpleNamespace

import pytest

from core import progress
from core.progress import Progress, Silent, Tracker


class Heard(Tracker):
    """Remembers every fraction, and what was said."""

    def __init__(self):
        super().__init__()
        self.fractions, self.said = [0.0], []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def _changed(self) -> None:
        self.fractions.append(self.fraction)


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when the test says so."""
    time = SimpleNamespace(now=100.0)
    time.monotonic = lambda: time.now
    monkeypatch.setattr(progress, "time", time)
    return time


def steps(part: Progress, clock, n: int, seconds: float) -> None:
    for _ in range(n):
        clock.now += seconds
        part.step()


def test_one_stage_is_the_whole_job(clock):
    job = Heard()
    job.stage("counting", 4)
    assert (job.stage_name, job.done_steps, job.total, job.fraction, job.seconds_left) == (
        "counting",
        0,
        4,
        0,
        None,
    )
    steps(job, clock, 3, 2.0)
    assert (job.fraction, job.rate) == (0.75, 0.5)
    assert job.seconds_left == pytest.approx(2)


def test_the_end_of_a_stage_is_not_the_end_of_the_job(clock):
    job = Heard()
    reading, computing, indexing = job.divide(1, 2, 1)
    reading.stage("reading", 8)
    steps(reading, clock, 8, 1.0)
    assert job.fraction == 0.25 and job.seconds_left == pytest.approx(24, rel=0.2)
    computing.stage("computing", 8)
    steps(computing, clock, 8, 2.0)
    assert job.fraction == 0.75 and job.seconds_left == pytest.approx(8, rel=0.2)
    indexing.stage("indexing", 0)
    assert job.fraction == 0.75 and job.seconds_left == pytest.approx(8, rel=0.2)
    clock.now += 5
    assert job.seconds_left == pytest.approx(3, rel=0.5)
    # Nothing is known of a stage that takes longer than expected.
    clock.now += 50
    assert job.seconds_left is None


def test_a_part_is_divided_by_who_gets_it(clock):
    def inner(part: Progress) -> None:
        first, second = part.divide(3, 1)
        first.stage("first", 3)
        steps(first, clock, 3, 1.0)
        assert job.fraction == pytest.approx(0.5 + 0.5 * 0.75)
        second.stage("second", 1)
        second.step()

    job = Heard()
    before, after = job.divide(1, 1)
    before.stage("before", 1)
    before.step()
    inner(after)
    assert job.fraction == 1.0


@pytest.mark.parametrize("costs", [(1, 1, 1), (1, 5, 2)])
def test_with_even_steps_the_time_left_at_half_time_is_right(clock, costs):
    job = Heard()
    total, at_half = sum(costs), None
    for cost, part in zip(costs, job.divide(*costs), strict=True):
        part.stage("even", 100)
        for _ in range(100):
            steps(part, clock, 1, 0.1 * cost)
            if at_half is None and job.fraction >= 0.5:
                at_half = job.seconds_left
    assert at_half == pytest.approx(total * 10 / 2, rel=0.1)


def test_what_comes_before_the_first_step_does_not_count(clock):
    """As a model that is loaded."""
    job = Heard()
    job.stage("images", 100)
    clock.now += 1000
    steps(job, clock, 50, 1.0)
    assert job.seconds_left == pytest.approx(50, rel=0.1)


def test_the_rate_is_that_of_late(clock):
    """As that of images that are stored already and need not be read."""
    job = Heard()
    job.stage("images", 1100)
    steps(job, clock, 1000, 0.001)
    steps(job, clock, 20, 1.0)
    assert job.seconds_left == pytest.approx(80, rel=0.2)


def test_after_the_last_step_of_a_stage_the_time_goes_on(clock):
    """As while a library is imported or compiled."""
    job = Heard()
    first, _ = job.divide(1, 1)
    first.stage("first", 11)
    steps(first, clock, 11, 1.0)
    assert job.seconds_left == pytest.approx(11)
    clock.now += 4
    assert job.seconds_left == pytest.approx(7)
    clock.now += 40
    assert job.seconds_left is None


def test_slow_steps_have_a_rate(clock):
    job = Heard()
    job.stage("layers", 8)
    steps(job, clock, 1, 60.0)
    # One step is no rate: what came before it may have been something else.
    assert job.seconds_left is None
    steps(job, clock, 3, 60.0)
    assert job.rate == pytest.approx(1 / 60) and job.seconds_left == pytest.approx(240)


def test_parts_that_turn_out_to_be_nothing_are_skipped_and_measure_nothing(clock):
    job = Heard()
    *skipped, last = job.divide(*[1] * 5)
    assert len(skipped) == 4
    last.stage("last", 10)
    assert job.fraction == pytest.approx(0.8) and job.seconds_left is None
    steps(last, clock, 5, 1.0)
    assert job.seconds_left == pytest.approx(5, rel=0.3)


def test_stages_in_one_part_share_it(clock):
    """Work may download what it needs in the part that it has for loading it."""
    job = Heard()
    loading, _ = job.divide(1, 1)
    loading.stage("loading", 0)
    loading.stage("megabytes", 10)
    steps(loading, clock, 5, 1.0)
    assert job.fraction == 0.25
    loading.stage("unpacking", 2)
    assert job.fraction == 0.25
    steps(loading, clock, 2, 1.0)
    assert job.fraction == 0.5


def test_what_has_no_number_of_steps_is_counted_and_the_bar_waits(clock):
    job = Heard()
    job.stage("images", 0)
    steps(job, clock, 3, 1.0)
    assert (job.done_steps, job.fraction, job.seconds_left) == (3, 0.0, None)


def test_costs_of_nothing_are_alike():
    job = Heard()
    *_, last = job.divide(0, 0)
    last.stage("last", 1)
    assert job.fraction == 0.5
    assert list(job.divide()) == []


def drawn(chance: random.Random, deep: int) -> int | list:
    """Stages of so many steps, in parts of parts: a stage, or costs with what they are divided into."""
    if not deep or chance.random() < 0.3:
        return chance.randrange(6)
    return [(chance.uniform(0.1, 9), drawn(chance, deep - 1)) for _ in range(chance.randrange(1, 5))]


def work(part: Progress, plan: int | list) -> None:
    if isinstance(plan, int):
        part.stage("some", plan)
        for _ in range(plan):
            part.step()
        return
    for (_, inner), one in zip(plan, part.divide(*(cost for cost, _ in plan)), strict=True):
        work(one, inner)


@pytest.mark.parametrize("seed", range(50))
def test_the_fraction_never_falls_and_is_one_after_the_last_stage_only(seed):
    chance, job = random.Random(seed), Heard()
    before, last = job.divide(chance.uniform(0.1, 9), chance.uniform(0.1, 9))
    work(before, drawn(chance, 3))
    assert job.fraction < 1
    work(last, 3)
    assert job.fractions == sorted(job.fractions)
    assert job.fractions[0] == 0 and job.fractions[-1] == pytest.approx(1)


def test_silent_progress_has_as_many_parts_as_are_asked_for():
    parts = Silent().divide(1, 2, 3)
    assert len(parts) == 3
    for part in parts:
        part.stage("any", 1)
        part.step()
        part.say("anything")
