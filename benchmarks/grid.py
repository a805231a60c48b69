"""All layers in one pass: against a bare pass and a pass per layer, and a whole grid with its memory."""

import subprocess
import sys
import tempfile

from benchmarks import networks
from benchmarks.measure import ROOT, Sample, apart, take_turns
from benchmarks.table import Row
from core.models import registry
from core.models.extractor import Extractor
from core.settings import settings

MODEL = "efficientnet-lite0"
_POOLINGS = ("avg", "flatten")
_ROUNDS = 11


def rows() -> list[Row]:
    """Milliseconds per image over pixels in memory; seconds and gigabytes of grids."""
    return [*_passes(), *_grids()]


def _passes() -> list[Row]:
    model, network, size = registry.get_model(MODEL), networks.of(MODEL), settings.BATCH_SIZE
    pixels = networks.pixels(MODEL, size)
    layers = [layer.name for layer in model.layers]
    last = Extractor(model, network, layers[-1:], ("avg",), size)
    together = Extractor(model, network, layers, ("avg",), size)
    flattened = Extractor(model, network, layers, _POOLINGS, size)
    apart_ = [Extractor(model, network, [layer], ("avg",), size) for layer in layers]
    apart_flattened = [Extractor(model, network, [layer], _POOLINGS, size) for layer in layers]
    times = take_turns(
        {
            "last": lambda: last(pixels),
            "together": lambda: together(pixels),
            "flattened": lambda: flattened(pixels),
            "apart": lambda: [one(pixels) for one in apart_],
            "apart flattened": lambda: [one(pixels) for one in apart_flattened],
        },
        _ROUNDS,
    )
    ms = {name: sample.times(1000 / size) for name, sample in times.items()}
    note = f"{MODEL}, batches of {size}, pixels in memory"
    name, unit, eight = "eight layers in one pass", "ms/image", "eight passes"
    return [
        Row.of(
            f"{name}, avg",
            ms["together"],
            unit,
            "the last layer alone",
            ms["last"],
            goal=1.15,
            judged="ratio",
            note=note,
        ),
        Row.of(f"{name}, avg", ms["together"], unit, eight, ms["apart"], goal=0.3, judged="ratio", note=note),
        Row.of(
            f"{name}, avg and flatten",
            ms["flattened"],
            unit,
            eight,
            ms["apart flattened"],
            goal=0.5,
            judged="ratio",
            note=f"{note}; flattening copies 1.1 million numbers per image",
        ),
    ]


def _grids() -> list[Row]:
    whole = apart(run_grid, MODEL, "imagenet", list(_POOLINGS), [])
    layers = [layer.name for layer in registry.get_model(MODEL).layers]
    parts = [apart(run_grid, MODEL, "imagenet", list(_POOLINGS), [layer]) for layer in layers]
    note = "core grid run on objects200 with avg, flatten and cosine, from start to files written"
    return [
        Row.of(
            "grid of eight layers",
            Sample((whole.seconds,)),
            "s",
            "eight grids of a layer",
            Sample((sum(part.seconds for part in parts),)),
            goal=0.5,
            judged="ratio",
            note=note,
        ),
        Row(
            "grid of eight layers, memory",
            whole.peak / 1000,
            "GB",
            beside="the largest of eight",
            peer=max(part.peak for part in parts) / 1000,
            ratio=whole.peak / max(part.peak for part in parts),
            goal=2,
            note="peak resident memory, TensorFlow's own included",
        ),
    ]


def run_grid(model: str, weights: str, poolings: list[str], layers: list[str]) -> None:
    """``core grid run`` into a folder that is thrown away; no layers are all layers."""
    options = [("--pooling", name) for name in poolings] + [("--layer", name) for name in layers]
    options += [
        ("--model", model),
        ("--weights", weights),
        ("--metric", "cosine"),
        ("--dataset", "objects200"),
    ]
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "core", "grid", "run", "--out", out]
        words = [word for option in options for word in option]
        subprocess.run([*command, *words], cwd=ROOT, check=True, stdout=sys.stderr)
