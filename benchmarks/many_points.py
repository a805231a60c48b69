"""The map of 100,000 images while it moves, in a real browser."""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import browser, servers
from benchmarks.measure import Sample
from benchmarks.table import Row
from core.data.datasets import Dataset, Item, describe, fingerprint_of_contents
from core.evaluation.rankings import Neighbors
from core.experiments import runner, store

if TYPE_CHECKING:
    from playwright.sync_api import Page

IMAGES, _CLASSES, _LAYERS = 100_000, 10, 8
_ROUNDS, _SECONDS = 5, 1.5
_GOAL = 10.0  # frames a second
_REST_GOAL = 1.0  # seconds
_NOTE = (
    f"2-D, {IMAGES:,} points in {_CLASSES} classes; one change of the view in each frame, for {_SECONDS:g} seconds; a window of 1400 x 900, no "
    "graphics card, browser and server on the same cores"
)
_CORNERS = ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8), (0.2, 0.22))
_LASSO_NOTE = (
    "from pressing the mouse button to letting it go, with 24 moves of the mouse around most of the points"
)


def rows() -> list[Row]:
    """Frames a second while the view or the points move, and seconds from typing a name until the chart shows it."""
    with tempfile.TemporaryDirectory() as folder:
        write_grid(Path(folder), IMAGES)
        with browser.started() as chromium, servers.pages(PLAYGROUND_GRID_DIR=folder) as server:
            page = chromium.new_page(viewport={"width": 1400, "height": 900})
            page.set_default_timeout(120_000)
            page.goto(f"http://127.0.0.1:{server.port}/embeddings")
            _rest(page)
            moving = {
                name: Sample(tuple(_frames(page, script) for _ in range(_ROUNDS)))
                for name, script in _MOVES.items()
            }
            page.evaluate(f"{_CHART}.scatter.pause()")
            _rest(page)
            resting = Sample(tuple(_rests_after(page) for _ in range(_ROUNDS)))
            enclosing = Sample(tuple(_enclose(page) for _ in range(_ROUNDS)))
            finding = Sample(tuple(_find(page, turn) for turn in range(_ROUNDS)))
    return [
        *(
            Row.of(f"{IMAGES:,} points, {name}", sample, "frames/s", better="higher", goal=_GOAL, note=_NOTE)
            for name, sample in moving.items()
        ),
        Row.of(f"{IMAGES:,} points, all of them after panning", resting, "s", goal=_REST_GOAL, note=_NOTE),
        Row.of(f"{IMAGES:,} points, drawing a lasso", enclosing, "s", goal=_REST_GOAL, note=_LASSO_NOTE),
        Row.of(f"{IMAGES:,} points, finding by name", finding, "s", goal=_REST_GOAL, note=_NOTE),
    ]


def write_grid(folder: Path, n: int) -> None:
    """A grid of one dataset of ``n`` items in classes that are clouds of points, and one model with two layers."""
    random = np.random.default_rng(0)
    codes = random.integers(_CLASSES, size=n)
    classes = tuple(f"class {code}" for code in range(_CLASSES))
    # All of them show the same file: what is measured is drawing points.
    items = tuple(Item(place, "0.png", classes[code], f"image {place}") for place, code in enumerate(codes))
    labels = [item.label for item in items]
    images = folder / "many" / "images"
    images.mkdir(parents=True)
    _draw(images / "0.png")
    fingerprint = fingerprint_of_contents(labels, [str(item.id) for item in items])
    dataset = Dataset("many", "Many", f"{n:,} points.", classes, items, fingerprint, images)
    (folder / "many" / "dataset.json").write_text(describe(dataset, "images"))
    layers = [f"layer{depth}" for depth in range(1, _LAYERS + 1)]
    experiments, projections = [], []
    for depth, layer in enumerate(layers, 1):
        angles = 2 * np.pi * codes / _CLASSES
        centers = depth * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        places = (centers + random.normal(scale=0.5, size=(n, 2))).astype(np.float32)
        places /= np.abs(places).max()
        experiments.append(_experiment(layer, places, labels))
        projections += [
            store.StoredProjection(layer, "avg", method, 2, np.arange(n), places, 0.9, 0.1, {})
            for method in ("umap", "pca")
        ]
    about = store.ModelRun(
        dataset="many",
        dataset_fingerprint=fingerprint,
        model="clouds",
        title="Clouds",
        weights="imagenet",
        weights_source="random numbers",
        weights_fingerprint="0" * 64,
        input_size=32,
        parameters=1,
        layers=tuple(
            store.LayerRun(layer, depth, (1, 1, 2), 1, 1.0) for depth, layer in enumerate(layers, 1)
        ),
        top=experiments[0].neighbors.ids.shape[1],
    )
    store.write_run(folder / "many", dataset, about, store.Contents(experiments, {}, projections))


def _experiment(layer: str, places: np.ndarray, labels: list[str]) -> store.Computed:
    from scipy.spatial import KDTree

    distances, ids = KDTree(places).query(places, 11)
    neighbors = Neighbors(np.arange(len(places)), ids[:, 1:], distances[:, 1:].astype(np.float32))
    facts = {"dimensions": 2, **runner.summarize(neighbors, labels)}
    quantiles = np.quantile(distances, np.linspace(0, 1, store.N_QUANTILES)).astype(np.float32)
    return store.Computed(layer, "avg", "cosine", facts, neighbors, quantiles, {})


def _draw(path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (32, 32), "teal").save(path)


def _rest(page: "Page") -> None:
    """Wait until all points are drawn."""
    from tests.browser.conftest import wait_until_idle

    wait_until_idle(page)
    page.wait_for_function(_RESTS)


def _frames(page: "Page", script: str) -> float:
    frames: float = page.evaluate(_COUNT, [script, _SECONDS * 1000])
    _rest(page)
    return frames


def _rests_after(page: "Page") -> float:
    seconds: float = page.evaluate(_REST_AFTER) / 1000
    return seconds


def _enclose(page: "Page") -> float:
    """Seconds of drawing a lasso."""
    left, top, width, height = page.evaluate(_STAGE)
    corners = [(left + x * width, top + y * height) for x, y in _CORNERS]
    page.mouse.move(*corners[0])
    started = time.perf_counter()
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=6)
    page.mouse.up()
    seconds = time.perf_counter() - started
    _rest(page)
    return seconds


def _find(page: "Page", turn: int) -> float:
    seconds: float = page.evaluate(_FIND, f"image {turn}1") / 1000
    _rest(page)
    return seconds


_CHART = """(() => {
  const inside = (root) => root.querySelector('.playground-scatter')
    ?? [...root.querySelectorAll('*')].filter((one) => one.shadowRoot).map((one) => inside(one.shadowRoot)).find(Boolean);
  return inside(document);
})()"""

_RESTS = f"() => {{ const chart = {_CHART}; return chart?.querySelector('.plot canvas') && chart.dataset.moving !== 'true' && !chart.scatter.drawing; }}"

# Each is done once in every frame.
_MOVES = {
    "panning": "scatter.pan(frame % 60 < 30 ? 4 : -4, 2 * Math.sin(frame))",
    "zooming": "scatter.zoom([500, 300], frame % 60 < 30 ? 1.03 : 1 / 1.03)",
    "playing the layers": "if (!scatter.playing) scatter.play()",
}

_COUNT = f"""([move, milliseconds]) => new Promise((done) => {{
  const {{ scatter }} = {_CHART};
  const act = new Function('scatter', 'frame', move);
  let frame = 0;
  const begun = performance.now();
  const next = (now) => {{
    if (now - begun >= milliseconds) {{ done(1000 * frame / (now - begun)); return; }}
    act(scatter, frame);
    frame += 1;
    requestAnimationFrame(next);
  }};
  requestAnimationFrame(next);
}})"""

_STAGE = f"""() => {{
  const {{ left, top, width, height }} = {_CHART}.querySelector('.stage').getBoundingClientRect();
  return [left, top, width, height];
}}"""

_REST_AFTER = f"""() => new Promise((done) => {{
  const chart = {_CHART};
  const begun = performance.now();
  chart.scatter.pan(7, 3);
  const look = () => {{
    if (chart.dataset.moving !== 'true' && !chart.scatter.drawing) done(performance.now() - begun);
    else requestAnimationFrame(look);
  }};
  setTimeout(look, 50);
}})"""

_FIND = f"""(name) => new Promise((done) => {{
  const {{ scatter }} = {_CHART};
  const begun = performance.now();
  scatter.parts.find.value = name;
  scatter.find();
  const look = () => {{
    if (scatter.found && performance.now() - begun > 150 && !scatter.drawing) done(performance.now() - begun);
    else requestAnimationFrame(look);
  }};
  requestAnimationFrame(look);
}})"""
