"""The figures of the tutorial, drawn with Pillow: rows of images, heat maps, intervals, histograms and curves.

Notebooks on the web show images wherever they are read, and need no JavaScript for them. Figures are drawn at twice their size, for sharp
text on every screen.
"""

import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import IPython.display
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

SCALE = 2
WIDTH = 860

INK, GRAY, PALE = "#1f2328", "#6e7781", "#d8dee4"
BLUE, ORANGE = "#0072b2", "#d55e00"  # told apart by color-blind people too
SERIES = (BLUE, ORANGE, "#009e73", "#cc79a7")
# Five colors of Matplotlib's viridis, from low to high.
_VIRIDIS = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], float)


@dataclass(frozen=True)
class Tile:
    """An image in a figure, with a caption, and a frame that says whether it is a good result: blue yes, orange no."""

    image: Image.Image
    caption: str = ""
    good: bool | None = None


def grid(tiles: Sequence[Tile], columns: int = 10, size: int = 78, lines: int = 2) -> IPython.display.Image:
    """Images in rows of ``columns``, each at most ``size`` pixels wide and high, with captions of at most ``lines`` lines."""
    return rows(
        {str(start): tiles[start : start + columns] for start in range(0, len(tiles), columns)},
        size,
        lines,
        0,
    )


def rows(
    tiles: Mapping[str, Sequence[Tile]], size: int = 78, lines: int = 1, margin: int = 130
) -> IPython.display.Image:
    """Rows of images, each with its heading in a margin on the left."""
    gap = 8
    high = size + gap + lines * 12 + 4
    longest = max(len(row) for row in tiles.values())
    canvas = _Canvas(margin + longest * (size + gap), len(tiles) * high)
    for place, (heading, row) in enumerate(tiles.items()):
        top = place * high + gap // 2
        if margin:
            text = "\n".join(textwrap.wrap(heading, margin // 7))
            canvas.text(2, top + size / 2, text, 12, "lm")
        for column, tile in enumerate(row):
            left = margin + column * (size + gap) + gap // 2
            canvas.image(left, top, size, tile.image)
            if tile.good is not None:
                canvas.box(left - 2, top - 2, size + 4, size + 4, outline=BLUE if tile.good else ORANGE)
            caption = textwrap.wrap(tile.caption, size // 5, max_lines=lines, placeholder="…")
            canvas.text(left + size / 2, top + size + 4, "\n".join(caption), 10, "ma", GRAY)
    return canvas.photograph()


def colored(values: np.ndarray, low: float | None = None, high: float | None = None) -> Image.Image:
    """A matrix (height, width) as an image: dark blue for the lowest value, yellow for the highest."""
    low = values.min() if low is None else low
    high = values.max() if high is None else high
    share = np.clip((values - low) / ((high - low) or 1), 0, 1) * (len(_VIRIDIS) - 1)
    channels = [np.interp(share, range(len(_VIRIDIS)), _VIRIDIS[:, channel]) for channel in range(3)]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def enlarged(image: Image.Image, size: int) -> Image.Image:
    """An image with its pixels as visible squares, ``size`` pixels wide and high."""
    return image.resize((size, size), Image.Resampling.NEAREST)


def spotlight(image: Image.Image, values: np.ndarray) -> Image.Image:
    """An image under a matrix (height, width) of activations: bright where they are more than half of the highest."""
    share = np.clip(2 * values / (values.max() or 1) - 1, 0, 1)
    mask = Image.fromarray((share * 255).astype(np.uint8)).resize(image.size, Image.Resampling.BICUBIC)
    return Image.composite(image, Image.blend(image, Image.new("RGB", image.size, "#20242c"), 0.82), mask)


def framed(image: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
    """An image with a frame around a region: left, top, right, bottom as shares of width and height."""
    copy = image.copy()
    left, top, right, bottom = (
        share * side for share, side in zip(box, (*copy.size, *copy.size), strict=True)
    )
    width = max(2, round(max(copy.size) / 50))
    ImageDraw.Draw(copy).rectangle((left, top, right - 1, bottom - 1), outline=ORANGE, width=width)
    return copy


def heat_map(table: pd.DataFrame, digits: int = 1, cell: int = 66) -> IPython.display.Image:
    """A table of numbers with a color for each: dark blue for the lowest, yellow for the highest."""
    margin = 14 + 7 * max(len(str(name)) for name in table.index)
    head, high = 18 + 15 * (table.columns.nlevels - 1), 26
    canvas = _Canvas(margin + cell * table.shape[1] + 2, head + high * table.shape[0] + 2)
    numbers = table.to_numpy(float)
    colors = np.asarray(colored(numbers))
    names: list[object] = list(table.columns)
    for column, name in enumerate(names):
        text = "\n".join(name) if isinstance(name, tuple) else str(name)
        canvas.text(margin + (column + 0.5) * cell, head - 6, text, 11, "md", GRAY)
    for row, name in enumerate(table.index):
        top = head + row * high
        canvas.text(margin - 8, top + high / 2, str(name), 12, "rm")
        for column in range(table.shape[1]):
            red, green, blue = colors[row, column].tolist()
            canvas.box(margin + column * cell, top, cell - 1, high - 1, fill=(red, green, blue))
            # Dark text on light cells, and the other way round.
            ink = INK if 0.3 * red + 0.59 * green + 0.11 * blue > 120 else "white"
            text = f"{numbers[row, column]:.{digits}f}"
            canvas.text(margin + (column + 0.5) * cell, top + high / 2, text, 12, "mm", ink)
    return canvas.drawing()


def intervals(table: pd.DataFrame, label: str, zero: bool = False) -> IPython.display.Image:
    """A dot and a line for each row: the columns ``mean``, ``low`` and ``high``; with ``zero``, a line at zero."""
    margin, high = 330, 24
    canvas = _Canvas(WIDTH, high * len(table) + 44)
    values = [*table.low, *table.high, *([0.0] if zero else [])]
    scale = canvas.axis(min(values), max(values), margin, WIDTH - 20, high * len(table) + 6, label)
    if zero:
        canvas.line([(scale(0), 0), (scale(0), high * len(table) + 6)], INK)
    for place, (name, row) in enumerate(table.iterrows()):
        y = place * high + high / 2
        canvas.text(margin - 14, y, str(name), 12, "rm")
        canvas.line([(scale(row["low"]), y), (scale(row["high"]), y)], BLUE, 2)
        canvas.dot(scale(row["mean"]), y, BLUE)
    return canvas.drawing()


def histogram(groups: Mapping[str, np.ndarray], label: str, bins: int = 40) -> IPython.display.Image:
    """The distribution of each group of numbers, as shares of the group."""
    every = np.concatenate(list(groups.values()))
    edges = np.linspace(every.min(), every.max(), bins + 1)
    shares = {name: np.histogram(values, edges)[0] / len(values) for name, values in groups.items()}
    left, right, bottom = 40, WIDTH - 20, 190
    canvas = _Canvas(WIDTH, bottom + 40)
    scale = canvas.axis(edges[0], edges[-1], left, right, bottom, label)
    highest = max(share.max() for share in shares.values())
    for place, (name, share) in enumerate(shares.items()):
        x = [scale(edge) for edge in edges for _ in range(2)]
        y = [bottom - value / highest * (bottom - 24) for value in share for _ in range(2)]
        canvas.line(list(zip(x, [bottom, *y, bottom], strict=True)), SERIES[place], 2)
        canvas.text(right, 6 + 18 * place, name, 13, "ra", SERIES[place])
    return canvas.drawing()


def curves(
    series: Mapping[str, Sequence[tuple[float, float, str]]], x_label: str, y_label: str
) -> IPython.display.Image:
    """A line of points for each series: x, y from 0 to 1, and a short text beside the point."""
    left, right, bottom = 60, WIDTH - 130, 300
    canvas = _Canvas(WIDTH, bottom + 40)
    canvas.text(0, 0, y_label, 12, "la", GRAY)
    xs = [x for points in series.values() for x, _, _ in points]
    scale = canvas.axis(0, max(xs), left, right, bottom, x_label)
    for share in np.linspace(0, 1, 6):
        y = bottom - share * (bottom - 30)
        canvas.line([(left, y), (right, y)], PALE)
        canvas.text(left - 8, y, f"{share:.1f}", 11, "rm", GRAY)
    for place, (name, points) in enumerate(series.items()):
        at = [(scale(x), bottom - y * (bottom - 30)) for x, y, _ in points]
        canvas.line(at, SERIES[place], 2)
        for (x, y), (_, _, text) in zip(at, points, strict=True):
            canvas.dot(x, y, SERIES[place])
            canvas.text(x + 6, y + 5, text, 10, "la", SERIES[place])
        canvas.text(right + 20, 40 + 20 * place, name, 13, "la", SERIES[place])
    return canvas.drawing()


class _Canvas:
    """A white image with coordinates in the pixels that readers see."""

    def __init__(self, width: float, height: float):
        self.width = round(width)
        self._image = Image.new("RGB", (round(width * SCALE), round(height * SCALE)), "white")
        self._draw = ImageDraw.Draw(self._image)

    def text(self, x: float, y: float, text: str, size: int, anchor: str, color: str = INK) -> None:
        font = ImageFont.load_default(size * SCALE)
        align = {"l": "left", "m": "center", "r": "right"}[anchor[0]]
        at = (x * SCALE, y * SCALE)
        # Pillow anchors several lines by the middle and by the top or bottom of all of them.
        self._draw.multiline_text(at, text, color, font, anchor, spacing=2 * SCALE, align=align)

    def line(self, points: Sequence[tuple[float, float]], color: str, width: int = 1) -> None:
        self._draw.line([(x * SCALE, y * SCALE) for x, y in points], color, width * SCALE, joint="curve")

    def dot(self, x: float, y: float, color: str) -> None:
        self._draw.circle((x * SCALE, y * SCALE), 4 * SCALE, color)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str | tuple[int, ...] | None = None,
        outline: str | None = None,
    ) -> None:
        corners = (x * SCALE, y * SCALE, (x + width) * SCALE - 1, (y + height) * SCALE - 1)
        self._draw.rectangle(corners, fill, outline, 2 * SCALE)

    def image(self, x: float, y: float, size: int, image: Image.Image) -> None:
        """An image in the middle of a square, as large as fits."""
        side = size * SCALE
        share = side / max(image.size)
        fitting = image.resize([max(1, round(edge * share)) for edge in image.size], Image.Resampling.LANCZOS)
        left, top = round(x * SCALE), round(y * SCALE)
        self._image.paste(fitting, (left + (side - fitting.width) // 2, top + (side - fitting.height) // 2))

    def axis(
        self, low: float, high: float, left: float, right: float, y: float, label: str
    ) -> Callable[[float], float]:
        """Draw a horizontal axis with round numbers, and return the function from values to x."""
        rough = (high - low) / 6
        unit = 10 ** np.floor(np.log10(rough))
        step = unit * next(factor for factor in (1, 2, 5, 10) if factor * unit >= rough)
        start, end = np.floor(low / step) * step, np.ceil(high / step) * step
        digits = max(0, -int(np.floor(np.log10(step))))

        def scale(value: float) -> float:
            return left + (value - start) / (end - start) * (right - left)

        for tick in np.arange(start, end + step / 2, step):
            self.line([(scale(tick), y - 4), (scale(tick), y)], GRAY)
            self.text(scale(tick), y + 5, f"{tick:.{digits}f}", 11, "ma", GRAY)
        self.line([(left, y), (right, y)], GRAY)
        self.text((left + right) / 2, y + 22, label, 12, "ma", GRAY)
        return scale

    def photograph(self) -> IPython.display.Image:
        """The figure as JPEG, which suits photographs."""
        out = io.BytesIO()
        self._image.save(out, "JPEG", quality=78, optimize=True)
        return IPython.display.Image(out.getvalue(), width=self.width)

    def drawing(self) -> IPython.display.Image:
        """The figure as PNG of few colors, which suits lines and text."""
        out = io.BytesIO()
        self._image.quantize(64, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        return IPython.display.Image(out.getvalue(), width=self.width)
