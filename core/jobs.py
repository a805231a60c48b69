"""Long computations in threads of the server: they go on when their page is left, and end early when canceled."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from core.errors import JobsError, UserError
from core.progress import Tracker
from core.settings import settings

_log = logging.getLogger(__name__)
_MOST_SENTENCES = 200


class Cancelled(BaseException):
    """Raised in a job by its own progress after somebody canceled it.

    Not an Exception, so that no handler on the way takes it for a failure to go on after.
    """


class Job(Tracker):
    """A computation and how far it is; the work has it as its :class:`core.progress.Progress`.

    The stages, steps and sentences of the work raise :class:`Cancelled` when the job was canceled.

    Attributes
    ----------
    title : for people.
    state : ``"waiting"`` for others to end | ``"running"`` | ``"done"`` | ``"failed"`` | ``"cancelled"``.
    sentences : what the work had to say, the latest last.
    result : what the work returned, None before.
    error : why it failed, a sentence.
    """

    def __init__(self, title: str):
        super().__init__()
        self.title = title
        self.state = "waiting"
        self.sentences: list[str] = []
        self.result: Any = None
        self.error: str | None = None
        self._cancelled, self._ended = threading.Event(), threading.Event()
        # What ends it while it is waiting.
        self._withdraw: Callable[[], None] = lambda: None

    def say(self, sentence: str) -> None:
        self._check()
        self.sentences = [*self.sentences, sentence][-_MOST_SENTENCES:]

    # Called by those who watch

    @property
    def running(self) -> bool:
        """Whether it has not ended, be it that it has not begun."""
        return self.state in ("waiting", "running")

    @property
    def waiting(self) -> bool:
        return self.state == "waiting"

    @property
    def cancelling(self) -> bool:
        """Whether it was canceled and has not ended yet."""
        return self.running and self._cancelled.is_set()

    def cancel(self) -> None:
        """Cancel it: it ends at its next step, or at once while it is waiting."""
        self._cancelled.set()
        self._withdraw()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it has ended within this time."""
        return self._ended.wait(seconds)

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled

    def _run(self, work: Callable[["Job"], Any], leave: Callable[[], None]) -> None:
        try:
            self.result = work(self)
            self.fraction, self.state = 1.0, "done"
        except Cancelled:
            self.state = "cancelled"
        except UserError as error:
            self.error, self.state = str(error), "failed"
        except BaseException:
            _log.exception("%s failed", self.title)
            self.error, self.state = "This failed for a reason that the server's log tells.", "failed"
        finally:
            # Its place is free before anybody hears that it has ended.
            try:
                leave()
            finally:
                self._ended.set()


class Jobs:
    """The jobs of a process, one of a key at a time; one that has ended is kept until it is forgotten or begun anew.

    Parameters
    ----------
    most : jobs that are kept; of those that have ended, the oldest go first.
    running, waiting : how many run at a time, and how many may wait for one of those to end.
    """

    def __init__(
        self, most: int = 100, running: int = settings.JOBS_RUNNING, waiting: int = settings.JOBS_WAITING
    ):
        self._most, self._most_running, self._most_waiting = most, running, waiting
        self._lock = threading.Lock()
        self._jobs: dict[Hashable, Job] = {}
        self._running = 0
        self._waiting: deque[tuple[Job, Callable[[Job], Any]]] = deque()

    def start(self, key: Hashable, title: str, work: Callable[[Job], Any]) -> Job:
        """Begin a computation in a thread, or let it wait while others run; while one of that key has not ended, that one.

        Raises
        ------
        JobsError : as many as may are running and waiting.
        """
        with self._lock:
            there = self._jobs.get(key)
            if there is not None and there.running:
                return there
            if self._running >= self._most_running and len(self._waiting) >= self._most_waiting:
                raise JobsError(
                    f"The server is busy: with {self._running} running and {len(self._waiting)} waiting computations it takes no "
                    "more. Try again when some of them have ended."
                )
            self._jobs.pop(key, None)
            ended = [key for key, job in self._jobs.items() if not job.running]
            for old in ended[: max(0, len(self._jobs) + 1 - self._most)]:
                del self._jobs[old]
            job = self._jobs[key] = Job(title)
            job._withdraw = partial(self._forgo, job)
            self._waiting.append((job, work))
            self._begin()
            return job

    def get(self, key: Hashable) -> Job | None:
        """The job of a key, running or not; None when there is none."""
        with self._lock:
            return self._jobs.get(key)

    def forget(self, key: Hashable) -> None:
        """Let go of a job that has ended; one that is running stays."""
        with self._lock:
            job = self._jobs.get(key)
            if job is not None and not job.running:
                del self._jobs[key]

    def _begin(self) -> None:
        """Let those run whose turn it is; the lock is held."""
        while self._waiting and self._running < self._most_running:
            job, work = self._waiting.popleft()
            job.state = "running"
            self._running += 1
            # A daemon: what is on disk is whole at every moment, so a server that ends need not wait.
            threading.Thread(target=job._run, args=(work, self._leave), name=job.title, daemon=True).start()

    def _leave(self) -> None:
        """One that was running has ended."""
        with self._lock:
            self._running -= 1
            self._begin()

    def _forgo(self, job: Job) -> None:
        """One was canceled, which ends it if it is waiting."""
        with self._lock:
            if job.waiting:
                self._waiting = deque(one for one in self._waiting if one[0] is not job)
                job.state = "cancelled"
                job._ended.set()


_jobs = Jobs()
start, get, forget = _jobs.start, _jobs.get, _jobs.forget
