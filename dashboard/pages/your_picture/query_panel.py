"""The middle of the live page: the reader's picture with its region, beside what a search with it found."""

import json
import shlex
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import streamlit as st

from core.errors import UserError
from core.imaging.decode_pool import Box
from core.jobs import Job
from dashboard.frontend.region import region
from dashboard.widgets import image_input, markdown, warmup
from dashboard.widgets.image_input import Picture

_Found = TypeVar("_Found")
_SIDE = 330
_BOXES = "live-boxes"
_LAST = "live-answer"


@dataclass(frozen=True)
class Question:
    """What is searched with."""

    picture: Picture
    box: Box

    @property
    def key(self) -> str:
        """Tells it from others."""
        return f"{self.picture.key}{self.box}"


def show(
    picture: Picture,
    loading: Job,
    name: str,
    asked: Hashable,
    search: Callable[[Question], _Found],
    draw: Callable[[Question, _Found], None],
) -> tuple[Question, _Found] | None:
    """Show the picture and what a search finds; None where it found nothing yet, or could not.

    Parameters
    ----------
    loading : what has to be there first, of the model ``name``.
    asked : what the answer depends on beside the picture and its region.
    search : may raise a UserError, whose sentence is shown.
    draw : shows what was found.
    """
    _queries(picture)
    boxes: dict[str, Box] = st.session_state.setdefault(_BOXES, {})
    question = Question(picture, boxes.get(picture.key, region.WHOLE))
    outer = st.container(horizontal=True, gap="medium", key="search")
    with outer.container(width=_SIDE, key="search-query"):
        st.header("Your picture")
        region.show(
            picture.image,
            f"Your picture {picture.name}",
            question.box,
            lambda drawn: boxes.update({picture.key: drawn}),
            "live-region",
        )
        st.caption("Draw a frame to search with a region; drag it, or use the arrow keys.")
        if question.box != region.WHOLE:
            st.button("Search with the whole picture", on_click=lambda: boxes.pop(picture.key, None))
    with outer.container(key="search-results"):
        if not loading.wait(0.3):
            warmup.watch(loading, name)
            return None
        if loading.error:
            st.error(markdown.plain(loading.error), icon=":material/error:")
            return None
        try:
            found = _answer((asked, question.key), lambda: search(question))
        except UserError as error:
            st.error(markdown.plain(str(error)), icon=":material/error:")
            return None
        draw(question, found)
    return question, found


def times(picture: Picture, features_ms: float, search_ms: float) -> None:
    """How long it took, and what can be done with the results."""
    st.caption(
        f"Decoding {picture.decode_ms:.0f} ms · features {features_ms:.0f} ms · search {search_ms:.2f} ms. "
        "Click a result to search with it."
    )


def snippet(fields: Sequence[tuple[str, str]], box: Box) -> None:
    """The same search with the API, on the command line and in Python; a name may stand among the fields more than once."""
    if box != region.WHOLE:
        fields = [*fields, ("crop", ",".join(f"{share:g}" for share in box))]
    address = f"{(st.context.url or 'http://127.0.0.1:8501').split('?')[0].removesuffix('/live').rstrip('/')}/api/v1/search"
    words = " \\\n  ".join(f"-F {shlex.quote(f'{name}={value}')}" for name, value in fields)
    st.code(f"curl -F image=@picture.jpg \\\n  {words} \\\n  {address}", language="bash")
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
    )


def _queries(picture: Picture) -> None:
    """Switch between the pictures that came in."""
    kept = list(image_input.pictures().values())
    if len(kept) < 2:
        return
    st.session_state["live-query"] = picture.key
    st.pills(
        "Search with",
        [one.key for one in kept],
        format_func=lambda key: markdown.plain(image_input.pictures()[key].name[:40]),
        key="live-query",
        on_change=lambda: image_input.choose(st.session_state["live-query"] or picture.key),
    )


def _answer(asked: Hashable, search: Callable[[], Any]) -> Any:
    """The answer; the last one again when only what is told about it changes."""
    last = st.session_state.get(_LAST)
    if last is None or last[0] != asked:
        last = st.session_state[_LAST] = (asked, search())
    return last[1]
