"""The search over HTTP, for programs: ``/api/v1/...``, described at ``/api/docs``.

Errors are problem details (RFC 9457). The work is done in threads, so that neither other requests
nor the pages of the same server wait for it.
"""

import logging
import re
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar

import anyio
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.collections import names
from core.data.datasets import Dataset
from core.data.source import Neighbor, Source
from core.errors import (
    CatalogUnreachableError,
    CollectionError,
    ConditionError,
    GridError,
    ImageError,
    UnknownNameError,
    UserError,
    WeightsError,
)
from core.experiments import neighbor_export
from core.experiments.store import Configuration, Summary
from core.imaging import decode, transform, url_download
from core.models import registry, weights
from core.search import query, shared_engine
from core.search.collection_source import CollectionSource
from core.search.dataset_source import DatasetSource
from core.search.engine import Engine
from core.server.api_docs import PAGE
from core.server.bodies import FORM_BYTES
from core.server.problem import problem
from core.settings import settings

MAX_NEIGHBORS = 100
MAX_CONDITIONS, MAX_CONDITION = 10, 200
_TABLES = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
_MULTIPART, _JSON = "multipart/form-data", "application/json"
_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_PREFIX = re.compile(r"(/(?!\.+(/|$))[A-Za-z0-9._~-]+)+/?", re.ASCII)


class SearchRequest(BaseModel):
    """What to search in, and with. Parts of the configuration that are left out come from the recommended experiment of the dataset."""

    model_config = ConfigDict(extra="forbid")

    dataset: str = "objects200"
    collection: str | None = Field(
        None, description="search this collection, which has one configuration, and not a dataset"
    )
    where: list[Annotated[str, Field(max_length=MAX_CONDITION)]] = Field(
        [],
        max_length=MAX_CONDITIONS,
        description="conditions that images of the collection must meet, such as label=cat or price<20; the field may be repeated",
    )
    model: str | None = None
    weights: str | None = None
    layer: str | None = None
    pooling: str | None = None
    metric: str | None = None
    k: int = Field(10, ge=1, le=MAX_NEIGHBORS)
    crop: tuple[float, float, float, float] | None = Field(
        None, description="left, top, right, bottom of the region to search with, as shares from 0 to 1"
    )
    vector: bool = Field(False, description="return the query's vector too")


class UrlSearchRequest(SearchRequest):
    """A search with the image at a URL."""

    url: str


class Found(BaseModel):
    """One of the nearest images."""

    id: int
    label: str
    title: str
    distance: float
    picture: str


class LabelVote(BaseModel):
    """How many of the nearest images have a label."""

    label: str
    count: int


class Times(BaseModel):
    """Milliseconds. Loading a model at its first use counts in none of them."""

    decode: float
    features: float
    search: float


class SearchAnswer(BaseModel):
    """The nearest images, nearest first."""

    dataset: str
    configuration: dict[str, str]
    results: list[Found]
    votes: list[LabelVote]
    milliseconds: Times
    vector: list[float] | None = None


class CollectionFound(BaseModel):
    """One of the nearest images of a collection.

    path : without what lies above the folder that was added, of an upload the name that it was sent with; picture : left out where
    its file can't be shown.
    """

    id: int
    label: str | None
    path: str
    metadata: dict[str, Any]
    distance: float
    picture: str | None


class CollectionSearchAnswer(BaseModel):
    """The nearest images of a collection, nearest first.

    notes : sentences about the images that the conditions can't compare, such as those that hold no number.
    """

    collection: str
    configuration: dict[str, str]
    results: list[CollectionFound]
    notes: list[str]
    votes: list[LabelVote]
    milliseconds: Times
    vector: list[float] | None = None


_ANSWERS: dict[str, type[SearchAnswer] | type[CollectionSearchAnswer]] = {
    "dataset": SearchAnswer,
    "collection": CollectionSearchAnswer,
}


def routes(prefix: str = "") -> list[Mount]:
    """The API as a route, whose path begins with ``prefix`` (:func:`core.server.routes.prefix`)."""
    return [Mount(f"{prefix}/api", app=create(prefix))]


def create(prefix: str = "", engine: Callable[[], Engine] = shared_engine.engine) -> FastAPI:
    """The application, whose paths begin behind ``/api``.

    Parameters
    ----------
    prefix : what the addresses of images begin with.
    engine : gives the engine to search with.
    """
    app = FastAPI(
        title="Embedding Playground",
        version="1",
        description="Search a dataset with an image, under a model, layer, pooling and metric of choice, or a collection under "
        "its own.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    searches = _Gate("searches", settings.API_CONCURRENCY, settings.API_QUEUE)
    # Of their own, so that slow servers elsewhere hold up no search.
    downloads = _Gate("downloads", settings.FETCH_CONCURRENCY, settings.FETCH_QUEUE)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(PAGE)

    @app.get("/v1/health", summary="Whether the server answers")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/datasets", summary="The datasets that can be searched")
    def datasets() -> list[dict[str, Any]]:
        grid = engine().grid
        found = []
        for name in grid.dataset_names():
            try:
                one = grid.dataset(name)
            except UserError:
                continue
            found.append({"name": name, "title": one.title, "images": len(one), "classes": list(one.classes)})
        return found

    @app.get("/v1/collections", summary="The collections that can be searched")
    def collections() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        trouble = None
        for name in names():
            try:
                source = CollectionSource(engine(), engine().collection(name))
                described = {
                    "name": name,
                    "images": len(source),
                    "labels": source.labels,
                    "configuration": source.configuration,
                    "engine": source.engine,
                }
            except CatalogUnreachableError:
                # A list without those of the database would say that they are not there.
                raise
            except UserError as error:
                trouble = error
                continue
            found.append(described)
        if trouble is not None and not found:
            raise trouble
        return found

    @app.get("/v1/models", summary="The models, their layers, and whether their ImageNet weights are here")
    def models() -> list[dict[str, Any]]:
        return [_describe(model) for model in registry.MODELS.values()]

    @app.get(
        "/v1/configurations",
        summary="The experiments of a dataset that this machine can search with, best first",
    )
    def configurations(dataset: Annotated[str, Query()] = "objects200") -> list[dict[str, Any]]:
        searched = engine().grid.dataset(dataset)
        return [
            {**_parts(one), "depth": one.depth, "dimensions": one.dimensions, "score_10": one.score_10}
            for one in engine().searchable(searched)
        ]

    @app.get(
        "/v1/neighbors",
        summary="The stored neighbors of every image of a dataset as a file, for all configurations with the given parts",
        response_class=Response,
        responses={200: {"content": {kind: {} for kind in _TABLES.values()}}},
    )
    async def neighbors(
        dataset: Annotated[str, Query()] = "objects200",
        model: Annotated[str | None, Query()] = None,
        weights: Annotated[str | None, Query()] = None,
        layer: Annotated[str | None, Query()] = None,
        pooling: Annotated[str | None, Query()] = None,
        metric: Annotated[str | None, Query()] = None,
        k: Annotated[int, Query(ge=1, le=MAX_NEIGHBORS)] = 10,
        format: Annotated[Literal["csv", "parquet"], Query()] = "csv",
    ) -> Response:
        values = zip(neighbor_export.PARTS, (model, weights, layer, pooling, metric), strict=True)
        wanted = {part: [value] for part, value in values if value is not None}

        def table() -> bytes:
            grid = engine().grid.load(dataset)
            return neighbor_export.content(grid, neighbor_export.matching(grid, wanted), k, format)

        data = await searches.run(table)
        name = {"Content-Disposition": f'attachment; filename="neighbors.{format}"'}
        return Response(data, media_type=_TABLES[format], headers=name)

    @app.post(
        "/v1/search",
        summary="The images of a dataset or collection that are nearest to an image",
        response_model=SearchAnswer | CollectionSearchAnswer,
        response_model_exclude_none=True,
        openapi_extra={"requestBody": _request_body()},
    )
    async def search(request: Request) -> Response:
        asked, data = await _read(request)
        if asked.crop is not None:
            transform.check_box(asked.crop)
        if isinstance(asked, UrlSearchRequest):
            # What can't be searched is refused before anything is downloaded for it.
            await searches.run(partial(_source, engine(), asked))
            data = await downloads.run(partial(url_download.fetch_image, asked.url))
        outside = _stripped(request) + prefix
        answer = await searches.run(partial(_search, engine(), asked, data or b"", outside))
        return JSONResponse(answer.model_dump(exclude_none=True))

    app.add_exception_handler(UserError, _user_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(_LastResort)
    app.add_middleware(_Heads)
    return app


class _Heads:
    """Answers HEAD where there is a GET, with its headers; the server leaves out the body."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


class _LastResort:
    """Answers requests that failed for a reason that nobody foresaw, and logs the reason."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answered = False

        async def noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except ClientDisconnect:
            # For core.server.bodies: that is no failure of the server.
            raise
        except Exception:
            if answered:
                raise
            path = Request(scope).url.path
            _log.exception("A request to %s failed", path)
            sentence = "Something went wrong here; the server's log says what."
            await problem(path, HTTPStatus.INTERNAL_SERVER_ERROR, sentence)(scope, receive, send)


class _Gate:
    """So much work in threads at a time and so much more in the queue, or 429 when it is full."""

    def __init__(self, what: str, concurrency: int, queue: int):
        self._what = what
        self._limiter = anyio.CapacityLimiter(concurrency)
        self._most = concurrency + queue
        self._inside = 0
        self._lock = threading.Lock()

    async def run(self, work: Callable[[], _T]) -> _T:
        """What the work returns; raises HTTPException when too many are waiting."""
        with self._lock:
            if self._inside >= self._most:
                raise HTTPException(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    f"Too many {self._what} are under way; try again in a second.",
                    {"Retry-After": "1"},
                )
            self._inside += 1
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            with self._lock:
                self._inside -= 1


def _source(engine: Engine, asked: SearchRequest) -> Source:
    """What is searched, which takes the conditions."""
    source: Source
    if asked.collection is None:
        dataset = engine.grid.dataset(asked.dataset)
        source = DatasetSource(engine, dataset, _configuration(engine, dataset, asked))
    else:
        given = sorted({"dataset", *_PARTS} & asked.model_fields_set)
        if given:
            raise UserError(
                f"A collection has one configuration and no dataset; leave out {', '.join(given)}."
            )
        source = CollectionSource(engine, engine.collection(asked.collection))
    query.check(source, asked.where)
    return source


def _search(
    engine: Engine, asked: SearchRequest, data: bytes, prefix: str
) -> SearchAnswer | CollectionSearchAnswer:
    source = _source(engine, asked)
    image, decode_ms = _image(asked, data, source)
    answer = query.search(source, image, asked.k, where=asked.where)
    return _ANSWERS[source.url_key].model_validate(
        {
            source.url_key: source.name,
            "configuration": source.configuration,
            "results": [_result(one, prefix) for one in answer.neighbors],
            "notes": answer.notes,
            "votes": [vars(vote) for vote in answer.votes],
            "milliseconds": Times(decode=decode_ms, features=answer.features_ms, search=answer.search_ms),
            "vector": answer.vector.tolist() if asked.vector else None,
        }
    )


def _result(found: Neighbor, prefix: str) -> dict[str, Any]:
    item = found.item
    picture = None if item.missing else f"{prefix}/{item.thumbnail}"
    return {
        "id": item.id,
        "label": item.label,
        **item.facts,
        "distance": found.distance,
        "picture": picture,
    }


def _stripped(request: Request) -> str:
    """What a reverse proxy has taken off the addresses, where it says so."""
    given = request.headers.get("x-forwarded-prefix", "")
    # Anyone may send this header; whoever does is answered with nothing but addresses below this server.
    return given.rstrip("/") if _PREFIX.fullmatch(given) else ""


def _image(asked: SearchRequest, data: bytes, source: Source) -> tuple[Image.Image, float]:
    """What is searched with, at the size that the model takes, and the milliseconds that decoding it took."""
    reduction = source.reduction(asked.crop)
    started = time.perf_counter()
    image = decode.decode_guarded(data, reduction)
    return image, (time.perf_counter() - started) * 1000


def _configuration(engine: Engine, dataset: Dataset, asked: SearchRequest) -> Configuration:
    """What was asked for; the rest from the experiment that has it, so that a model alone is enough: the recommended one, or else the best."""
    wanted = {part: getattr(asked, part) for part in _PARTS if getattr(asked, part) is not None}
    if "model" in wanted:
        # Before anything else, so that a wrong name gets its own error.
        model = registry.get_model(wanted["model"])
        if "layer" in wanted:
            model.layer(wanted["layer"])
    if len(wanted) == len(_PARTS):
        return Configuration(**wanted)
    fitting = engine.searchable(dataset)
    if (found := engine.recommended(dataset)) is not None:
        fitting = sorted(fitting, key=lambda one: one.configuration != found.taken)
    best = max(fitting, key=lambda one: sum(getattr(one, p) == v for p, v in wanted.items()), default=None)
    if best is None:
        raise GridError(
            f"Dataset {dataset.name!r} has no experiment to choose from; name model, weights, layer, pooling and metric."
        )
    values = _parts(best) | wanted
    if values["model"] != best.model and "layer" not in wanted:
        values["layer"] = registry.get_model(values["model"]).layers[-1].name
    return Configuration(**values)


_PARTS = ("model", "weights", "layer", "pooling", "metric")


def _parts(one: Configuration | Summary) -> dict[str, str]:
    return {part: getattr(one, part) for part in _PARTS}


def _describe(model: registry.Model) -> dict[str, Any]:
    here, sentence = weights.availability(model)
    return {
        "name": model.name,
        "title": model.title,
        "input_size": model.input_size,
        "parameters": model.parameters,
        "imagenet_weights_here": here,
        "about": sentence,
        "layers": [
            {"name": layer.name, "depth": depth, "shape": layer.shape, "parameters": layer.parameters}
            for depth, layer in enumerate(model.layers, 1)
        ],
    }


async def _read(request: Request) -> tuple[SearchRequest, bytes | None]:
    """The request's parameters, and the image when it came along."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (_MULTIPART, _JSON):
        raise HTTPException(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Send {_MULTIPART} with a file in the field image, or {_JSON} with a url.",
        )
    limit = settings.MAX_IMAGE_BYTES + FORM_BYTES if kind == _MULTIPART else FORM_BYTES
    # Counted while it arrives: what the header says of the length is not to be trusted.
    request = Request(request.scope, _limited(request.receive, limit))
    if kind == _JSON:
        return UrlSearchRequest.model_validate_json(await request.body() or b"null"), None
    async with request.form(max_files=1, max_fields=20 + MAX_CONDITIONS) as form:
        fields: dict[str, Any] = {name: value for name, value in form.multi_items() if isinstance(value, str)}
        picture = form.get("image")
        if not isinstance(picture, UploadFile):
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "The field image must hold a file.")
        if conditions := [value for value in form.getlist("where") if isinstance(value, str)]:
            fields["where"] = conditions
        if "crop" in fields:
            fields["crop"] = tuple(fields["crop"].split(","))
        return SearchRequest.model_validate(fields), await picture.read()


def _limited(receive: Callable[[], Awaitable[Any]], limit: int) -> Callable[[], Awaitable[Any]]:
    received = 0

    async def counted() -> Any:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The request is larger than the {limit / 1e6:g} MB allowed.",
            )
        return message

    return counted


async def _user_error(request: Request, error: Exception) -> Response:
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    if isinstance(error, UnknownNameError) and error.kind in ("dataset", "collection"):
        status = HTTPStatus.NOT_FOUND
    elif isinstance(error, ImageError | url_download.FetchError):
        status = HTTPStatus.BAD_REQUEST
    elif isinstance(error, WeightsError | GridError | CollectionError) and not isinstance(
        error, ConditionError
    ):
        status = HTTPStatus.SERVICE_UNAVAILABLE
    sentence = str(error)
    return problem(request.url.path, status, sentence[:1].upper() + sentence[1:])


async def _invalid(request: Request, error: Exception) -> Response:
    found = error.errors()  # type: ignore[attr-defined]
    broken = any(one["type"] == "json_invalid" for one in found)
    sentences = [f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in found[:8]]
    status = HTTPStatus.BAD_REQUEST if broken else HTTPStatus.UNPROCESSABLE_ENTITY
    return problem(request.url.path, status, "; ".join(sentences))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(request.url.path, error.status_code, error.detail, error.headers)


def _request_body() -> dict[str, Any]:
    """What OpenAPI can't see, since the body is one of two kinds."""
    form = SearchRequest.model_json_schema()
    form["properties"] = {"image": {"type": "string", "format": "binary"}, **form["properties"]}
    form["properties"]["crop"] = {
        "type": "string",
        "description": "four shares from 0 to 1, as 0.1,0.1,0.9,0.9",
    }
    form["required"] = ["image"]
    return {
        "required": True,
        "content": {
            _MULTIPART: {"schema": form},
            _JSON: {"schema": UrlSearchRequest.model_json_schema()},
        },
    }
