"""A small dataset of drawn pictures and a run made of random numbers, for tests of files and pages."""

from pathlib import Path

import numpy as np
from PIL import Image

from core.data import datasets
from core.experiments import store
from core.experiments.column_file import ColumnBlocks
from core.experiments.runner import Features, compare


def draw_dataset(folder: Path, classes: int = 3, per_class: int = 4) -> datasets.Dataset:
    """Class-named folders of one-coloured pictures with noise, each class its own hue."""
    rng = np.random.default_rng(0)
    for c in range(classes):
        (folder / f"class-{c}").mkdir(parents=True, exist_ok=True)
        for i in range(per_class):
            pixels = rng.integers(0, 60, (40, 50, 3))
            pixels[..., c % 3] += 150
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"class-{c}" / f"{i}.png")
    return datasets.scan(folder)


def random_run(
    grid_dir: Path,
    dataset: datasets.Dataset,
    model: str = "mobilenetv2",
    weights: str = "imagenet",
    seed: int = 0,
) -> store.StoredRun:
    """Two layers x avg x two metrics of random vectors, written like a real run."""
    rng = np.random.default_rng(seed)
    ids = np.arange(len(dataset))
    names = ("early", "late")
    features = Features(ids, {}, ())
    experiments, vectors, projections = [], {}, []
    for name in names:
        rows = rng.normal(size=(len(ids), 6)).astype(np.float32)
        features.vectors[name, "avg"] = blocks = ColumnBlocks(len(ids), 6)
        blocks.append(rows)
        found, _ = compare(
            features, name, "avg", ["cosine", "euclidean"], min(5, len(ids) - 1), dataset.labels
        )
        experiments += found
        vectors[name, "avg"] = (ids, rows)
        projections += [
            store.StoredProjection(name, "avg", "umap", n, ids, rows[:, :n], 0.9, 0.5, {"seed": 0})
            for n in (2, 3)
        ]
    about = store.ModelRun(
        dataset=dataset.name,
        dataset_fingerprint=dataset.fingerprint,
        model=model,
        title=model.title(),
        weights=weights,
        weights_source="random numbers",
        weights_fingerprint="0" * 64,
        input_size=224,
        parameters=1000,
        layers=tuple(store.LayerRun(n, d, (7, 7, 6), 100 * d, 1.5 * d) for d, n in enumerate(names, 1)),
        top=min(5, len(ids) - 1),
    )
    folder = store.write_dataset(grid_dir, dataset)
    return store.write_run(folder, dataset, about, store.Contents(experiments, vectors, projections))
