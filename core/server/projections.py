"""The layouts of all layers of a model as one stack of points, checked, and served to the browser.

A scatter chart fetches its points from here once and keeps them: they are the same from run to run
of a page, and ten thousand of them are too many to be sent along each time.
"""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from core.collections import collection_projection as collection_layout
from core.collections.collection_projection import CollectionLayout
from core.data.datasets import Dataset
from core.errors import GridError, UserError
from core.experiments.store import Grid, StoredProjection, StoredRun
from core.search import shared_engine

METHODS = {"umap": "UMAP", "pca": "PCA"}
# How images without a label are called, and those of labels that are too rare to have a color of their own.
UNLABELLED, OTHERS = "no label", "other labels"
MOST_CLASSES = 40
_FOREVER = "public, max-age=31536000, immutable"
_LARGEST = np.iinfo(np.int16).max


@dataclass(frozen=True)
class Stack:
    """Where the same images lie under each layer.

    layers : names, by depth; ids : (n_images,); coordinates : (n_layers, n_images, dimensions) float32;
    trustworthiness, silhouette : one number a layer, None where it has none; parameters : of each layer's layout.
    """

    layers: tuple[str, ...]
    ids: np.ndarray
    coordinates: np.ndarray
    trustworthiness: tuple[float | None, ...]
    silhouette: tuple[float | None, ...]
    parameters: tuple[Mapping[str, Any], ...]


def stack(layouts: Sequence[StoredProjection], n_images: int) -> Stack:
    """Layouts of one model, at least one, by depth, as a stack.

    Raises
    ------
    GridError : they don't show the same images, or hold what is no place.
    """
    ids = layouts[0].ids
    shapes = {one.coordinates.shape for one in layouts}
    if shapes != {(len(ids), layouts[0].dimensions)} or not all(
        np.array_equal(one.ids, ids) for one in layouts
    ):
        raise GridError("The layouts of this model's layers do not show the same pictures.")
    coordinates = np.stack([one.coordinates for one in layouts])
    if not len(ids) or ids.min() < 0 or ids.max() >= n_images or len(np.unique(ids)) < len(ids):
        raise GridError("The layouts of this model show pictures that the dataset does not have.")
    if not np.isfinite(coordinates).all():
        raise GridError("The layouts of this model hold numbers that are no places.")
    return Stack(
        layers=tuple(one.layer for one in layouts),
        ids=ids,
        coordinates=coordinates,
        trustworthiness=tuple(_known(one.trustworthiness) for one in layouts),
        silhouette=tuple(_known(one.silhouette) for one in layouts),
        parameters=tuple(one.parameters for one in layouts),
    )


def packed(values: np.ndarray, kind: str) -> str:
    """An array as base64 of its numbers, in the order of bytes that browsers have."""
    return base64.b64encode(np.ascontiguousarray(values, np.dtype(kind).newbyteorder("<")).tobytes()).decode()


def source(run: StoredRun, pooling: str, method: str, dimensions: int) -> str:
    """The address of a stack's points."""
    about = run.about
    parts = (about.dataset, about.model, about.weights, pooling, method, str(dimensions))
    return _address("/".join(quote(part, safe="") for part in parts), about.files.get("projections", ""))


def pictures_source(dataset: Dataset) -> str:
    """The address of what is said about the pictures: labels and titles."""
    return _address(quote(dataset.name, safe=""), dataset.fingerprint[:12])


def collection_source(layout: CollectionLayout, collection: str, method: str) -> tuple[str, str]:
    """The addresses of the points of a collection's layout and of what is said of their pictures."""
    path = f"of/{quote(collection, safe='')}/{method}/{layout.coordinates.shape[1]}"
    return _address(path, str(layout.version)), _address(f"{path}/pictures", str(layout.version))


def classes_of(layout: CollectionLayout) -> tuple[tuple[str, ...], list[str]]:
    """Names of the classes that the images of a collection are shown in, in alphabetical order, and that of each image.

    The labels, but where there are more of them than colors that can be told apart, the rarer ones together.
    """
    counts = Counter(label for label in layout.labels if label)
    most = {label for label, _ in counts.most_common(MOST_CLASSES)}
    shown = [UNLABELLED if not label else label if label in most else OTHERS for label in layout.labels]
    last = [name for name in (OTHERS, UNLABELLED) if name in shown and name not in most]
    return (*sorted(most), *last), shown


def routes(prefix: str = "") -> list[Route]:
    """The routes, whose paths begin with ``prefix`` (:func:`core.server.routes.prefix`)."""
    prefix = f"{prefix}/layouts"
    places = "{dataset}/{model}/{weights}/{pooling}/{method}/{dimensions}"
    return [
        Route(f"{prefix}/{places}", _points, methods=["GET"]),
        Route(f"{prefix}/{{dataset}}", _about_pictures, methods=["GET"]),
        Route(f"{prefix}/of/{{collection}}/{{method}}/{{dimensions}}", _collected_points, methods=["GET"]),
        Route(
            f"{prefix}/of/{{collection}}/{{method}}/{{dimensions}}/pictures",
            _about_collected,
            methods=["GET"],
        ),
    ]


def _points(request: Request) -> Response:
    """Ids and places of the images, scaled to 16 bits; a sentence with status 404 when there are none.

    Starlette runs this in a thread, since it is no coroutine.
    """
    asked = request.path_params
    try:
        # What the request says never becomes a path: it is looked up among the names that exist.
        grid = Grid().load(asked["dataset"])
        dimensions = {"2": 2, "3": 3}.get(asked["dimensions"], 0)
        model, weights = asked["model"], asked["weights"]
        found = grid.projections(model, weights, asked["pooling"], asked["method"], dimensions)
        if not found:
            return _missing("There are no such layouts here.")
        points = stack(found, len(grid.dataset))
    except UserError as error:
        return _missing(str(error))
    return _answer(
        _scaled(points.ids, points.coordinates),
        current=request.query_params.get("v", "") == grid.runs[model, weights].about.files["projections"],
    )


def _scaled(ids: np.ndarray, coordinates: np.ndarray) -> dict[str, Any]:
    """Images (n,) and their places (n_layers, n, dimensions) as the browser unpacks them."""
    scale = float(np.abs(coordinates).max()) or 1.0
    return {
        "ids": packed(ids, "u4"),
        "coordinates": packed(np.round(coordinates * (_LARGEST / scale)), "i2"),
        "layers": len(coordinates),
        "dimensions": coordinates.shape[2],
    }


def _collected_points(request: Request) -> Response:
    """The same of a collection, whose images go by their places in the layout."""
    layout = _collected(request)
    if layout is None:
        return _missing("There is no such layout here.")
    return _answer(
        _scaled(np.arange(len(layout.ids)), layout.coordinates[None]), current=_is_current(request, layout)
    )


def _about_collected(request: Request) -> Response:
    """The class, title and picture of every image of a collection's layout."""
    layout = _collected(request)
    if layout is None:
        return _missing("There is no such layout here.")
    classes, shown = classes_of(layout)
    places = {name: place for place, name in enumerate(classes)}
    return _answer(
        {
            "labels": packed(np.array([places[name] for name in shown]), "u2"),
            "titles": list(layout.titles),
            "pictures": [
                f"{image}?v={(content or '')[:12]}"
                for image, content in zip(layout.ids, layout.hashes, strict=True)
            ],
        },
        current=_is_current(request, layout),
    )


def _collected(request: Request) -> CollectionLayout | None:
    asked = request.path_params
    if asked["method"] not in METHODS or asked["dimensions"] not in ("2", "3"):
        return None
    try:
        collection = shared_engine.engine().collection(asked["collection"])
        return collection_layout.read(collection, asked["method"], int(asked["dimensions"]))
    except UserError:
        return None


def _is_current(request: Request, layout: CollectionLayout) -> bool:
    return request.query_params.get("v", "") == str(layout.version)


def _about_pictures(request: Request) -> Response:
    """The class and title of every picture of a dataset."""
    try:
        dataset = Grid().dataset(request.path_params["dataset"])
    except UserError as error:
        return _missing(str(error))
    places = {name: place for place, name in enumerate(dataset.classes)}
    return _answer(
        {
            "labels": packed(np.array([places[label] for label in dataset.labels]), "u2"),
            "titles": [item.title for item in dataset.items],
        },
        current=request.query_params.get("v", "") == dataset.fingerprint[:12],
    )


def _answer(content: dict[str, Any], current: bool) -> Response:
    # The address names the content, so a browser may keep it for good.
    headers = {"Cache-Control": _FOREVER if current else "no-cache", "X-Content-Type-Options": "nosniff"}
    return JSONResponse(content, headers=headers)


def _missing(sentence: str) -> Response:
    return PlainTextResponse(sentence, status_code=404, headers={"Cache-Control": "no-store"})


def _address(path: str, version: str) -> str:
    # Relative to the page: see gallery.address.
    return f"./layouts/{path}?v={quote(version, safe='')}"


def _known(number: float | None) -> float | None:
    return None if number is None or not np.isfinite(number) else float(number)
