"""An image under colors that show how much each region counts."""

import numpy as np
from PIL import Image

# From dark blue to yellow with even steps of lightness, also for those who don't see red and green.
_STOPS = np.array([[0, 34, 78], [66, 78, 108], [124, 123, 120], [187, 173, 108], [254, 232, 56]], float)
_LONGEST = 480


def overlay(
    image: Image.Image, shares: np.ndarray, opacity: float, scale: tuple[float, float] | None = None
) -> Image.Image:
    """An image under the colors of its regions.

    Parameters
    ----------
    shares : (height, width) how much each region counts: the least in the darkest color, the most in the brightest.
    opacity : of the colors, 0..1.
    scale : the values of the darkest and the brightest color, and of all beyond; the least and the most share when not given.
    """
    copy = image.copy()
    copy.thumbnail((_LONGEST, _LONGEST))
    low, high = (float(shares.min()), float(shares.max())) if scale is None else scale
    scaled = ((shares - low) / (high - low or 1.0)).clip(0.0, 1.0).astype(np.float32)
    smooth = np.asarray(Image.fromarray(scaled).resize(copy.size, Image.Resampling.BILINEAR))
    places = np.linspace(0, 1, len(_STOPS))
    colors = np.stack([np.interp(smooth, places, _STOPS[:, channel]) for channel in range(3)], axis=-1)
    # The stronger the colors, the grayer the image below: its own colors would look like those of the scale.
    gray = copy.convert("L").convert("RGB")
    below = Image.blend(copy, gray, min(1.0, 2 * opacity))
    return Image.blend(below, Image.fromarray(colors.astype(np.uint8)), opacity)


def legend(low: str = "counts least", high: str = "counts most") -> str:
    """The scale as an HTML line, with words for its ends."""
    stops = ", ".join(f"rgb({r:.0f} {g:.0f} {b:.0f})" for r, g, b in _STOPS)
    return (
        f'<div class="heat-legend"><span>{low}</span><i style="background:linear-gradient(90deg,{stops})"></i>'
        f"<span>{high}</span></div>"
    )
