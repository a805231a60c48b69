"""A result and the query, colored by what each region adds to their similarity."""

import base64
import io
from collections.abc import Callable, Hashable, Sequence
from html import escape

import numpy as np
import streamlit as st
from PIL import Image

from core.data.source import Source, SourceItem
from core.errors import UserError
from core.imaging import decode, transform
from core.search import similarity_map
from dashboard.widgets import heatmap
from dashboard.widgets.error_box import show_error

_REMEMBERED = "live-activations"
_MOST = 12
_SIDE = 320


@st.fragment
def show(source: Source, results: Sequence[SourceItem], image: Image.Image, key: str) -> None:
    """Choose a result and see the regions that make it similar.

    Parameters
    ----------
    results : nearest first.
    image : what was searched with; ``key`` differs from that of other queries.
    """
    pooling, metric = source.configuration["pooling"], source.configuration["metric"]
    if not similarity_map.applies(pooling, metric):
        st.info(
            f"The similarity can be taken apart into regions for avg and max pooling with the cosine distance, "
            f"not for {pooling} with {metric}.",
            icon=":material/info:",
        )
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        # Keyed by the results: a picker that outlived them would go on showing one of the old.
        place = st.selectbox(
            "Result",
            range(len(results)),
            format_func=lambda place: f"{place + 1} · {results[place].name}",
            key=f"live-reason-{hash(tuple(result.content for result in results))}",
            width=300,
        )
        opacity = st.slider("Strength of the colors", 0.0, 1.0, 0.55, 0.05, key="live-opacity", width=260)
    result, configuration = results[place], tuple(source.configuration.values())
    try:
        other = decode.read(result.file())
        mine = _remembered((key, configuration), lambda: source.activation(image))
        its = _remembered((result.content, configuration), lambda: source.activation(other))
        shares = similarity_map.regions(mine, its, pooling)
        # One scale for all results: what the strongest region of the query adds to its similarity with itself.
        most = float(similarity_map.densities(similarity_map.regions(mine, mine, pooling)[0]).max())
    except UserError as error:
        show_error(error)
        return
    # A network may see the middle of an image only.
    resample = source.reduction(None).resample or ""
    seen = [transform.crop(one, transform.seen(one, resample)) for one in (image, other)]
    captions = ("Your picture", f"Result {place + 1}: {result.alt}")
    figures = "".join(
        _figure(
            heatmap.overlay(one, similarity_map.densities(share), opacity, (0.0, most)),
            caption,
            _strongest(share),
        )
        for one, share, caption in zip(seen, shares, captions, strict=True)
    )
    legend = heatmap.legend(
        "adds nothing", f"adds {most:.1f} times an even share of a similarity of 1, or more"
    )
    st.html(f'<div class="heat-figures">{figures}</div>{legend}')
    st.caption(
        f"Their similarity, {float(shares[0].sum()):.3f}, is the sum of what all regions of an image add to it. This takes the number apart and names no "
        "cause: another image could be as similar for other regions. The same color is the same amount in all results of this picture.",
        help="The dot product of the two pooled vectors is taken apart over the positions of the layer's output: "
        "Stylianou, Souvenir and Pless, Visualizing Deep Similarity Networks, 2019. The brightest color is what the strongest region of your picture adds "
        "to the similarity with itself.",
    )


def _remembered(key: Hashable, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """An activation of this session, computed once: moving the slider needs the same ones again."""
    kept: dict[Hashable, np.ndarray] = st.session_state.setdefault(_REMEMBERED, {})
    if key not in kept:
        kept[key] = compute()
        while len(kept) > _MOST:
            del kept[next(iter(kept))]
    return kept[key]


def _strongest(share: np.ndarray) -> str:
    """Where the region that counts most lies, in words."""
    row, column = np.unravel_index(int(share.argmax()), share.shape)
    down = ("top", "middle", "bottom")[min(2, 3 * int(row) // share.shape[0])]
    across = ("left", "center", "right")[min(2, 3 * int(column) // share.shape[1])]
    return f"{down} {across}"


def _figure(image: Image.Image, caption: str, strongest: str) -> str:
    out = io.BytesIO()
    image.save(out, "WEBP", quality=88)
    source = "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()
    alt = f"{caption}, colored by what counts; most at the {strongest}"
    # Small images are shown larger, to be compared side by side.
    width = round(image.width * _SIDE / max(image.size))
    return (
        f'<figure style="width:{_SIDE}px">'
        f'<img src="{source}" alt="{escape(alt, quote=True)}" '
        f'style="width:{width}px"><figcaption>{escape(caption)}</figcaption></figure>'
    )
