"""Why a result was found: it and the query, colored by what made them similar."""

import base64
import io
from collections.abc import Callable
from html import escape

import numpy as np
import streamlit as st
from PIL import Image

from core import images
from core.datasets import Dataset
from core.errors import UserError
from core.experiments.store import Configuration, Summary
from core.search import explain, shared
from core.search.query import Answer
from dashboard.components import gallery, heat, state

_REMEMBERED = "live-activations"
_MOST = 12
_SIDE = 320


@st.fragment
def show(dataset: Dataset, chosen: Summary, image: Image.Image, key: str, answer: Answer) -> None:
    """Choose a result and see the regions that count.

    Parameters
    ----------
    image : what was searched with; ``key`` tells it from other queries.
    """
    if not explain.applies(chosen.pooling, chosen.metric):
        st.info(
            f"The similarity can be taken apart into regions for avg and max pooling with the cosine distance, "
            f"not for {chosen.pooling} with {chosen.metric}: choose those above to see them.",
            icon=":material/info:",
        )
        return
    ids = answer.ids.tolist()

    def name(item: int) -> str:
        return f"{ids.index(item) + 1} · {dataset.items[item].title or dataset.items[item].label}"

    with st.container(horizontal=True, vertical_alignment="bottom"):
        # Keyed by the results: a picker that outlived them would go on showing one of the old.
        item = st.selectbox(
            "Result", ids, format_func=name, key=f"live-reason-{'-'.join(map(str, ids))}", width=300
        )
        opacity = st.slider("Strength of the colors", 0.0, 1.0, 0.55, 0.05, key="live-opacity", width=260)
    engine, part = shared.engine(), chosen.configuration
    try:
        other = images.read(dataset.path(item))
        mine = _remembered((key, part), lambda: engine.activation(image, chosen))
        its = _remembered((dataset.fingerprint, item, part), lambda: engine.activation(other, chosen))
        shares = explain.regions(mine, its, chosen.pooling)
    except UserError as error:
        st.error(state.plain(str(error)), icon=":material/error:")
        return
    captions = ("Your picture", f"Result {ids.index(item) + 1}: {gallery.alt(dataset.items[item])}")
    figures = "".join(
        _figure(heat.overlay(picture, share, opacity), caption, _strongest(share))
        for picture, share, caption in zip((image, other), shares, captions, strict=True)
    )
    st.html(
        f'<div style="display:flex;flex-wrap:wrap;gap:1rem;align-items:flex-start">{figures}</div>{heat.legend()}'
    )
    st.caption(
        f"Their similarity, {float(shares[0].sum()):.3f}, is the sum of what all regions of a picture add to it. "
        "Yellow regions add most, blue ones least; each picture has its own scale.",
        help="The dot product of the two pooled vectors is taken apart over the positions of the layer's output: "
        "Stylianou, Souvenir and Pless, Visualizing Deep Similarity Networks, 2019.",
    )


def _remembered(key: tuple[str | int | Configuration, ...], make: Callable[[], np.ndarray]) -> np.ndarray:
    """An activation of this session, computed once: a moved slider asks for the same ones again."""
    kept: dict[tuple, np.ndarray] = st.session_state.setdefault(_REMEMBERED, {})
    if key not in kept:
        kept[key] = make()
        while len(kept) > _MOST:
            del kept[next(iter(kept))]
    return kept[key]


def _strongest(share: np.ndarray) -> str:
    """Where the region that counts most lies, in words."""
    row, column = np.unravel_index(int(share.argmax()), share.shape)
    down = ("top", "middle", "bottom")[min(2, 3 * int(row) // share.shape[0])]
    across = ("left", "center", "right")[min(2, 3 * int(column) // share.shape[1])]
    return f"{down} {across}"


def _figure(picture: Image.Image, caption: str, strongest: str) -> str:
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=88)
    source = "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()
    alt = f"{caption}, colored by what counts; most at the {strongest}"
    # Small pictures are shown larger: both are to be looked at side by side.
    width = round(picture.width * _SIDE / max(picture.size))
    return (
        f'<figure style="margin:0;width:{_SIDE}px;max-width:100%">'
        f'<img src="{source}" alt="{escape(alt, quote=True)}" '
        f'style="display:block;width:{width}px;max-width:100%;height:auto;border-radius:.375rem">'
        f'<figcaption style="font-size:.875rem;padding:.4rem 0">{escape(caption)}</figcaption></figure>'
    )
