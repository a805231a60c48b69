"""How long computations tell what they are doing, and how far a whole job is."""

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Protocol

# The rate of a stage is that of its latest steps, so that what was fast or slow before them doesn't count.
_RECENT_SECONDS = 10.0
# Steps that follow faster are one sample.
_SAMPLE_SECONDS = 0.1


class Progress(Protocol):
    """Receives what is being computed.

    Work that has one stage names it with :meth:`stage`. Work that has several divides its progress first and gives each stage a part, so that
    how far all of it is can be known. A part may be divided again, by the function that gets it.
    """

    def divide(self, *costs: float) -> "Sequence[Progress]":
        """The parts of the work to come, in their order. ``costs`` : about how long each takes compared with the others, at least 0."""

    def stage(self, name: str, total: int) -> None:
        """The stage begins, of ``total`` steps; 0 if their number is not known."""

    def step(self, n: int = 1) -> None:
        """Steps of the stage are done."""

    def say(self, sentence: str) -> None:
        """Something the user should read."""


class Silent:
    """Progress that nobody watches."""

    def divide(self, *costs: float) -> "Sequence[Progress]":
        return [self] * len(costs)

    def stage(self, name: str, total: int) -> None:
        pass

    def step(self, n: int = 1) -> None:
        pass

    def say(self, sentence: str) -> None:
        pass


class Tracker(ABC):
    """The progress of a whole job: one fraction, which never falls, and one estimate of the time left.

    The time left in a stage comes from the rate of its latest steps. That of the stages after it comes from their costs, and from how long
    a part of the job of that cost took so far, as the steps of this job show. Time before the first step of a stage, such as that of loading a
    model, and time after the last one is no measure of that.

    Attributes
    ----------
    stage_name, done_steps, total : what is being done, and how much of it is; ``total`` is 0 if that can't be counted.
    fraction : how much of the job is done, 0 to 1.
    """

    def __init__(self) -> None:
        self.stage_name, self.done_steps, self.total = "", 0, 0
        self.fraction = 0.0
        # A stage is this part of the job.
        self._start = self._end = 0.0
        # How much of the job was done from the first step to the last one of each earlier stage, and how long that took.
        self._measured = self._measured_seconds = 0.0
        self._began = time.monotonic()
        # When how many steps of the stage were done: the first, those of late, and the last.
        self._first = self._last = (self._began, 0)
        self._late: deque[tuple[float, int]] = deque()
        self._lock = threading.Lock()

    # Called by the work

    def divide(self, *costs: float) -> Sequence[Progress]:
        return _divided(self, 0.0, 1.0, costs)

    def stage(self, name: str, total: int) -> None:
        self._begin(name, total, 0.0, 1.0)

    def step(self, n: int = 1) -> None:
        self._check()
        now = time.monotonic()
        with self._lock:
            self.done_steps += n
            if self.total:
                reached = self._start + (self._end - self._start) * self._stage_fraction
                self.fraction = max(self.fraction, reached)
            if n:
                self._note(now)
        self._changed()

    @abstractmethod
    def say(self, sentence: str) -> None: ...

    # Called by those who watch

    @property
    def rate(self) -> float:
        """Steps per second of the stage of late; 0 before there are two."""
        if not self._late:
            return 0.0
        since, before = self._late[0]
        return (self.done_steps - before) / max(time.monotonic() - since, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """Until the job is done if it goes on like this; None while nothing is known of that."""
        with self._lock:
            measured, seconds = self._measures
            if not measured:
                return None
            later = (1 - self._end) * seconds / measured
            if self.total > self.done_steps and self.rate:
                return (self.total - self.done_steps) / self.rate + later
            if self.total and self.total <= self.done_steps:
                left = later - (time.monotonic() - self._last[0])
            else:
                left = (self._end - self._start) * seconds / measured - (time.monotonic() - self._began)
                left += later if left >= 0 else 0.0
            # What takes longer than expected can end at any time.
            return None if left < 0 else left

    def _begin(self, name: str, total: int, start: float, end: float) -> None:
        """A stage begins, which is a part of the job, or what is left of it."""
        self._check()
        with self._lock:
            self._measured, self._measured_seconds = self._measures
            self._start, self._end = min(end, max(start, self.fraction)), end
            self.fraction = max(self.fraction, self._start)
            self.stage_name, self.done_steps, self.total = name, 0, total
            self._began = time.monotonic()
            self._first = self._last = (self._began, 0)
            self._late.clear()
        self._changed()

    def _note(self, now: float) -> None:
        """Remember when steps were done."""
        self._last = now, self.done_steps
        if not self._first[1]:
            self._first = self._last
        if not self._late or now - self._late[-1][0] >= _SAMPLE_SECONDS:
            self._late.append(self._last)
        # One of them is older, so that slow steps have a rate too.
        while len(self._late) > 2 and now - self._late[1][0] > _RECENT_SECONDS:
            self._late.popleft()

    @property
    def _measures(self) -> tuple[float, float]:
        """How much of the job was measured so far, and how long that took."""
        if not self.total:
            return self._measured, self._measured_seconds
        (since, before), (until, done) = self._first, self._last
        part = (self._end - self._start) * min(1.0, (done - before) / self.total)
        return self._measured + part, self._measured_seconds + until - since

    @property
    def _stage_fraction(self) -> float:
        return min(1.0, self.done_steps / self.total)

    def _check(self) -> None:  # noqa: B027
        """Raises what ends the work, if anything does."""

    def _changed(self) -> None:  # noqa: B027
        """Shows what has changed, where that is shown at once."""


class _Part:
    """The progress of a part of a job."""

    def __init__(self, job: Tracker, start: float, end: float):
        self._job, self._start, self._end = job, start, end

    def divide(self, *costs: float) -> Sequence[Progress]:
        return _divided(self._job, self._start, self._end, costs)

    def stage(self, name: str, total: int) -> None:
        self._job._begin(name, total, self._start, self._end)

    def step(self, n: int = 1) -> None:
        self._job.step(n)

    def say(self, sentence: str) -> None:
        self._job.say(sentence)


def _divided(job: Tracker, start: float, end: float, costs: Sequence[float]) -> Sequence[Progress]:
    start = min(end, max(start, job.fraction))
    if not sum(costs):
        costs = [1.0] * len(costs)
    ends = [start + (end - start) * (cost / sum(costs)) for cost in accumulate(costs)]
    return [_Part(job, *both) for both in pairwise([start, *ends])]
