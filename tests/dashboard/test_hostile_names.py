"""Names from outside are shown as text on every page: no link, no format, no picture, no formula."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from streamlit.testing.v1 import AppTest

from core import jobs
from core.collections import Collection, collection_projection, embedder
from core.data import datasets
from core.errors import UserError
from core.jobs import Job
from core.settings import settings
from dashboard.widgets import collection_jobs
from tests.collections import pixels
from tests.dashboard.conftest import write_run
from tests.dashboard.test_compare_page import SECTIONS
from tests.experiments.synthetic import draw_dataset

# Without a slash, so that it can be the name of a file.
NAME = "[k](www.evil.example) :red[r] $x$ <b>h<b> **bold** a@evil.example"
LABEL = f'{NAME} http://evil.example/x <a href="http://evil.example">h</a> `c`'

# What Streamlit's Markdown makes something of, and what Plotly and HTML do.
_ACTIVE = re.compile(
    r"\[k\]\(|www\.evil|https?://evil|a@evil|(?<!\\):red\[|(?<!\\)\$x|(?<!\\)<[ab]\b|(?<!\\)\*\*bold"
)
_MARKUP = re.compile(r"<a href|<b>h<b>", re.IGNORECASE)
# Fields that are shown as they are, or not at all.
_PLAIN = {
    "Code.code_text",
    "Selectbox.options",
    "MultiSelect.options",
    "BidiComponent.json",
    "BidiComponent.mixed",
    "Selectbox.raw_value",
    "MultiSelect.raw_values",
    "PlotlyChart.alt",
    "PlotlyChart.id",
    "Selectbox.id",
}


def texts(message: Message, kind: str = "") -> Iterator[tuple[str, str]]:
    """All text of an element, by message and field."""
    for field, value in message.ListFields():
        for one in (
            value if isinstance(value, list) or hasattr(value, "append") or hasattr(value, "add") else [value]
        ):
            if isinstance(one, Message):
                yield from texts(one)
            elif isinstance(one, str):
                yield f"{type(message).__name__}.{field.name}", one


def active(page: AppTest) -> list[str]:
    """Places of a page where a name would be more than text."""
    assert not page.exception, page.exception[0].value
    found = []
    seen = 0
    for node in walk(page._tree):
        for place, text in texts(node):
            seen += "evil" in text
            if place == "PlotlyChart.spec":
                found += [f"{place}: {one}" for one in strings(json.loads(text)) if _MARKUP.search(one)]
            elif place == "Html.body":
                found += [f"{place}: {text}"] if _MARKUP.search(text) else []
            elif place not in _PLAIN and _ACTIVE.search(re.sub(r"(?<!\\)`[^`]*`", "", text)):
                found.append(f"{place}: {text[:300]}")
    assert seen, "the page shows no such name, so nothing was tried"
    return sorted(set(found))


def walk(node: Any) -> Iterator[Message]:
    if (proto := getattr(node, "proto", None)) is not None and isinstance(proto, Message):
        yield proto
    for child in getattr(node, "children", {}).values():
        yield from walk(child)


def strings(value: Any) -> Iterator[str]:
    """The strings of a chart that Plotly draws."""
    if isinstance(value, dict):
        for key, one in value.items():
            if key not in ("customdata", "ids", "meta"):
                yield from strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)
    elif isinstance(value, str):
        yield value


@pytest.fixture(scope="module")
def hostile_grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    drawn = draw_dataset(folder / "drawings" / "images", 3, 8)
    labels = {label: f"{label} {LABEL}" for label in drawn.classes}
    items = tuple(
        datasets.Item(item.id, item.file, labels[item.label], f"{item.id} {LABEL}") for item in drawn.items
    )
    described = datasets.Dataset(
        "drawings",
        LABEL,
        LABEL,
        tuple(labels.values()),
        items,
        drawn.fingerprint,
        folder / "drawings" / "images",
    )
    (folder / "drawings" / "dataset.json").write_text(datasets.describe(described, "images"))
    dataset = datasets.load(folder / "drawings")
    layers = (f"one {NAME}", f"two {NAME}", f"three {NAME}")
    for model in ("squeezenet", NAME):
        write_run(folder, dataset, model, "imagenet", 1.0, layers, ("avg",))
    return folder


@pytest.fixture(autouse=True)
def _hostile(hostile_grid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "GRID_DIR", hostile_grid)


@pytest.mark.parametrize("page", ["search", "embeddings", "your_picture"])
def test_names_of_a_dataset_are_text(open_page, page):
    assert active(open_page(page, dataset="drawings")) == []


@pytest.fixture
def hostile_pets(collections_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Collection:
    monkeypatch.setattr(embedder, "load", pixels.load)
    monkeypatch.setattr(collection_jobs, "jobs", jobs.Jobs())
    lines = ["path,label,note"]
    folder = tmp_path / f"photos {NAME}"
    for seed in range(4):
        pixels.draw(folder / f"{seed} {NAME}.png", seed)
        lines.append(",".join(quoted(text) for text in (f"{seed} {NAME}.png", f"{seed % 2} {LABEL}", LABEL)))
    # Twice the same, and one that can't be read.
    pixels.draw(folder / f"a {NAME}.png", 1)
    (folder / f"broken {NAME}.png").write_bytes(b"x")
    (folder / "list.csv").write_text("\n".join(lines))
    made = pixels.create()
    made.add([str(folder), str(folder / "list.csv")])
    return made


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


@pytest.mark.parametrize("part", ["pictures", "duplicates", "outliers", "labels", "manage"])
def test_names_of_a_collection_are_text(open_page, hostile_pets, part):
    page = open_page("your_images", collection="pets", part=part)
    for _ in range(20):
        if not any(one.running for one in collection_jobs.jobs._jobs.values()):
            break
        next(iter(collection_jobs.jobs._jobs.values())).wait(1)
    assert active(page.run()) == []


@pytest.mark.parametrize("page", ["your_picture", "embeddings"])
def test_names_of_a_collection_are_text_on_other_pages(open_page, hostile_pets, page):
    collection_projection.compute(hostile_pets, "pca", 2, Job("layout"))
    assert active(open_page(page, collection="pets", method="pca", where=f"label={LABEL}", image="1")) == []


def test_what_jobs_say_is_text(open_page, hostile_pets):
    def fail(opened: Collection, job: Job) -> None:
        raise UserError(f"{LABEL} is wrong.")

    collection_jobs.change("pets", f"Adding {LABEL}", fail)
    collection_jobs.jobs.get(collection_jobs._key("pets")).wait(10)
    assert active(open_page("your_images", collection="pets")) == []


def test_folders_of_the_server_are_text(open_page, hostile_pets, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "IMAGE_ROOT", tmp_path)
    page = open_page("your_images", collection="pets", part="add", way="server", folder=f"photos {NAME}")
    assert active(page) == []


@pytest.mark.parametrize(
    "page", ["home", "search", "embeddings", "compare", "your_picture", "your_images", "models"]
)
def test_what_an_address_says_is_text(open_page, collections_dir, page):
    parts = (
        "dataset",
        "collection",
        "model",
        "layer",
        "pooling",
        "metric",
        "k",
        "query",
        "class",
        "part",
        "view",
    )
    assert active(open_page(page, **dict.fromkeys(parts, LABEL))) == []


@pytest.mark.parametrize("section", SECTIONS)
def test_names_of_a_dataset_are_text_on_compare(open_page, section):
    assert active(open_page("compare", dataset="drawings", section=section)) == []
