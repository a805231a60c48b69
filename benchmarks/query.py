"""A picture over the API: against its parts measured bare, at first, with many clients, and for long."""

import http.client
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.table import Row, take_turns
from core import images, settings
from core.experiments.store import Grid
from core.models import weights, zoo
from core.search.index import Index

_ROOT = Path(__file__).resolve().parent.parent
_MODEL, _LAYER = "efficientnet-lite0", "block6_output"
_FIELDS = {
    "dataset": "objects200",
    "model": _MODEL,
    "weights": "imagenet",
    "layer": _LAYER,
    "pooling": "avg",
    "metric": "cosine",
    "k": "10",
}
_BOUNDARY = "----benchmark"
_CLIENTS, _EACH = 8, 25
_REQUESTS = 2000


def rows() -> list[Row]:
    """Latencies in milliseconds and memory in megabytes."""
    import faiss
    import tensorflow as tf

    dataset = Grid(settings.GRID_DIR).dataset("objects200")
    data = dataset.path(3).read_bytes()
    model = zoo.get_model(_MODEL)
    graph, _ = weights.load(model, "imagenet")
    pixels = images.resize(images.decode(data), model.input_size, model.resample)[None]

    @tf.function(input_signature=[tf.TensorSpec(pixels.shape, tf.uint8)])
    def bare(batch: tf.Tensor) -> tf.Tensor:
        return graph(zoo.preprocess(model, tf.cast(batch, tf.float32)), training=False)

    vectors = Grid(settings.GRID_DIR).run(dataset, _MODEL, "imagenet").vectors(_LAYER)[1].astype(np.float32)
    ours, theirs = Index(vectors, "cosine"), faiss.IndexFlatIP(vectors.shape[1])
    theirs.add(vectors)
    with _server() as (port, process):
        started = time.perf_counter()
        _ask(port, data)
        first = time.perf_counter() - started
        times = take_turns(
            {
                "query": lambda: _ask(port, data),
                "forward": lambda: bare(pixels).numpy(),
                "decode": lambda: images.decode(data),
                "search": lambda: ours.search(vectors[:1], 10),
                "faiss": lambda: theirs.search(vectors[:1], 10),
            },
            60,
        )
        middle = {name: statistics.median(values) * 1000 for name, values in times.items()}
        with ThreadPoolExecutor(_CLIENTS) as pool:
            crowd = list(pool.map(lambda _: _timed(port, data), range(_CLIENTS * _EACH)))
        before = _resident(process.pid)
        with ThreadPoolExecutor(_CLIENTS) as pool:
            list(pool.map(lambda _: _ask(port, data), range(_REQUESTS)))
        grown = _resident(process.pid) - before
    parts = middle["forward"] + middle["decode"]
    return [
        Row("query over the API", middle["query"], "ms", note=f"{_MODEL}, one client, a WebP of 320 pixels"),
        Row(
            "the same, beyond a bare forward pass and decoding",
            middle["query"] - parts,
            "ms",
            15,
            f"bare pass to the end {middle['forward']:.1f} ms, decoding {middle['decode']:.1f} ms",
        ),
        Row(
            "search, beyond bare FAISS",
            middle["search"] - middle["faiss"],
            "ms",
            1,
            f"{len(vectors)} vectors of {vectors.shape[1]}; FAISS {middle['faiss']:.3f} ms",
        ),
        Row(
            "first query after the start of the server",
            first,
            "s",
            note="TensorFlow, model and index are loaded",
        ),
        Row(
            f"query with {_CLIENTS} clients, 95th percentile",
            float(np.quantile(crowd, 0.95)) * 1000,
            "ms",
            note=f"median {statistics.median(crowd) * 1000:.0f} ms",
        ),
        Row(f"memory grown over {_REQUESTS:,} queries", grown, "MB", 50, "resident memory of the server"),
    ]


@contextmanager
def _server() -> Iterator[tuple[int, subprocess.Popen]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "core", "serve", "--api-only", "--port", str(port)]
    process = subprocess.Popen(command, cwd=_ROOT, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                with socket.create_connection(("127.0.0.1", port), 1):
                    break
            except OSError:
                time.sleep(0.1)
        yield port, process
    finally:
        process.terminate()
        process.wait(30)


def _timed(port: int, data: bytes) -> float:
    started = time.perf_counter()
    _ask(port, data)
    return time.perf_counter() - started


def _ask(port: int, data: bytes) -> None:
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in _FIELDS.items()
    ]
    file = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.webp"\r\n\r\n'.encode()
    )
    body = b"".join([*parts, file, data, f"\r\n--{_BOUNDARY}--\r\n".encode()])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(
        "POST", "/api/v1/search", body, {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    )
    answer = json.loads(connection.getresponse().read())
    connection.close()
    if answer.get("results", [{}])[0].get("id") != 3:
        raise RuntimeError(f"The API answered {answer}")


def _resident(pid: int) -> float:
    """Megabytes of a process that are in memory."""
    kilobytes = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    return int(kilobytes.stdout) / 1000
