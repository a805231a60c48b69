"""What a layer costs: the time of a forward pass to it, on this machine."""

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from core.models import extractor, registry, runtime
from core.settings import settings

_ROUNDS = 5


@dataclass(frozen=True)
class Cost:
    """Milliseconds per image to each layer, avg pooling included, and the conditions they were measured under."""

    ms_per_image: dict[str, float]
    conditions: dict[str, Any]


def measure(
    model: registry.Model,
    network: runtime.Network,
    layers: Sequence[str],
    step: Callable[[], None] = lambda: None,
) -> Cost:
    """Time a forward pass to each layer over noise already in memory.

    The fastest of a few rounds after a warm-up, since whatever else the machine does only adds; the
    layers take turns within a round, so that a slow moment does not fall on one of them alone.

    Parameters
    ----------
    network : of the model. One that TensorFlow runs, whatever else is installed, can be compared with those measured elsewhere.
    step : called after each layer's warm-up.
    """
    size = settings.BATCH_SIZE
    pixels = np.random.default_rng(0).integers(
        0, 256, (size, model.input_size, model.input_size, 3), np.uint8
    )
    networks = {}
    for layer in layers:
        networks[layer] = extractor.Extractor(model, network, [layer], ("avg",), size)
        networks[layer](pixels)
        step()
    times: dict[str, list[float]] = {layer: [] for layer in layers}
    for _ in range(_ROUNDS):
        for layer, compiled in networks.items():
            started = time.perf_counter()
            compiled(pixels)
            times[layer].append((time.perf_counter() - started) * 1000 / size)
    return Cost(
        ms_per_image={layer: round(min(values), 3) for layer, values in times.items()},
        conditions={
            "batch_size": size,
            "processor": processor(),
            "cores": os.cpu_count(),
            **_versions(network),
            "date": datetime.now(UTC).date().isoformat(),
        },
    )


def _versions(network: runtime.Network) -> dict[str, str]:
    """What runs the network."""
    package = "tensorflow" if isinstance(network, runtime.TensorFlowNetwork) else "openvino"
    return {package: importlib.metadata.version(package)}


def processor() -> str:
    """The name of this machine's processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
