"""A collection whose vectors are an image's own pixels: real images and real storage, without the seconds that a network takes."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from core.collections import Collection
from core.collections.state import About

# 8 x 8 pixels of 3 colors, as many numbers as this layer has channels.
MODEL, LAYER = "efficientnet-lite0", "block6_output"


class Pixels:
    """Every image at 8 x 8 pixels is its vector."""

    size, resample, batch_size = 8, "bilinear", 4

    def __init__(self) -> None:
        self.embedded = 0

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        self.embedded += len(pixels)
        return pixels.reshape(len(pixels), -1).astype(np.float32) / 255


def create(name: str = "pets", folder: Path | None = None, **options: str) -> Collection:
    return Collection.create(name, model=MODEL, layer=LAYER, folder=folder, load=load, **options)


def open_(name: str = "pets", folder: Path | None = None) -> Collection:
    return Collection.open(name, folder, load)


def load(about: About) -> Pixels:
    return Pixels()


def picture(seed: int) -> Image.Image:
    """Noise over a color, another one for every seed."""
    random = np.random.default_rng(seed)
    color = random.integers(0, 256, 3)
    noise = random.integers(-60, 60, (24, 24, 3))
    return Image.fromarray(np.clip(color + noise, 0, 255).astype(np.uint8))


def png(seed: int) -> io.BytesIO:
    """A image's bytes as a file in memory."""
    out = io.BytesIO()
    picture(seed).save(out, "PNG")
    return out


def draw(path: Path, seed: int) -> str:
    """Put an image into a file, whole or not at all; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    picture(seed).save(part, "PNG")
    part.replace(path)
    return str(path)
