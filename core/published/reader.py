"""Reading a copy of the published data, in the layout of its repository, wherever in a folder it lies::

    datasets/<dataset>/classes.json, <id>.jpg           [{"0": "arch"}, ...]
    similarity/<dataset>/<model>/<metric>/<layer>.json  {"0": ["0", "7", ...], ...}: nearest ids, the query itself among them
    umap/<dataset>/<model>/<layer>.json                 [{"x": 1.5, "y": -2.0, "class": "arch"}, ...]

Nothing in it is trusted: each file is read by itself, and one that is not as it should be raises :class:`Broken`.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.evaluation.rankings import Neighbors
from core.imaging import file_types
from core.settings import settings

_DEEPEST = 12
_LONGEST_LABEL = 100


class Broken(Exception):
    """A file of a copy that can't be used; ``str(error)`` says why, without a full stop."""


@dataclass(frozen=True)
class Copy:
    """One dataset of a copy: the folder that has ``datasets``, ``similarity`` and ``umap``, and its name there."""

    root: Path
    name: str

    def picture(self, number: int) -> Path | None:
        """The file of an image; None when there is none."""
        folder = self.root / "datasets" / self.name
        return next((p for s in sorted(file_types.SUFFIXES) if _is_file(p := folder / f"{number}{s}")), None)

    def labels(self) -> list[str]:
        """The label of every image, by id; raises :class:`Broken`."""
        entries = read_json(self.root / "datasets" / self.name / "classes.json")
        if not isinstance(entries, list) or not 2 <= len(entries) <= settings.MAX_ZIP_FILES:
            raise Broken("classes.json is no list of at least two images")
        labels: dict[str, str] = {}
        for entry in entries:
            if not isinstance(entry, dict) or len(entry) != 1:
                raise Broken("classes.json has an entry that is not one id with its class")
            [(key, label)] = entry.items()
            if not isinstance(label, str) or not label.isprintable() or not 0 < len(label) <= _LONGEST_LABEL:
                raise Broken("classes.json has a class that is no short text")
            labels[key] = label
        if labels.keys() != {str(number) for number in range(len(entries))}:
            raise Broken("classes.json does not number its images from 0")
        return [labels[str(number)] for number in range(len(entries))]

    def models(self) -> list[str]:
        """Names of the folders with result lists."""
        return [path.name for path in _folders(self.root / "similarity" / self.name)]

    def metrics(self, model: str) -> list[str]:
        return [path.name for path in _folders(self.root / "similarity" / self.name / model)]

    def experiments(self, model: str, metric: str) -> list[Path]:
        return _jsons(self.root / "similarity" / self.name / model / metric)

    def projections(self, model: str) -> list[Path]:
        return _jsons(self.root / "umap" / self.name / model)


def find(folder: Path) -> list[Copy]:
    """Every dataset below a folder, the outermost first; links are not followed."""
    found: dict[str, Copy] = {}
    folder = folder.resolve()
    for count, (place, folders, _) in enumerate(os.walk(folder)):
        here = Path(place)
        depth = len(here.relative_to(folder).parts)
        folders[:] = sorted(folders) if depth < _DEEPEST and count < settings.MAX_ZIP_FILES else []
        if "datasets" in folders:
            for one in _folders(here / "datasets"):
                if _is_file(one / "classes.json"):
                    found.setdefault(one.name, Copy(here, one.name))
    return sorted(found.values(), key=lambda copy: copy.name)


def read_json(path: Path) -> Any:
    """What a file says; raises :class:`Broken`."""
    try:
        if not _is_file(path):
            raise Broken(f"{path.name} is missing or a link")
        if path.stat().st_size > settings.MAX_JSON_BYTES:
            raise Broken(f"{path.name} has more than the {settings.MAX_JSON_BYTES / 1e6:g} MB allowed")
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise Broken(f"{path.name} can't be read ({type(error).__name__})") from None


def read_neighbors(path: Path, n_images: int) -> Neighbors:
    """Result lists, each query left out of its own; raises :class:`Broken`.

    A file may have fewer queries than the dataset has images.
    """
    lists = read_json(path)
    ids = {str(number): number for number in range(n_images)}
    if not isinstance(lists, dict) or not lists:
        raise Broken(f"{path.name} holds no result lists")
    rows: dict[int, list[int]] = {}
    for key, found in lists.items():
        if key not in ids or not isinstance(found, list):
            raise Broken(f"{path.name} has a list of no image of the dataset")
        numbers = [ids.get(one) if isinstance(one, str) else None for one in found]
        if None in numbers:
            raise Broken(f"{path.name} names an image that the dataset does not have")
        rows[ids[key]] = [number for number in numbers if number is not None and number != ids[key]]
        if len(set(rows[ids[key]])) != len(rows[ids[key]]):
            raise Broken(f"{path.name} names an image twice in one list")
    queries = sorted(rows)
    lengths = {len(rows[query]) for query in queries}
    if len(lengths) != 1 or lengths == {0}:
        raise Broken(f"{path.name} has lists of different lengths, or empty ones")
    return Neighbors(np.array(queries), np.array([rows[query] for query in queries]), None)


def read_projection(path: Path, labels: list[str]) -> np.ndarray:
    """Places (n_images, 2) float64 of all images; raises :class:`Broken`."""
    points = read_json(path)
    if not isinstance(points, list) or len(points) != len(labels):
        raise Broken(f"{path.name} does not have one point for each image")
    places = []
    for point, label in zip(points, labels, strict=True):
        if not isinstance(point, dict) or point.get("class") != label:
            raise Broken(f"{path.name} gives an image another class than classes.json")
        place: list[Any] = [point.get("x"), point.get("y")]
        if not all(type(number) in (int, float) and abs(number) < 1e6 for number in place):
            raise Broken(f"{path.name} has a point whose coordinates are no numbers below a million")
        places.append(place)
    return np.array(places, np.float64)


def _folders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_dir() and not path.is_symlink()]


def _jsons(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.suffix == ".json"]


def _entries(folder: Path) -> Iterator[Path]:
    if folder.is_dir() and not folder.is_symlink():
        yield from sorted(folder.iterdir())


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
