"""Processes that decode strangers' images, so that a hostile file can harm no more than one request.

An image goes to a worker (``core.imaging.decode_worker``) as its bytes and comes back as width, height and raw RGB
bytes, of a reduced image where that is all that is needed. What comes back is not trusted either: it is numbers of fixed width and a body of the length that they
say, never a pickle. Workers are started ahead, reused, and replaced when they die or run out of time. They are new programs and not
forks, since a server with threads can't be forked safely.
"""

import atexit
import contextlib
import io
import logging
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from PIL import Image

from core.errors import ImageError
from core.imaging.image_limits import check_size
from core.imaging.transform import Reduction, mark
from core.settings import settings

# What a worker says once it is ready, and once it has a request. A request is the length of the file, the reduction
# (see Reduction.pack) and the file; a reply is status, width, height and RGB bytes, or for a refusal: status, length, 0 and
# the sentence in UTF-8.
HELLO = b"picture decoder 3\n"
TAKEN = b"!"
LENGTH = struct.Struct(">Q")
REPLY = struct.Struct(">BII")
DONE, REFUSED = 0, 1
MAX_SENTENCE_BYTES = 400

_ROOT = Path(__file__).resolve().parents[2]
_COMMAND = (sys.executable, "-P", "-m", "core.imaging.decode_worker")
# A loaded machine takes a while to start Python and import Pillow; this is not the request's fault.
_START_SECONDS = 30
# A worker has no use for the secrets that a server's environment may hold.
_KEPT_VARIABLES = (
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "PYTHONHOME",
    "LANG",
    "TMPDIR",
)
_PASSED_SETTINGS = (
    "MAX_IMAGE_BYTES",
    "MAX_IMAGE_PIXELS",
    "MAX_IMAGE_SIDE",
    "MAX_IMAGE_RATIO",
    "DECODE_SECONDS",
    "DECODE_BYTES",
)

# How a worker ends that has kept its own time.
_TIME_SIGNALS = {-signal.SIGXCPU, -signal.SIGALRM}

_log = logging.getLogger(__name__)


class _WorkerError(Exception):
    """A worker that is of no further use."""


class _NeverStarted(_WorkerError):
    """It did not take the request, so another may be asked."""


class _OutOfTime(_WorkerError):
    """It was killed for taking too long."""


class Pool:
    """Some workers, and a queue before them.

    Workers start in the background at once and end with :meth:`close` or with this process, however it ends.

    Parameters
    ----------
    size : number of workers; ``settings.DECODE_WORKERS`` when not given.
    command : how to start a worker: a program that speaks as ``core.imaging.decode_worker`` does.
    """

    def __init__(self, size: int | None = None, command: Sequence[str] = _COMMAND):
        size = size or settings.DECODE_WORKERS
        self._command = tuple(command)
        self._slots = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        self._workers: set[_Worker] = set()
        self._idle: list[_Worker] = []
        self._closed = False
        for _ in range(size):
            self._refill()

    def decode(self, data: bytes, reduction: Reduction | None = None) -> Image.Image:
        """The image in ``data`` as RGB, or what is needed of it.

        Raises
        ------
        ImageError : the worker refuses it, dies or is killed for it, or all are busy for too long.
        """
        if not self._slots.acquire(timeout=settings.DECODE_QUEUE_SECONDS):
            raise ImageError("too many images are being decoded at the moment; try again shortly")
        try:
            try:
                return self._ask(data, reduction)
            except _NeverStarted:
                # It died while idle, of nothing that this image did. Others that are idle may have died as well.
                return self._ask(data, reduction, newest=True)
        except _NeverStarted as error:
            _log.error("no image can be decoded: %s; try running: %s", error, " ".join(self._command))
            raise ImageError("the server can't decode images at the moment; its log says why") from None
        except _OutOfTime:
            raise ImageError(f"decoding it takes more than the {settings.DECODE_SECONDS} s allowed") from None
        except _WorkerError as error:
            _log.warning("an image ended its decoder: %s", error)
            raise ImageError("the image can't be decoded: its decoder had to be stopped") from None
        finally:
            self._slots.release()

    def close(self) -> None:
        """End the workers. Calls that still wait for one raise ImageError."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            busy = self._workers.difference(idle)
            self._workers = set()
        for worker in busy:
            # Its pipes are being read in another thread, which ends them when they end.
            worker.stop()
        for worker in idle:
            worker.kill()

    def _ask(self, data: bytes, reduction: Reduction | None, newest: bool = False) -> Image.Image:
        worker = self._take(newest)
        try:
            picture = worker.decode(data, reduction)
        except ImageError:
            self._give_back(worker)
            raise
        except BaseException:
            # Also Ctrl-C: what this worker would say next belongs to a request that nobody waits for.
            with self._lock:
                self._workers.discard(worker)
            worker.kill()
            self._refill()
            raise
        self._give_back(worker)
        return picture

    def _take(self, newest: bool) -> "_Worker":
        with self._lock:
            if self._closed:
                raise _NeverStarted("the decoder has been closed")
            if self._idle:
                return self._idle.pop(0 if newest else -1)
        self._refill()
        with self._lock:
            if self._idle:
                return self._idle.pop()
        raise _NeverStarted("no process could be started")

    def _give_back(self, worker: "_Worker") -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(worker)

    def _refill(self) -> None:
        with self._lock:
            if self._closed:
                return
            try:
                worker = _Worker(self._command)
            except OSError as error:
                # The next request tries again.
                _log.error("an image decoder could not be started: %s", error)
                return
            self._workers.add(worker)
            # Below those that are ready already, so the first is always the newest.
            self._idle.insert(0, worker)


class _Worker:
    def __init__(self, command: Sequence[str]):
        # stderr is dropped: decoders of C print there whatever a file provokes.
        self._process = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            cwd=_ROOT,
        )
        # Without buffers, the pipes are plain files.
        self._requests = cast(io.FileIO, self._process.stdin)
        self._replies = cast(io.FileIO, self._process.stdout)
        self._ready = False

    def decode(self, data: bytes, reduction: Reduction | None) -> Image.Image:
        try:
            if not self._ready:
                with _Watch(self._process, _START_SECONDS):
                    if bytes(self._receive(len(HELLO))) != HELLO:
                        raise _WorkerError("it does not speak our language")
                self._ready = True
        except (_WorkerError, OSError) as error:
            raise _NeverStarted(str(error)) from None
        with _Watch(self._process, settings.DECODE_SECONDS):
            try:
                # A worker takes all before it looks at any: when this fails, the image is not to blame.
                self._send(LENGTH.pack(len(data)) + Reduction.pack(reduction))
                self._send(data)
                taken = self._receive(len(TAKEN)) == TAKEN
            except (_WorkerError, OSError) as error:
                raise _NeverStarted(str(error)) from None
            if not taken:
                raise _WorkerError("it answered nonsense")
            return self._reply(reduction)

    def stop(self) -> None:
        self._process.kill()

    def kill(self) -> None:
        self._process.kill()
        for pipe in (self._requests, self._replies):
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            _log.warning("image decoder %d does not end", self._process.pid)

    def _reply(self, reduction: Reduction | None) -> Image.Image:
        status, width, height = REPLY.unpack(self._receive(REPLY.size))
        if status == REFUSED and width <= MAX_SENTENCE_BYTES:
            sentence = self._receive(width).decode("utf-8", "replace")
            raise ImageError("".join(char for char in sentence if char.isprintable()))
        if status != DONE or not _plausible(width, height, reduction):
            raise _WorkerError("it answered nonsense")
        pixels = self._receive(width * height * 3)
        image = Image.frombuffer("RGB", (width, height), pixels, "raw", "RGB", 0, 1)
        return mark(image, reduction.resample) if reduction and reduction.resample else image

    def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._requests.write(rest) :]

    def _receive(self, length: int) -> bytearray:
        data = bytearray(length)
        rest = memoryview(data)
        while rest:
            if not (count := self._replies.readinto(rest)):
                raise _WorkerError("it ended")
            rest = rest[count:]
        return data


def _plausible(width: int, height: int, reduction: Reduction | None) -> bool:
    if reduction is not None:
        return reduction.fits(width, height)
    try:
        check_size(width, height)
    except ImageError:
        return False
    return True


class _Watch:
    """Kills a process that is not done in time: its pipes then end and wake whoever waits for them."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float):
        self._process = process
        self._expired = False
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, kind: type | None, error: BaseException | None, _trace: object) -> None:
        self._timer.cancel()
        # Past this it either has killed or never will.
        self._timer.join()
        if not self._expired and isinstance(error, _WorkerError):
            # The worker may have kept its own time, a moment earlier than this one.
            self._expired = self._ended_by_its_own_limit()
        if self._expired:
            raise _OutOfTime("it took too long") from None

    def _expire(self) -> None:
        self._expired = True
        self._process.kill()

    def _ended_by_its_own_limit(self) -> bool:
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return False
        return code in _TIME_SIGNALS


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    limits = {f"PLAYGROUND_{name}": str(getattr(settings, name)) for name in _PASSED_SETTINGS}
    path = os.pathsep.join(part for part in (str(_ROOT), os.environ.get("PYTHONPATH")) if part)
    # One thread and few heaps: address space is what the limit on memory counts.
    tame = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    return {**kept, **limits, **tame, "PYTHONPATH": path}


_shared: Pool | None = None
_shared_lock = threading.Lock()


def shared() -> Pool:
    """The pool of the whole program, started by the first call and ended with the program.

    A server may call this early, so that the first upload does not wait for the workers.
    """
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = Pool()
            atexit.register(_shared.close)
        return _shared


def _forget() -> None:
    # A fork would talk over the pipes of its parent.
    global _shared, _shared_lock
    _shared, _shared_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)
