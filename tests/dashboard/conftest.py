"""A small grid with real files for tests of the pages: made once, copied for the tests that break it."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import streamlit as st
from streamlit.components.v2.bidi_component.main import _make_trigger_id
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from core import jobs
from core.collections import Collection
from core.data import datasets
from core.evaluation import linear_probe, scoring
from core.evaluation.rankings import Neighbors
from core.evaluation.robustness import Recognition
from core.evaluation.whole_ranking import WholeRankings
from core.experiments import machine_costs, robustness_file, store
from core.experiments.robustness_file import UNCHANGED
from core.experiments.store import Grid
from core.imaging.changes import CHANGES
from core.metrics import pairwise
from core.search import shared_engine
from core.settings import settings
from dashboard import url
from tests.collections.pixels import draw
from tests.conftest import ROOT
from tests.experiments.synthetic import draw_dataset
from tests.watched_jobs import WatchedJob

DATASET = "drawings"
# What each model has: how well its vectors follow the classes, its layers, its poolings.
MODELS = {
    ("good", "imagenet"): (2.0, ("early", "middle", "late"), ("avg", "max")),
    ("plain", "imagenet"): (0.5, ("first", "second", "third"), ("avg",)),
    ("good", "untrained"): (0.0, ("early", "middle", "late"), ("avg",)),
}


@pytest.fixture(autouse=True)
def _watched_jobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the pages compute says how far it is without going back, and is not at its end before its last stage."""
    started: list[WatchedJob] = []

    class Started(WatchedJob):
        def __init__(self, title: str):
            super().__init__(title)
            started.append(self)

    monkeypatch.setattr(jobs, "Job", Started)
    yield
    assert [fault for one in started for fault in one.faults] == []


@pytest.fixture(scope="session")
def made_grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The grid of :func:`draw_grid`; read only."""
    folder = tmp_path_factory.mktemp("grid")
    draw_grid(folder)
    return folder


def draw_grid(folder: Path) -> None:
    """Two datasets of 3 x 8 drawings, one with experiments of three models and one without any."""
    for name in (DATASET, "empty"):
        drawn = draw_dataset(folder / name / "images", 3, 8)
        described = datasets.Dataset(
            name, name.title(), "", drawn.classes, drawn.items, drawn.fingerprint, folder / name / "images"
        )
        (folder / name / "dataset.json").write_text(datasets.describe(described, "images"))
    dataset = datasets.load(folder / DATASET)
    for (model, weights), (strength, layers, poolings) in MODELS.items():
        write_run(folder, dataset, model, weights, strength, layers, poolings)


def write_run(
    folder: Path,
    dataset: datasets.Dataset,
    model: str,
    weights: str,
    strength: float,
    layers: tuple[str, ...],
    poolings: tuple[str, ...],
) -> None:
    rng = np.random.default_rng(len(model) + len(weights))
    n, top = len(dataset), 20
    codes = np.unique(dataset.labels, return_inverse=True)[1]
    experiments, vectors = [], {}
    for depth, layer in enumerate(layers, 1):
        for pooling in poolings:
            rows = strength * depth * np.eye(3)[codes] @ np.ones((3, 6)) * codes[:, None]
            rows = (rows + rng.normal(size=(n, 6))).astype(np.float32)
            vectors[layer, pooling] = (np.arange(n), rows)
            probe = linear_probe.measure(rows, codes, 3)
            assert probe is not None
            for metric in ("cosine", "euclidean"):
                distances = pairwise(metric, rows)
                pairs = distances[np.triu_indices(n, 1)]
                whole = WholeRankings(codes, 3)
                whole.add(np.arange(n), distances)
                np.fill_diagonal(distances, -1.0)
                ids = np.argsort(distances, axis=1, kind="stable")[:, 1 : top + 1]
                same = scoring.same_label(np.arange(n), ids, dataset.labels)
                facts = {
                    "dimensions": 6,
                    "score_10": float(scoring.score(same, 10).mean()),
                    "score_15": float(scoring.score(same, 15).mean()),
                    "precision_1": float(same[:, 0].mean()),
                }
                found = Neighbors(np.arange(n), ids, np.take_along_axis(distances, ids, 1).astype(np.float32))
                quantiles = np.quantile(pairs, np.linspace(0, 1, store.N_QUANTILES)).astype(np.float32)
                measures = whole.result() | {"probe": probe}
                experiments.append(store.Computed(layer, pooling, metric, facts, found, quantiles, measures))
    about = store.ModelRun(
        dataset=dataset.name,
        dataset_fingerprint=dataset.fingerprint,
        model=model,
        title=model.title(),
        weights=weights,
        weights_source="random numbers",
        weights_fingerprint="0" * 64,
        input_size=32,
        parameters=1_500_000,
        layers=tuple(
            store.LayerRun(name, d, (8, 8, 6), 400_000 * d, 1.5 * d) for d, name in enumerate(layers, 1)
        ),
        top=top,
    )
    store.write_run(folder / dataset.name, dataset, about, store.Contents(experiments, vectors, []))


@pytest.fixture
def grid_dir(made_grid: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The grid that the pages look at; not to be written to."""
    monkeypatch.setattr(settings, "GRID_DIR", made_grid)
    return made_grid


@pytest.fixture
def own_grid_dir(made_grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the grid that the pages look at, for tests that change it."""
    folder = Path(shutil.copytree(made_grid, tmp_path / "grid"))
    monkeypatch.setattr(settings, "GRID_DIR", folder)
    return folder


ROBUSTNESS_CELLS = [(UNCHANGED, 0), *((name, strength) for name in CHANGES for strength in (1, 2, 3))]


@pytest.fixture
def measured(own_grid_dir: Path) -> Path:
    """A copy of the grid with the robustness of both models."""
    random = np.random.default_rng(1)

    def table(model: str, layers: tuple[str, ...]) -> robustness_file.Table:
        rows = {}
        for layer in layers:
            for change, strength in ROBUSTNESS_CELLS:
                recall, precision = random.uniform(0.3, 0.9, 2)
                recall = 1.0 if change == UNCHANGED else recall
                rows[layer, change, strength] = Recognition(
                    24, recall, precision, precision - 0.1, precision + 0.1
                )
        return robustness_file.Table(model, "imagenet", "0" * 64, "avg", "cosine", 24, 24, rows)

    tables = [table("good", ("early", "middle", "late")), table("plain", ("first", "second", "third"))]
    robustness_file.write(own_grid_dir, Grid(own_grid_dir).dataset(DATASET), tables)
    return own_grid_dir


@pytest.fixture
def measured_here(own_grid_dir: Path) -> Path:
    """A copy of the grid beside which the times of this machine are kept: 50 ms for the good model, 7 for the plain one."""
    times = {
        "good": dict.fromkeys(("early", "middle", "late"), 50.0),
        "plain": dict.fromkeys(("first", "second", "third"), 7.0),
    }
    conditions = {"processor": "Fast processor", "cores": 64, "tensorflow": "2.0", "batch_size": 8}
    content = {"ms_per_image": times, "conditions": conditions}
    (own_grid_dir / machine_costs.FILE).write_text(
        json.dumps({"format": 1, "runtimes": {"tensorflow": content}})
    )
    return own_grid_dir


@pytest.fixture
def collections_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where collections lie."""
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", tmp_path / "collections")
    monkeypatch.setattr(settings, "CATALOG_URL", None)
    monkeypatch.setattr(settings, "MILVUS_URI", None)
    monkeypatch.setattr(settings, "IMAGE_ROOT", None)
    return settings.COLLECTIONS_DIR


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two cats, two dogs, and one picture without a label."""
    for name, seed in (("cat/a", 1), ("cat/b", 2), ("dog/c", 3), ("dog/d", 4), ("e", 5)):
        draw(tmp_path / "photos" / f"{name}.png", seed)
    return tmp_path / "photos"


@pytest.fixture
def pets(collections_dir: Path, photos: Path) -> Collection:
    """A real collection of the photos, searched by a real network."""
    made = Collection.create(
        "pets", model="squeezenet", layer="conv1_activation", load=shared_engine.engine()._embedder
    )
    made.add([str(photos)])
    return made


@pytest.fixture(autouse=True)
def _empty_caches() -> None:
    st.cache_resource.clear()
    st.cache_data.clear()


class Browser(AppTest):
    """A session with the address bar of a browser, where a page's script completes the address."""

    def _run(self, *args: Any, **options: Any) -> AppTest:
        super()._run(*args, **options)
        for part in self.get("bidi_component"):
            if part.proto.component_name == "playground_address":
                data = json.loads(part.proto.json)
                now = [
                    [key, one] for key, values in self.query_params.items() for one in np.atleast_1d(values)
                ]
                if sorted(now) == sorted(data["asked"]):
                    self.query_params = dict(data["shown"])
        return self


def app(folder: str) -> AppTest:
    """The app on a page, not run yet. Before its first run AppTest knows pages by the names of their files, which are all the same."""
    test = Browser(ROOT / "dashboard" / "pages" / "navigation.py", default_timeout=60)
    test._page_hash = calc_hash(url.PAGES[folder].path)
    return test


@pytest.fixture
def open_page() -> Callable[..., AppTest]:
    """Run a page, such as ``open_page("search", k=7)``, with that address."""

    def run(name: str, **asked: str | list[str]) -> AppTest:
        page = Browser(ROOT / "dashboard" / "pages" / name / "page.py", default_timeout=30)
        for key, value in asked.items():
            page.query_params[key] = value if isinstance(value, list) else str(value)
        return page.run()

    return run


def gallery_of(page: AppTest, place: int) -> dict:
    """What a gallery on a page was given, by its place among the galleries."""
    parts = [part.proto for part in page.get("bidi_component")]
    return json.loads([part.json for part in parts if part.component_name == "playground_gallery"][place])


def layers_of(page: AppTest, key: str = "layers") -> dict:
    """What the strip of layers with a key was given."""
    return json.loads(_strip(page, key).json)


def choose_layer(page: AppTest, name: str, key: str = "layers") -> AppTest:
    """Click on a layer of the strip with a key."""
    states = page._tree.get_widget_states()
    value = json.dumps([{"event": "layer", "value": name}])
    states.widgets.add(id=_make_trigger_id(_strip(page, key).id, "events"), json_trigger_value=value)
    return page._run(states)


def _strip(page: AppTest, key: str) -> Any:
    parts = [part.proto for part in page.get("bidi_component")]
    [one] = [
        part
        for part in parts
        if part.component_name == "playground_layer_strip" and part.id.endswith(f"-{key}")
    ]
    return one


def http_get(app: Callable, url: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a GET of an ASGI app, without a server."""
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    # Pages name addresses relative to themselves.
    parts = urlsplit(url.removeprefix(".") if url.startswith("./") else url)
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [],
        "server": ("testserver", 80),
        "client": ("testclient", 1),
    }
    # In a thread of its own: the browser's driver keeps an event loop running in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, app(scope, receive, send)).result()
    start, *rest = sent
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], headers, b"".join(message.get("body", b"") for message in rest)
