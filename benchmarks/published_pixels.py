"""How far neighbors under a published network follow small changes of pixels, beside their overlap with the published neighbors.

    .venv/bin/python -m benchmarks.published_pixels xception --dataset iconic200

Every image goes through the last layer of the network four times: as ``playground published check`` takes it (224 pixels, nearest), with each
pixel changed by at most one gray level, saved once more as JPEG of quality 75, and resized with a bilinear filter. The ten nearest by
cosine and euclidean distance are compared with the published ones, and with those of the first time.
"""

import argparse
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from core.cli import output
from core.evaluation import rankings
from core.experiments.store import Grid
from core.imaging import decode, transform
from core.metrics import pairwise
from core.models import extractor, networks, registry
from core.published import names
from core.published.check import K

_METRICS = ("cosine", "euclidean")


def variants() -> dict[str, Callable[[Image.Image], np.ndarray]]:
    """Ways from a decoded image to pixels, by name; the first is the published one."""
    rng = np.random.default_rng(0)

    def resized(image: Image.Image, resample: str = names.RESAMPLE) -> np.ndarray:
        return transform.resize(image, names.INPUT_SIZE, resample)

    def noisy(image: Image.Image) -> np.ndarray:
        pixels = resized(image).astype(np.int16)
        return np.clip(pixels + rng.integers(-1, 2, pixels.shape), 0, 255).astype(np.uint8)

    def saved_again(image: Image.Image) -> np.ndarray:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=75)
        return resized(Image.open(file).convert("RGB"))

    return {
        "as published": resized,
        "one gray level": noisy,
        "JPEG again": saved_again,
        "bilinear": lambda image: resized(image, "bilinear"),
    }


def nearest(vectors: np.ndarray, metric: str) -> np.ndarray:
    """(n, K) places of the nearest others."""
    distances = pairwise(metric, vectors)
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1, kind="stable")[:, :K]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.published_pixels")
    parser.add_argument("model")
    parser.add_argument("--dataset", default="iconic200")
    output.grid_option(parser)
    options = parser.parse_args()
    grid = Grid(Path(output.grid_folder(options)))
    dataset = grid.dataset(options.dataset)
    model = registry.get_model(options.model)
    layer = model.layers[-1].name
    published = grid.run(dataset, model.name, names.WEIGHTS)
    theirs = {}
    for metric in _METRICS:
        lists = published.neighbors(layer, names.POOLING, metric)
        theirs[metric] = lists.ids[np.argsort(lists.queries), :K]
    output.start_tensorflow()
    model = replace(model.at_size(names.INPUT_SIZE), resample=names.RESAMPLE)
    network = extractor.Extractor(model, networks.load(model, "imagenet"), [layer], [names.POOLING])
    images = [decode.read(dataset.path(item.id)) for item in dataset.items]
    first: dict[str, np.ndarray] = {}
    for name, pixels in variants().items():
        rows = []
        for start in range(0, len(images), network.batch_size):
            batch = np.stack([pixels(one) for one in images[start : start + network.batch_size]])
            rows.append(network(batch)[layer, names.POOLING])
        vectors = np.concatenate(rows)
        for metric in _METRICS:
            found = nearest(vectors, metric)
            first.setdefault(metric, found)
            shares = [rankings.shared(found, one[metric]).mean() / K for one in (theirs, first)]
            print(
                f"{name:15} {metric:10} published {shares[0]:.3f}  as published {shares[1]:.3f}", flush=True
            )


if __name__ == "__main__":
    main()
