"""The process in which strangers' images are decoded; ``core.imaging.decode_pool`` starts it and speaks with it over pipes.

It has limits on its address space, its processor time and what it may write, and it imports nothing of TensorFlow or Streamlit.
"""

import os
import resource
import signal
from collections.abc import Callable
from typing import BinaryIO

from PIL import AvifImagePlugin, Image

from core import process_limits
from core.errors import ImageError
from core.imaging.decode import decode, load_plugins
from core.imaging.decode_pool import DONE, HELLO, LENGTH, MAX_SENTENCE_BYTES, REFUSED, REPLY, TAKEN
from core.imaging.transform import Reduction, reduce
from core.settings import settings

# The parent's clock comes first; these end a worker whose parent is gone.
_GRACE_SECONDS = 2


def main(decode: Callable[[bytes], Image.Image] = decode) -> None:
    """Serve until the parent closes its end of the pipe."""
    # Ctrl-C in a terminal goes to all processes in it; the parent decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever a library prints must not get between the replies.
    with os.fdopen(os.dup(1), "wb") as replies, os.fdopen(os.dup(0), "rb") as requests:
        quiet = os.open(os.devnull, os.O_RDWR)
        os.dup2(quiet, 0)
        os.dup2(quiet, 1)
        # All decoders now, while files can be opened.
        load_plugins()
        # Threads cost address space and make processor time run faster than the clock.
        AvifImagePlugin.DEFAULT_MAX_THREADS = 1
        process_limits.limit(settings.DECODE_BYTES)
        serve(decode, requests, replies)


def serve(decode: Callable[[bytes], Image.Image], requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until they end."""
    replies.write(HELLO)
    replies.flush()
    while len(header := requests.read(LENGTH.size)) == LENGTH.size:
        reduction = Reduction.unpack(requests.read(Reduction.PACKED.size))
        data = requests.read(*LENGTH.unpack(header))
        replies.write(TAKEN)
        replies.flush()
        _limit_request()
        head, body = _answer(decode, data, reduction)
        replies.write(head)
        replies.write(body)
        replies.flush()
        # Nothing of this request may be left when the next one comes.
        del data, body
        signal.alarm(0)


def _answer(
    decode: Callable[[bytes], Image.Image], data: bytes, reduction: Reduction | None
) -> tuple[bytes, bytes]:
    try:
        picture = decode(data)
        if reduction is not None:
            picture = reduce(picture, reduction)
        return REPLY.pack(DONE, *picture.size), picture.tobytes()
    except ImageError as error:
        sentence = str(error)
    except MemoryError:
        sentence = "decoding it takes more memory than allowed"
    body = sentence.encode("utf-8", "replace")[:MAX_SENTENCE_BYTES]
    return REPLY.pack(REFUSED, len(body), 0), body


def _limit_request() -> None:
    seconds = settings.DECODE_SECONDS + _GRACE_SECONDS
    # The default action ends the process even while a decoder holds it.
    signal.alarm(seconds)
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    limit = int(used) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit if hard < 0 else min(limit, hard), hard))


if __name__ == "__main__":
    main()
