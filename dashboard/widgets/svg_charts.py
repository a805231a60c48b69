"""Small drawings as SVG: they cost the browser nothing and take their colors from the theme."""

from collections.abc import Sequence
from html import escape

import numpy as np
import streamlit as st

_component = st.components.v2.component(
    "playground_drawing",
    html='<div class="drawing"></div>',
    # Text beside the drawing, which grows with its place: that in it would too.
    css="""
      .drawing { color: var(--st-text-color); font-family: var(--st-font); font-size: var(--text-small); }
      .drawing svg { display: block; width: 100%; height: auto; }
      .drawing p { display: flex; justify-content: space-between; position: relative; margin: 0; }
      .drawing b { position: absolute; font-weight: inherit; transform: translateX(-50%); }
    """,
    js="""export default ({ data, parentElement }) => {
      const place = parentElement.querySelector(".drawing");
      if (place.drawn !== data.html) place.innerHTML = place.drawn = data.html;
      place.style.maxWidth = `${data.width}px`;
    }""",
)


def strip(
    scores: Sequence[float] | np.ndarray,
    here: float,
    mean: float,
    interval: tuple[float, float],
    description: str,
    key: str = "strip",
) -> None:
    """One score (0..100) among all: a histogram, a marker, the mean with its interval.

    Parameters
    ----------
    description : what is to be seen, in a sentence, for those who don't see it.
    """
    n_bins, width, height, foot = 20, 240.0, 48.0, 14.0
    counts = np.histogram(scores, bins=n_bins, range=(0, 100))[0]
    step = width / n_bins
    mine = min(int(here / 100 * n_bins), n_bins - 1)
    strong = "var(--st-primary-color)"
    heights = np.where(counts, np.maximum(2.0, counts / max(1, counts.max()) * height), 0.0)
    bars = "".join(
        f'<rect x="{place * step + 1:.1f}" y="{height - h:.1f}" width="{step - 2:.1f}" height="{h:.1f}" rx="1.5" '
        f'fill="{strong if place == mine else "currentColor"}" opacity="{1 if place == mine else 0.28}"/>'
        for place, h in enumerate(heights)
    )
    x, low, middle, high = (width * value / 100 for value in (here, interval[0], mean, interval[1]))
    label = min(max(100 * (6 + middle) / (width + 12), 20.0), 76.0)
    html = (
        f'<svg viewBox="-6 -12 {width + 12:.0f} {height + foot + 12:.0f}" role="img" aria-label="{escape(description)}" '
        f'fill="currentColor">{bars}'
        f'<line x1="0" x2="{width}" y1="{height}" y2="{height}" stroke="currentColor" opacity="0.5"/>'
        f'<path d="M{x - 6:.1f} -11 h12 l-6 9 z" fill="{strong}"/>'
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{height + 7}" y2="{height + 7}" stroke="currentColor" stroke-width="3"/>'
        f'<circle cx="{middle:.1f}" cy="{height + 7}" r="4"/>'
        f'</svg><p aria-hidden="true"><span>0</span><b style="left:{label:.1f}%">mean {mean:.1f}</b><span>100</span></p>'
    )
    _component(key=key, data={"html": html, "width": 340})
