"""The middle of the page Your picture: the image with its region, beside the results of a search with it."""

import json
import shlex
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import streamlit as st

from core.data.source import Source
from core.errors import UserError
from core.imaging.transform import Box
from core.jobs import Job
from core.search.query import Answer, search
from dashboard import url
from dashboard.frontend.region import region
from dashboard.widgets import image_input, markdown, pickers, sources, warmup
from dashboard.widgets.error_box import show_error
from dashboard.widgets.image_input import QueryImage

_BOXES = "live-boxes"
_LAST = "live-answer"


@dataclass(frozen=True)
class Query:
    """An image, and the region of it that is searched with."""

    picture: QueryImage
    box: Box

    @property
    def key(self) -> str:
        """Differs from that of every other query."""
        return f"{self.picture.key} {self.picture.content} {self.box}"


def picture(source: Source, query: Query, place: str) -> None:
    """The image with its region, and the ways to another.

    Parameters
    ----------
    place : of the source, as for :func:`dashboard.widgets.image_input.first`.
    """
    _queries(query)
    region.show(
        query.picture.image,
        f"Your picture {query.picture.name}",
        query.box,
        lambda drawn: url.change({url.CROP: drawn}),
        "live-region",
    )
    with st.container(key="live-about"):
        st.caption("Draw a frame to search with a region; drag it, or use the arrow keys.")
        if query.box != url.WHOLE:
            st.button("Search with the whole image", on_click=lambda: url.change({url.CROP: None}))
        image_input.another(source.sample, place, query.picture)


def answer(source: Source, query: Query, loading: Job, k: int, where: Sequence[str]) -> Answer | None:
    """The results of a search with it; None where there are none yet, or can't be, which the page then says.

    Parameters
    ----------
    loading : what a search of the source needs.
    """
    if not loading.wait(0.3):
        warmup.watch(loading, sources.model_title(source))
        return None
    try:
        if loading.error:
            raise UserError(loading.error)
        return _answer(source, query, k, where)
    except UserError as error:
        show_error(error)
        return None


def times(picture: QueryImage, features_ms: float, search_ms: float) -> None:
    """How long it took, and what can be done with the results."""
    st.caption(
        f"Decoding {picture.decode_ms:.0f} ms · features {features_ms:.0f} ms · search {search_ms:.{0 if search_ms >= 10 else 1}f} ms",
        width="content",
        help="Click a result to search with it.",
    )


def snippet(fields: Sequence[tuple[str, str]], box: Box) -> None:
    """The same search with the API, on the command line and in Python; a field may occur more than once."""
    if crop := url.CROP.text(box):
        fields = [*fields, (url.CROP, crop)]
    address = f"{(st.context.url or 'http://127.0.0.1:8501').split('?')[0].removesuffix('/live').rstrip('/')}/api/v1/search"
    words = " \\\n  ".join(f"-F {shlex.quote(f'{name}={value}')}" for name, value in fields)
    st.code(f"curl -F image=@picture.jpg \\\n  {words} \\\n  {address}", language="bash", wrap_lines=True)
    lines = "".join(f"        ({json.dumps(name)}, {json.dumps(value)}),\n" for name, value in fields)
    st.code(
        "import requests\n\n"
        "answer = requests.post(\n"
        f'    "{address}",\n'
        '    files={"image": open("picture.jpg", "rb")},\n'
        f"    data=[\n{lines}    ],\n"
        ")\n"
        'print(answer.json()["results"])',
        language="python",
        wrap_lines=True,
    )


def _queries(query: Query) -> None:
    """Switch between the images of this session, each with the region that it had last."""
    boxes: dict[str, Box] = st.session_state.setdefault(_BOXES, {})
    boxes[query.picture.key] = query.box
    kept = list(image_input.pictures().values())
    if len(kept) < 2:
        return

    def switch(key: str | None) -> None:
        key = key or query.picture.key
        image_input.choose(key, boxes.get(key, url.WHOLE))

    st.pills(
        "Search with",
        [one.key for one in kept],
        **pickers.bind("live-query", query.picture.key, switch),
        format_func=lambda key: markdown.plain(image_input.pictures()[key].name[:40]),
    )


def _answer(source: Source, query: Query, k: int, where: Sequence[str]) -> Answer:
    """The answer; the last one again when only what is shown of it changes."""
    key = (source.key, *source.params.values(), k, *where, query.key)
    last: tuple[Hashable, Answer] | None = st.session_state.get(_LAST)
    if last is None or last[0] != key:
        last = (key, search(source, query.picture.image, k, query.box, where))
        st.session_state[_LAST] = last
    return last[1]
