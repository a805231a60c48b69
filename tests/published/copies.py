"""A made-up copy of the published data, in the layout of its repository."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("arch", "boat", "cat")
PER_CLASS = 6
N = len(CLASSES) * PER_CLASS
LISTED = 8  # ids in a list, the query itself first
LABELS = [label for label in CLASSES for _ in range(PER_CLASS)]


def lists(seed: int) -> dict[str, list[str]]:
    """Random result lists of all pictures."""
    rng = np.random.default_rng(seed)
    return {
        str(query): [str(query), *(str(i) for i in rng.permutation(N) if i != query)][:LISTED]
        for query in range(N)
    }


def points(seed: int) -> list[dict]:
    places = np.random.default_rng(seed).normal(3, 2, (N, 2))
    return [{"x": x, "y": y, "class": label} for (x, y), label in zip(places.tolist(), LABELS, strict=True)]


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def make(folder: Path, name: str = "shapes18", inside: str = "") -> Path:
    """Two models of two layers, one of them with a layer beyond the eight; returns the folder that has ``datasets``."""
    root = folder / inside
    pictures = root / "datasets" / name
    write(pictures / "classes.json", [{str(i): label} for i, label in enumerate(LABELS)])
    rng = np.random.default_rng(0)
    for number in range(N):
        pixels = rng.integers(0, 80, (24, 30, 3))
        pixels[..., number // PER_CLASS] += 150
        Image.fromarray(pixels.astype(np.uint8)).save(pictures / f"{number}.jpg")
    seed = 0
    for model, layers in {
        "resnet50": ("res2a_branch2a", "res5c_branch2c"),
        "densenet121": ("conv2_block1_1_conv", "conv5_block16_concat", "pool1"),
    }.items():
        for layer in layers:
            for metric in ("cosine", "euclidean"):
                seed += 1
                write(root / "similarity" / name / model / metric / f"{layer}.json", lists(seed))
            if layer != "pool1":
                write(root / "umap" / name / model / f"{layer}.json", points(seed))
    return root
