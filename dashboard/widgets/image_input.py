"""How a reader's own pictures come in: uploads, an address, the clipboard, the camera, or a sample.

Every one goes through the guarded decoder and none is written to disk. What came in is kept in the
session, a few pictures at a time.
"""

import base64
import binascii
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st
from PIL import Image

from core.data.source import SourceItem
from core.errors import UserError
from core.imaging import decode, url_download
from core.settings import settings
from dashboard.frontend.gallery import gallery
from dashboard.frontend.paste import paste
from dashboard.widgets import markdown

_PICTURES = "live-pictures"
_CURRENT = "live-current"
_REFUSED = "live-refused"
_MOST = 8
_SAMPLES = 8

# Gives at most so many images of a source.
Sample = Callable[[int], list[SourceItem]]


@dataclass(frozen=True)
class Picture:
    """A picture to search with; ``key`` tells it from the others."""

    key: str
    name: str
    image: Image.Image
    decode_ms: float


def pictures() -> dict[str, Picture]:
    """What came in, by key, the oldest first."""
    return st.session_state.setdefault(_PICTURES, {})


def current() -> Picture | None:
    """The one that is searched with."""
    return pictures().get(st.session_state.get(_CURRENT, ""))


def choose(key: str) -> None:
    """Search with another one of those that came in."""
    st.session_state[_CURRENT] = key


def show(sample: Sample | None) -> None:
    """The ways in, and what was refused.

    Parameters
    ----------
    sample : gives a few images to begin with, None where there are none.
    """
    ways = ["Upload", "Address", "Paste", "Camera", "Sample"]
    st.session_state.setdefault("live-way", ways[0])
    way = st.segmented_control("How does your picture come in?", ways, key="live-way", required=True)
    if way == "Upload":
        st.file_uploader(
            "Your pictures",
            type=[suffix.removeprefix(".") for suffix in sorted(decode.SUFFIXES)],
            accept_multiple_files=True,
            max_upload_size=max(1, settings.MAX_IMAGE_BYTES // 1_000_000),
            key="live-upload",
            on_change=_uploaded,
            help=f"Several pictures become several searches, the last {_MOST} of them kept until you leave. "
            "Nothing is written to the server's disk.",
        )
    elif way == "Address":
        with st.form("live-address", border=False):
            st.text_input(
                "Address of a picture", placeholder="https://example.org/picture.jpg", key="live-url"
            )
            st.form_submit_button("Fetch it", on_click=_fetched)
    elif way == "Paste":
        paste.paste(key="live-paste", data={"most": settings.MAX_IMAGE_BYTES}, on_pasted_change=_pasted)
    elif way == "Camera":
        st.camera_input("Take a picture", key="live-camera", on_change=_photographed, width=480)
    elif sample and current():
        # A page without any picture shows the samples anyway.
        samples(sample)
    for sentence in st.session_state.pop(_REFUSED, []):
        st.error(sentence, icon=":material/error:")


def samples(sample: Sample) -> None:
    """A few images to begin with."""
    items = {item.id: item for item in sample(_SAMPLES)}
    gallery.show(
        [gallery.tile(item, title=item.name) for item in items.values()],
        key="live-samples",
        on_pick=lambda item_id: search_with(items[item_id]),
        size=88,
        label="Sample pictures",
    )


def search_with(item: SourceItem) -> None:
    """Search with an image of a source."""
    try:
        started = time.perf_counter()
        _keep(Picture(item.content, item.name, decode.read(item.file()), _since(started)))
    except UserError as error:
        _refuse(item.name, str(error))


def _uploaded() -> None:
    for file in st.session_state["live-upload"] or []:
        _take(file.name, file.getvalue())


def _photographed() -> None:
    if photo := st.session_state["live-camera"]:
        _take("camera", photo.getvalue())


def _fetched() -> None:
    url = st.session_state["live-url"].strip()
    if not url:
        return
    try:
        _take(url.rpartition("/")[2] or "fetched", url_download.fetch_image(url))
    except UserError as error:
        _refuse("", str(error))


def _pasted() -> None:
    # It comes from the browser: anything may stand there.
    text = st.session_state["live-paste"].get("pasted")
    if not isinstance(text, str) or len(text) > settings.MAX_IMAGE_BYTES * 4 / 3 + 4:
        _refuse("", "What was pasted is no picture, or too large.")
        return
    try:
        _take("pasted", base64.b64decode(text, validate=True))
    except binascii.Error:
        _refuse("", "What was pasted is no picture.")


def _take(name: str, data: bytes) -> None:
    key = hashlib.sha256(data).hexdigest()
    if key in pictures():
        choose(key)
        return
    try:
        started = time.perf_counter()
        _keep(Picture(key, name, decode.decode_guarded(data), _since(started)))
    except UserError as error:
        _refuse(name, str(error))


def _keep(picture: Picture) -> None:
    kept = pictures()
    kept[picture.key] = picture
    while len(kept) > _MOST or (len(kept) > 1 and _pixels(kept) > settings.MAX_IMAGE_PIXELS):
        del kept[next(iter(kept))]
    choose(picture.key)


def _pixels(kept: dict[str, Picture]) -> int:
    return sum(one.image.width * one.image.height for one in kept.values())


def _refuse(name: str, reason: str) -> None:
    told = f"{markdown.quoted(name)}: {markdown.plain(reason)}." if name else markdown.plain(reason)
    st.session_state.setdefault(_REFUSED, []).append(told)


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
