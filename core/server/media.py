"""The images of datasets, collections and channels, over HTTP: small, cached, and only those that one of them lists.

Pages name an image as ``/pictures/<dataset>/<id>?v=<fingerprint>``, ``/collections/<collection>/<id>?v=<hash>``, or
``/channels/<model>/<weights>/<layer>/<channel>.webp?v=<version>``. The fingerprint changes with the dataset, hash and
version with the image, so a browser may keep what it got for good.
"""

import threading
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from core.data import folder_walker
from core.errors import UserError
from core.experiments.store import Grid
from core.features import channel_files
from core.imaging import decode, servable_files, transform
from core.imaging.transform import Reduction
from core.search import shared_engine
from core.settings import settings

LONGEST = 320
_FOREVER = "public, max-age=31536000, immutable"
_SMALL = 64_000
# Decoding a large image takes memory: only so many at a time, whatever many are asked for.
_decoding = threading.BoundedSemaphore(settings.DECODE_THREADS)


def routes(prefix: str = "") -> list[Route]:
    """The routes, whose paths begin with ``prefix`` (:func:`core.server.routes.prefix`)."""
    return [
        Route(f"{prefix}/pictures/{{dataset}}/{{item}}", picture, methods=["GET"]),
        Route(f"{prefix}/collections/{{collection}}/{{image}}", collected, methods=["GET"]),
        Route(
            f"{prefix}/channels/{{model}}/{{weights}}/{{layer}}/{{channel}}.webp",
            visualization,
            methods=["GET"],
        ),
    ]


def picture(request: Request) -> Response:
    """An image as a small WebP; a sentence with status 404 when there is none.

    Starlette runs this in a thread, since it is no coroutine: reading and decoding never hold up the
    server.
    """
    try:
        dataset = Grid().dataset(request.path_params["dataset"])
        item = _number(request.path_params["item"])
        if item is None or item >= len(dataset):
            return _missing(f"The dataset has no image of that number; it has 0 to {len(dataset) - 1}.")
        path = dataset.path(item)
        stat = path.stat()
        if what := folder_walker.special(stat.st_mode):
            return _missing(f"The file of this image is {what} now.")
        data = _webp(path, stat.st_mtime_ns, stat.st_size)
    except UserError as error:
        return _missing(str(error))
    except OSError:
        return _missing("The file of this image is missing; restore the dataset's folder of images.")
    return _answer(data, request, dataset.fingerprint)


def collected(request: Request) -> Response:
    """An image of a collection as a small WebP; a sentence with status 404 when there is none."""
    try:
        collection = shared_engine.engine().collection(request.path_params["collection"])
        number = _number(request.path_params["image"])
        image = None if number is None else collection.image(number)
        if image is None or image.hash is None:
            return _missing("The collection has no image of that number here.")
        path = collection.file(image.path)
        stat = path.stat()
        data = _webp(path, stat.st_mtime_ns, stat.st_size)
    except UserError as error:
        return _missing(str(error))
    except OSError:
        return _missing("The file of this image can't be read.")
    return _answer(data, request, image.hash)


def visualization(request: Request) -> Response:
    """The stored feature visualization of a channel; status 404 with a sentence when there is none."""
    model, weights, layer, channel = (
        request.path_params[name] for name in ("model", "weights", "layer", "channel")
    )
    for picture in channel_files.visualizations(model, weights, layer):
        if str(picture.channel) == channel:
            return _answer(picture.webp, request, picture.version)
    return _missing("There is no image of that channel here.")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def _answer(data: bytes, request: Request, version: str) -> Response:
    asked = request.query_params.get("v", "")
    current = len(asked) >= 8 and version.startswith(asked)
    return Response(
        data,
        media_type="image/webp",
        headers={
            "Cache-Control": _FOREVER if current else "no-cache",
            "X-Content-Type-Options": "nosniff",
        },
    )


@lru_cache(maxsize=1024)
def _webp(path: Path, changed: int, size: int) -> bytes:
    # A stranger's bytes are decoded, whatever they look like.
    if size <= _SMALL and not servable_files.uploaded(path):
        data = path.read_bytes()
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return data
    with _decoding:
        return transform.thumbnail(decode.read(path, Reduction(LONGEST)), LONGEST)


def _missing(sentence: str) -> Response:
    return PlainTextResponse(sentence, status_code=404, headers={"Cache-Control": "no-store"})
