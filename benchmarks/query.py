"""An image over the API: against its parts measured bare, at first, with many clients, and for long."""

import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from queue import SimpleQueue

import numpy as np

from benchmarks import networks, servers
from benchmarks.extraction import jpeg
from benchmarks.measure import Sample, processor_seconds, resident, take_turns, timed
from benchmarks.table import Row
from core.exact_index import Index
from core.experiments.store import Grid
from core.imaging import decode, transform
from core.models import registry
from core.settings import settings

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
_ITEM = 3
_COLD = 3
_ROUNDS = 40
_CLIENTS, _EACH, _CROWDS = 8, 10, 3
_REQUESTS = 1000


def rows() -> list[Row]:
    """Latencies in milliseconds, queries per second, and memory in megabytes."""
    import faiss

    grid = Grid(settings.GRID_DIR)
    dataset = grid.dataset("objects200")
    data = jpeg(dataset.path(_ITEM))
    model = registry.get_model(_MODEL)
    peer, network = networks.fastest(_MODEL, 1)
    pixels = transform.resize(decode.decode(data), model.input_size, model.resample)[None]
    vectors = grid.run(dataset, _MODEL, "imagenet").vectors(_LAYER)[1].astype(np.float32)
    ours, theirs = Index(vectors, "cosine"), faiss.IndexFlatIP(vectors.shape[1])
    theirs.add(vectors)

    colds = []
    for _ in range(_COLD):
        with servers.api() as server, closing(_Client(server.port, data)) as client:
            colds.append(timed(client.ask))
    with servers.api() as server, ExitStack() as stack:
        clients = [stack.enter_context(closing(_Client(server.port, data))) for _ in range(_CLIENTS)]
        times = take_turns(
            {
                "query": clients[0].ask,
                "decode": lambda: transform.resize(decode.decode(data), model.input_size, model.resample),
                "forward": lambda: network(pixels),
                "faiss": lambda: theirs.search(vectors[:1], 10),
                "search": lambda: ours.search(vectors[:1], 10),
            },
            _ROUNDS,
            warm_up=3,
        )
        # With the parts in turns with the crowd: eight clients at once, and one after the other.
        crowds = take_turns(
            {
                "one": lambda: _crowd(clients[:1], _CLIENTS * _EACH),
                "many": lambda: _crowd(clients, _CLIENTS * _EACH),
                "bare": lambda: [network(pixels) for _ in range(_CLIENTS * _EACH)],
            },
            _CROWDS,
        )
        latencies = _crowd(clients, _CLIENTS * _EACH)
        shares = _shares(server.pid, clients, lambda: network(pixels))
        before = resident(server.pid)
        _crowd(clients, _REQUESTS)
        grown = resident(server.pid) - before

    ms = {name: sample.times(1000) for name, sample in times.items()}
    parts = ms["decode"].plus(ms["forward"], ms["faiss"])
    rates = {name: sample.rate(_CLIENTS * _EACH) for name, sample in crowds.items()}
    said = ", ".join(f"{name} {ms[name].median:.3g} ms" for name in ("decode", "forward", "faiss"))
    picture = f"{_MODEL}, {_LAYER}; a JPEG of 500 pixels, {len(data) / 1000:.0f} kB"
    bare = f"bare: {said}; forward by {peer}"
    return [
        Row.of(
            "query over the API, the first of a server",
            Sample(tuple(colds)),
            "s",
            goal=1.5,
            note=f"{picture}; OpenVINO, the converted network and the index are loaded, and the network is compiled. Without OpenVINO "
            "most of it is reading TensorFlow",
        ),
        Row.of(
            "query over the API, one client",
            ms["query"],
            "ms",
            "its parts, bare",
            parts,
            goal=2,
            judged="ratio",
            note=f"{picture}; {bare}. The image is decoded in a process that a hostile file may kill",
        ),
        Row.of(
            "query over the API, beyond its parts",
            ms["query"].less(parts),
            "ms",
            goal=15,
            note=f"{picture}; {bare}",
        ),
        Row.of(
            f"queries over the API, {_CLIENTS} clients",
            rates["many"],
            "queries/s",
            "one client",
            rates["one"],
            better="higher",
            goal=0.9,
            judged="ratio",
            note="on cores that one query fills already, more clients must not make it slower for all",
        ),
        Row.of(
            f"queries over the API, {_CLIENTS} clients",
            rates["many"],
            "queries/s",
            "bare forward passes",
            rates["bare"],
            better="higher",
            goal=0.85,
            judged="ratio",
            note="the peer runs one image at a time on all cores, and neither decodes nor searches; ours runs several side by side, each on "
            f"its share of the cores. Decoder, server and clients run on these cores as well{shares}",
        ),
        Row(
            f"query with {_CLIENTS} clients, 95th percentile",
            float(np.quantile(latencies, 0.95)) * 1000,
            "ms",
            note=f"median {np.median(latencies) * 1000:.0f} ms",
        ),
        Row.of(
            "search, beyond bare FAISS",
            ms["search"].less(ms["faiss"]),
            "ms",
            goal=1,
            note=f"{len(vectors)} vectors of {vectors.shape[1]} numbers",
        ),
        Row(
            f"memory grown over {_REQUESTS:,} queries",
            grown,
            "MB",
            goal=50,
            note="resident memory of the server",
        ),
    ]


def _crowd(clients: list["_Client"], number: int) -> list[float]:
    """Seconds of each query, asked by all clients at a time."""
    free: SimpleQueue[_Client] = SimpleQueue()
    for client in clients:
        free.put(client)

    def ask(_: int) -> float:
        client = free.get()
        seconds = timed(client.ask)
        free.put(client)
        return seconds

    with ThreadPoolExecutor(len(clients)) as pool:
        return list(pool.map(ask, range(number)))


def _shares(server: int, clients: list["_Client"], forward: Callable[[], object]) -> str:
    """What a query takes of the processors, as part of a note; empty where that is not known."""
    number = _CLIENTS * _EACH
    before, own = processor_seconds(server), time.process_time()
    _crowd(clients, number)
    after, between = processor_seconds(server), time.process_time()
    for _ in range(number):
        forward()
    bare = time.process_time() - between
    if before is None or after is None:
        return ""
    parts = {
        "server": after[0] - before[0],
        "decoders": after[1] - before[1],
        "clients": between - own,
    }
    said = ", ".join(f"{name} {1000 * seconds / number:.1f} ms" for name, seconds in parts.items())
    ours = sum(parts.values())
    return (
        f"; processor time of a query: {said}; of a bare forward pass {1000 * bare / number:.1f} ms, so that without a moment of waiting "
        f"it were {bare / ours:.2f}"
    )


class _Client:
    """An open connection that sends a prepared request: clients share the cores with the server, and should take little of them."""

    def __init__(self, port: int, data: bytes):
        parts = [
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in _FIELDS.items()
        ]
        file = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
        body = b"".join([*parts, file.encode(), data, f"\r\n--{_BOUNDARY}--\r\n".encode()])
        head = (
            f"POST /api/v1/search HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\n\r\n"
        )
        self._request = head.encode() + body
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._answers = self._socket.makefile("rb")

    def ask(self) -> None:
        """Search; raises RuntimeError where the answer is not the expected one."""
        self._socket.sendall(self._request)
        length = 0
        while (line := self._answers.readline()).strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        answer = json.loads(self._answers.read(length))
        if answer.get("results", [{}])[0].get("id") != _ITEM:
            raise RuntimeError(f"The API answered {answer}")

    def close(self) -> None:
        self._answers.close()
        self._socket.close()
