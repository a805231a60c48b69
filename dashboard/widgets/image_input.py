"""The image to search with: an upload, a URL, the clipboard, the camera, or an image of a source.

Every one goes through the guarded decoder and none is written to disk. The address of the page says which image it is; the session
keeps the last few, and those of sources are read again where it has not.
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
from core.imaging import decode, file_types, url_download
from core.imaging.transform import Box
from core.settings import settings
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.frontend.paste import paste
from dashboard.url import Address
from dashboard.widgets import markdown, sources

_PICTURES = "live-pictures"
_REFUSED = "live-refused"
_MOST = 8
_SAMPLES = 8

# Gives at most so many images of a source.
Sample = Callable[[int], list[SourceItem]]


@dataclass(frozen=True)
class QueryImage:
    """An image to search with.

    key : its value of :data:`url.INPUT`; content : changes with the image of a source.
    """

    key: str
    name: str
    image: Image.Image
    decode_ms: float
    content: str = ""


def pictures() -> dict[str, QueryImage]:
    """Those that the session keeps, by key, the oldest first."""
    return st.session_state.setdefault(_PICTURES, {})


def current(address: Address) -> QueryImage | None:
    """The image in the address; None, with a notice where it has one that is not to be had."""
    key = address.text(url.INPUT)
    if key and key not in pictures():
        try:
            _load(key)
        except UserError as error:
            address.notices.append(f"The image to search with can't be shown: {markdown.plain(str(error))}")
    return pictures().get(key)


def choose(key: str, region: Box = url.WHOLE) -> None:
    """Search with another image, or a region of it, from a callback."""
    url.change({url.INPUT: key, url.CROP: region})


def first(sample: Sample | None, source: str) -> None:
    """The ways to a first image; the page says with :func:`show_refused` what was refused.

    Parameters
    ----------
    sample : gives a few images to begin with, None where there are none.
    source : they are of: ``"dataset/NAME"`` or ``"collection/NAME"``.
    """
    _ways(None, source)
    if sample is not None:
        st.caption("Or begin with one of these:")
        _samples(sample, source)


def another(sample: Sample | None, source: str, picture: QueryImage) -> None:
    """The ways to another image behind a button, as for :func:`first`."""
    # Another image has another one, which is closed.
    with st.popover(
        "Another image", icon=":material/add_photo_alternate:", key=f"live-another-{picture.key}"
    ):
        _ways(sample, source)


def _ways(sample: Sample | None, source: str) -> None:
    ways = ["Upload", "Address", "Paste", "Camera", *(["Sample"] if sample else [])]
    if st.session_state.get("live-way") not in ways:
        st.session_state["live-way"] = ways[0]
    way = st.segmented_control("Where does your image come from?", ways, key="live-way", required=True)
    if way == "Upload":
        st.file_uploader(
            f"Images of yours, up to {settings.MAX_IMAGE_BYTES / 1e6:g} MB each",
            type=[suffix.removeprefix(".") for suffix in sorted(file_types.SUFFIXES)],
            accept_multiple_files=True,
            max_upload_size=max(1, settings.MAX_IMAGE_BYTES // 1_000_000),
            key="live-upload",
            on_change=_uploaded,
            help=f"Several images become several searches, the last {_MOST} of them kept until you leave. "
            "Nothing is written to the server's disk.",
        )
    elif way == "Address":
        with st.form("live-address", border=False):
            st.text_input(
                "Address of an image", placeholder="https://example.org/picture.jpg", key="live-url"
            )
            st.form_submit_button("Fetch it", on_click=_fetched)
    elif way == "Paste":
        paste.paste(key="live-paste", data={"most": settings.MAX_IMAGE_BYTES}, on_pasted_change=_pasted)
    elif way == "Camera":
        st.camera_input("Take a photo", key="live-camera", on_change=_photographed, width=480)
    elif sample:
        _samples(sample, source)


def show_refused() -> None:
    """Say once which images were refused, and why."""
    for sentence in st.session_state.pop(_REFUSED, []):
        st.error(sentence, icon=":material/error:")


def _samples(sample: Sample, source: str) -> None:
    gallery.show(
        [gallery.tile(item, title=item.name) for item in sample(_SAMPLES)],
        key="live-samples",
        on_pick=lambda item: choose(f"{source}/{item}"),
        size=76,
        columns=_SAMPLES,
        label="Sample images",
    )


def _load(key: str) -> None:
    """Read an image of a source that the session does not keep; raises UserError where it is not to be had."""
    item = sources.item(key)
    if item is None:
        raise UserError("an image of your own is kept until the page is reloaded or closed. Choose it again.")
    started = time.perf_counter()
    _keep(QueryImage(key, item.name, decode.read(item.file()), _since(started), item.content))


def _uploaded() -> None:
    for file in st.session_state["live-upload"] or []:
        _take(file.name, file.getvalue())


def _photographed() -> None:
    if photo := st.session_state["live-camera"]:
        _take("camera", photo.getvalue())


def _fetched() -> None:
    source = st.session_state["live-url"].strip()
    if not source:
        return
    try:
        _take(source.rpartition("/")[2] or "fetched", url_download.fetch_image(source))
    except UserError as error:
        _refuse("", str(error))


def _pasted() -> None:
    # It comes from the browser and can be anything.
    text = st.session_state["live-paste"].get("pasted")
    if not isinstance(text, str) or len(text) > settings.MAX_IMAGE_BYTES * 4 / 3 + 4:
        _refuse("", "What was pasted is not an image, or too large.")
        return
    try:
        _take("pasted", base64.b64decode(text, validate=True))
    except binascii.Error:
        _refuse("", "What was pasted is not an image.")


def _take(name: str, data: bytes) -> None:
    key = hashlib.sha256(data).hexdigest()
    try:
        if key not in pictures():
            started = time.perf_counter()
            _keep(QueryImage(key, name, decode.decode_guarded(data), _since(started)))
        choose(key)
    except UserError as error:
        _refuse(name, str(error))


def _keep(picture: QueryImage) -> None:
    kept = pictures()
    kept[picture.key] = picture
    while len(kept) > _MOST or (len(kept) > 1 and _pixels(kept) > settings.MAX_IMAGE_PIXELS):
        del kept[next(iter(kept))]


def _pixels(kept: dict[str, QueryImage]) -> int:
    return sum(one.image.width * one.image.height for one in kept.values())


def _refuse(name: str, reason: str) -> None:
    sentence = f"{markdown.quoted(name)}: {markdown.plain(reason)}." if name else markdown.plain(reason)
    st.session_state.setdefault(_REFUSED, []).append(sentence)


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
