"""The points of projections, served to the browser.

A scatter chart fetches its points from here once and keeps them: they are the same from run to run
of a page, and ten thousand of them are too many to be sent along each time.
"""

import base64
from typing import Any
from urllib.parse import quote

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from core.data.source import ChartImages, Projection, Source
from core.errors import UserError
from core.experiments.store import Configuration, Grid
from core.search import dataset_source, shared_engine
from core.search.collection_source import CollectionSource
from core.search.dataset_source import DatasetSource

METHODS = {"umap": "UMAP", "pca": "PCA"}
_FOREVER = "public, max-age=31536000, immutable"
_LARGEST = np.iinfo(np.int16).max


def packed(values: np.ndarray, kind: str) -> str:
    """An array as base64 of its numbers, in the order of bytes that browsers have."""
    return base64.b64encode(np.ascontiguousarray(values, np.dtype(kind).newbyteorder("<")).tobytes()).decode()


def url(served: Projection | ChartImages) -> str:
    """The URL of a projection's points, or of the titles and labels of images, relative to the page."""
    return f"./layouts/{served.path}?v={quote(served.version, safe='')}"


def routes(prefix: str = "") -> list[Route]:
    """The routes, whose paths begin with ``prefix`` (:func:`core.server.routes.prefix`)."""
    prefix = f"{prefix}/layouts"
    of_dataset = f"{prefix}/{{dataset}}/{{model}}/{{weights}}/{{pooling}}/{{method}}/{{dimensions}}"
    of_collection = f"{prefix}/of/{{collection}}/{{method}}/{{dimensions}}"
    return [
        Route(of_dataset, _points, methods=["GET"]),
        Route(f"{prefix}/{{dataset}}", _images, methods=["GET"]),
        Route(of_collection, _points, methods=["GET"]),
        Route(f"{of_collection}/pictures", _images, methods=["GET"]),
    ]


def _points(request: Request) -> Response:
    """Numbers and coordinates of the images, scaled to 16 bits; status 404 when there are none.

    Starlette runs this in a thread, since it is no coroutine.
    """
    projection = _projection(request)
    if projection is None:
        return _missing()
    scale = float(np.abs(projection.coordinates).max()) or 1.0
    content = {
        "ids": packed(projection.numbers, "u4"),
        "coordinates": packed(np.round(projection.coordinates * (_LARGEST / scale)), "i2"),
        "layers": len(projection.layers),
        "dimensions": projection.dimensions,
    }
    return _answer(content, request, projection.version)


def _images(request: Request) -> Response:
    """The class and title of every image, and its reference where it has one; status 404 when there are none."""
    images: ChartImages | None = None
    try:
        if "method" in request.path_params:
            projection = _projection(request)
            images = projection.images if projection else None
        else:
            images = dataset_source.chart_images(Grid().dataset(request.path_params["dataset"]))
    except UserError:
        pass
    if images is None:
        return _missing()
    places = {name: place for place, name in enumerate(images.classes)}
    content = {
        "labels": packed(np.array([places[name] for name in images.labels]), "u2"),
        "titles": [images.item(number).title for number in range(len(images))],
        **({"pictures": images.references} if images.references else {}),
    }
    return _answer(content, request, images.version)


def _projection(request: Request) -> Projection | None:
    """What a request asks for; None when there is no such projection."""
    method, dimensions = request.path_params["method"], request.path_params["dimensions"]
    if method not in METHODS or dimensions not in ("2", "3"):
        return None
    try:
        return _source(request).projection(method, int(dimensions))
    except UserError:
        return None


def _source(request: Request) -> Source:
    # It is looked for among those that exist: what a request says never becomes a path.
    asked, engine = request.path_params, shared_engine.engine()
    if "collection" in asked:
        return CollectionSource(engine, engine.collection(asked["collection"]))
    grid = Grid().load(asked["dataset"])
    # Points are of all layers, whatever the distance.
    configuration = Configuration(asked["model"], asked["weights"], "", asked["pooling"], "")
    return DatasetSource(engine, grid.dataset, configuration, grid)


def _answer(content: dict[str, Any], request: Request, version: str) -> Response:
    # The URL names the content, so a browser may keep it for good.
    current = request.query_params.get("v", "") == version
    headers = {"Cache-Control": _FOREVER if current else "no-cache", "X-Content-Type-Options": "nosniff"}
    return JSONResponse(content, headers=headers)


def _missing() -> Response:
    return PlainTextResponse(
        "There is no such projection here.", status_code=404, headers={"Cache-Control": "no-store"}
    )
