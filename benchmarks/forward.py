"""The forward pass: ours against the same graph run by others, and batches of several sizes."""

from functools import partial

import numpy as np

from benchmarks import networks
from benchmarks.measure import take_turns
from benchmarks.table import Row
from core.models import registry
from core.models.extractor import Extractor
from core.settings import settings

# EfficientNetB0 for orientation: elsewhere on two cores it did 20 images a second with Keras and 42 with OpenVINO.
MODELS = ("efficientnet-lite0", "efficientnetb0", "resnet50")
_ROUNDS = 9
_BATCHES = (1, 4, 8, 16, 32)


def rows() -> list[Row]:
    """Images per second over pixels in memory."""
    return [row for name in MODELS for row in _peers(name)] + _batches(MODELS[0])


def _peers(name: str) -> list[Row]:
    batch = settings.BATCH_SIZE
    images = networks.pixels(name, batch)
    ours = extractor(name, batch)
    networks_or_none = {
        "Keras predict": networks.keras_predict(name, batch),
        "compiled TensorFlow": networks.compiled(name, batch),
        "OpenVINO": networks.openvino(name, batch),
    }
    peers = {peer: network for peer, network in networks_or_none.items() if network}
    vectors = {peer: network(images) for peer, network in peers.items()}
    own = next(iter(ours(images).values()))
    times = take_turns(
        {"ours": lambda: ours(images)} | {peer: partial(network, images) for peer, network in peers.items()},
        _ROUNDS,
    )
    rates = {who: sample.rate(batch) for who, sample in times.items()}
    best = max(peers, key=lambda peer: rates[peer].median)
    table = [
        Row.of(
            f"{name}, forward pass",
            rates["ours"],
            "images/s",
            peer,
            rates[peer],
            better="higher",
            goal=0.9 if peer == best else None,
            judged="ratio",
            note=f"batches of {batch} from pixels to vectors of the last layer; the goal is about the fastest peer",
        )
        for peer in peers
    ]
    apart = max(cosine_distance(own, vectors[peer]) for peer in peers)
    table.append(
        Row(
            f"{name}, vectors of the same images",
            apart,
            "",
            goal=1e-3,
            note="largest cosine distance between our vector and those of the peers",
        )
    )
    return table


def _batches(name: str) -> list[Row]:
    runs = {}
    for batch in _BATCHES:
        network, images = extractor(name, batch), networks.pixels(name, batch)
        runs[batch] = lambda network=network, images=images: network(images)
    times = take_turns({str(batch): run for batch, run in runs.items()}, _ROUNDS)
    rates = {batch: times[str(batch)].rate(batch) for batch in _BATCHES}
    best = max(_BATCHES, key=lambda batch: rates[batch].median)
    return [
        Row.of(
            f"{name}, batches of {batch}",
            rates[batch],
            "images/s",
            f"batches of {best}",
            rates[best],
            better="higher",
            goal=0.9 if batch == settings.BATCH_SIZE else None,
            judged="ratio",
            note="the goal is about the size in core/settings.py, against the best of these",
        )
        for batch in _BATCHES
    ]


def extractor(name: str, batch: int) -> Extractor:
    """Ours: the last layer under avg pooling."""
    model = registry.get_model(name)
    return Extractor(model, networks.of(name), [model.layers[-1].name], ("avg",), batch)


def cosine_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The largest between rows (n, dimensions) of the same place."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    similar = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return float(np.max(1 - similar))
