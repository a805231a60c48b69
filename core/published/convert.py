"""Published data brought into a grid, beside our own results, with the weights ``published``.

What was not published stays unknown: distances, vectors, times, and how far a projection can be trusted.
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from core import access, disk, lock
from core.data import datasets
from core.data.datasets import Dataset, Item
from core.errors import DatasetError, ImageError, ModelDataError, UnknownNameError, UserError
from core.evaluation.rankings import Neighbors
from core.experiments import runner, store
from core.imaging import decode
from core.metrics import METRICS
from core.models import architecture, registry
from core.progress import Progress
from core.published import archive, names
from core.published.reader import Broken, Copy, find, read_neighbors, read_projection

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass
class Report:
    """What came of an import: datasets by name with their number of experiments, and a sentence for each thing left out."""

    experiments: dict[str, int] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)


def import_copy(copy: Path, out: Path, progress: Progress, origin: str = "from a copy") -> Report:
    """Bring every dataset and model that a copy holds into a grid.

    Parameters
    ----------
    copy : a folder with the published data anywhere below it, or a zip or tar archive of one.
    out : the grid's folder.
    origin : where the copy is from, as it is to stand beside the results.

    Raises
    ------
    AccessError : this process is a read-only server.
    UserError : there is no such copy, or it holds no published data at all.
    """
    access.require_full("change the grid")
    if copy.is_dir():
        return _import(find(copy), copy.name, out, progress, origin)
    if not copy.is_file():
        raise UserError(f"There is no folder or archive {str(copy)!r}.")
    with tempfile.TemporaryDirectory() as folder:
        archive.unpack(copy, Path(folder))
        return _import(find(Path(folder)), copy.name, out, progress, origin)


def _import(found: Sequence[Copy], label: str, out: Path, progress: Progress, origin: str) -> Report:
    if not found:
        raise UserError(
            f"{label!r} holds no published data: there is no folder datasets/<name> with a classes.json in it."
        )
    report = Report()
    for copy, part in zip(found, progress.divide(*[1] * len(found)), strict=True):
        if not _NAME.fullmatch(copy.name):
            report.sentences.append(f"A dataset with the name {copy.name[:80]!r} is left out.")
            continue
        try:
            with lock.writing(out / copy.name):
                report.experiments[copy.name] = _import_dataset(copy, out, part, origin, report.sentences)
        except Broken as error:
            report.sentences.append(f"{copy.name}: the dataset is left out, {error}.")
    return report


def _import_dataset(copy: Copy, out: Path, progress: Progress, origin: str, sentences: list[str]) -> int:
    """Number of experiments."""
    progress.stage(f"{copy.name}, images", 0)
    dataset, folder = _write_dataset(copy, out, origin, sentences)
    models = copy.models()
    progress.stage(f"{copy.name}, experiments", len(models))
    n = 0
    for model in models:
        if model not in registry.APPLICATIONS:
            sentences.append(f"{copy.name}: the model {model[:80]!r} is not one of the nine and left out.")
        else:
            n += _import_model(copy, registry.get_model(model), dataset, folder, origin, sentences)
        progress.step()
    return n


# The images


def _write_dataset(copy: Copy, out: Path, origin: str, sentences: list[str]) -> tuple[Dataset, Path]:
    """The dataset in the grid, and its folder there."""
    labels = copy.labels()
    pictures: list[Path | None] = []
    for number in range(len(labels)):
        path = copy.picture(number)
        try:
            if path is None:
                raise ImageError(f"{number}.jpg: there is no such image")
            decode.read(path)
        except ImageError as error:
            sentences.append(f"{copy.name}: an image is left out, {error}.")
            path = None
        pictures.append(path)
    # An image that is missing counts as an empty file.
    missing = copy.root / "missing"
    fingerprint = datasets.fingerprint(labels, [path or missing for path in pictures])
    folder = out / copy.name
    kept = f"images-{fingerprint[:8]}"
    classes = tuple(dict.fromkeys(labels))
    dataset = Dataset(
        name=copy.name,
        title=copy.name,
        description=f"{len(labels):,} images in {len(classes)} classes: {names.TITLE}, {origin}.",
        classes=classes,
        items=tuple(
            Item(
                id=number,
                file=f"{number}{path.suffix if path else '.jpg'}",
                label=label,
                source=names.REPOSITORY,
                license=names.LICENSE,
            )
            for number, (label, path) in enumerate(zip(labels, pictures, strict=True))
        ),
        fingerprint=fingerprint,
        images=folder / kept,
    )
    if (folder / "dataset.json").is_file():
        there = datasets.load(folder)
        if {item.source for item in there.items} != {names.REPOSITORY}:
            raise DatasetError(
                f"{copy.name!r} in the grid is another dataset of the same name; choose another folder with --out."
            )
    dataset.images.mkdir(parents=True, exist_ok=True)
    for item, path in zip(dataset.items, pictures, strict=True):
        if path is not None:
            disk.replace_file(dataset.images / item.file, path.read_bytes())
    disk.replace_file(folder / "dataset.json", datasets.describe(dataset, kept).encode())
    for old in folder.glob("images-*"):
        if old.name != kept:
            shutil.rmtree(old)
    return dataset, folder


# The experiments


def _import_model(
    copy: Copy, model: registry.Model, dataset: Dataset, folder: Path, origin: str, sentences: list[str]
) -> int:
    """Number of experiments, written if there are any."""
    labels = dataset.labels

    @contextmanager
    def one_file(path: Path) -> Iterator[None]:
        try:
            yield
        except (Broken, UnknownNameError) as error:
            place = path.relative_to(copy.root).parent.as_posix()
            sentences.append(f"{place}: an experiment is left out, {error}".rstrip(".") + ".")

    experiments: dict[tuple[str, str], Neighbors] = {}
    places: dict[str, np.ndarray] = {}
    layers: dict[str, store.LayerRun] = {}

    for metric in copy.metrics(model.name):
        if metric not in METRICS:
            sentences.append(
                f"{copy.name}: the metric {metric[:80]!r} of {model.name} is unknown and left out."
            )
            continue
        for path in copy.experiments(model.name, metric):
            with one_file(path):
                layer = _layer(model, path.stem)
                if (layer.name, metric) in experiments:
                    raise Broken(f"{path.name} is a second file of the layer {layer.name}")
                experiments[layer.name, metric] = read_neighbors(path, len(labels))
                layers[layer.name] = layer
    for path in copy.projections(model.name):
        name = names.ours(model.name, path.stem)
        if name in layers:
            with one_file(path):
                places[name] = read_projection(path, labels)
    if not experiments:
        return 0
    ordered = _numbered(model, list(layers.values()))
    depth = {layer.name: layer.depth for layer in ordered}
    found = [
        _computed(layers[name], metric, neighbors, labels)
        for (name, metric), neighbors in sorted(
            experiments.items(), key=lambda entry: (depth[entry[0][0]], list(METRICS).index(entry[0][1]))
        )
    ]
    about = store.ModelRun(
        dataset=dataset.name,
        dataset_fingerprint=dataset.fingerprint,
        model=model.name,
        title=model.title,
        weights=names.WEIGHTS,
        weights_source=f"{names.TITLE}, {origin}.",
        weights_fingerprint=_fingerprint(found),
        input_size=model.input_size,
        parameters=model.parameters,
        layers=tuple(ordered),
        top=max(one.neighbors.ids.shape[1] for one in found),
    )
    store.write_run(
        folder, dataset, about, store.Contents(found, {}, _projections(ordered, places, len(labels)))
    )
    return len(found)


def _layer(model: registry.Model, published: str) -> store.LayerRun:
    """A layer by its published name; those beyond the eight have depth 0. Raises UnknownNameError."""
    name = names.ours(model.name, published)
    eight = {layer.name: depth for depth, layer in enumerate(model.layers, 1)}
    if name in eight:
        layer = model.layer(name)
        return store.LayerRun(name, eight[name], layer.shape, layer.parameters)
    try:
        described = architecture.read(model.name).layer(name)
    except ModelDataError as error:
        raise Broken(str(error)) from None
    if len(described.shape) != 3:
        raise Broken(f"{name} has no shape of height, width and channels")
    return store.LayerRun(name, 0, described.shape, described.parameters)


def _numbered(model: registry.Model, layers: Sequence[store.LayerRun]) -> list[store.LayerRun]:
    """The layers by depth: those of the eight, then the others in the order of the network."""
    eight = sorted((layer for layer in layers if layer.depth), key=lambda layer: layer.depth)
    others = [layer for layer in layers if not layer.depth]
    if others:
        place = {one.name: i for i, one in enumerate(architecture.read(model.name).layers)}
        others.sort(key=lambda layer: place[layer.name])
    beyond = [
        store.LayerRun(layer.name, depth, layer.shape, layer.parameters)
        for depth, layer in enumerate(others, len(model.layers) + 1)
    ]
    return eight + beyond


def _computed(
    layer: store.LayerRun, metric: str, neighbors: Neighbors, labels: Sequence[str]
) -> store.Computed:
    facts = {"dimensions": int(np.prod(layer.shape)), **runner.summarize(neighbors, labels)}
    return store.Computed(layer.name, names.POOLING, metric, facts, neighbors, None)


def _fingerprint(found: Sequence[store.Computed]) -> str:
    digest = hashlib.sha256()
    for one in found:
        digest.update(f"{one.layer}\t{one.metric}\n".encode())
        digest.update(np.ascontiguousarray(one.neighbors.ids, np.int32).tobytes())
    return digest.hexdigest()


def _projections(
    layers: Sequence[store.LayerRun], places: dict[str, np.ndarray], n_images: int
) -> list[store.StoredProjection]:
    """The published places, each layer's moved and turned onto the one before, all scaled by one number.

    UMAP means nothing by where a projection lies and how it is turned, so nothing that was published is lost.
    """
    from scipy.linalg import orthogonal_procrustes

    turned: list[np.ndarray] = []
    there = [layer for layer in layers if layer.name in places]
    for layer in there:
        centered = places[layer.name] - places[layer.name].mean(axis=0)
        if turned:
            rotation, _ = orthogonal_procrustes(centered, turned[-1])
            centered = centered @ rotation
        turned.append(centered)
    scale = max((float(np.abs(one).max()) for one in turned), default=0.0) or 1.0
    return [
        store.StoredProjection(
            layer=layer.name,
            pooling=names.POOLING,
            method="umap",
            dimensions=2,
            ids=np.arange(n_images),
            coordinates=(one / scale).astype(np.float32),
            trustworthiness=None,
            silhouette=None,
            parameters={"source": names.TITLE},
        )
        for layer, one in zip(there, turned, strict=True)
    ]
