import os
import time

import pytest

from benchmarks import measure
from benchmarks.measure import Sample, median_ratio, take_turns


def test_a_sample_has_a_median_and_quartiles():
    sample = Sample((4.0, 1.0, 2.0, 3.0, 100.0))
    assert sample.median == 3
    assert sample.quartiles == (2, 4)
    assert Sample((7.0,)).quartiles == (7, 7)


def test_samples_are_added_and_converted_round_by_round():
    sample = Sample((1.0, 2.0))
    assert sample.times(1000).values == (1000, 2000)
    assert sample.rate(8).values == (8, 4)
    assert sample.plus(Sample((1.0, 1.0)), Sample((0.5, 0.0))).values == (2.5, 3)
    assert sample.less(Sample((1.0, 1.0)), Sample((0.5, 0.0))).values == (-0.5, 1)


def test_ratios_are_taken_within_a_round_so_that_a_slow_moment_falls_out():
    assert median_ratio(Sample((2.0, 20.0, 2.0)), Sample((1.0, 10.0, 1.0))) == 2


def test_functions_take_turns_after_a_warm_up():
    calls = []
    times = take_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2)
    assert "".join(calls) in ("abbaab", "baabba")
    assert {name: len(sample.values) for name, sample in times.items()} == {"a": 2, "b": 2}


def test_times_are_seconds():
    times = take_turns({"nap": lambda: time.sleep(0.02)}, rounds=1)
    assert 0.02 <= times["nap"].median < 1


def allocate(megabytes: int) -> int:
    block = b"x" * (megabytes * 1_000_000)
    return len(block)


def fail() -> None:
    raise ValueError("on purpose")


@pytest.mark.slow
def test_memory_is_measured_in_a_process_of_its_own():
    kept = b"x" * 300_000_000
    small, large = measure.apart(allocate, 1), measure.apart(allocate, 200)
    assert (small.answer, large.answer) == (1_000_000, 200_000_000)
    assert small.peak < 150 < large.peak - small.peak < 250
    assert small.seconds > 0
    assert len(kept) == 300_000_000


def test_a_process_that_fails_says_how():
    with pytest.raises(RuntimeError, match="on purpose"):
        measure.apart(fail)


def test_own_memory_is_what_the_system_says():
    assert 5 < measure.resident(os.getpid()) < 100_000


def test_conditions_name_versions_and_settings_but_no_machine():
    head = measure.conditions()
    assert head["versions"]["numpy"][0].isdigit()
    assert head["settings"]["BATCH_SIZE"] > 0
    assert head["machine"]["cores"] > 0
    host = os.uname().nodename
    assert host not in str(head)
