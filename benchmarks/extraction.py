"""A folder of JPEG files to pooled vectors: against bare decoding, a bare forward pass, and the naive way."""

import io
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import networks
from benchmarks.forward import extractor
from benchmarks.measure import Apart, Sample, apart, take_turns
from benchmarks.table import Row
from core.experiments.store import Grid
from core.imaging import decode, transform
from core.models import registry
from core.models.extractor import Extractor
from core.settings import settings

# The second one: where the forward pass is all that counts.
MODELS = (("efficientnet-lite0", 64), ("resnet50", 32))
_ROUNDS = 5
_NAIVE_ROUNDS = 2
_LONGEST = 500  # pixels, as most of ImageNet


def rows() -> list[Row]:
    """Images per second; seconds and megabytes of whole processes."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_jpegs(Path(folder))
        table = [row for name, count in MODELS for row in _rates(name, files[:count])]
        return table + _naive(MODELS[0][0], folder)


def write_jpegs(folder: Path) -> list[Path]:
    """The 200 images of ``objects200`` as photographs come: JPEG, 500 pixels, quality 90."""
    dataset = Grid(settings.GRID_DIR).dataset("objects200")
    files = []
    for item in dataset.items:
        path = folder / f"{item.id:03}.jpg"
        path.write_bytes(jpeg(dataset.path(item.id)))
        files.append(path)
    return files


def jpeg(path: Path) -> bytes:
    """An image as a JPEG of 500 pixels."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    scale = _LONGEST / max(picture.size)
    picture = picture.resize(
        (round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC
    )
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()


def _rates(name: str, files: list[Path]) -> list[Row]:
    model, batch = registry.get_model(name), settings.BATCH_SIZE
    ours = extractor(name, batch)
    loaded = [transform.resize(decode.read(path), model.input_size, model.resample) for path in files]
    batches = [np.stack(loaded[i : i + batch]) for i in range(0, len(loaded), batch)]
    peer, network = networks.fastest(name, batch)
    times = take_turns(
        {
            "ours": lambda: [ours(part.pixels) for part in ours.batches(files)],
            "decode": lambda: decode_all(files, model),
            "forward": lambda: [network(part) for part in batches],
        },
        _ROUNDS,
    )
    rates = {who: sample.rate(len(files)) for who, sample in times.items()}
    line = times["decode"].plus(times["forward"]).rate(len(files))
    pictures = f"{len(files)} JPEG files of {_LONGEST} pixels, batches of {batch}"
    return [
        Row.of(
            f"{name}, folder to vectors",
            rates["ours"],
            "images/s",
            f"bare {peer}",
            rates["forward"],
            better="higher",
            note=f"{pictures}; the peer starts with pixels in memory",
        ),
        Row.of(
            f"{name}, folder to vectors",
            rates["ours"],
            "images/s",
            "bare decoding",
            rates["decode"],
            better="higher",
            note=f"{pictures}; Pillow opens and resizes in {settings.DECODE_THREADS} threads and nothing else",
        ),
        Row.of(
            f"{name}, folder to vectors",
            rates["ours"],
            "images/s",
            "both in line",
            line,
            better="higher",
            goal=0.9,
            judged="ratio",
            note="bare decoding and then the bare forward pass, each with all cores to itself: "
            "the limit where neither leaves a core idle",
        ),
    ]


def decode_all(files: list[Path], model: registry.Model) -> None:
    resample = Image.Resampling[model.resample.upper()]

    def read(path: Path) -> np.ndarray:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB").resize((model.input_size,) * 2, resample))

    with ThreadPoolExecutor(settings.DECODE_THREADS) as pool:
        list(pool.map(read, files))


def _naive(name: str, folder: str) -> list[Row]:
    """All eight layers of 200 files, in processes of their own."""
    found: dict[str, list[Apart]] = {"ours": [], "naive": []}
    for _ in range(_NAIVE_ROUNDS):
        found["ours"].append(apart(all_layers, name, folder))
        found["naive"].append(apart(all_layers_naively, name, folder))
    seconds = {who: Sample(tuple(one.answer for one in runs)) for who, runs in found.items()}
    peaks = {who: Sample(tuple(one.peak for one in runs)) for who, runs in found.items()}
    note = "all images loaded first, then model.predict once per layer; 200 files, eight layers, avg"
    return [
        Row.of(
            f"{name}, eight layers of a folder",
            seconds["ours"],
            "s",
            "the naive way",
            seconds["naive"],
            goal=0.5,
            judged="ratio",
            note=note,
        ),
        Row.of(
            f"{name}, memory for that",
            peaks["ours"],
            "MB",
            "the naive way",
            peaks["naive"],
            goal=0.5,
            judged="ratio",
            note="peak of the whole process; ours needs no TensorFlow where OpenVINO is installed",
        ),
    ]


def all_layers(name: str, folder: str) -> float:
    """Seconds that we take, without loading the model."""
    from benchmarks.measure import timed

    model, whole = registry.get_model(name), networks.of(name)
    files = sorted(Path(folder).glob("*.jpg"))

    def run() -> None:
        network = Extractor(model, whole, [layer.name for layer in model.layers])
        vectors = [network(part.pixels) for part in network.batches(files)]
        assert sum(len(next(iter(part.values()))) for part in vectors) == len(files)

    return timed(run)


def all_layers_naively(name: str, folder: str) -> float:
    """Seconds of what one writes first."""
    import keras

    from benchmarks.measure import timed

    model, graph = registry.get_model(name), networks.load(name)
    files = sorted(Path(folder).glob("*.jpg"))

    def run() -> None:
        size = (model.input_size,) * 2
        loaded = np.stack(
            [
                keras.utils.img_to_array(
                    keras.utils.load_img(path, target_size=size, interpolation="bicubic")
                )
                for path in files
            ]
        )
        pixels = model.preprocessing(loaded)
        for layer in model.layers:
            cut = keras.Model(graph.input, model.outputs(graph, [layer.name]))
            vectors = cut.predict(pixels, verbose=0).mean(axis=(1, 2))
            assert len(vectors) == len(files)

    return timed(run)
